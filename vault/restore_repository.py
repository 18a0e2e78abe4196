"""One repository back from the share: commits and folders, then what blobs they name, then the proof.

It is built in the folder of unfinished ones, and renamed into place when it is whole.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from vault.archive import layout as bare_layout
from vault.archive.bare import BareRepository
from vault.archive.overview import Overview
from vault.archive.rebuild import blobs_of, bring_commits, prove
from vault.archive.refs import BRANCHES
from vault.archive.repository import FOLDER, PatientRepository
from vault.errors import IntegrityError, VaultError
from vault.files import private_folder, sync_folder
from vault.inventory import SIGNERS
from vault.model import Failure
from vault.names import safe_name
from vault.share import layout
from vault.share.backend import ShareUnavailableError
from vault.share.fetch import Fetched, Fetcher
from vault.share.manifest import LEDGER, OVERVIEW, Entry
from vault.share.mirror import mark_history, mark_shared
from vault.workers import Tell

UNFINISHED = "restoring"
"""Folder below the new vault's that holds what is not whole yet, and says that a restore has begun here."""

FILES = "files"
"""Folder below it for large files on their way into a pack."""

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
    stopped: bool = False
    """The share or the disk failed: no other repository would fare better."""


@dataclass(frozen=True, slots=True)
class Restorer:
    """What restores the repositories of one vault, in this process or in another."""

    fetcher: Fetcher
    folder: Path
    """The new vault's."""
    key: bytes = field(repr=False)
    """The pseudonym key, which makes the names on the share."""
    allowed: frozenset[bytes] = field(repr=False)
    """The keys whose signatures count."""

    @property
    def work(self) -> Path:
        """The folder of unfinished repositories."""
        return self.folder / UNFINISHED

    def restore(self, entry: Entry, tell: Tell) -> Restored:
        """Restore one repository; returns what came of it, failures too. `tell` hears the bytes of each object."""
        result = Restored(entry.path, entry.patient_id)
        try:
            self._one(entry, result, tell)
        except ShareUnavailableError as error:
            result.stopped = True
            result.failed.append(Failure("share", f"{error}; run it again, and it goes on from here"))
        except VaultError as error:
            result.failed.append(Failure("", str(error)))
            result.integrity |= isinstance(error, IntegrityError)
        except OSError as error:
            result.stopped = True
            why = error.strerror or type(error).__name__
            result.failed.append(
                Failure("disk", f"{why}: make room or look at it, run it again, and it goes on from here")
            )
        return result

    def _one(self, entry: Entry, result: Restored, tell: Tell) -> None:
        target, make = self._place(entry)
        if (self.folder / target).exists():
            self._compare(entry, self.folder / target)
            result.existed = True
            return
        repository = make(self.work)
        try:
            self._bring(repository, entry, result, tell)
        except IntegrityError:  # nothing of it is taken for fetched when the share has been mended
            shutil.rmtree(repository.path, ignore_errors=True)
            raise
        if not result.failed:
            self._put_in_place(repository, self.folder / target)

    def _bring(self, repository: BareRepository, entry: Entry, result: Restored, tell: Tell) -> None:
        """Fetch one repository's history and prove it; what blobs can't be had is in the result."""
        folder = layout.LEDGER if entry.path == LEDGER else layout.HISTORY
        commits = bring_commits(
            repository, entry.refs.values(), lambda oid: self.fetcher.commit(self.key, oid, folder)
        )
        wanted = list(blobs_of(repository, commits))
        missing = [oid for oid in wanted if not repository.has(oid)]
        digests = self._bring_blobs(repository, missing, result, tell)
        if result.failed:
            return
        prove(repository, commits, digests, self.allowed)
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
        signers = self.folder / SIGNERS
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
        self, repository: BareRepository, missing: list[str], result: Restored, tell: Tell
    ) -> dict[str, str]:
        """Fetch blobs and pack them, a batch at a time; returns their SHA-256. What can't be had is in the result."""
        digests: dict[str, str] = {}
        for batch in self._batches(missing, result, tell):
            repository.add_entries([(one.oid, one.entry) for one in batch])
            for one in batch:
                digests[one.oid] = one.sha256
                result.fetched += 1
                result.size += one.size
                if one.file:
                    one.file.unlink()
        return digests

    def _batches(self, missing: list[str], result: Restored, tell: Tell) -> Iterator[list[Fetched]]:
        batch: list[Fetched] = []
        size = 0
        with _scratch(self.work / FILES / safe_name(result.path)) as scratch:
            for oid, one in self.fetcher.blobs(self.key, missing, scratch, self._has_room):
                tell(0 if isinstance(one, VaultError) else one.size)
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
        disk = shutil.disk_usage(self.work)
        return disk.free > disk.total * ROOM

    def _put_in_place(self, repository: BareRepository, target: Path) -> None:
        private_folder(target.parent)
        repository.path.rename(
            target
        )  # all in it is durable: packs, refs and configuration are each when written
        sync_folder(repository.path.parent)
        sync_folder(target.parent)


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
