"""Data sets that are made to hurt their reader: bottomless, or far larger than they look."""

from __future__ import annotations

import struct
import zlib


def deep(levels: int, *, implicit: bool) -> bytes:
    """A sequence in a sequence in a sequence, of undefined lengths and never closed."""
    tag = struct.pack("<HH", 0x300A, 0x00B0) if implicit else struct.pack("<HH2sH", 0x300A, 0x00B0, b"SQ", 0)
    return (tag + b"\xff" * 4 + struct.pack("<HHI", 0xFFFE, 0xE000, 0xFFFFFFFF)) * levels


def deflated(*parts: bytes | int) -> bytes:
    """A deflated data set (PS3.5 A.5); a part that is a number is so many MiB of zeros, made in no time."""
    zeros = _squeezed(bytes(1 << 20))
    stream = b"".join(zeros * part if isinstance(part, int) else _squeezed(part) for part in parts)
    stream += zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS).flush()
    return stream + b"\0" * (len(stream) % 2)


def _squeezed(part: bytes) -> bytes:
    """A piece of a deflate stream that refers to nothing before it and is not the last."""
    squeezer = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    return squeezer.compress(part) + squeezer.flush(zlib.Z_FULL_FLUSH)
