"""An object's bytes for the normal form: mapped for the walk, read in pieces for what is only hashed."""

from __future__ import annotations

import hashlib
import os
import struct
import tempfile
import zlib
from array import array
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from mmap import ACCESS_READ, mmap
from pathlib import Path
from typing import BinaryIO

from vault.dicom import part10
from vault.files import CHUNK

INFLATED_MAXIMUM = 8 << 30
"""Bytes that a deflated data set may become."""

INFLATED_RATIO = 200
"""And how many times its size, above `INFLATED_ALWAYS`: pixels deflate 2 to 4 times, zeros without end 1000 times."""

INFLATED_ALWAYS = 64 << 20

_SHORT = 4096
"""Bytes that are not worth a system call."""


@dataclass(frozen=True, slots=True)
class Leftover:
    """Bytes that are in the file, but not in `Source.buffer`."""

    length: int
    sha256: str


@dataclass(slots=True)
class Source:
    """A data set that lies in a file: `buffer` for its structure, `pieces` for its bulk."""

    file: BinaryIO
    buffer: bytes | mmap
    offset: int
    transfer_syntax: str
    leftover: Leftover | None = None
    """Deflated bytes that did not inflate."""

    def value(self, offset: int, length: int) -> bytes:
        """The bytes of a short value."""
        return self.buffer[offset : offset + length]

    def pieces(self, offset: int, length: int) -> Iterator[bytes]:
        """The bytes of a long value, read past the map so that memory stays flat."""
        return _pieces(self.file, offset, length)

    def digest(self, offset: int, length: int, swap: int = 1) -> str:
        """SHA-256 of bytes, words of `swap` bytes turned to little endian first."""
        return self._digested(offset, length, swap).hexdigest()

    def even_digest(self, offset: int, length: int, swap: int = 1) -> str:
        """`digest` of a value as if it were padded to an even length, as it has to be (PS3.5 7.1.1)."""
        digest = self._digested(offset, length, swap)
        digest.update(bytes(length % 2))
        return digest.hexdigest()

    def _digested(self, offset: int, length: int, swap: int) -> hashlib._Hash:
        if length <= _SHORT:
            return hashlib.sha256(swapped(self.value(offset, length), swap))
        return _digest(self.file, offset, length, swap)


def _pieces(file: BinaryIO, offset: int, length: int) -> Iterator[bytes]:
    descriptor = file.fileno()
    while length > 0:
        piece = os.pread(descriptor, min(CHUNK, length), offset)
        if not piece:  # the file was cut while we read it; what is hashed is what is there
            return
        yield piece
        offset += len(piece)
        length -= len(piece)


def _digest(file: BinaryIO, offset: int, length: int, swap: int = 1) -> hashlib._Hash:
    digest = hashlib.sha256()
    for piece in _pieces(file, offset, length):
        digest.update(swapped(piece, swap))
    return digest


def swapped(data: bytes, width: int) -> bytes:
    """`data` with the bytes of each word of `width` reversed; bytes after the last whole word stay."""
    if width == 1:
        return data
    whole = len(data) - len(data) % width
    words = array({2: "H", 4: "I", 8: "Q"}[width], data[:whole])
    words.byteswap()
    return words.tobytes() + data[whole:]


class InflatesTooFarError(ValueError):
    """A deflated data set would become larger than any honest one."""


@contextmanager
def open_source(path: Path) -> Iterator[Source]:
    """Open an object for the walk. Raises NotDicom, or InflatesTooFarError for a deflate bomb."""
    with path.open("rb") as file:
        syntax, offset = part10.dataset_offset(file)
        if syntax == part10.DEFLATED:
            with _inflated(file, offset, path) as (plain, leftover), _mapped(plain) as buffer:
                yield Source(plain, buffer, 0, syntax, leftover)
        else:
            with _mapped(file) as buffer:
                yield Source(file, buffer, offset, syntax)


@contextmanager
def _mapped(file: BinaryIO) -> Iterator[bytes | mmap]:
    if not os.fstat(file.fileno()).st_size:
        yield b""
        return
    with mmap(file.fileno(), 0, access=ACCESS_READ) as buffer:
        yield buffer


@contextmanager
def _inflated(file: BinaryIO, offset: int, path: Path) -> Iterator[tuple[BinaryIO, Leftover | None]]:
    """Yield the data set inflated, in a file without a name, and what of the deflated bytes is not in it."""
    end = os.fstat(file.fileno()).st_size
    with tempfile.TemporaryFile(dir=_writable(path.parent)) as plain:
        used, trailer = _inflate(file, offset, plain, _limit(end - offset))
        plain.flush()
        rest = os.pread(file.fileno(), len(trailer) + 2, used)
        if rest.removesuffix(b"\0") in {b"", trailer, trailer.removesuffix(b"\0")}:
            yield plain, None  # padding (PS3.5 A.5), or the check sum and size that a gzip stream ends in
        else:
            yield plain, Leftover(end - used, _digest(file, used, end - used).hexdigest())


def _inflate(file: BinaryIO, offset: int, plain: BinaryIO, limit: int) -> tuple[int, bytes]:
    """Inflate from `offset` into `plain`; returns where the stream ends, and the trailer that gzip would give it.

    Where it breaks off, nobody knows where: then the end is `offset`, so that all of it is kept in view.
    """
    file.seek(offset)
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    size, check = 0, 0
    try:
        while not inflater.eof:
            data = inflater.unconsumed_tail or file.read(CHUNK)
            piece = inflater.decompress(data, CHUNK)
            size += plain.write(piece)
            check = zlib.crc32(piece, check)
            if size > limit:
                raise InflatesTooFarError
            if not data and not piece:
                return offset, b""
    except zlib.error:
        return offset, b""
    return file.tell() - len(inflater.unused_data), struct.pack("<II", check, size & 0xFFFFFFFF)


def _limit(compressed: int) -> int:
    return min(INFLATED_MAXIMUM, max(INFLATED_ALWAYS, INFLATED_RATIO * compressed))


def _writable(folder: Path) -> Path | None:
    """The object's own folder where it can hold the inflated copy, on the same encrypted disk; else the default."""
    return folder if os.access(folder, os.W_OK) and not str(folder).startswith("/proc/") else None
