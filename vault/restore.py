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
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from vault import restore_site
from vault.archive import layout as bare_layout
from vault.archive.bare import BareRepository
from vault.archive.overview import Overview
from vault.archive.rebuild import blobs_of, bring_commits, prove
from vault.archive.repository import FOLDER, PatientRepository
from vault.errors import ExitCode, IntegrityError, UsageError, VaultError
from vault.files import private_folder, sweep, sync_folder
from vault.inventory import SIGNERS
from vault.lock import run_lock
from vault.model import Failure, PatientID
from vault.names import safe_name
from vault.progress import Progress, Silent
from vault.restore_manifest import NOTHING_NAMED, Found, Trust, find, find_patient
from vault.share import layout
from vault.share.backend import Share, ShareUnavailableError
from vault.share.envelope import Identities
from vault.share.fetch import Fetched, Fetcher
from vault.share.manifest import LEDGER, OVERVIEW, Entry
from vault.share.marks import BRANCHES
from vault.share.mirror import mark_history, mark_shared

UNFINISHED = "restoring"
"""Folder below the new vault's that holds what is not whole yet, and says that a restore has begun here."""

FILES = "files"
"""Folder below it for large files on their way into a pack."""

AT_ONCE = 2
"""Repositories restored at the same time: one waits for the disk while another is decrypted."""

ROOM = 0.2
"""Share of the disk that must be free for objects to be kept as they are: compressing takes a third of a restore's
time on the processor."""

BATCH_BYTES = 48 << 20
BATCH_FILES = 512
"""How much is fetched before it is written as one pack: what a crash costs at most."""


