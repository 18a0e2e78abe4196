"""Join many small packs into one, copying the compressed entries as they are.

A pack per commit lets retention drop packs, but git looks through all of them: thousands, as an append-only ledger
has after some years, make every look slow. The nights of a usual treatment stay below the threshold.
"""

from __future__ import annotations

from pathlib import Path

from vault.archive.pack import write_entries
from vault.archive.slices import DELTAS, slices

MANY = 128
"""How many small packs there must be to be joined."""

SMALL = 1 << 20
"""Packs of fewer bytes than this are small."""


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
        pieces = list(slices(pack))
        # an entry that stock git stored as a difference to another can't be moved alone
        if not any(piece.kind in DELTAS for piece in pieces):
            found |= {piece.oid: b"".join(piece.chunks()) for piece in pieces}
            joined.append(pack)
    if len(joined) < MANY:
        return False
    name = write_entries(folder, len(found), ((oid, [data]) for oid, data in found.items()))
    for pack in joined:
        if pack.stem != name:
            pack.with_suffix(".idx").unlink()  # first: without it, git does not see the pack
            pack.unlink()
    return True
