"""One patient's night: from the inbox to a signed commit, the same however often it is begun.

A night may be interrupted anywhere and is then done again. What it comes to is always computed against the
commit *before* the run, so the account of a night does not depend on how often it was started.
"""

from __future__ import annotations

import secrets
import shutil
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from vault.archive.blobs import Blob
from vault.archive.emr import stage_emr
from vault.archive.emr_forms import renormalized
from vault.archive.forms import Forms
from vault.archive.message import night_message, normal_form_message
from vault.archive.repository import PatientRepository
from vault.archive.signing import Signer
from vault.archive.stage import DICOM, Readable, Stage, normal_form_path, objects_in
from vault.errors import IntegrityError
from vault.files import CHUNK, private_folder
from vault.model import Failure, PatientID, PatientOutcome, RunID
from vault.normal import VERSION
from vault.normal.volatile import VolatileTable
from vault.rois.inbox import Held, Inbox


@dataclass(frozen=True, slots=True)
class Night:
    """What all patients of one run share."""

    root: Path
    run: RunID
    when: datetime
    retrieved_from: str
    volatile: VolatileTable
    modalities: tuple[str, ...]
    signer: Signer
    author: str
    allowed_signers: Path
    timezone: str = "UTC"
    """IANA name of the department's time zone."""
    resumed: bool = False
    """An earlier run that was interrupted is finished now."""
    documents: bool = False
    """Documents are fetched, so that one which the database no longer lists is gone."""


def commit_night(
    night: Night,
    inbox: Inbox,
    patient_id: PatientID,
    repository: PatientRepository | None,
    *,
    at_hand: Callable[[Iterable[Blob]], None] | None = None,
) -> PatientOutcome:
    """Commit what the inbox holds of one patient; returns the account of it.

    `repository` is the patient's, None where there is none yet: then the first commit makes it. `at_hand` gets the new
    blobs once they are committed, while the files that they are of still lie there.

    1. Find the commit before this run; a crash after step 4 has left the run's own commit on top of it. Where a
       later run has committed since, what is held is newer than this inbox: it only adds.
    2. If the normal form's version differs, rewrite the held normal forms in a commit of their own.
    3. Stage the inbox against that tree: nothing is written to the repository yet.
    4. Commit: objects first, durable, the branch last. A crash before leaves the old night, after it the new.
    """
    tip = repository.tip() if repository else None
    base = _before_run(repository, tip, night.run)
    failed: list[Failure] = []
    with _workspace(night.root) as workspace:
        if repository and base and base == tip:
            base = tip = _renormalize(repository, base, night, workspace, failed)
        tree = repository.tree(base) if repository and base else {}
        open_blob = repository.stream if repository else _no_blob
        stale = night.resumed and _later_run(repository, base, night.run)
        stage = Stage(
            tree,
            open_blob,
            workspace,
            night.volatile,
            night.modalities,
            resumed=night.resumed,
            stale=stale,
        )
        arrived = inbox.objects(patient_id, failed, held=lambda name: tree.get(f"{DICOM}{name}"))
        staged = stage.stage(arrived, inbox.retrieval(patient_id))
        anomalies = stage_emr(
            staged,
            tree,
            open_blob,
            inbox.folder,
            patient_id,
            workspace,
            today=night.when.date(),
            documents=night.documents,
            stale=stale,
        )
        outcome = staged.outcome
        outcome.failed.extend(failed)
        outcome.anomalies.extend(f"{each.subject}: {each.text}" for each in anomalies)
        outcome.old_commit = base
        if base != tip:  # this run has committed before it was interrupted
            outcome.new_commit = tip
        elif staged.edits:
            repository = repository or PatientRepository.create(night.root, patient_id, night.allowed_signers)
            message = night_message(outcome, night.run, night.retrieved_from, night.volatile.label)
            outcome.new_commit = _commit(repository, base, staged.edits, message, night)
            if at_hand:
                at_hand(blob for blob in staged.edits.values() if blob is not None)
        else:
            outcome.new_commit = base
    return outcome


def held_blobs(root: Path, patient_id: PatientID) -> Held:
    """The vault's last word on the blob id of each of a patient's objects, for the inbox to compare with.

    Raises VaultError when the repository can't be read.
    """
    repository = PatientRepository.open(root, patient_id)
    tip = repository.tip() if repository else None
    tree = repository.tree(tip) if repository and tip else {}
    return lambda name: tree.get(f"{DICOM}{name}")


def _before_run(repository: PatientRepository | None, tip: str | None, run: RunID) -> str | None:
    if repository is None or tip is None:
        return None
    info = repository.commit_info(tip)
    committed_by_run = info.trailers.get("Run") == run and "Retrieved-From" in info.trailers
    return info.parent if committed_by_run else tip


def _later_run(repository: PatientRepository | None, base: str | None, run: RunID) -> bool:
    """Whether the tip was committed by a run that began after `run` (their names sort by time)."""
    if repository is None or base is None:
        return False
    return repository.commit_info(base).trailers.get("Run", "") > run


def _renormalize(
    repository: PatientRepository, base: str, night: Night, workspace: Path, failed: list[Failure]
) -> str:
    """Rewrite every held normal form when its version or the site's volatile table changed; returns the tip."""
    old = repository.commit_info(base).trailers.get("Normal-Form", "")
    if old == night.volatile.label:
        return base
    tree = repository.tree(base)
    edits: dict[str, Blob | None] = {}
    forms = Forms(workspace, night.volatile)
    for path in objects_in(tree):
        try:
            form = _normal_form_anew(repository, tree[path], workspace, forms)
        except IntegrityError as error:  # this object's bytes are damaged; the others are not
            failed.append(Failure(path, str(error)))
            continue
        if tree.get(normal_form_path(path)) == form.oid:
            forms.drop(form)
        else:
            edits[normal_form_path(path)] = form
    if old.partition("+")[0] != str(VERSION):  # a site's volatile attributes are those of DICOM objects
        edits.update(renormalized(tree, repository.stream, workspace))
    message = normal_form_message(night.run, old, night.volatile.label, len(edits))
    return _commit(repository, base, edits, message, night, even_unchanged=True)


def _normal_form_anew(repository: PatientRepository, oid: str, workspace: Path, forms: Forms) -> Blob:
    workspace.mkdir(mode=0o700, exist_ok=True)
    source = workspace / "object.dcm"
    with repository.stream(oid) as blob, source.open("wb") as copy:
        while piece := blob.read(CHUNK):
            copy.write(piece)
    return forms.of(source)


def _commit(
    repository: PatientRepository,
    base: str | None,
    edits: dict[str, Blob | None],
    message: str,
    night: Night,
    *,
    even_unchanged: bool = False,
) -> str:
    return repository.commit(
        parent=base,
        edits=edits,
        message=message,
        when=night.when,
        signer=night.signer,
        author=night.author,
        even_unchanged=even_unchanged,
    )


def _no_blob(oid: str) -> AbstractContextManager[Readable]:
    raise LookupError(oid)


@contextmanager
def _workspace(root: Path) -> Iterator[Path]:
    """A private folder for normal forms on their way into a commit, gone afterwards.

    Whoever has something to put there makes it: on most nights most patients have nothing.
    """
    folder = private_folder(root / "work") / secrets.token_hex(8)
    try:
        yield folder
    finally:
        if folder.is_dir():
            shutil.rmtree(folder)
