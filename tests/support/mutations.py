"""Mutations of DICOM objects for a table: attributes set, items taken out or put in, pixels and contours changed."""

from __future__ import annotations

import copy
import re
from collections.abc import Callable, Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
from history_kit import History
from pydicom.dataset import Dataset

from vault.compare.diff import compare
from vault.model import Change
from vault.normal.dicom import normal_form

Mutation = Callable[[Dataset], object]

DATA = Path(__file__).parents[1] / "data" / "dicom"

_STEP = re.compile(r"([A-Za-z0-9]+)\[(-?\d+)\]")


def item(dataset: Dataset, path: str) -> Dataset:
    """The item at `BeamSequence[0].ControlPointSequence[1]`, counted from 0; the object itself for ``."""
    for keyword, place in _STEP.findall(path):
        dataset = dataset[keyword].value[int(place)]
    return dataset


def at(path: str, **values: Any) -> Mutation:
    """Set attributes of an item; None takes one out."""

    def mutation(dataset: Dataset) -> None:
        for keyword, value in values.items():
            if value is None:
                delattr(item(dataset, path), keyword)
            else:
                setattr(item(dataset, path), keyword, value)

    return mutation


def top(**values: Any) -> Mutation:
    """Set attributes of the object itself."""
    return at("", **values)


def each(sequence: str, **values: Any) -> Mutation:
    """Set attributes of every item of a top-level sequence."""

    def mutation(dataset: Dataset) -> None:
        for place in range(len(dataset[sequence].value)):
            at(f"{sequence}[{place}]", **values)(dataset)

    return mutation


def without(path: str, sequence: str, place: int) -> Mutation:
    """Take an item out of a sequence."""
    return lambda dataset: item(dataset, path)[sequence].value.pop(place)


def with_item(path: str, sequence: str, **values: Any) -> Mutation:
    """Put a new item at the end of a sequence, which need not be there."""

    def mutation(dataset: Dataset) -> None:
        new = Dataset()
        for keyword, value in values.items():
            setattr(new, keyword, value)
        holder = item(dataset, path)
        setattr(holder, sequence, [*(holder.get(sequence) or ()), new])

    return mutation


def copied(path: str, sequence: str, place: int, **values: Any) -> Mutation:
    """Put a copy of an item at the end of its sequence, with other values."""

    def mutation(dataset: Dataset) -> None:
        new = copy.deepcopy(item(dataset, path)[sequence].value[place])
        at("", **values)(new)
        item(dataset, path)[sequence].value.append(new)

    return mutation


def all_of(*mutations: Mutation) -> Mutation:
    """Several mutations as one."""
    return lambda dataset: [mutation(dataset) for mutation in mutations]


def shifted(path: str, keyword: str, shifts: dict[int, float]) -> Mutation:
    """Add to some values of a list, counted from 0."""

    def mutation(dataset: Dataset) -> None:
        values = [float(value) for value in item(dataset, path)[keyword].value]
        for place, by in shifts.items():
            values[place] += by
        setattr(item(dataset, path), keyword, values)

    return mutation


def contours(roi: int, change: Callable[[np.ndarray], np.ndarray]) -> Mutation:
    """Move the points (n, 3) of every contour of a region, by its place in the sequence."""

    def mutation(dataset: Dataset) -> None:
        for contour in dataset.ROIContourSequence[roi].ContourSequence:
            points = np.array([float(value) for value in contour.ContourData]).reshape(-1, 3)
            contour.ContourData = [f"{value:.6f}" for value in change(points).ravel()]

    return mutation


def pixels(change: Callable[[np.ndarray], None]) -> Mutation:
    """Change the stored values of native pixels in place."""

    def mutation(dataset: Dataset) -> None:
        stored = dataset.pixel_array.copy()
        change(stored)
        dataset.PixelData = stored.tobytes()

    return mutation


def written(dataset: Dataset) -> bytes:
    """An object as a file."""
    out = BytesIO()
    dataset.save_as(out)
    return out.getvalue()


def form(data: bytes, folder: Path) -> bytes:
    """The normal form of a file's bytes."""
    path, out = folder / "object.dcm", BytesIO()
    path.write_bytes(data)
    normal_form(path, out)
    return out.getvalue()


def filed(data: bytes, folder: Path) -> dict[str, bytes]:
    """An object and its normal form, under their paths in the archive."""
    dataset = pydicom.dcmread(BytesIO(data), stop_before_pixels=True)
    place = f"dicom/{dataset.Modality}/{dataset.SeriesInstanceUID}/{dataset.SOPInstanceUID or 'none'}"
    return {f"{place}.dcm": data, f"{place}.txt": form(data, folder)}


def compared(folder: Path, *nights: Sequence[bytes]) -> list[Change]:
    """What the last night changed of the night before it, each given by all objects that it holds."""
    history = History(folder / "root")
    commits, held = [], {}
    for objects in nights:
        files: dict[str, bytes] = {}
        for data in objects:
            files |= filed(data, folder)
        edits = {**dict.fromkeys(held.keys() - files.keys()), **files}
        commits.append(history.night(edits))
        held = files
    return compare(history.repository, commits[-2], commits[-1])


def told(changes: Sequence[Change]) -> list[tuple[str, str]]:
    """What is said, with its severity."""
    return [(finding.severity, finding.text) for change in changes for finding in change.findings]


def mutated(folder: Path, file: Path, mutation: Mutation, before: Mutation | None = None) -> list[Change]:
    """What is said of one object that was mutated; `before` was done to it already the night before."""
    old = pydicom.dcmread(file)
    if before:
        before(old)
    was = written(old) if before else file.read_bytes()
    new = pydicom.dcmread(BytesIO(was))
    mutation(new)
    return compared(folder, [was], [written(new)])
