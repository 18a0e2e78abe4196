"""Read every object of a repository once: inflated, against its id, and its SHA-256 on the way.

`git fsck` would do the first, and `SHA256SUMS` needs the second: together they read everything twice, slowly. What
stock git may have left (loose objects, differences) is for `git fsck`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

from isal import isal_zlib

from vault.archive.pack import KINDS
from vault.archive.slices import DELTAS, Slice, slices
from vault.errors import DAMAGED, IntegrityError
from vault.files import CHUNK

AT_ONCE = 2
"""Threads: ISA-L and hashlib let go of the interpreter's lock."""

_NAMES = {number: name for name, number in KINDS.items()}
_HASH = 20


@dataclass(frozen=True, slots=True)
class Contents:
    """What a repository's packs hold."""

    sha256: dict[str, str]
    """Of every blob, by its id."""
    foreign: bool
    """There are loose objects, or differences: made by stock git, and not read."""


def read_packs(repository: Path) -> Contents:
    """Read all packs. Raises IntegrityError for whatever is not what its id or checksum says, OSError."""
    folder = repository / "objects"
    packs = sorted(folder.glob("pack/pack-*.pack"))
    if {path.stem for path in packs} != {path.stem for path in folder.glob("pack/pack-*.idx")}:
        raise _damaged()
    for pack in packs:
        _check_sums(pack)
    pieces = list(chain.from_iterable(map(slices, packs)))
    whole = [piece for piece in pieces if piece.kind not in DELTAS]
    with ThreadPoolExecutor(AT_ONCE, thread_name_prefix="audit") as pool:
        found = {oid: digest for oid, digest in pool.map(_read, whole) if digest}
    return Contents(found, len(whole) < len(pieces) or any(folder.glob("[0-9a-f][0-9a-f]/*")))


def _check_sums(pack: Path) -> None:
    """Both files end with the SHA-1 of what comes before, and the index names its pack's."""
    ends = [_hashed(path) for path in (pack, pack.with_suffix(".idx"))]
    with pack.with_suffix(".idx").open("rb") as file:
        file.seek(-2 * _HASH, 2)
        named = file.read(_HASH)
    if any(found != end for found, end in ends) or named != ends[0][1] or pack.stem != f"pack-{named.hex()}":
        raise _damaged()


def _hashed(path: Path) -> tuple[bytes, bytes]:
    """The SHA-1 of a file but for its last 20 bytes, and these."""
    left = path.stat().st_size - _HASH
    digest = hashlib.sha1(usedforsecurity=False)
    with path.open("rb") as file:
        while left > 0 and (piece := file.read(min(CHUNK, left))):
            digest.update(piece)
            left -= len(piece)
        return digest.digest(), file.read()


def _read(piece: Slice) -> tuple[str, str]:
    """Inflate one object; returns its id and, of a blob, the SHA-256."""
    name = _NAMES.get(piece.kind)
    if name is None:
        raise _damaged()
    parts = _inflated(piece)
    size = next(parts)
    sha1 = hashlib.sha1(b"%s %d\0" % (name.encode(), int(size)), usedforsecurity=False)
    sha256 = hashlib.sha256() if name == "blob" else None
    for data in parts:
        sha1.update(data)
        if sha256:
            sha256.update(data)
    if sha1.digest() != piece.oid:
        raise _damaged()
    return piece.oid.hex(), sha256.hexdigest() if sha256 else ""


def _inflated(piece: Slice) -> Iterator[bytes]:
    """Yield the size that the entry's head gives, in decimal, and then the content in pieces."""
    inflate = isal_zlib.decompressobj()
    head = b""
    size: int | None = None
    try:
        for data in piece.chunks():
            body = data
            if size is None:
                head += data
                length = next((at for at, byte in enumerate(head, 1) if not byte & 0x80), None)
                if length is None:
                    continue
                size = head[0] & 15
                for at in range(1, length):
                    size |= (head[at] & 0x7F) << (7 * at - 3)
                yield b"%d" % size
                body = head[length:]
            while body:
                yield inflate.decompress(body, CHUNK)
                body = inflate.unconsumed_tail
        yield inflate.flush()
    except (isal_zlib.error, EOFError) as error:  # type: ignore[misc]  # an exception, of an untyped library
        raise _damaged() from error
    if not inflate.eof or inflate.unused_data or size is None:
        raise _damaged()


def _damaged() -> IntegrityError:
    return IntegrityError(f"A pack of the archive is damaged. {DAMAGED}")
