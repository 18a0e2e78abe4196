"""What an export holds: `manifest.json` for programs, `SHA256SUMS` for `sha256sum -c`, `README.txt` for people."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path

import msgspec

from vault import __version__
from vault.errors import UsageError

NAME = "manifest.json"
SUMS = "SHA256SUMS"
README = "README.txt"
FORMAT = "vault-export 1"
UNVOUCHED = "NOT VERIFIED: nobody has vouched for this state"


class ExportedFile(msgspec.Struct, forbid_unknown_fields=True):
    """One file of the export."""

    path: str
    """Where it lies, relative to the export's root, with `/`."""
    source: str
    """Where it lies in the patient's tree."""
    sha256: str
    size: int
    """Bytes."""
    file_id: str | None = None
    """Its place below the DICOMDIR's file-set, the same bytes again; None when the DICOMDIR can't represent it."""
    left_out: str | None = None
    """Why the DICOMDIR does not list it."""
    attributes: dict[str, str] = {}
    """What it was named and indexed by."""


class Failed(msgspec.Struct, forbid_unknown_fields=True):
    """One thing of a patient that is not in the export, and why."""

    subject: str
    reason: str


class ExportedPatient(msgspec.Struct, forbid_unknown_fields=True):
    """One patient of the export, at one commit."""

    patient_id: str
    name: str
    folder: str
    commit: str | None = None
    """None where the patient could not be exported at all; `failed` says why."""
    committed: datetime | None = None
    at: str = ""
    """What was asked for: `verified`, `latest`, a commit or a date."""
    vouched: bool = False
    """Whether this commit is the one that recipients have verified."""
    signed: bool | None = None
    """Whether the commit's signature was checked and good; None where there was no key to check it with."""
    complete: bool = False
    """The export of this patient ran to its end; what could not be exported is in `failed`."""
    files: list[ExportedFile] = []
    failed: list[Failed] = []


class Manifest(msgspec.Struct, forbid_unknown_fields=True):
    """The whole export. It exists from the first moment on, so that an interrupted export is recognized and resumed."""

    created: datetime
    finished: datetime | None = None
    format: str = FORMAT
    program: str = f"vault {__version__}"
    patients: list[ExportedPatient] = []

    def patient(self, patient_id: str) -> ExportedPatient | None:
        """The entry of a patient, if there is one."""
        return next((entry for entry in self.patients if entry.patient_id == patient_id), None)


def load(root: Path) -> Manifest:
    """Read the manifest of an earlier export. Raises UsageError when there is none or it is not ours."""
    path = root / NAME
    try:
        manifest = msgspec.json.decode(path.read_bytes(), type=Manifest)
    except (OSError, msgspec.MsgspecError):
        manifest = None
    if manifest is None or manifest.format != FORMAT:
        raise UsageError(
            f"{root} is not empty and holds no export of this program that could be continued. Name an empty folder."
        )
    return manifest


def encode(manifest: Manifest) -> bytes:
    """The bytes of `manifest.json`."""
    return msgspec.json.format(msgspec.json.encode(manifest), indent=1) + b"\n"


def sums(manifest: Manifest, others: Mapping[str, str]) -> bytes:
    """The bytes of `SHA256SUMS`: every file, in both places where it has two, and `others` (path → SHA-256)."""
    lines = dict(others)
    for patient in manifest.patients:
        for file in patient.files:
            lines[file.path] = file.sha256
            if file.file_id:
                lines[file.file_id] = file.sha256
    return "".join(f"{digest}  {path}\n" for path, digest in sorted(lines.items())).encode()


def readme(manifest: Manifest) -> bytes:
    """The bytes of `README.txt`, for whoever stands before the spare ROIS with this folder."""
    head = _HEAD.format(made=_time(manifest.created), program=manifest.program)
    return "\n".join([head, *(_patient_text(entry) for entry in manifest.patients)]).encode()


def _patient_text(entry: ExportedPatient) -> str:
    size = sum(file.size for file in entry.files) / 1e6
    lines = [entry.folder]
    if entry.commit and entry.committed:
        lines += [
            f"    state of {_time(entry.committed)}, commit {entry.commit}",
            "    VERIFIED by the department" if entry.vouched else f"    {UNVOUCHED}",
            f"    {len(entry.files)} files, {size:.1f} MB",
        ]
    if not entry.complete:
        lines.append("    NOT FINISHED: the export was interrupted; run it again")
    lines += [f"    MISSING HERE: {failed.subject} {failed.reason}" for failed in entry.failed]
    lines += [
        f"    not in the DICOMDIR: {file.path} ({file.left_out})" for file in entry.files if file.left_out
    ]
    return "\n".join(lines) + "\n"


def _time(when: datetime) -> str:
    return f"{when:%Y-%m-%d %H:%M} (UTC{when:%z})"


_HEAD = """\
PATIENT DATA FROM THE VAULT
===========================

Made {made} by {program}.
Every DICOM file here holds the bytes that the radiation oncology information system (ROIS) sent,
unchanged: their checksums were compared with those in the vault's signed history as they were written.

Check this folder (it finds a damaged stick, and anything that was changed since):

    cd THIS FOLDER
    sha256sum --quiet -c SHA256SUMS

Import one patient after the other, in the order of the numbers, since each refers to those before it:

    1 images   2 registrations   3 structure sets   4 plans   5 doses   6 RT images
    7 treatment records   8 documents   9 other objects

An import wizard wants either a patient's folder, or the file DICOMDIR in this folder (then it reads the
same files below DICOM/). Not both, and not this whole folder: it would find everything twice.
What the DICOMDIR can't hold is listed below and has to be imported from the patient's folder.
A DICOMDIR wants some values that objects need not have, such as a study ID; those were made up in the
DICOMDIR, and only there.

Patients
--------
"""
