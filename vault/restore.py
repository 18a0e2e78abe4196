"""Everything back from the share and an identity alone: repositories with the commit ids that they had.

1. The newest manifest that the vault signed says which repositories there are, and what their refs were.
2. Repository by repository, in a folder of unfinished ones: commits and folders, then what blobs they name.
3. Every signature and every SHA256SUMS is checked; refs are set; the repository is renamed into place.
4. At last what lies beside them: configuration, allowed signers, the pseudonym key.

Killed anywhere, it goes on from there when it is run again: what was written is looked for first. One patient's
damage is said, and the others are done.
"""

from __future__ import annotations

import shutil
import threading
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from vault import restore_site
from vault.archive.repository import FOLDER
from vault.errors import ExitCode, UsageError, VaultError
from vault.files import private_folder, sweep
from vault.lock import run_lock
from vault.model import Failure, PatientID
from vault.progress import Progress, Silent
from vault.restore_manifest import NOTHING_NAMED, Found, Trust, find, find_patient
from vault.restore_repository import UNFINISHED, Restored, Restorer
from vault.share.backend import Share
from vault.share.envelope import Identities
from vault.share.fetch import Fetcher
from vault.share.manifest import LEDGER, Entry
from vault.workers import WorkerDiedError, cores, shared_out

WORTH = 4 << 20
"""Bytes that must have come before a second process is started: starting one takes longer than less is worth."""


@dataclass(slots=True)
class Report:
    """The account of a restore."""

    folder: Path
    manifest: str = ""
    generation: int = 0
    signers: list[str] = field(default_factory=list)
    """Fingerprints of the keys that the histories may be signed with, as `ssh-keygen -l` prints them."""
    repositories: list[Restored] = field(default_factory=list)
    files: list[str] = field(default_factory=list)
    """Written beside the repositories."""
    failed: list[Failure] = field(default_factory=list)
    integrity: bool = False
    todo: list[str] = field(default_factory=list)
    """What the new vault still needs from a person."""

    @property
    def exit_code(self) -> ExitCode:
        """DONE, or why not: INTEGRITY above all, FAILED when nothing came back, else PARTIAL."""
        done = [one for one in self.repositories if not one.failed]
        if self.integrity or any(one.integrity for one in self.repositories):
            return ExitCode.INTEGRITY
        if self.failed or len(done) < len(self.repositories):
            return ExitCode.PARTIAL if done else ExitCode.FAILED
        return ExitCode.DONE

    def as_json(self) -> dict[str, Any]:
        """The report in the form that `vault restore --json` promises."""
        document = asdict(self)
        document["folder"] = str(self.folder)
        return document


def restore(
    share: Share,
    identities: Identities,
    folder: Path,
    *,
    patient_id: PatientID | None = None,
    trust: Trust = NOTHING_NAMED,
    progress: Progress | None = None,
) -> Report:
    """Rebuild in `folder` what the share holds: everything, or one patient's repository.

    `trust` says whose signatures count; where it says nothing, the share's own word counts, as long as all of it was
    signed by one vault, and the report says which keys that means. Raises UsageError when the folder is not for this,
    LockedError when another run is at work there, ShareError and IntegrityError when no manifest can be had; whatever
    concerns one repository is in the report.
    """
    folder = folder.absolute()
    _check_folder(folder, patient_id)
    private_folder(folder)
    with run_lock(folder):
        return _Restore(Fetcher(share, identities), folder, trust, progress or Silent()).run(patient_id)


def _check_folder(folder: Path, patient_id: str | None) -> None:
    """Refuse a folder that is something else: what is there is never touched, and nobody wants this strewn over it."""
    if not folder.exists():
        return
    if not folder.is_dir():
        raise UsageError(f"{folder} is no folder: name a new or an empty one.")
    there = {path.name for path in folder.iterdir()} - {"lock", "lock.holder"}
    if not there or UNFINISHED in there or (patient_id and FOLDER in there):
        return
    if {
        FOLDER,
        LEDGER,
    } & there:  # finished by an earlier run, which is run again, or another vault: refs will tell
        return
    raise UsageError(
        f"{folder} holds other things: name a new or an empty folder, or that of an earlier restore."
    )


