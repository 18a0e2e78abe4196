"""Rewrite a history without what must go: a fresh repository beside the old one, which then takes its place.

1. The branch's new commits are made: its first is the newest of those too old to be kept, without its parents; all
   later ones follow it. Folders that go are in none of them. Each old commit's signature is checked before the new one
   is signed: nobody's forgery is signed by us.
2. What is reachable from the refs is live. A pack that holds nothing else is linked; of the others the compressed
   entries are copied, never inflated. So what is not live is not there, by construction.
3. The fresh repository is checked by stock git, and made durable.
4. It takes the old one's place in one step, and the old one is erased.

A crash leaves the old repository or the new one, and `swap.settle` removes what remains of the other.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from itertools import chain
from pathlib import Path

from vault.archive import history, sums, trees
from vault.archive.bare import LOCK, BareRepository
from vault.archive.blobs import Bytes, object_id
from vault.archive.gitaccess import run_git
from vault.archive.objects import sha256
from vault.archive.pack import PackObject, entry_chunks, write_entries
from vault.archive.packindex import object_ids
from vault.archive.refs import history_ref, shared_ref
from vault.archive.signing import Signer
from vault.archive.slices import DELTAS, Slice, slices
from vault.archive.swap import beside, erase, put_in_place, take_away
from vault.errors import DAMAGED, IntegrityError
from vault.files import CHUNK, private_folder, sync_tree

Goes = Callable[[str], bool]
"""Whether the file at a path of the tree goes."""


@dataclass(frozen=True, slots=True)
class Rewritten:
    """What a rewrite did, for the ledger and for the share."""

    refs_before: Mapping[str, str]
    refs_after: Mapping[str, str]
    gone: Mapping[str, str]
    """Ids of the objects that are no longer there, and their kinds."""
    added: frozenset[str]
    """Ids of the blobs that were not there before: `SHA256SUMS` files without the lines of what went."""
    to_share: Mapping[str, str]
    """Marks of what is shared that were left out, since they hold only once `added` is shared too, and their values."""


@dataclass(slots=True)
class _New:
    """The rewritten branch before it is written."""

    tip: str | None
    commits: dict[str, str]
    """Old commit to new."""
    objects: dict[str, PackObject]


@contextmanager
def rewriting(
    repository: BareRepository,
    *,
    branch: str,
    before: datetime,
    goes: Goes,
    signer: Signer,
    allowed: frozenset[bytes],
) -> Iterator[Rewritten | None]:
    """Yield what a rewrite of `branch` comes to, ready beside the repository; on the way out it takes its place.

    Commits made until `before` become one at most, and files that `goes` names are in none. Yields None when that
    changes nothing. If the caller's block raises, all stays as it was. Raises IntegrityError for whatever is missing,
    damaged or not signed, VaultError when the disk refuses or another writer is at work.
    """
    with repository._writing():
        new = _history(repository, branch, before, goes, signer, allowed)
        if new is None:
            yield None
            return
        fresh = beside(repository.path)
        if fresh.exists():
            erase(fresh)
        try:
            result = _build(repository, branch, new, fresh)
            _check(fresh, result, new, allowed)
            sync_tree(fresh)
            yield result
        except BaseException:
            if fresh.exists():
                erase(fresh)
            raise
        put_in_place(repository.path)
        repository.forget()


@contextmanager
def retiring(repository: BareRepository) -> Iterator[Rewritten]:
    """Yield what it comes to that a whole repository goes; on the way out it does. Errors as of `rewriting`."""
    with repository._writing():
        yield Rewritten(repository.refs(), {}, _kinds(repository, objects_of(repository)), frozenset(), {})
        take_away(repository.path)


def objects_of(repository: BareRepository) -> frozenset[str]:
    """The ids of all objects that lie in a repository, of every kind. Raises IntegrityError, OSError."""
    folder = repository.path / "objects"
    packed = (object_ids(index) for index in sorted(folder.glob("pack/pack-*.idx")))
    loose = (path.parent.name + path.name for path in folder.glob("[0-9a-f][0-9a-f]/*"))
    return frozenset(chain((oid.hex() for ids in packed for oid in ids), loose))


def _kinds(repository: BareRepository, oids: Iterable[str]) -> dict[str, str]:
    return {oid: repository._objects.header(oid)[0] for oid in oids}


# 1: the branch


def _history(
    repository: BareRepository,
    branch: str,
    before: datetime,
    goes: Goes,
    signer: Signer,
    allowed: frozenset[bytes],
) -> _New | None:
    commits = list(repository.log(branch))
    # up to the last one that is young enough: what a clock that was set back made in between hides none before it
    number = max((at for at, commit in enumerate(commits, 1) if commit.when > before), default=0)
    kept, first = commits[:number], commits[number : number + 1]
    new = _New(None, {}, {})
    changed = len(kept) + len(first) < len(commits)
    for commit in reversed([*kept, *first]):
        repository.verify_commit(commit.oid, allowed)
        root, made = _without(repository, commit.oid, goes)
        changed |= bool(made)
        if root == trees.EMPTY:
            continue
        was = repository._commit(commit.oid)
        data = history.commit_bytes(root, new.tip, was.author.name, commit.when, commit.message, signer)
        oid = object_id("commit", data)
        new.objects |= {item.oid: item for item in made}
        new.objects[oid] = PackObject(oid, "commit", Bytes(data))
        new.commits[commit.oid] = oid
        new.tip = oid
    return new if changed else None


def _without(repository: BareRepository, commit: str, goes: Goes) -> tuple[str, list[PackObject]]:
    """The id of a commit's tree without what goes, and the objects that are new in it; none where nothing goes."""
    tree = repository.tree(commit)
    dropped: dict[str, Bytes | None] = {
        path: None for path in tree if path.rpartition("/")[2] != sums.NAME and goes(path)
    }
    root = repository._root(commit)
    if not dropped or root is None:
        return (root or bytes.fromhex(trees.EMPTY)).hex(), []

    def digest(oid: str) -> str:
        with repository.stream(oid) as source:
            return sha256(source)

    edits = {**dropped, **sums.updates(tree, dropped, repository.read, digest)}
    changes = trees.nest({path: blob.oid if blob else None for path, blob in edits.items()})
    made, objects = trees.apply(root, changes, repository._read_tree)
    blobs = [PackObject(blob.oid, "blob", blob) for blob in edits.values() if blob]
    return made.hex(), [*objects, *blobs]


