"""Join many small packs into one, copying the compressed entries as they are.

A pack per commit lets retention drop packs, but git looks through all of them: thousands, as an append-only ledger
has after some years, make every look slow. The nights of a usual treatment stay below the threshold.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from isal import isal_zlib

from vault.archive.pack import write_entries
from vault.archive.packindex import Entry, entries
from vault.errors import DAMAGED, IntegrityError

MANY = 128
"""How many small packs there must be to be joined."""

SMALL = 1 << 20
"""Packs of fewer bytes than this are small."""

_TRAILER = 20
_DELTAS = (6, 7)


class _Slice(NamedTuple):
    entry: Entry
    data: bytes


def consolidate(folder: Path) -> bool:
    """Join the small packs in `folder` if there are `MANY`, and say so. The caller holds the repository's lock.

    The joined pack is durable before the small ones go, so a crash leaves objects twice, never none. Raises
    IntegrityError when an entry is damaged (then all stays as it is), OSError when the disk refuses.
    """
    small = sorted(path for path in folder.glob("pack-*.pack") if path.stat().st_size < SMALL)
    if len(small) < MANY:
        return False
    found: dict[bytes, bytes] = {}
    joined: list[Path] = []
    for pack in small:
        slices = list(_slices(pack))
        # an entry that stock git stored as a difference to another can't be moved alone
        if not any(piece.data[0] >> 4 & 7 in _DELTAS for piece in slices):
            found |= {piece.entry.oid: piece.data for piece in slices}
            joined.append(pack)
    if len(joined) < MANY:
        return False
    name = write_entries(folder, len(found), ((oid, [data]) for oid, data in found.items()))
    for pack in joined:
        if pack.stem != name:
            pack.with_suffix(".idx").unlink()  # first: without it, git does not see the pack
            pack.unlink()
    return True


def _slices(pack: Path) -> Iterator[_Slice]:
    data = pack.read_bytes()
    located = entries(pack.with_suffix(".idx"))
    ends = [entry.offset for entry in located[1:]] + [len(data) - _TRAILER]
    for entry, end in zip(located, ends, strict=True):
        piece = data[entry.offset : end]
        if not piece or isal_zlib.crc32(piece) != entry.crc32:
            raise IntegrityError(f"A pack of the archive is damaged. {DAMAGED}")
        yield _Slice(entry, piece)
