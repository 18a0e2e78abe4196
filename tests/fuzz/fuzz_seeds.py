"""Inputs to begin with: one data set of everything in every encoding, pixels of every kind, and the test data."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from itertools import product
from pathlib import Path

from dicom_kit import BIG, CODECS, DEFLATED, EXPLICIT, IMPLICIT, Element, Style, write

from vault.dicom.part10 import file_head

DATA = Path(__file__).parent.parent / "data"
SIZE_MAXIMUM = 3 << 10
RLE, JPEG_LS = "1.2.840.10008.1.2.5", "1.2.840.10008.1.2.4.80"

_POINT = (
    Element(0x300A0112, "IS", "0"),
    Element(0x300A011E, "DS", "181.00"),
    Element(
        0x300A011A,
        "SQ",
        (
            (
                Element(0x300A00B8, "CS", "MLCX"),
                Element(0x300A011C, "DS", "-1.50\\2.0"),
            ),
        ),
    ),
)
EVERYTHING = (
    Element(0x00080016, "UI", "1.2.840.10008.5.1.4.1.1.481.5"),
    Element(0x00080018, "UI", "1.2.3"),
    Element(0x00080060, "CS", "RTPLAN"),
    Element(0x00100010, "PN", "Doe^Jané^^=é"),
    Element(0x00100020, "LO", " 4711"),
    Element(0x00189074, "DT", "20260101"),
    Element(0x0020000D, "UI", "1.2"),
    Element(0x0020000E, "UI", "1.2.4"),
    Element(0x00280103, "US", b"\1\0"),
    Element(0x00280106, "SS", b"\xff\xff"),
    Element(0x00209165, "AT", b"\x10\0\x20\0"),
    Element(0x00189318, "FD", struct.pack("<d", 0.1)),
    Element(0x00186020, "SL", b"\1\2\3\4"),
    Element(0x30060050, "DS", "1.0\\-2.50\\0.00\\+3\\1e3" + "\\12.340" * 20),
    Element(0x300A0002, "SH", 'A "1"\\\\'),
    Element(
        0x300A00B0,
        "SQ",
        (
            (
                Element(0x300A00C0, "IS", "2"),
                Element(0x300A0111, "SQ", (_POINT, ())),
            ),
            (),
        ),
    ),
    Element(0x300A00B3, "CS", "MU"),
    Element(0x32530010, "LO", "VARIAN MEDICAL SYSTEMS"),
    Element(0x32531010, "OB", bytes(range(70))),
    Element(0x32531011, "SQ", ((Element(0x300A00C0, "IS", "2"),),)),
    Element(0x60003000, "OW", b"\1\0\2\0"),
)


def seeds() -> Iterator[bytes]:
    """Every seed."""
    yield b""
    for syntax, charset, undefined in product((IMPLICIT, EXPLICIT, BIG, DEFLATED), CODECS, (False, True)):
        yield write(EVERYTHING, Style(syntax, undefined, group_lengths=undefined, charset=charset))
    yield write(EVERYTHING, Style())[132:]
    yield from _pixels()
    for file in sorted(DATA.rglob("*.dcm")):
        if file.stat().st_size <= SIZE_MAXIMUM:
            yield file.read_bytes()


def _pixels() -> Iterator[bytes]:
    for samples, planar in ((1, 0), (3, 0), (3, 1)):
        image = [
            Element(0x00280002, "US", struct.pack("<H", samples)),
            Element(0x00280004, "CS", "RGB" if samples == 3 else "MONOCHROME2"),
            Element(0x00280006, "US", struct.pack("<H", planar)),
            Element(0x00280008, "IS", "1"),
            Element(0x00280010, "US", b"\4\0"),
            Element(0x00280011, "US", b"\6\0"),
            Element(0x00280100, "US", b"\x08\0"),
            Element(0x00280101, "US", b"\x08\0"),
        ]
        for syntax in (EXPLICIT, BIG):
            yield write((*image, Element(0x7FE00010, "OW", bytes(range(24 * samples)))), Style(syntax))
        plain = write(tuple(image), Style())[
            len(file_head("1.2.840.10008.5.1.4.1.1.481.5", "1.2.3", EXPLICIT)) :
        ]
        for syntax in (RLE, JPEG_LS):
            yield file_head("1.2.840.10008.5.1.4.1.1.7", "1.2.3", syntax) + plain + _encapsulated(samples)


def _encapsulated(samples: int) -> bytes:
    """24 pixels as run lengths, a segment for each sample (PS3.5 annex G)."""
    segment = b"\xe9\x07" + b"\0"
    offsets = [64 + len(segment) * index for index in range(samples)] + [0] * (15 - samples)
    frame = struct.pack("<16I", samples, *offsets) + segment * samples
    frame += bytes(len(frame) % 2)
    start = struct.pack("<HH2sHI", 0x7FE0, 0x0010, b"OB", 0, 0xFFFFFFFF)
    items = struct.pack("<HHI", 0xFFFE, 0xE000, 0) + struct.pack("<HHI", 0xFFFE, 0xE000, len(frame)) + frame
    return start + items + struct.pack("<HHI", 0xFFFE, 0xE0DD, 0)