@dataclass(slots=True)
class Restored:
    """What came of one repository."""

    path: str
    patient_id: str | None = None
    commits: int = 0
    fetched: int = 0
    """Blobs that came from the share in this run; those of an earlier one were there."""
    size: int = 0
    """Their bytes."""
    existed: bool = False
    """An earlier run had finished it."""
    failed: list[Failure] = field(default_factory=list)
    integrity: bool = False


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
        self._over = threading.Event()
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
        with ThreadPoolExecutor(max_workers=AT_ONCE, thread_name_prefix="restore") as pool:
            done = pool.map(lambda entry: self._try(entry, found), entries)
            self._report.repositories = [result for result in done if result is not None]
        self._progress.stop()
        if len(self._report.repositories) < len(entries):
            left = len(entries) - len(self._report.repositories)
            self._report.failed.append(Failure("", f"{left} more repositories were not begun"))
        self._finish(found, whole=patient_id is None)
        return self._report

    def _try(self, entry: Entry, found: Found) -> Restored | None:
        """Restore one repository, and say what came of it; None once the share or the disk has failed another."""
        if self._over.is_set():
            return None
        result = Restored(entry.path, entry.patient_id)
        try:
            self._one(entry, found, result)
        except ShareUnavailableError as error:
            self._over.set()
            result.failed.append(Failure("share", f"{error}; run it again, and it goes on from here"))
        except VaultError as error:
            result.failed.append(Failure("", str(error)))
            result.integrity |= isinstance(error, IntegrityError)
        except OSError as error:
            self._over.set()
            why = error.strerror or type(error).__name__
            result.failed.append(
                Failure("disk", f"{why}: make room or look at it, run it again, and it goes on from here")
            )
        return result

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

    def _one(self, entry: Entry, found: Found, result: Restored) -> None:
        target, make = self._place(entry)
        if (self._folder / target).exists():
            self._compare(entry, self._folder / target)
            result.existed = True
            return
        repository = make(self._work)
        try:
            self._bring(repository, entry, found, result)
        except IntegrityError:  # nothing of it is taken for fetched when the share has been mended
            shutil.rmtree(repository.path, ignore_errors=True)
            raise
        if not result.failed:
            self._put_in_place(repository, self._folder / target)

    def _bring(self, repository: BareRepository, entry: Entry, found: Found, result: Restored) -> None:
        """Fetch one repository's history and prove it; what blobs can't be had is in the result."""
        key = found.manifest.key
        folder = layout.LEDGER if entry.path == LEDGER else layout.HISTORY
        commits = bring_commits(
            repository, entry.refs.values(), lambda oid: self._fetcher.commit(key, oid, folder)
        )
        wanted = list(blobs_of(repository, commits))
        missing = [oid for oid in wanted if not repository.has(oid)]
        digests = self._bring_blobs(repository, key, missing, result)
        if result.failed:
            return
        prove(repository, commits, digests, found.allowed)
        for name, oid in entry.refs.items():
            repository.set_ref(name, oid)
        for branch in BRANCHES:
            if tip := repository.tip(branch):
                mark_history(repository, tip, branch)
                if entry.path != LEDGER:
                    mark_shared(repository, tip, branch)
        result.commits = len(commits)

    def _place(self, entry: Entry) -> tuple[str, Any]:
        """Where a repository belongs, by what it is and not by what the manifest says, and what makes one elsewhere."""
        signers = self._folder / SIGNERS
        patient = entry.patient_id
        if patient is not None:
            return (
                f"{FOLDER}/{safe_name(patient)}.git",
                lambda root: (
                    PatientRepository.open(root, patient) or PatientRepository.create(root, patient, signers)
                ),
            )
        if entry.path == OVERVIEW:
            return OVERVIEW, lambda root: Overview.create(root, signers)
        if entry.path == LEDGER:
            return LEDGER, lambda root: _ledger(root, signers)
        raise IntegrityError("the manifest lists a repository that does not say which patient it is of")

    def _compare(self, entry: Entry, path: Path) -> None:
        """Complain about a repository that is there and lacks what the manifest says: it is not ours to change."""
        repository = BareRepository(path)
        for name, oid in entry.refs.items():
            if not repository.has(oid) or (name.startswith("refs/heads/") and repository.ref(name) is None):
                raise VaultError(
                    "a repository of this name is there and does not have what the share has; restore into an empty "
                    "folder"
                )

    def _bring_blobs(
        self, repository: BareRepository, key: bytes, missing: list[str], result: Restored
    ) -> dict[str, str]:
        """Fetch blobs and pack them, a batch at a time; returns their SHA-256. What can't be had is in the result."""
        digests: dict[str, str] = {}
        for batch in self._batches(key, missing, result):
            repository.add_entries([(one.oid, one.entry) for one in batch])
            for one in batch:
                digests[one.oid] = one.sha256
                result.fetched += 1
                result.size += one.size
                if one.file:
                    one.file.unlink()
        return digests

    def _batches(self, key: bytes, missing: list[str], result: Restored) -> Iterator[list[Fetched]]:
        batch: list[Fetched] = []
        size = 0
        with _scratch(self._work / FILES / safe_name(result.path)) as scratch:
            for oid, one in self._fetcher.blobs(key, missing, scratch, self._has_room):
                self._progress.advance()
                if isinstance(one, VaultError):
                    result.failed.append(Failure(f"object {oid[:12]}", str(one)))
                    result.integrity |= isinstance(one, IntegrityError)
                    continue
                batch.append(one)
                size += one.size
                if size >= BATCH_BYTES or len(batch) >= BATCH_FILES:
                    yield batch
                    batch, size = [], 0
            if batch:
                yield batch

    def _has_room(self) -> bool:
        """Whether the disk has so much room that what comes is not compressed, which takes most of the time."""
        disk = shutil.disk_usage(self._work)
        return disk.free > disk.total * ROOM

    def _put_in_place(self, repository: BareRepository, target: Path) -> None:
        private_folder(target.parent)
        repository.path.rename(
            target
        )  # all in it is durable: packs, refs and configuration are each when written
        sync_folder(repository.path.parent)
        sync_folder(target.parent)

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


def _ledger(root: Path, signers: Path) -> BareRepository:
    path = root / LEDGER
    if not path.is_dir():
        bare_layout.create(path, {"gpg.format": "ssh", "gpg.ssh.allowedSignersFile": str(signers)})
    return BareRepository(path)


@contextmanager
def _scratch(folder: Path) -> Iterator[Path]:
    """A folder for files on their way into a pack, empty before and gone afterwards."""
    shutil.rmtree(folder, ignore_errors=True)  # of a run that was killed
    yield private_folder(folder)
    shutil.rmtree(folder, ignore_errors=True)