# 2: the fresh repository


def _build(repository: BareRepository, branch: str, new: _New, fresh: Path) -> Rewritten:
    before = repository.refs()
    held = objects_of(repository)
    added = frozenset(
        item.oid for item in new.objects.values() if item.kind == "blob" and item.oid not in held
    )
    after = _refs(before, branch, new, {commit.oid for commit in repository.log(branch)})
    to_share = {}
    if new.tip and after.get(history_ref(branch)) == new.tip:
        del after[history_ref(branch)]  # the commits of a rewritten branch are new to the share
    if new.tip and added and after.get(shared_ref(branch)) == new.tip:
        to_share = {shared_ref(branch): after.pop(shared_ref(branch))}
    for folder in ("objects/info", "objects/pack", "refs/heads", "refs/vault"):
        private_folder(fresh / folder)
    os.link(repository.path / LOCK, fresh / LOCK)  # whoever waits for it waits for the new one
    for name in ("config", "HEAD"):
        _write(fresh / name, (repository.path / name).read_bytes())
    live = _live(repository, after.values(), new.objects)
    _fill(repository, live, new.objects, fresh / "objects" / "pack")
    for name, oid in after.items():
        private_folder((fresh / name).parent)
        _write(fresh / name, oid.encode() + b"\n")
    gone = _kinds(repository, held - {oid.hex() for oid in live})
    return Rewritten(before, after, gone, added, to_share)


def _refs(before: Mapping[str, str], branch: str, new: _New, branch_was: set[str]) -> dict[str, str]:
    """The refs afterwards: those into the branch follow it, or go with the commit that they pointed to."""
    after = {name: oid for name, oid in before.items() if oid not in branch_was}
    after |= {name: new.commits[oid] for name, oid in before.items() if oid in new.commits}
    after.pop(f"refs/heads/{branch}", None)
    return {**after, f"refs/heads/{branch}": new.tip} if new.tip else after


