"""Objects of a pack as they lie there, compressed: copied to another pack without being inflated."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from pathlib import Path
from typing import NamedTuple

from isal import isal_zlib

from vault.archive.packindex import entries
from vault.errors import DAMAGED, IntegrityError
from vault.files import CHUNK

DELTAS = (6, 7)
"""Types of entries that are a difference to another one, as stock git makes: they can't be moved alone."""

_TRAILER = 20


class Slice(NamedTuple):
    """Where an object's compressed entry lies."""

    oid: bytes
    pack: Path
    offset: int
    size: int
    crc32: int
    kind: int
    """As the pack format numbers it; one of `DELTAS` for a difference."""

    def chunks(self) -> Iterator[bytes]:
        """Yield the entry in pieces. Raises IntegrityError at the end if it is damaged; OSError."""
        left, crc = self.size, 0
        with self.pack.open("rb") as file:
            file.seek(self.offset)
            while left:
                piece = file.read(min(left, CHUNK))
                if not piece:
                    break
                left -= len(piece)
                crc = isal_zlib.crc32(piece, crc)
                yield piece
        if left or crc != self.crc32:
            raise IntegrityError(f"A pack of the archive is damaged. {DAMAGED}")


def slices(pack: Path, wanted: Collection[bytes] | None = None) -> Iterator[Slice]:
    """Yield where the `wanted` objects of a pack lie (None: all), in its order. Raises IntegrityError, OSError."""
    located = entries(pack.with_suffix(".idx"))
    with pack.open("rb") as file:
        end = pack.stat().st_size - _TRAILER
        ends = [entry.offset for entry in located[1:]] + [end]
        for entry, stop in zip(located, ends, strict=True):
            if wanted is None or entry.oid in wanted:
                file.seek(entry.offset)
                head = file.read(1)
                if not head or stop <= entry.offset:
                    raise IntegrityError(f"A pack of the archive is damaged. {DAMAGED}")
                yield Slice(entry.oid, pack, entry.offset, stop - entry.offset, entry.crc32, head[0] >> 4 & 7)
