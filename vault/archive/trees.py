"""Git tree objects: read, edited and written again, only where something below changed."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from typing import NamedTuple

from vault.archive.blobs import Bytes, object_id
from vault.archive.pack import PackObject
from vault.errors import DAMAGED, IntegrityError, VaultError

FILE = b"100644"
FOLDER = b"40000"
EMPTY = object_id("tree", b"")
"""Id of the tree without entries."""

_ENTRY = re.compile(rb"([0-7]+) ([^\0]+)\0(.{20})", re.DOTALL)
_IGNORED_BY_HFS = re.compile("[\u200c-\u200f\u202a-\u202e\u206a-\u206f\ufeff]")
_META = re.compile(r"\.git|git[a-z]*~\d|gi[0-9a-f]+~\d", re.IGNORECASE)


class TreeEntry(NamedTuple):
    """One name in a tree: its mode as git writes it, and the object's id (20 bytes)."""

    mode: bytes
    oid: bytes


Tree = dict[bytes, TreeEntry]
Changes = dict[bytes, "bytes | Changes | None"]
"""By name: a blob's id, the changes of a folder, or None to remove it."""

ReadTree = Callable[[bytes], bytes]
"""Returns the raw content of the tree with this id (20 bytes)."""


def parse(data: bytes) -> Tree:
    """Return the entries of a raw tree object, in git's order."""
    entries = _ENTRY.findall(data)
    if sum(len(mode) + len(name) for mode, name, _ in entries) + 22 * len(entries) != len(data):
        raise IntegrityError(f"A folder of the archive is damaged. {DAMAGED}")
    return {name: TreeEntry(mode, oid) for mode, name, oid in entries}


def encode(tree: Tree) -> bytes:
    """Return the raw tree object: sorted as git does, by name with a slash behind a folder's."""
    names = sorted(tree, key=lambda name: name + b"/" if tree[name].mode == FOLDER else name)
    return b"".join(b"%s %s\0%s" % (tree[name].mode, name, tree[name].oid) for name in names)


def walk(root: bytes, read: ReadTree, prefix: bytes = b"") -> Iterator[tuple[bytes, bytes]]:
    """Yield path and blob id of every file below the tree `root`."""
    for name, entry in parse(read(root)).items():
        if entry.mode == FOLDER:
            yield from walk(entry.oid, read, prefix + name + b"/")
        else:
            yield prefix + name, entry.oid


def differences(
    old: bytes | None, new: bytes | None, read: ReadTree, prefix: bytes = b""
) -> Iterator[tuple[bytes, bytes | None, bytes | None]]:
    """Yield path, old and new blob id of every file that differs between two trees, without loading a blob."""
    before = parse(read(old)) if old else {}
    after = parse(read(new)) if new else {}
    for name in sorted(before.keys() | after.keys()):
        one, two = before.get(name), after.get(name)
        if one == two:
            continue
        path = prefix + name
        folders = [entry.oid if entry and entry.mode == FOLDER else None for entry in (one, two)]
        blobs = [entry.oid if entry and entry.mode != FOLDER else None for entry in (one, two)]
        if blobs[0] != blobs[1]:
            yield path, blobs[0], blobs[1]
        if folders[0] != folders[1]:
            yield from differences(folders[0], folders[1], read, path + b"/")


def new_trees(old: bytes | None, new: bytes | None, read: ReadTree) -> Iterator[bytes]:
    """Yield the content of each folder below `new` that `old` does not have in the same place, the root first."""
    if new is None or new == old:
        return
    data = read(new)
    yield data
    before = parse(read(old)) if old else {}
    for name, entry in parse(data).items():
        if entry.mode == FOLDER:
            other = before.get(name)
            yield from new_trees(other.oid if other and other.mode == FOLDER else None, entry.oid, read)


def check_path(path: str) -> None:
    """Raise VaultError unless `path` can stand in a tree and be checked out anywhere.

    Refused are absolute paths, `.` and `..`, names over 255 bytes, and every spelling of `.git…` that a file system
    may fold to it: `git fsck --strict` refuses them, since a checkout would write into a repository's own files.
    """
    try:
        names = path.encode().split(b"/")
    except UnicodeEncodeError as error:
        raise VaultError(
            "A path for the archive is not valid Unicode; it must be made safe first."
        ) from error
    for name in names:
        parts = _IGNORED_BY_HFS.sub("", name.decode()).split("\\")
        if name in (b"", b".", b"..") or b"\0" in name or len(name) > 255 or any(map(_META.match, parts)):
            raise VaultError(
                "A path for the archive holds a name that git refuses; it must be made safe first."
            )


def check_collisions(paths: Collection[str], added: Iterable[str]) -> None:
    """Raise VaultError when an `added` path is to be a file where another of `paths` needs a folder, or the reverse."""
    folders = {folder for path in paths for folder in _ancestors(path)}
    for path in added:
        if path in folders or any(folder in paths for folder in _ancestors(path)):
            raise VaultError("Two paths for the archive collide: one is to be a file and a folder at once.")


def nest(edits: Mapping[str, str | None]) -> Changes:
    """Return flat edits (path to blob id, or None) as nested changes."""
    changes: Changes = {}
    for path, oid in sorted(
        edits.items(), key=lambda edit: edit[1] is not None
    ):  # what goes first, then what comes
        *folders, name = path.encode().split(b"/")
        level = changes
        for folder in folders:
            below = level.get(folder)
            if not isinstance(below, dict):  # nothing yet, or a file that made way for this folder
                below = level[folder] = {}
            level = below
        level[name] = bytes.fromhex(oid) if oid is not None else None
    return changes


def apply(base: bytes | None, changes: Changes, read: ReadTree) -> tuple[bytes, list[PackObject]]:
    """Return the id of the tree that `changes` make of `base`, and the tree objects that are new; the root comes first.

    A folder that becomes empty goes.
    """
    tree = parse(read(base)) if base else {}
    made: list[PackObject] = []
    for name, change in changes.items():
        current = tree.get(name)
        if isinstance(change, dict):
            below = current.oid if current and current.mode == FOLDER else None
            oid, objects = apply(below, change, read)
            if oid.hex() != EMPTY:
                tree[name] = TreeEntry(FOLDER, oid)
                made += objects
            elif current and current.mode == FOLDER:
                del tree[name]
        elif change is None:
            tree.pop(name, None)
        else:
            tree[name] = TreeEntry(FILE, change)
    data = encode(tree)
    root = object_id("tree", data)
    return bytes.fromhex(root), [PackObject(root, "tree", Bytes(data)), *made]


def _ancestors(path: str) -> Iterator[str]:
    end = path.find("/")
    while end >= 0:
        yield path[:end]
        end = path.find("/", end + 1)
