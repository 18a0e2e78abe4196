"""`SHA256SUMS` files, one per folder that holds files, for stock `sha256sum -c`.

The root's lists the root's own files and every other `SHA256SUMS`, so one signed commit vouches, through SHA-256 and
not through git's SHA-1 alone, for every byte below it. Lines of what did not change are carried over.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping

from vault.archive.blobs import Blob, Bytes
from vault.errors import DAMAGED, IntegrityError

NAME = "SHA256SUMS"

_LINE = re.compile(rb"(\\?)([0-9a-f]{64}) [ *](.+)", re.DOTALL)
_ESCAPED = {"\\\\": "\\", "\\n": "\n", "\\r": "\r"}


def encode(sums: Mapping[str, str]) -> bytes:
    """Return the file for these names and SHA-256 digests, sorted, escaped as coreutils does (a leading backslash)."""
    lines = []
    for name in sorted(sums, key=str.encode):
        escaped = name.replace("\\", "\\\\").replace("\n", "\\n").replace("\r", "\\r")
        mark = "\\" if escaped != name else ""
        lines.append(f"{mark}{sums[name]}  {escaped}\n")
    return "".join(lines).encode()


def parse(data: bytes) -> dict[str, str]:
    """Return names and digests. Raises IntegrityError on a line that is not one of `sha256sum`'s."""
    sums = {}
    for line in data.split(b"\n"):
        if not line:
            continue
        found = _LINE.fullmatch(line)
        if not found:
            raise IntegrityError(f"A SHA256SUMS file of the archive is damaged. {DAMAGED}")
        name = found[3].decode("utf-8", "surrogateescape")
        if found[1]:
            name = re.sub(r"\\[\\nr]", lambda escape: _ESCAPED[escape[0]], name)
        sums[name] = found[2].decode()
    return sums


def updates(
    current: Mapping[str, str],
    edits: Mapping[str, Blob | None],
    read: Callable[[str], bytes],
    digest: Callable[[str], str],
) -> dict[str, Bytes | None]:
    """Return the edits of `SHA256SUMS` files that go with `edits` of the tree `current` (path to blob id).

    `read` returns a blob's content, `digest` its SHA-256: asked only for files that no line vouches for yet.
    """
    by_folder: dict[str, dict[str, Blob | None]] = defaultdict(dict)
    for path, blob in edits.items():
        folder, _, name = path.rpartition("/")
        by_folder[folder][name] = blob
    root = by_folder.pop("", {})
    files = _files(current, by_folder.keys() | {""})
    result: dict[str, Bytes | None] = {}
    for folder, changes in by_folder.items():
        path = f"{folder}/{NAME}"
        known = _known(current, path, read)
        unknown = files[folder] - known.keys() - changes.keys()
        known |= {name: digest(current[f"{folder}/{name}"]) for name in unknown}
        sums = _merged(known, files[folder], changes)
        result[path] = Bytes(encode(sums)) if sums else None
    listed = files[""] | {path for path in current if path.endswith(f"/{NAME}")}
    changes = {**root, **result}
    known = _known(current, NAME, read)
    known |= {path: digest(current[path]) for path in listed - known.keys() - changes.keys()}
    sums = _merged(known, listed, changes)
    result[NAME] = Bytes(encode(sums)) if sums else None
    return result


def check(tree: Mapping[str, str], read: Callable[[str], bytes], digest: Callable[[str], str]) -> None:
    """Raise IntegrityError unless the `SHA256SUMS` of a tree (path to blob id) vouch for every file, as it is."""
    listed: dict[str, str] = {}
    for path in tree:
        folder, _, name = path.rpartition("/")
        if name == NAME:
            prefix = f"{folder}/" if folder else ""
            listed |= {prefix + file: sum_ for file, sum_ in parse(read(tree[path])).items()}
    if listed.keys() != tree.keys() - {NAME}:
        raise IntegrityError(f"The SHA256SUMS of the archive don't list what is there. {DAMAGED}")
    for path, sum_ in listed.items():
        if digest(tree[path]) != sum_:
            raise IntegrityError(f"A file of the archive is not what its SHA256SUMS says. {DAMAGED}")


def _files(current: Iterable[str], folders: Iterable[str]) -> dict[str, set[str]]:
    """Return the names of the files that lie directly in each of `folders`, `SHA256SUMS` itself left out."""
    files: dict[str, set[str]] = {folder: set() for folder in folders}
    for path in current:
        folder, _, name = path.rpartition("/")
        if name != NAME and folder in files:
            files[folder].add(name)
    return files


def _known(current: Mapping[str, str], path: str, read: Callable[[str], bytes]) -> dict[str, str]:
    return parse(read(current[path])) if path in current else {}


def _merged(
    known: Mapping[str, str], names: Iterable[str], changes: Mapping[str, Blob | None]
) -> dict[str, str]:
    """Return the digests after `changes`: carried over for what stays, and new from the blobs."""
    kept = {name: known[name] for name in names if name not in changes}
    return kept | {name: blob.sha256 for name, blob in changes.items() if blob is not None}
