"""Data sets written by hand in every encoding, so that the same content can be had in many bytes.

It shares no code with what it tests. A data set is a list of `Element`s; values are little endian bytes, text, or
items.
"""

from __future__ import annotations

import io
import struct
import zlib
from dataclasses import dataclass, replace
from pathlib import Path

from vault.dicom.part10 import file_head
from vault.normal.dicom import normal_form

IMPLICIT, EXPLICIT = "1.2.840.10008.1.2", "1.2.840.10008.1.2.1"
BIG, DEFLATED = "1.2.840.10008.1.2.2", "1.2.840.10008.1.2.1.99"
CODECS = {"ISO_IR 100": "latin_1", "ISO_IR 192": "utf_8", "GB18030": "gb18030"}

_LONG = {"OB", "OD", "OF", "OL", "OV", "OW", "SQ", "SV", "UC", "UN", "UR", "UT", "UV"}
_WORD = {"AT": 2, "OW": 2, "SS": 2, "US": 2, "FL": 4, "OF": 4, "OL": 4, "SL": 4, "UL": 4}
_WORD |= {"FD": 8, "OD": 8, "OV": 8, "SV": 8, "UV": 8}


@dataclass(frozen=True)
class Element:
    """One element. Private ones are given as of block 10: (gggg,0010) and (gggg,10ee)."""

    tag: int
    vr: str
    value: bytes | str | tuple[tuple[Element, ...], ...]


Items = tuple[tuple[Element, ...], ...]


@dataclass(frozen=True)
class Style:
    """How a data set is written."""

    syntax: str = EXPLICIT
    undefined: bool = False
    group_lengths: bool = False
    charset: str = "ISO_IR 192"
    block: int = 0x10
    """The private block that is really written."""
    pad: bytes = b" "


def write(elements: tuple[Element, ...], style: Style) -> bytes:
    """The data set as a Part 10 file."""
    named = Element(0x00080005, "CS", style.charset)
    data = _dataset((named, *(element for element in elements if element.tag != named.tag)), style)
    if style.syntax == DEFLATED:
        deflater = zlib.compressobj(wbits=-zlib.MAX_WBITS)
        data = deflater.compress(data) + deflater.flush()
        data += bytes(len(data) % 2)
    return file_head("1.2.840.10008.5.1.4.1.1.481.5", "1.2.3", style.syntax) + data


def _dataset(elements: tuple[Element, ...], style: Style) -> bytes:
    placed = sorted((_placed(element, style) for element in elements), key=lambda element: element.tag)
    groups: dict[int, bytes] = {}
    for element in placed:
        group = element.tag >> 16
        groups[group] = groups.get(group, b"") + _element(element, style)
    data = b""
    for group, body in groups.items():
        if style.group_lengths:
            data += _element(Element(group << 16, "UL", struct.pack("<I", len(body))), style)
        data += body
    return data


def _placed(element: Element, style: Style) -> Element:
    """A private element in the block of this style."""
    group, low = element.tag >> 16, element.tag & 0xFFFF
    if not group & 1:
        return element
    low = low - 0x10 + style.block if low <= 0xFF else (low & 0xFF) | style.block << 8
    return replace(element, tag=group << 16 | low)


def _element(element: Element, style: Style) -> bytes:
    big = style.syntax == BIG
    order = ">" if big else "<"
    value, length = _value(element, style, big=big)
    tag = struct.pack(order + "HH", element.tag >> 16, element.tag & 0xFFFF)
    if style.syntax == IMPLICIT:
        return tag + struct.pack("<I", length) + value
    if element.vr in _LONG:
        return tag + element.vr.encode() + b"\0\0" + struct.pack(order + "I", length) + value
    return tag + element.vr.encode() + struct.pack(order + "H", length) + value


def _value(element: Element, style: Style, *, big: bool) -> tuple[bytes, int]:
    if isinstance(element.value, tuple):
        return _items(element.value, style, ">" if big else "<")
    if isinstance(element.value, str):
        data = element.value.encode(CODECS[style.charset])
        data += (b"\0" if element.vr == "UI" else style.pad) * (len(data) % 2)
    else:
        data = element.value + bytes(len(element.value) % 2)
        width = _WORD.get(element.vr, 1)
        if big and width > 1:
            data = b"".join(data[start : start + width][::-1] for start in range(0, len(data), width))
    return data, len(data)


def _items(items: Items, style: Style, order: str) -> tuple[bytes, int]:
    data = b""
    for item in items:
        body = _dataset(item, style)
        if style.undefined:
            data += struct.pack(order + "HHI", 0xFFFE, 0xE000, 0xFFFFFFFF) + body
            data += struct.pack(order + "HHI", 0xFFFE, 0xE00D, 0)
        else:
            data += struct.pack(order + "HHI", 0xFFFE, 0xE000, len(body)) + body
    if style.undefined:
        return data + struct.pack(order + "HHI", 0xFFFE, 0xE0DD, 0), 0xFFFFFFFF
    return data, len(data)


def form(path: Path, data: bytes | None = None) -> list[str]:
    """The lines of the normal form of the file `path`, which becomes `data` first where that is given."""
    if data is not None:
        path.write_bytes(data)
    out = io.BytesIO()
    normal_form(path, out)
    text = out.getvalue().decode("utf-8")
    assert text.startswith("normal-form 1\n")
    assert text.endswith("\n")
    return text.splitlines()[1:] if "\x85" not in text and "\u2028" not in text else text.split("\n")[1:-1]


def form_of(path: Path, *elements: Element, **style: str | bool | bytes | int) -> list[str]:
    """The lines of the normal form of a data set of `elements`, written in a style."""
    return form(path, write(elements, Style(**style)))  # type: ignore[arg-type]
