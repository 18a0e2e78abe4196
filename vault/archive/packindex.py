"""Git's pack index, version 2 (`gitformat-pack`): written for our packs, and read to ask what is there already."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple

from vault.errors import DAMAGED, IntegrityError

_MAGIC = b"\xfftOc\0\0\0\2"
_HEADER = len(_MAGIC) + 256 * 4
_LARGE = 1 << 31
"""Offsets from here on need the table of 64-bit offsets."""


class Entry(NamedTuple):
    """Where an object lies in a pack."""

    oid: bytes
    crc32: int
    offset: int


def index_chunks(located: Iterable[Entry], pack_checksum: bytes, *, large: int = _LARGE) -> Iterator[bytes]:
    """Yield the bytes of the index for a pack with these entries.

    `large` is the first offset that goes to the table of 64-bit offsets; only tests have a reason to lower it.
    """
    ordered = sorted(located)
    counts = [0] * 256
    for entry in ordered:
        counts[entry.oid[0]] += 1
    total = 0
    fanout = bytearray()
    for count in counts:
        total += count
        fanout += total.to_bytes(4, "big")
    offsets, large_offsets = bytearray(), bytearray()
    for entry in ordered:
        if entry.offset < large:
            offsets += entry.offset.to_bytes(4, "big")
        else:
            offsets += (_LARGE | len(large_offsets) // 8).to_bytes(4, "big")
            large_offsets += entry.offset.to_bytes(8, "big")
    parts = [
        _MAGIC + fanout,
        b"".join(entry.oid for entry in ordered),
        b"".join(entry.crc32.to_bytes(4, "big") for entry in ordered),
        bytes(offsets),
        bytes(large_offsets),
        pack_checksum,
    ]
    digest = hashlib.sha1(usedforsecurity=False)
    for part in parts:
        digest.update(part)
        yield part
    yield digest.digest()


def object_ids(index: Path) -> frozenset[bytes]:
    """Return the ids (20 bytes each) of the objects in an index's pack. Raises IntegrityError if it is no index."""
    with index.open("rb") as file:
        ids = file.read(20 * _count(file))
    return frozenset(ids[start : start + 20] for start in range(0, len(ids), 20))


def entries(index: Path) -> list[Entry]:
    """Return where the objects of an index's pack lie, by offset. Raises IntegrityError if it is no index."""
    with index.open("rb") as file:
        count = _count(file)
        ids, crcs, offsets = (file.read(width * count) for width in (20, 4, 4))
        large = file.read()[:-40]
    found = []
    for at in range(count):
        offset = int.from_bytes(offsets[4 * at : 4 * at + 4], "big")
        if offset & _LARGE:
            place = 8 * (offset ^ _LARGE)
            offset = int.from_bytes(large[place : place + 8], "big")
        crc = int.from_bytes(crcs[4 * at : 4 * at + 4], "big")
        found.append(Entry(ids[20 * at : 20 * at + 20], crc, offset))
    return sorted(found, key=lambda entry: entry.offset)


def _count(file: BinaryIO) -> int:
    """Read an index's head and return how many objects it lists; its size must fit."""
    header = file.read(_HEADER)
    count = int.from_bytes(header[-4:], "big")
    smallest = _HEADER + count * 28 + 40
    if not header.startswith(_MAGIC) or len(header) != _HEADER or os.fstat(file.fileno()).st_size < smallest:
        raise IntegrityError(f"A pack index of the archive is damaged. {DAMAGED}")
    return count
