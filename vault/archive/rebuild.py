"""A history that comes back in parts: which commits and blobs are still missing, and the proof that it is right."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache

from vault.archive import history, sums, trees
from vault.archive.bare import BareRepository
from vault.archive.blobs import Bytes
from vault.archive.objects import sha256
from vault.archive.pack import PackObject
from vault.archive.smallpack import GitObject
from vault.errors import IntegrityError

BATCH = 32 << 20
"""Bytes of commits and folders that are written as one pack."""

Fetch = Callable[[str], list[GitObject]]
"""Returns a commit, and the folders (of the ledger, the events too) that came with it, from elsewhere."""

Commits = dict[str, str | None]
"""Commit to its parent; in each branch, newest first."""


def bring_commits(repository: BareRepository, tips: Iterable[str], fetch: Fetch) -> Commits:
    """Add every commit that `tips` lead to and that is not there; returns all of them, with their parents."""
    commits: Commits = {}
    batch: list[PackObject] = []
    size = 0
    for tip in tips:
        following: str | None = tip
        while following is not None and following not in commits:
            oid = following
            if repository.has(oid):
                commits[oid] = following = repository.commit_info(oid).parent
                continue
            objects = fetch(oid)
            _check_reached(objects)
            commits[oid] = following = _parent(objects[0].data)
            batch += [PackObject(item.oid, item.kind, Bytes(item.data)) for item in objects]
            size += sum(len(item.data) for item in objects)
            if size > BATCH:
                repository.add(batch)
                batch, size = [], 0
    if batch:
        repository.add(batch)
    return commits


def blobs_of(repository: BareRepository, commits: Commits) -> Iterator[str]:
    """Yield each blob of a history once; in each branch, in the order in which they came."""
    seen: set[str] = set()
    for oid, parent in reversed(commits.items()):
        for _path, _old, new in repository.changed_paths(parent, oid):
            if new is not None and new not in seen:
                seen.add(new)
                yield new


def prove(
    repository: BareRepository, commits: Commits, digests: dict[str, str], allowed: frozenset[bytes]
) -> None:
    """Check each commit's signature, and by its SHA256SUMS each file that came with it. Raises IntegrityError.

    `digests` has the SHA-256 of the blobs, by id, as far as they are known; the others are read.
    """

    @lru_cache(maxsize=64)
    def listed(oid: str) -> dict[str, str]:
        return sums.parse(repository.read(oid))

    def digest(oid: str) -> str:
        if oid not in digests:
            with repository.stream(oid) as source:
                digests[oid] = sha256(source)
        return digests[oid]

    for oid, parent in commits.items():
        repository.verify_commit(oid, allowed)
        changed = [
            (path, new) for path, _old, new in repository.changed_paths(parent, oid) if new is not None
        ]
        tree = repository.tree(oid) if changed else {}
        if sums.NAME not in tree:  # the ledger has none
            continue
        for path, new in changed:
            if path == sums.NAME:
                continue
            folder, _, name = path.rpartition("/")
            place, name = ("", path) if name == sums.NAME else (folder, name)
            by = tree.get(f"{place}/{sums.NAME}".lstrip("/"))
            if by is None or listed(by).get(name) != digest(new):
                raise IntegrityError(
                    "a file is not what the SHA256SUMS of its signed commit says: it was altered"
                )


def _check_reached(objects: list[GitObject]) -> None:
    """Raise IntegrityError unless a commit, the first of `objects`, leads to every other of them.

    What it does not lead to no signature covers, and would lie in the repository for ever.
    """
    commit, *others = objects
    came = {item.oid: item for item in others}
    ahead = [history.links(commit.data)[0]]
    while ahead:
        item = came.pop(ahead.pop(), None)
        if item is not None and item.kind == "tree":
            ahead += [entry.oid.hex() for entry in trees.parse(item.data).values()]
    if came:
        raise IntegrityError("the share has objects beside a commit that the commit does not lead to")


def _parent(commit: bytes) -> str | None:
    """The parent that a raw commit names."""
    for line in commit.partition(b"\n\n")[0].split(b"\n"):
        if line.startswith(b"parent "):
            return line[7:47].decode("ascii", "replace")
    return None
