"""Export patients' exact bytes to a folder, proved against the signed history as they are written.

1. The target is opened: empty, or an earlier export, which is continued.
2. Each patient is planned: commit found and its signature checked, `SHA256SUMS` chained from the root to every file,
   names given. Nothing is written yet; a patient whose repository is damaged drops out here, the others go on.
3. The space is checked, and `manifest.json` written: from here on an interrupted export is recognized.
4. Each patient's files are streamed out. A file has its name only once its SHA-256 was right and it is on the disk,
   so a crash leaves whole files only; the next run reads them again and writes what is missing.
5. The DICOMDIR and its file-set are made from the manifest, then `README.txt`, `SHA256SUMS`, and the manifest anew.
"""

from __future__ import annotations

import io
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from vault.dicom.part10 import NotDicom, dataset_offset
from vault.emergency import dicomdir
from vault.emergency import manifest as manifests
from vault.emergency.attributes import Attributes
from vault.emergency.manifest import ExportedFile, Manifest
from vault.emergency.plan import Exported, Item, Plan, Request, enter, plan_patient
from vault.emergency.target import Target
from vault.errors import ExitCode, IntegrityError
from vault.progress import Progress


@dataclass(slots=True)
class Report:
    """What an export did."""

    to: Path
    patients: list[Exported] = field(default_factory=list)
    listed: int = 0
    """Objects that the DICOMDIR lists."""
    left_out: dict[str, str] = field(default_factory=dict)
    """Files that the DICOMDIR can't represent, with the reason."""
    strangers: list[str] = field(default_factory=list)
    """Files in the folder that are not of this export."""

    @property
    def exit_code(self) -> ExitCode:
        """4 when something is not what its checksum says, 1 when nobody was exported, 3 when something is missing."""
        if not all(patient.integrity for patient in self.patients):
            return ExitCode.INTEGRITY
        if self.patients and not any(patient.commit for patient in self.patients):
            return ExitCode.FAILED
        failed = self.strangers or any(patient.failures for patient in self.patients)
        return ExitCode.PARTIAL if failed else ExitCode.DONE


def export(
    requests: Iterable[Request],
    to: Path,
    *,
    now: datetime,
    allowed: frozenset[bytes] | None,
    progress: Progress,
) -> Report:
    """Export patients to the folder `to`, see above. `allowed` are the keys that may have signed (None: not checked).

    A patient or object that fails is in the report, the others are exported. Raises UsageError when `to` holds
    something else, VaultError when it can't be written or is full.
    """
    target = Target.open(to, Manifest(created=now))
    plans = []
    requests = list(requests)
    progress.start("reading what there is", len(requests))
    for request in requests:
        plans.append(plan_patient(request, target.manifest, allowed))
        enter(target.manifest, plans[-1].entry)
        progress.advance()
    target.require_space(_space(plans, target))
    target.manifest.finished = None
    target.write(manifests.NAME, io.BytesIO(manifests.encode(target.manifest)))
    progress.start("writing files", sum(len(plan.items) for plan in plans))
    for plan in plans:
        export_patient(plan, target, progress)
    progress.start("writing the index")
    report = Report(target.root, [plan.result for plan in plans])
    _finish(target, report, now)
    progress.stop()
    return report


def export_patient(plan: Plan, target: Target, progress: Progress) -> None:
    """Write the files of one patient; what fails its checksum is left out and noted."""
    for item in plan.items:
        try:
            head = _write(plan, item, target)
        except IntegrityError as error:
            plan.fail(item.source, error)
        else:
            attributes = {**item.attributes, **_transfer_syntax(head)}
            plan.entry.files.append(
                ExportedFile(item.path, item.source, item.sha256, item.size, attributes=attributes)
            )
            plan.result.files += 1
            plan.result.size += item.size
        progress.advance()
    plan.entry.complete = plan.entry.commit is not None


def _write(plan: Plan, item: Item, target: Target) -> bytes:
    """Write one file unless it is there and right; returns its first bytes."""
    if target.holds(item.path, item.sha256, item.size):
        plan.result.kept += 1
        return target.head(item.path)
    with plan.repository.stream(item.oid) as source:
        return target.write(item.path, source, item.sha256)[2]


def _transfer_syntax(head: bytes) -> Attributes:
    try:
        return {"TransferSyntaxUID": dataset_offset(io.BytesIO(head))[0]}
    except NotDicom:
        return {}


def _space(plans: Iterable[Plan], target: Target) -> int:
    """Bytes that are still to be written, twice where the file-set can't be made of links."""
    missing = sum(item.size for plan in plans for item in plan.items if target.size(item.path) != item.size)
    return missing if target.can_link else 2 * missing


def _finish(target: Target, report: Report, now: datetime) -> None:
    """Write what stands beside the patients' folders."""
    manifest = target.manifest
    index = dicomdir.index(manifest)
    files = [file for patient in manifest.patients for file in patient.files]
    listed = [file for file in files if file.file_id]
    target.remove_others(dicomdir.FOLDER, {file.file_id for file in listed if file.file_id})
    for file in listed:
        if file.file_id:
            target.duplicate(file.path, file.file_id, file.sha256, file.size)
    manifest.finished = now
    own = {
        "DICOMDIR": index,
        manifests.README: manifests.readme(manifest),
        manifests.NAME: manifests.encode(manifest),
    }
    digests = {name: target.write(name, io.BytesIO(data))[0] for name, data in own.items()}
    target.write(manifests.SUMS, io.BytesIO(manifests.sums(manifest, digests)))
    target.sync()
    report.listed = len(listed)
    report.left_out = {file.path: file.left_out for file in files if file.left_out}
    report.strangers = _strangers(target, {*own, manifests.SUMS})


def _strangers(target: Target, own: set[str]) -> list[str]:
    """Files that lie in the folder, but are not of this export: nobody vouches for them."""
    known = set(own)
    unfinished = []
    for patient in target.manifest.patients:
        known |= {path for file in patient.files for path in (file.path, file.file_id) if path}
        if not patient.complete:
            unfinished.append(f"{patient.folder}/")
    return [path for path in target.files() if path not in known and not path.startswith(tuple(unfinished))]
