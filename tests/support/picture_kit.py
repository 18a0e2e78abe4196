"""Objects of the simulated department as bytes, and a patient's repository in which one of them changed."""

from __future__ import annotations

import io
from collections.abc import Callable
from datetime import date
from pathlib import Path

from history_kit import History
from pydicom.dataset import Dataset, FileDataset
from pydicom.filereader import dcmread

from vault.compare.diff import compare
from vault.department.patients import Patient, roster
from vault.model import Change
from vault.normal.dicom import normal_form

FIRST_NIGHT = date(2026, 11, 24)


def patient(index: int = 0) -> Patient:
    """A patient of the department: prostate, breast, …"""
    return roster(4, FIRST_NIGHT)[index]


def data(dataset: FileDataset) -> bytes:
    """An object as a Part 10 file."""
    file = io.BytesIO()
    dataset.save_as(file)
    return file.getvalue()


def mutated(original: bytes, change: Callable[[Dataset], None]) -> bytes:
    """An object after a change by hand."""
    dataset = dcmread(io.BytesIO(original), force=True)
    change(dataset)
    return data(dataset)


def files(folder: Path, *objects: bytes) -> dict[str, bytes | None]:
    """Objects with their normal forms, at their places in a patient's tree."""
    placed: dict[str, bytes | None] = {}
    for original in objects:
        dataset = dcmread(io.BytesIO(original), force=True, stop_before_pixels=True)
        stem = f"dicom/{dataset.Modality}/{dataset.SeriesInstanceUID}/{dataset.SOPInstanceUID}"
        copy, form = folder / "object.dcm", io.BytesIO()
        copy.write_bytes(original)
        normal_form(copy, form)
        placed |= {f"{stem}.dcm": original, f"{stem}.txt": form.getvalue()}
    return placed


class Nights:
    """A patient's repository with two nights, and what changed between them."""

    def __init__(
        self, folder: Path, before: list[bytes], after: list[bytes], gone: list[bytes] | None = None
    ) -> None:
        folder.mkdir(exist_ok=True)
        history = History(folder / "root")
        removed = dict.fromkeys(files(folder, *(gone or [])))
        self.repository = history.repository
        self.old = history.night({"patient.json": b"{}", **files(folder, *before)})
        self.new = history.night({**removed, **files(folder, *after)})

    @property
    def changes(self) -> list[Change]:
        return compare(self.repository, self.old, self.new)
