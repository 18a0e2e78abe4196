"""Commit an inbox on two cores: every patient's night is independent of the others'.

Where much is new it is shared out, a patient at a time, among processes of our own. They end with us, whatever ends
us, and one that dies costs the patient it was at, no other. What one of them just committed it also seals for the
share, while it is still at hand.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache, partial
from itertools import islice
from multiprocessing.connection import Connection, wait
from multiprocessing.process import parent_process
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

if TYPE_CHECKING:
    from vault.compare.rules import Rules

PROCESSES = 2
"""At once, where the machine has as many cores: each takes about 80 MB."""

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
    processes = min(PROCESSES, os.cpu_count() or 1, len(patients))
    alone = processes < 2 or not _bring(job, patients, WORTH)
    if (
        alone and not job.night.resumed
    ):  # what was interrupted may have been so by an object that ends a process
        yield from (commit_patient(job, patient_id) for patient_id in patients)
        return
    workers: list[_Worker] = []
    try:
        workers += (_Worker(job) for _ in range(1 if alone else processes))
        yield from _shared_out(workers, patients)
    finally:
        for worker in workers:
            worker.stop()


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


class _Worker:
    """A process that commits one patient after the other."""

    def __init__(self, job: Job) -> None:
        context = multiprocessing.get_context(
            "spawn"
        )  # a fork would share our threads' locks, and git's handles
        self._job = job
        self.connection, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs, job), daemon=True)
        self._process.start()
        theirs.close()
        self.patient: PatientID | None = None

    def begin(self, patient_id: PatientID) -> None:
        """Hand over a patient."""
        self.patient = patient_id
        with suppress(OSError):  # it died; `result` says so
            self.connection.send(patient_id)

    def result(self) -> Committed:
        """Return what came of the patient, once the connection has something or is broken."""
        assert self.patient is not None  # noqa: S101  # for the type checker
        try:
            result = self.connection.recv()
            assert isinstance(result, Committed)  # noqa: S101
        except (EOFError, OSError):
            self._process.join()
            result = Committed(self.patient)
            how = f"the process that did it ended unexpectedly (exit code {self._process.exitcode})"
            result.outcome.failed.append(_failure(f"{how}; it is tried again by the next run"))
        self.patient = None
        return result

    def alive(self) -> _Worker:
        """Return itself, or a new one in the place of one that died."""
        return self if self._process.is_alive() else _Worker(self._job)

    def stop(self) -> None:
        """End the process, whatever it is at: the next run can tell what was done."""
        self.connection.close()
        self._process.kill()
        self._process.join()


def _shared_out(workers: list[_Worker], patients: Sequence[PatientID]) -> Iterator[Committed]:
    waiting = iter(patients)
    for worker, patient_id in zip(workers, waiting, strict=False):
        worker.begin(patient_id)
    while busy := {worker.connection: number for number, worker in enumerate(workers) if worker.patient}:
        for connection in wait(list(busy)):
            number = busy[connection]  # type: ignore[index]  # what went in comes out
            yield workers[number].result()
            for patient_id in islice(waiting, 1):
                workers[number] = workers[number].alive()
                workers[number].begin(patient_id)


def _serve(connection: Connection, job: Job) -> None:
    """Commit the patients that come over the connection, until it closes."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a Ctrl-C is for the one who started us, who then ends us
    os.umask(0o077)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    with suppress(EOFError, BrokenPipeError):
        while True:
            connection.send(commit_patient(job, connection.recv()))


def _end_with_parent() -> None:
    """Nobody who holds no lock may write here: the parent's went with it."""
    parent = parent_process()
    assert parent is not None  # noqa: S101  # this is a child
    wait([parent.sentinel])
    os._exit(1)


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
