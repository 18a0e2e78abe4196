"""Commit an inbox on two cores: every patient's night is independent of the others'.

Where much is new it is shared out, a patient at a time, among processes of our own. What one of them just committed
it also seals for the share, while it is still at hand.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING

from vault.archive.blobs import Blob
from vault.archive.night import Night, commit_night, held_blobs
from vault.archive.repository import PatientRepository
from vault.compare.anomaly.counts import Tally
from vault.errors import ConfigError, IntegrityError, VaultError
from vault.examination import gaps
from vault.model import Failure, PatientID, PatientOutcome
from vault.rois.inbox import Inbox
from vault.share.envelope import parse_recipients
from vault.share.mirror import seal_at_hand
from vault.share.outbox import Outbox
from vault.workers import Tell, WorkerDiedError, cores, shared_out

if TYPE_CHECKING:
    from vault.compare.rules import Rules

WORTH = 32 << 20
"""Bytes of new objects below which starting processes takes longer than they save."""


@dataclass(frozen=True, slots=True)
class Sealing:
    """How blobs are encrypted for the share."""

    outbox: Path
    recipients: tuple[str, ...]
    key: bytes
    """Makes the names on the share."""


@dataclass(frozen=True, slots=True)
class Job:
    """What all patients of an inbox have in common. `sealing` is None where there is no share."""

    night: Night
    inbox: Path
    sealing: Sealing | None
    rules: Path | None = None
    """The folder of the site's rules for severities."""


@dataclass(slots=True)
class Committed:
    """What came of one patient's night."""

    patient_id: PatientID
    outcome: PatientOutcome = field(default_factory=PatientOutcome)
    done: bool = False
    """Nothing of it is needed in the inbox any more."""
    integrity: bool = False
    """It failed because the archive is not what it must be."""
    tally: Tally | None = None
    """What of it could be part of an attack; None where that could not be counted."""


def commit_patients(job: Job, patients: Sequence[PatientID]) -> Iterator[Committed]:
    """Commit every patient's night; yields what came of each as it is done, in no order. Failures are values."""
    if not patients:
        return
    processes = min(cores(), len(patients))
    alone = processes < 2 or not _bring(job, patients, WORTH)
    if (
        alone and not job.night.resumed
    ):  # what was interrupted may have been so by an object that ends a process
        yield from (commit_patient(job, patient_id) for patient_id in patients)
        return
    for patient_id, result in shared_out(partial(_do, job), patients, 1 if alone else processes):
        yield _died(patient_id, result) if isinstance(result, WorkerDiedError) else result


def _do(job: Job, patient_id: PatientID, _tell: Tell) -> Committed:
    return commit_patient(job, patient_id)


def _died(patient_id: PatientID, error: WorkerDiedError) -> Committed:
    result = Committed(patient_id)
    result.outcome.failed.append(_failure(f"{error}; it is tried again by the next run"))
    return result


def commit_patient(job: Job, patient_id: PatientID) -> Committed:
    """Commit one patient's night, and seal what it brought. Failures are values, and name no path: it may name her."""
    result = Committed(patient_id)
    repository = None
    try:
        repository = PatientRepository.open(job.night.root, patient_id)
        result.outcome = commit_night(
            job.night, Inbox(job.inbox), patient_id, repository, at_hand=_sealer(job.sealing)
        )
        result.done = True
    except OSError as error:
        result.outcome.failed.append(_failure(error.strerror or type(error).__name__))
    except VaultError as error:
        result.outcome.failed.append(_failure(str(error)))
        result.integrity = isinstance(error, IntegrityError)
    except Exception as error:  # a defect of ours that one patient's data met must not stop the others
        result.outcome.failed.append(_failure(f"an unforeseen {type(error).__name__}"))
    if result.done:
        _examine(job, result, repository)
        _tally(job, result)
    return result


def _examine(job: Job, result: Committed, repository: PatientRepository | None) -> None:
    """List what is missing. What was committed stays committed, whatever becomes of that."""
    try:
        repository = repository or PatientRepository.open(job.night.root, result.patient_id)
        result.outcome.gaps = gaps(job.night, Inbox(job.inbox), repository)
    except VaultError as error:
        result.outcome.failed.append(Failure("", f"committed, but not looked through for gaps: {error}"))
        result.integrity = isinstance(error, IntegrityError)
    except Exception as error:  # a defect of ours, or the disk: the others go on
        why = f"an unforeseen {type(error).__name__}"
        result.outcome.failed.append(Failure("", f"committed, but not looked through for gaps: {why}"))


def _tally(job: Job, result: Committed) -> None:
    """Count what could be part of an attack. What was committed stays committed, whatever becomes of that."""
    outcome = result.outcome
    result.tally = Tally(known=outcome.old_commit is not None)
    if None in (outcome.old_commit, outcome.new_commit) or outcome.old_commit == outcome.new_commit:
        return
    try:
        result.tally = _counted(job, result)
    except VaultError as error:
        _not_counted(result, str(error))
        result.integrity |= isinstance(error, IntegrityError)
    except Exception as error:  # a defect of ours that one patient's data met: the others go on
        _not_counted(result, f"an unforeseen {type(error).__name__}")


def _not_counted(result: Committed, why: str) -> None:
    result.tally = None
    result.outcome.failed.append(Failure("", f"committed, but not measured for anomalies: {why}"))


def _counted(job: Job, result: Committed) -> Tally | None:
    from vault.compare.anomaly.tally import tally  # noqa: PLC0415 - a night without anything new needs none of it

    repository = PatientRepository.open(job.night.root, result.patient_id)
    return tally(repository, result.outcome, _rules(job.rules)) if repository else None


@cache
def _rules(folder: Path | None) -> Rules:
    """The rules, read once for all patients; those that ship with the vault where the site's can't be read."""
    from vault.compare.rules import load  # noqa: PLC0415 - see above

    with suppress(ConfigError):  # said by what reads them for people; here they only tell grave from light
        return load(folder)
    return load()


def _failure(reason: str) -> Failure:
    return Failure("", f"could not be committed: {reason}")


class _Sealer:
    """Encrypts what was just committed. What it can't is done, or said, by the pass over all repositories."""

    def __init__(self, sealing: Sealing) -> None:
        self._sealing = sealing

    def __call__(self, blobs: Iterable[Blob]) -> None:
        with suppress(VaultError, OSError):
            recipients = parse_recipients(self._sealing.recipients)
            seal_at_hand(blobs, recipients, self._sealing.key, Outbox(self._sealing.outbox))


def _sealer(sealing: Sealing | None) -> _Sealer | None:
    return _Sealer(sealing) if sealing else None


def _bring(job: Job, patients: Iterable[PatientID], limit: int) -> bool:
    """Whether the objects that the vault does not have come to `limit` bytes; looks at no more than it takes."""
    inbox = Inbox(job.inbox)
    total = 0
    for patient_id in patients:
        with suppress(VaultError, OSError):  # it is said where the patient is committed
            for size in inbox.news(patient_id, partial(held_blobs, job.night.root, patient_id)):
                total += size
                if total >= limit:
                    return True
    return False