def _live(repository: BareRepository, tips: Iterable[str], new: Mapping[str, PackObject]) -> frozenset[bytes]:
    """Everything reachable from `tips` in the repository together with `new` objects (20 bytes each)."""

    def read(oid: bytes) -> bytes:
        made = new.get(oid.hex())
        return b"".join(made.blob.chunks()) if made else repository._read_tree(oid)

    found: set[bytes] = set()
    waiting = list(tips)
    while waiting:
        commit = waiting.pop()
        if bytes.fromhex(commit) in found:
            continue
        found.add(bytes.fromhex(commit))
        made = new.get(commit)
        data = b"".join(made.blob.chunks()) if made else repository._objects.raw(commit, "commit")
        tree, parents = history.links(data)
        waiting += parents
        _add_tree(bytes.fromhex(tree), read, found)
    return frozenset(found)


def _add_tree(oid: bytes, read: trees.ReadTree, found: set[bytes]) -> None:
    if oid in found:
        return
    found.add(oid)
    for entry in trees.parse(read(oid)).values():
        if entry.mode == trees.FOLDER:
            _add_tree(entry.oid, read, found)
        else:
            found.add(entry.oid)


def _fill(
    repository: BareRepository, live: frozenset[bytes], new: Mapping[str, PackObject], target: Path
) -> None:
    """Bring every live object into the folder `target`: whole packs as links, the others in one pack of their own."""
    missing = set(live)
    mixed: list[Path] = []
    for index in sorted((repository.path / "objects" / "pack").glob("pack-*.idx")):
        ids = object_ids(index)
        if ids <= live and not _has_deltas(index.with_suffix(".pack")):
            for name in (index.with_suffix(".pack").name, index.name):
                os.link(index.parent / name, target / name)
            missing -= ids
        else:
            mixed.append(index.with_suffix(".pack"))
    made = [item for oid, item in new.items() if bytes.fromhex(oid) in missing]
    missing -= {bytes.fromhex(item.oid) for item in made}
    copied: list[Slice] = []
    for pack in mixed:
        found = [piece for piece in slices(pack, missing) if piece.kind not in DELTAS]
        missing -= {piece.oid for piece in found}
        copied += found
    made += [_Stored.object(repository, oid.hex()) for oid in sorted(missing)]  # loose ones, and differences
    if copied or made:
        packed: Iterator[tuple[bytes, Iterable[bytes]]] = chain(
            ((piece.oid, piece.chunks()) for piece in copied),
            ((bytes.fromhex(item.oid), entry_chunks(item)) for item in made),
        )
        write_entries(target, len(copied) + len(made), packed)


def _has_deltas(pack: Path) -> bool:
    return any(piece.kind in DELTAS for piece in slices(pack))


@dataclass(frozen=True, slots=True)
class _Stored:
    """An object that is written anew because it can't be copied; its content is checked on the way."""

    repository: BareRepository
    oid: str
    size: int

    @classmethod
    def object(cls, repository: BareRepository, oid: str) -> PackObject:
        """Find it. Raises IntegrityError when it is missing."""
        kind, size = repository._objects.header(oid)
        if kind != "blob":
            return PackObject(oid, kind, Bytes(repository._objects.raw(oid, kind)))
        return PackObject(oid, kind, cls(repository, oid, size))

    def chunks(self) -> Iterator[bytes]:
        """Yield the content."""
        with self.repository.stream(self.oid) as source:
            while piece := source.read(CHUNK):
                yield piece


def _write(path: Path, data: bytes) -> None:
    """Write a private file; `sync_tree` makes it durable."""
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(data)


# 3: the check


def _check(fresh: Path, result: Rewritten, new: _New, allowed: frozenset[bytes]) -> None:
    """Raise IntegrityError unless stock git finds the fresh repository whole, and its new commits are ours."""
    packs = sorted(fresh.glob("objects/pack/pack-*.idx"))
    written = [path for path in packs if path.stat().st_nlink == 1]
    if written:
        run_git(fresh, ["verify-pack", *(str(path) for path in written)])
    run_git(fresh, ["fsck", "--strict", "--connectivity-only", "--no-dangling", "--no-reflogs"])
    repository = BareRepository(fresh)
    for oid in new.commits.values():
        repository.verify_commit(oid, allowed)
    if new.tip:
        sums.check(repository.tree(new.tip), repository.read, repository.digest)
    if repository.refs() != dict(result.refs_after):
        raise IntegrityError(f"A rewritten repository lacks a ref. {DAMAGED}")
