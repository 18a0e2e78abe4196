"""A bare repository that the vault writes: edits become one pack and one signed commit, and the ref moves last."""

from __future__ import annotations

import errno
import fcntl
import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import TypeVar

import pygit2

from vault.archive import history, signing, trees
from vault.archive.blobs import Blob, Bytes, object_id
from vault.archive.consolidate import consolidate
from vault.archive.gitaccess import open_repository
from vault.archive.history import CommitInfo
from vault.archive.objects import Objects, Readable, sha256
from vault.archive.pack import PackObject, write_entries, write_pack
from vault.archive.packindex import object_ids
from vault.archive.signing import Signer
from vault.archive.smallpack import GitObject
from vault.errors import DAMAGED, LockedError, VaultError
from vault.files import private_folder, sweep, sync_folder, temporary

LOCK = "vault.lock"
LOCK_PATIENCE = 30.0
"""Seconds to wait for another writer of the same repository."""

Edits = Mapping[str, Blob | None]
"""What a commit changes: path to new content, or None to delete."""

Expand = Callable[[Mapping[str, str], Edits], Edits]
"""Given the current tree and the edits that matter, returns all edits to make (adds `SHA256SUMS`)."""


class BareRepository:
    """One bare repository: reading through libgit2 and `git`, writing by packs of our own.

    Commits are linear. Nothing here names a patient: exceptions may end in a log.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._packed: dict[str, frozenset[bytes]] = {}
        self._last_commit: dict[str, pygit2.Commit] = {}
        self._last_tree: dict[bytes, dict[str, str]] = {}

    @cached_property
    def _repository(self) -> pygit2.Repository:
        return open_repository(self.path)

    @cached_property
    def _objects(self) -> Objects:
        return Objects(self.path, self._repository)

    # --- refs

    def ref(self, name: str) -> str | None:
        """Return the commit id that the full ref `name` (`refs/vault/verified`) points to, or None."""
        try:
            return str(self._repository.lookup_reference(name).resolve().target)
        except KeyError:
            return None
        except (ValueError, pygit2.GitError) as error:
            raise VaultError(f"The ref {name} of a repository can't be read. {DAMAGED}") from error

    def refs(self) -> dict[str, str]:
        """Return every ref (`refs/heads/main`, `refs/vault/verified` …) and the commit that it points to, by name."""
        names = sorted(self._repository.references)
        return {name: oid for name in names if (oid := self.ref(name)) is not None}

    def set_ref(self, name: str, oid: str) -> None:
        """Point the full ref `name` at a commit, durably. Raises VaultError when the commit is not there."""
        history.read_commit(self._repository, oid)
        with self._writing():
            self._move_ref(name, oid)

    def tip(self, branch: str = "main") -> str | None:
        """Return the last commit of a branch, or None when it has none."""
        return self.ref(f"refs/heads/{branch}")

    # --- history

    def commit_info(self, oid: str) -> CommitInfo:
        """Return what a commit says about itself."""
        return history.info(self._commit(oid))

    def log(self, branch: str = "main") -> Iterator[CommitInfo]:
        """Yield a branch's commits, newest first."""
        oid = self.tip(branch)
        while oid is not None:
            commit = self.commit_info(oid)
            yield commit
            oid = commit.parent

    def depth(self, branch: str = "main") -> int:
        """Return how many commits a branch has."""
        tip = self.tip(branch)
        return history.depth(self._repository, tip) if tip else 0

    def resolve(self, revision: str) -> str:
        """Return the id of the commit that a person means; raises UsageError that says what is allowed."""
        return history.Revisions(self._repository, self.ref, self.log).resolve(revision)

    def raw_commit(self, oid: str) -> bytes:
        """Return a commit as it is stored. Raises IntegrityError when it is missing or damaged."""
        return self._objects.raw(oid, "commit")

    def verify_commit(self, oid: str, allowed: frozenset[bytes]) -> bytes:
        """Check a commit's signature against `signing.allowed_keys`; returns the key. Raises IntegrityError."""
        return signing.verify(*history.signed_parts(self._objects.raw(oid, "commit")), allowed)

    # --- contents

    def tree(self, commit: str | None) -> dict[str, str]:
        """Return path and blob id of every file of a commit; empty for None."""
        root = self._root(commit)
        if root is None:
            return {}
        if root not in self._last_tree:  # a night looks at the same one again and again
            found = {_text(path): oid.hex() for path, oid in trees.walk(root, self._read_tree)}
            self._last_tree = {root: found}
        return dict(self._last_tree[root])

    def count(self, commit: str, suffix: str) -> int:
        """Return how many files of a commit have a name that ends so."""
        root, end = self._root(commit), suffix.encode()
        return sum(path.endswith(end) for path, _ in trees.walk(root, self._read_tree)) if root else 0

    def changed_paths(self, old: str | None, new: str) -> list[tuple[str, str | None, str | None]]:
        """Return path, old and new blob id of every file that differs between two commits; loads no blob."""
        found = trees.differences(self._root(old), self._root(new), self._read_tree)
        return [
            (_text(path), one.hex() if one else None, two.hex() if two else None) for path, one, two in found
        ]

    def structure(self, commit: str) -> Iterator[GitObject]:
        """Yield a commit and those folders (trees) of it that its parent does not have, in an order that never varies.

        All commits of a history together give every commit and tree of it. Raises IntegrityError for what is damaged.
        """
        parent = self.commit_info(commit).parent
        yield GitObject("commit", self._objects.raw(commit, "commit"))
        for data in trees.new_trees(self._root(parent), self._root(commit), self._read_tree):
            yield GitObject("tree", data)

    def has(self, oid: str) -> bool:
        """Whether the repository has an object of this id."""
        return self._objects.has(oid)

    def size(self, oid: str) -> int:
        """Return a blob's size in bytes."""
        return self._objects.size(oid)

    def read(self, oid: str) -> bytes:
        """Return a blob of at most 64 MiB. Raises VaultError when it is larger, IntegrityError when it is damaged."""
        return self._objects.read(oid)

    def digest(self, oid: str) -> str:
        """Return the SHA-256 of a blob of any size, 64 hex digits. Raises IntegrityError when it is damaged."""
        with self.stream(oid) as source:
            return sha256(source)

    def forget(self) -> None:
        """Let go of everything that was read: the repository on disk is another one."""
        self._packed, self._last_commit, self._last_tree = {}, {}, {}
        for name in ("_repository", "_objects"):
            self.__dict__.pop(name, None)

    def stream(self, oid: str) -> AbstractContextManager[Readable]:
        """Yield a blob of any size as a stream; its end is reached only if the content is what its id says."""
        return self._objects.stream(oid)

    # --- writing

    def commit_edits(
        self,
        *,
        parent: str | None,
        edits: Edits,
        message: str,
        when: datetime,
        signer: Signer,
        branch: str = "main",
        author: str = "vault",
        expand: Expand | None = None,
        even_unchanged: bool = False,
    ) -> str:
        """Commit `edits` on top of `parent`, which must be the branch's tip, and return the commit's id.

        1. The lock is taken, what a crash left is swept, packs are joined if they are many, and the tip is compared
           with `parent`.
        2. Edits that change nothing are dropped; when none is left, `parent` is returned, unless `even_unchanged`
           wants a commit for its message alone.
        3. New trees and the signed commit are made in memory.
        4. What the repository does not have yet is written as one pack, durably. A crash up to here leaves an
           unreferenced pack at most, whose objects the next commit uses.
        5. The ref moves, durably.

        Raises VaultError when the branch has moved, the disk is full or a path can't be stored; IntegrityError when
        a file changed since it was hashed; ValueError when there is neither a parent nor content. The branch is as
        it was then.
        """
        with self._writing():
            self._sweep()
            if self.tip(branch) != parent:
                raise VaultError(
                    "The history moved while a commit was prepared: another run wrote it. Run again."
                )
            current = self.tree(parent)
            wanted = _effective(current, edits)
            if not wanted and parent is None:
                raise ValueError("a first commit needs content")
            if not wanted and parent is not None and not even_unchanged:
                return parent
            if expand:
                wanted = _effective(current, expand(current, wanted))
            _check_collisions(current, wanted)
            changes = trees.nest({path: blob.oid if blob else None for path, blob in wanted.items()})
            root, tree_objects = trees.apply(self._root(parent), changes, self._read_tree)
            data = history.commit_bytes(root.hex(), parent, author, when, message, signer)
            commit = PackObject(object_id("commit", data), "commit", Bytes(data))
            blobs = [PackObject(blob.oid, "blob", blob) for blob in wanted.values() if blob]
            self._write([commit, *tree_objects, *blobs])
            self._move_ref(f"refs/heads/{branch}", commit.oid)
            return commit.oid

    def add(self, objects: list[PackObject]) -> None:
        """Add objects that no ref leads to yet, as one pack, durably. Errors: as of `commit_edits`."""
        with self._writing():
            self._sweep()
            self._write(objects)

    def add_entries(self, entries: Sequence[tuple[str, Iterable[bytes]]]) -> None:
        """Add objects that are not there yet, each as its id and the pieces of its pack entry, as one pack, durably."""
        with self._writing():
            self._sweep()
            packed = ((bytes.fromhex(oid), pieces) for oid, pieces in entries)
            write_entries(self.path / "objects" / "pack", len(entries), packed)

    def _write(self, objects: list[PackObject]) -> None:
        """Write the objects that are not there yet as one pack."""
        unique = {item.oid: item for item in objects}
        new = [item for oid, item in unique.items() if not self._has(oid)]
        folder = self.path / "objects" / "pack"
        if new:
            write_pack(folder, new)
        else:
            sync_folder(folder)  # all of it lies in a pack whose naming a crash may have cut short

    def _has(self, oid: str) -> bool:
        raw = bytes.fromhex(oid)
        if any(raw in ids for ids in self._packed.values()):
            return True
        return (self.path / "objects" / oid[:2] / oid[2:]).exists()

    def _sweep(self) -> None:
        """Remove what a crash left unfinished, join packs where they are many, and learn which objects they hold."""
        folder = self.path / "objects" / "pack"
        sweep(self.path)
        for pack in folder.glob("pack-*.pack"):
            if not pack.with_suffix(".idx").exists():
                pack.unlink()
        for index in folder.glob("pack-*.idx"):  # what its pack held is gone, so it has to be written again
            if not index.with_suffix(".pack").exists():
                index.unlink()
        if consolidate(folder):  # what libgit2 has open may be gone
            self.__dict__.pop("_repository", None)
            self.__dict__.pop("_objects", None)
        indexes = {path.stem: path for path in folder.glob("pack-*.idx")}
        known = self._packed
        self._packed = {name: known.get(name) or object_ids(path) for name, path in indexes.items()}

    def _move_ref(self, name: str, oid: str) -> None:
        target = self.path / name
        private_folder(target.parent)
        with temporary(self.path) as (path, file):
            file.write(oid.encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())
            path.replace(target)
        sync_folder(target.parent)

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """Hold the repository's lock (the kernel frees it with the process), and explain what a disk says."""
        try:
            with (self.path / LOCK).open("ab") as lock:
                _lock(lock.fileno())
                yield
        except OSError as error:
            raise _explained(error) from error

    def _root(self, commit: str | None) -> bytes | None:
        return bytes(self._commit(commit).tree_id.raw) if commit else None

    def _commit(self, oid: str) -> pygit2.Commit:
        """Return a commit; the last one is remembered, since what it says and what it holds are asked in turn."""
        if oid not in self._last_commit:
            self._last_commit = {oid: history.read_commit(self._repository, oid)}
        return self._last_commit[oid]

    def _read_tree(self, oid: bytes) -> bytes:
        return self._objects.raw(oid.hex(), "tree")


