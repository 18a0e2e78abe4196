"""What the tests of vault.rois share: a configuration for one peer, small objects, and one whole retrieval."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import date
from pathlib import Path
from typing import Any

from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRLittleEndian, generate_uid

from vault.config import Config, loads
from vault.model import ObjectKey, PatientID, Retrieval
from vault.rois.inbox import Inbox
from vault.rois.retrieve import retrieve

TODAY = date(2026, 11, 24)
CT = "1.2.840.10008.5.1.4.1.1.2"
PRIVATE_PLAN = "1.2.246.352.70.1.70"


def configuration(
    folder: Path,
    *,
    ae_title: str = "ROIS",
    host: str = "127.0.0.1",
    port: int = 104,
    method: str = "move",
    receiver_port: int = 11112,
    own: str = "VAULT",
    retrieve: str = 'retries = 1\ntimeout = "10s"\nbackoff = "0s"',
    patients: Sequence[str] = ("P1",),
    census: str = "modalities = []",
    receiver: str = "",
) -> Config:
    """A vault.toml for one ROIS, read by the real reader."""
    listed = ", ".join(f'"{patient}"' for patient in patients)
    text = f"""
[site]
name = "Test"
timezone = "Europe/Berlin"
[vault]
root = "."
[rois.dicom]
ae_title = "{ae_title}"
host = "{host}"
port = {port}
retrieve = "{method}"
[receiver]
ae_title = "{own}"
host = "127.0.0.1"
port = {receiver_port}
{receiver}
[retrieve]
{retrieve}
[census]
source = "list"
patients = [{listed}]
{census}
"""
    return loads(text, folder / "vault.toml")


def run(
    config: Config,
    inbox: Inbox,
    patients: Sequence[str],
    *,
    held: Collection[ObjectKey] = (),
    last_complete: date | None = None,
    today: date = TODAY,
) -> dict[str, Retrieval]:
    """One network phase; patient ID to what came of it."""
    done = retrieve(
        config,
        [PatientID(patient) for patient in patients],
        inbox,
        held=lambda _: frozenset(held),
        last_complete=lambda _: last_complete,
        today=today,
        sleep=lambda _: None,
    )
    return {retrieval.patient_id: retrieval for retrieval in done}


def image(patient_id: str = "P1", sop_class: str = CT, **changes: Any) -> Dataset:
    """A small object that pynetdicom can send; `changes` are attributes."""
    made = Dataset()
    made.SOPClassUID = sop_class
    made.SOPInstanceUID = generate_uid()
    made.Modality = "CT"
    made.PatientID = patient_id
    made.PatientName = "Secret^Name"
    made.StudyInstanceUID = "1.2.3"
    made.SeriesInstanceUID = "1.2.3.4"
    for keyword, value in changes.items():
        setattr(made, keyword, value)
    made.file_meta = Dataset()
    made.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    return made