class _Restore:
    """The state that the steps of one restore share."""

    def __init__(self, fetcher: Fetcher, folder: Path, trust: Trust, progress: Progress) -> None:
        self._fetcher = fetcher
        self._folder = folder
        self._trust = trust
        self._progress = progress
        self._work = folder / UNFINISHED
        self._report = Report(folder)

    def run(self, patient_id: str | None) -> Report:
        sweep(self._folder)  # of a restore that was killed: keys may be among what it left half written
        private_folder(self._work)
        found = self._find(patient_id)
        entries = [entry for entry in found.manifest.entries if patient_id in (None, entry.patient_id)]
        restore_site.write_keys(found, self._folder, self._report.files)
        if not entries:
            self._report.failed.append(
                Failure(
                    found.name, "lists no repository: this is not the share of a vault that has run a night"
                )
            )
        self._progress.start(f"Restoring {len(entries)} repositories, by object")
        restorer = Restorer(self._fetcher, self._folder, found.manifest.key, found.allowed)
        self._report.repositories = _OnTwoCores(restorer, entries, self._progress).run()
        self._progress.stop()
        if len(self._report.repositories) < len(entries):
            left = len(entries) - len(self._report.repositories)
            self._report.failed.append(Failure("", f"{left} more repositories were not begun"))
        self._finish(found, whole=patient_id is None)
        return self._report

    def _find(self, patient_id: str | None) -> Found:
        self._progress.start("Looking for the newest manifest")
        report = self._report
        found = find(self._fetcher, self._work, self._trust, report.failed)
        if patient_id and not any(entry.patient_id == patient_id for entry in found.manifest.entries):
            found = find_patient(self._fetcher, self._work, self._trust, patient_id, found)
            report.failed.append(
                Failure("", "the newest manifest does not list this patient: an older state is restored")
            )
        report.manifest, report.generation = found.name, found.manifest.generation
        report.signers = found.fingerprints
        report.integrity = found.damaged
        return found

    def _finish(self, found: Found, *, whole: bool) -> None:
        """Write what lies beside the repositories, and remove the folder of unfinished ones once nothing is."""
        report = self._report
        try:
            if whole:
                restore_site.write_files(self._fetcher, found, self._folder, report.files, report.failed)
                restore_site.note_share(self._fetcher.share, found, self._folder)
            if all(not one.failed for one in report.repositories) and len(report.repositories):
                shutil.rmtree(self._work)
        except VaultError as error:
            report.failed.append(Failure("files", str(error)))
        except OSError as error:
            report.failed.append(Failure("disk", error.strerror or type(error).__name__))
        report.todo = restore_site.still_to_do(self._folder) if whole else []


class _OnTwoCores:
    """Restores one repository after the other here; others, once much came, in a process beside us.

    Two threads would take the time from each other: the library holds the interpreter while it decrypts.
    """

    def __init__(self, restorer: Restorer, entries: Sequence[Entry], progress: Progress) -> None:
        self._restorer = restorer
        self._entries = entries
        self._progress = progress
        self._waiting = deque(entries)
        self._done: dict[str, Restored] = {}
        self._came = 0
        self._much = threading.Event()
        self._over = threading.Event()
        self._interrupted = False

    def run(self) -> list[Restored]:
        """Restore what can be; returns what came of each, in order, without those that were not begun."""
        with ThreadPoolExecutor(1, thread_name_prefix="restore") as pool:
            beside = pool.submit(self._beside) if cores() > 1 else None
            try:
                for entry in self._left():
                    self._note(self._restorer.restore(entry, self._tell))
            except BaseException:
                self._interrupted = True
                self._over.set()
                raise
            finally:
                self._much.set()
            if beside:
                beside.result()
        return [self._done[entry.path] for entry in self._entries if entry.path in self._done]

    def _beside(self) -> None:
        self._much.wait()
        for entry, result in shared_out(self._restorer.restore, self._left(), 1, self._tell):
            self._note(_died(entry, result) if isinstance(result, WorkerDiedError) else result)

    def _left(self) -> Iterator[Entry]:
        while not self._over.is_set():
            try:
                entry = self._waiting.popleft()
            except IndexError:
                return
            yield entry

    def _note(self, result: Restored) -> None:
        self._done[result.path] = result
        if result.stopped:
            self._over.set()

    def _tell(self, size: int) -> None:
        """An object of `size` bytes came, to whichever process."""
        if self._interrupted:  # ends the process beside us, too
            raise InterruptedError
        self._came += size
        if self._came >= WORTH:
            self._much.set()
        self._progress.advance()


def _died(entry: Entry, error: WorkerDiedError) -> Restored:
    result = Restored(entry.path, entry.patient_id)
    result.failed.append(Failure("", f"{error}; run it again, and it goes on from here"))
    return result