_Edited = TypeVar("_Edited", bound=Blob)


def _effective(current: Mapping[str, str], edits: Edits) -> dict[str, Blob | None]:
    """Return the edits that change something."""
    for path in edits:
        trees.check_path(path)
    return {
        path: blob
        for path, blob in edits.items()
        if current.get(path) != (blob.oid if blob is not None else None)
    }


def _check_collisions(current: Mapping[str, str], wanted: Edits) -> None:
    after = {path for path in current.keys() | wanted.keys() if wanted.get(path, ...) is not None}
    trees.check_collisions(after, after - current.keys())


def _text(path: bytes) -> str:
    return path.decode("utf-8", "surrogateescape")


def _lock(descriptor: int) -> None:
    deadline = time.monotonic() + LOCK_PATIENCE
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            if time.monotonic() > deadline:
                raise LockedError(
                    "Another run is writing this repository; wait for it, then run again."
                ) from error
            time.sleep(0.05)
        else:
            return


def _explained(error: OSError) -> VaultError:
    """Say what a failed write means; the path stays out of it, since it names a patient."""
    remedy = {
        errno.ENOSPC: "free space on it",
        errno.EDQUOT: "raise the quota of the vault's user",
        errno.EROFS: "mount it writable, and look into the system log for disk errors",
        errno.EACCES: "run vault as the user who owns it",
    }.get(error.errno or 0, "look into the system log for disk errors")
    return VaultError(
        f"The vault's disk refused to read or write ({error.strerror}); nothing was committed and nothing was lost: "
        f"{remedy}, then run again."
    )
