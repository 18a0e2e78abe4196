"""The normal form, beside dcm2json, the stock tool that also turns a whole object into text."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

from bench import processes
from bench.cases import Bench
from bench.harness import VAULT, Case, Run, Sample, Target
from vault.normal.dicom import normal_form

DCM2JSON = "dcm2json"


def cases(bench: Bench) -> Iterator[Case]:
    """A whole patient, and the structure set alone."""
    files = next(iter(bench.corpus.patients.values()))
    structures = [file for file in files if file.name == "RS.dcm"]
    quick = Target("≤ 1/15 of dcm2json's time", DCM2JSON, ratio=15)
    for title, subjects, target in (
        ("Normal form of a whole patient", files, quick),
        ("Normal form of the structure set of 6 MB", structures, Target("≤ 60 ms", seconds=0.060)),
    ):
        sides: dict[str, Run] = {VAULT: lambda folder, subjects=subjects: _ours(folder, subjects)}  # type: ignore[misc]
        reason = processes.missing("dcm2json")
        if reason is None:
            sides[DCM2JSON] = lambda _folder, subjects=subjects: _theirs(subjects)  # type: ignore[misc]
        size = sum(file.stat().st_size for file in subjects) / 1e6
        yield Case(
            title, sides, size, targets=(target,), left_out=[f"{DCM2JSON}: {reason}"] if reason else []
        )


def _ours(folder: Path, files: list[Path]) -> Sample:
    began = time.perf_counter()
    for number, file in enumerate(files):
        with (folder / f"{number}.txt").open("xb") as out:
            normal_form(file, out)
    return Sample(time.perf_counter() - began)


def _theirs(files: list[Path]) -> Sample:
    return Sample(sum(processes.run(["dcm2json", file]) for file in files))
