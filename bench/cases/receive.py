"""Receiving: DCMTK's storescu sends over one association to the vault's receiver and to others."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from bench import processes
from bench.cases import Bench
from bench.harness import VAULT, Case, Run, Sample, Target
from bench.vaults import BenchVault, complete_retrieval
from vault.model import PatientID
from vault.rois.inbox import Inbox
from vault.rois.receiver import Receiver

ORTHANC = "Orthanc"
STORESCP = "storescp +B"
DEFAULTS = "storescp, defaults"

_SMALL = 20_000
"""Bytes of a small object: a treatment record without control points, a small plan."""


def cases(bench: Bench) -> Iterator[Case]:
    """One association with everything; then small objects from a sender with Nagle's algorithm on."""
    files = bench.corpus.files
    if reason := processes.missing("storescu", "storescp"):
        yield Case("Receiving", {}, left_out=[reason])
        return
    whole: dict[str, Run] = {VAULT: lambda folder: received(folder, bench.corpus.patients, files)}
    left_out = []
    if reason := processes.missing("Orthanc"):
        left_out.append(f"{ORTHANC}: {reason}")
    else:
        whole[ORTHANC] = lambda folder: _by_orthanc(folder, files)
    whole[STORESCP] = lambda folder: _by_storescp(folder, files, "+B", "-pdu", processes.LARGEST_PDU)
    yield Case(
        "Receive over one association, durable",
        whole,
        bench.corpus.bytes / 1e6,
        targets=(
            Target("≥ 1.1 x Orthanc", ORTHANC, ratio=1.1),
            Target("stretch: ≥ 0.6 x storescp +B (set for two associations)", STORESCP, ratio=0.6),
            Target("receiver's memory ≤ 80 MB", peak_mb=80),
        ),
        left_out=left_out,
    )
    small = small_objects(bench)
    patient = next(iter(bench.corpus.patients))
    yield Case(
        "Small objects (20 kB) from a sender that leaves Nagle's algorithm on",
        {
            VAULT: lambda folder: received(folder, [patient], small, nagle=True),
            DEFAULTS: lambda folder: _by_storescp(folder, small, nagle=True),
        },
        len(small),
        "objects/s",
        targets=(Target("≥ 10 x storescp with its defaults", DEFAULTS, ratio=10),),
    )


def received(
    folder: Path, patients: Sequence[str] | dict[str, list[Path]], files: list[Path], *, nagle: bool = False
) -> Sample:
    """Send `files` to a receiver with an inbox in `folder`; every object must have arrived."""
    vault = BenchVault(folder / "vault", patients, receiver_port=processes.free_port())
    return receive_into(vault, vault.inbox(), patients, files, nagle=nagle)


def receive_into(
    vault: BenchVault,
    inbox: Inbox,
    patients: Sequence[str] | dict[str, list[Path]],
    files: list[Path],
    *,
    nagle: bool = False,
) -> Sample:
    """Send `files` to a receiver of `vault` that files them in `inbox`, and make them durable."""
    with Receiver(vault.config, inbox, [PatientID(patient) for patient in patients]) as receiver:
        seconds = processes.send(files, receiver.port, nagle=nagle)
        peak = processes.peak_mb(receiver.pid)
    began = time.perf_counter()
    for patient in patients:
        inbox.record(complete_retrieval(patient, patients[patient] if isinstance(patients, dict) else files))
    seconds += time.perf_counter() - began
    arrived = sum(len(inbox.arrived(PatientID(patient))) for patient in patients)
    if arrived != len(files):
        raise processes.ToolFailedError(f"{arrived} of {len(files)} objects arrived: {receiver.refused}")
    return Sample(seconds, peak)


def small_objects(bench: Bench) -> list[Path]:
    """Single-patient objects of 20 kB each."""
    from pydicom import dcmread  # noqa: PLC0415
    from pydicom.uid import generate_uid  # noqa: PLC0415

    folder = bench.scratch / "small"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    dataset = dcmread(next(file for file in bench.corpus.files if file.name.startswith("CT")))
    dataset.PixelData = bytes(_SMALL)
    dataset.Rows, dataset.Columns = 100, 100
    for number in range(bench.small_objects):
        uid = generate_uid(None, [str(number)])
        dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = uid
        dataset.save_as(folder / f"{number:04}.dcm")
    return sorted(folder.iterdir())


def _by_orthanc(folder: Path, files: list[Path]) -> Sample:
    with processes.orthanc(folder) as (port, pid):
        seconds = processes.send(files, port, "ORTHANC")
        return Sample(seconds, processes.peak_mb(pid))


def _by_storescp(folder: Path, files: list[Path], *options: str, nagle: bool = False) -> Sample:
    with processes.storescp(folder, *options, nagle=nagle) as (port, pid):
        seconds = processes.send(files, port, nagle=nagle)
        return Sample(seconds, processes.peak_mb(pid))
