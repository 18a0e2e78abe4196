"""Write a commit's new objects as one git pack with its index: streamed, compressed with ISA-L, durable.

One pack instead of a file per object is several times faster, needs two fsyncs instead of thousands, and lets
retention drop a commit's objects by dropping its pack. Formats: git's `gitformat-pack`, pack version 2.

Small objects are read and compressed ahead by other threads (ISA-L and hashlib release the interpreter's lock);
large ones are streamed piece by piece, so that a 2 GB object costs no memory.
"""

from __future__ import annotations

import hashlib
import os
import zlib
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Protocol

from isal import isal_zlib

from vault.archive.packindex import Entry, index_chunks
from vault.errors import IntegrityError
from vault.files import sync_folder, temporary

KINDS = {"commit": 1, "tree": 2, "blob": 3}
"""Object types of the pack format."""

LEVEL = 2
"""Of ISA-L: within 1 % of its best ratio (and of zlib's) on CT images, at one and a half times the speed."""

TINY = 16 << 10
"""Objects up to this many bytes are not worth handing to another thread."""

SMALL = 4 << 20
"""Objects up to this many bytes are compressed ahead by other threads, whole; larger ones are streamed."""

AHEAD = 16 << 20
"""Bytes (before compression) that may wait for their turn: bounds the memory."""

THREADS = 2
"""More wait for the disk and for each other."""

_LONGEST_QUEUE = 256
_SAMPLE = 32 << 10
_INCOMPRESSIBLE = 0.97


class Content(Protocol):
    """What is packed: a `Blob`, or an object that another repository holds."""

    @property
    def size(self) -> int:
        """Bytes."""

    def chunks(self) -> Iterator[bytes]:
        """Yield the content in pieces."""


@dataclass(frozen=True, slots=True)
class PackObject:
    """One object to be packed; `blob` holds the raw content also of trees and commits."""

    oid: str
    kind: str
    blob: Content


class _Compressor(Protocol):
    def compress(self, data: bytes, /) -> bytes: ...
    def flush(self) -> bytes: ...


def write_pack(folder: Path, objects: Sequence[PackObject]) -> str:
    """Write `objects` as `pack-<sha1>.pack` and `.idx` into `folder`, durably, and return the name without suffix.

    Every content is hashed again on its way into the pack. Raises IntegrityError when one is not what its id says
    (a file that changed), OSError when the disk is full or broken. Until the last step nothing is visible to git.
    """
    packed = ((bytes.fromhex(item.oid), chunks) for item, chunks in _compressed(objects))
    return write_entries(folder, len(objects), packed)


def write_entries(folder: Path, count: int, packed: Iterable[tuple[bytes, Iterable[bytes]]]) -> str:
    """Write a pack, as `write_pack` does, of `count` entries that are compressed already (id and pieces of each)."""
    with temporary(folder) as (pack_path, pack), temporary(folder) as (index_path, index):
        checksum, located = _write_entries(pack, count, packed)
        _finish(pack)
        for chunk in index_chunks(located, checksum):
            index.write(chunk)
        _finish(index)
        name = f"pack-{checksum.hex()}"
        pack_path.replace(folder / f"{name}.pack")
        sync_folder(folder)  # an index must not outlive a power cut without its pack: it makes the pack count
        index_path.replace(folder / f"{name}.idx")
    sync_folder(folder)
    return name


def _finish(file: BinaryIO) -> None:
    """Make a file durable and read-only: packs never change."""
    file.flush()
    os.fchmod(file.fileno(), 0o400)
    os.fsync(file.fileno())


def _write_entries(
    pack: BinaryIO, count: int, packed: Iterable[tuple[bytes, Iterable[bytes]]]
) -> tuple[bytes, list[Entry]]:
    header = b"PACK\0\0\0\2" + count.to_bytes(4, "big")
    digest = hashlib.sha1(header, usedforsecurity=False)
    pack.write(header)
    offset = len(header)
    located = []
    for oid, chunks in packed:
        start, crc = offset, 0
        for chunk in chunks:
            pack.write(chunk)
            digest.update(chunk)
            crc = isal_zlib.crc32(chunk, crc)
            offset += len(chunk)
        located.append(Entry(oid, crc, start))
    pack.write(digest.digest())
    return digest.digest(), located


def _compressed(objects: Iterable[PackObject]) -> Iterator[tuple[PackObject, Iterable[bytes]]]:
    """Yield each object, in order, with the pieces of its pack entry."""
    waiting: deque[tuple[PackObject, Future[list[bytes]] | None]] = deque()
    ahead = 0
    with ThreadPoolExecutor(max_workers=THREADS, thread_name_prefix="pack") as executor:
        try:
            for item in objects:
                worth = TINY < item.blob.size <= SMALL
                waiting.append((item, executor.submit(_whole, item) if worth else None))
                ahead += item.blob.size if worth else 0
                while ahead > AHEAD or len(waiting) > _LONGEST_QUEUE:
                    first, work = waiting.popleft()
                    ahead -= first.blob.size if work else 0
                    yield first, work.result() if work else entry_chunks(first)
            for item, work in waiting:
                yield item, work.result() if work else entry_chunks(item)
        finally:
            executor.shutdown(wait=True, cancel_futures=True)


def _whole(item: PackObject) -> list[bytes]:
    return list(entry_chunks(item))


def entry_chunks(item: PackObject, *, stored: bool = False) -> Iterator[bytes]:
    """Yield an object's pack entry: type and size, then its zlib stream; checks the content against its id.

    `stored` puts it there as it is: larger, and several times faster.
    """
    yield entry_header(KINDS[item.kind], item.blob.size)
    digest = hashlib.sha1(f"{item.kind} {item.blob.size}\0".encode(), usedforsecurity=False)
    compressor: _Compressor | None = None
    size = 0
    for chunk in item.blob.chunks():
        digest.update(chunk)
        size += len(chunk)
        if size > item.blob.size:
            break
        if compressor is None:
            compressor = zlib.compressobj(0) if stored else _compressor(chunk)
        if piece := compressor.compress(chunk):
            yield piece
    yield (compressor or _compressor(b"")).flush()
    if size != item.blob.size or digest.hexdigest() != item.oid:
        raise IntegrityError(
            "A file changed between being read and being committed; nothing was committed. "
            "Make sure that nothing else writes to the vault's folders, then run again."
        )


def entry_header(kind: int, size: int) -> bytes:
    """Return the type and the size, little end first, 4 bits and then 7 a byte."""
    header = bytearray()
    byte, size = kind << 4 | size & 15, size >> 4
    while size:
        header.append(byte | 0x80)
        byte, size = size & 0x7F, size >> 7
    header.append(byte)
    return bytes(header)


def _compressor(chunk: bytes) -> _Compressor:
    """Choose by a sample: what is compressed or encrypted already is stored, which is faster and no larger."""
    middle = max(0, len(chunk) // 2 - _SAMPLE // 2)
    sample = chunk[middle : middle + _SAMPLE]
    if len(chunk) >= 2 * _SAMPLE and len(isal_zlib.compress(sample, 1)) > _INCOMPRESSIBLE * len(sample):
        return zlib.compressobj(0)
    stream: _Compressor = isal_zlib.compressobj(LEVEL)
    return stream
