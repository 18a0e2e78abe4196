"""A git pack of a few small objects, as bytes in memory: how commits and folders travel.

Nothing in it is compressed, so that the same objects are the same bytes whatever library wrote them: two encryptions
of them can be told to be of the same thing by their length. `git index-pack` reads it.
"""

from __future__ import annotations

import hashlib
import struct
import zlib
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from isal import isal_zlib

from vault.archive.blobs import object_id
from vault.archive.pack import KINDS, entry_header
from vault.errors import IntegrityError

_MAGIC = b"PACK\0\0\0\2"
_HEAD, _TRAILER = 12, 20
_BLOCK = 0xFFFF
"""Bytes in a stored block of a zlib stream (RFC 1951, 3.2.4)."""

_NAMES = {number: kind for kind, number in KINDS.items()}


class GitObject(NamedTuple):
    """One object's kind (`commit`, `tree`, `blob`) and content."""

    kind: str
    data: bytes

    @property
    def oid(self) -> str:
        """Git's id, 40 hex digits."""
        return object_id(self.kind, self.data)


def encode(objects: Sequence[GitObject]) -> bytes:
    """Return the pack of these objects, in their order."""
    parts = [_MAGIC, len(objects).to_bytes(4, "big")]
    for item in objects:
        parts += [entry_header(KINDS[item.kind], len(item.data)), *stored(item.data)]
    body = b"".join(parts)
    return body + hashlib.sha1(body, usedforsecurity=False).digest()


def decode(pack: bytes) -> Iterator[GitObject]:
    """Yield the objects of a pack without deltas. Raises IntegrityError where it is none, or is not whole.

    Nothing that `encode` makes is compressed: what would inflate to more than the pack itself is refused, so that a few
    bytes can't take all memory.
    """
    if not pack.startswith(_MAGIC) or len(pack) < _HEAD + _TRAILER:
        raise _damaged()
    if hashlib.sha1(pack[:-_TRAILER], usedforsecurity=False).digest() != pack[-_TRAILER:]:
        raise _damaged()
    body = memoryview(pack)[:-_TRAILER]
    at, left = _HEAD, len(body)
    for _ in range(int.from_bytes(pack[8:_HEAD], "big")):
        kind, size, at = _entry_head(body, at)
        left -= size
        if left < 0:
            raise _damaged()
        stream = zlib.decompressobj()
        end = at + _stored_size(size)  # what lies behind it is copied, so that is kept short
        try:
            data = stream.decompress(body[at:end], size + 1)
        except zlib.error as error:
            raise _damaged() from error
        if len(data) != size or not stream.eof or kind not in _NAMES:
            raise _damaged()
        at = min(end, len(body)) - len(stream.unused_data)
        yield GitObject(_NAMES[kind], data)
    if at != len(body):
        raise _damaged()


def stored_blob(data: bytes) -> list[bytes]:
    """Return the pieces of the pack entry of a blob that is in memory, and was hashed there."""
    return [entry_header(KINDS["blob"], len(data)), *stored(data)]


def stored(data: bytes) -> Iterator[bytes]:
    """Yield a zlib stream (RFC 1950) that stores `data` as it is."""
    yield b"\x78\x01"
    for start in range(0, len(data) or 1, _BLOCK):
        piece = data[start : start + _BLOCK]
        last = start + _BLOCK >= len(data)
        yield struct.pack("<BHH", last, len(piece), len(piece) ^ 0xFFFF)
        yield piece
    yield isal_zlib.adler32(data).to_bytes(4, "big")


def _stored_size(size: int) -> int:
    """Bytes that `stored` makes of `size` bytes."""
    return 6 + size + 5 * max(1, -(-size // _BLOCK))


def _entry_head(body: memoryview, at: int) -> tuple[int, int, int]:
    """Return an entry's kind and size, and where its zlib stream begins."""
    try:
        byte = body[at]
        kind, size, shift = byte >> 4 & 7, byte & 15, 4
        while byte & 0x80:
            at += 1
            byte = body[at]
            size |= (byte & 0x7F) << shift
            shift += 7
    except IndexError:
        raise _damaged() from None
    return kind, size, at + 1


def _damaged() -> IntegrityError:
    return IntegrityError("a pack of commits is damaged: it is not what its own checksum says")
