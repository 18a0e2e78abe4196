"""One object's elements by keyword, with numbers that are finite and sizes that are bounded.

The walk over the bytes is `vault.dicom.elements`, which is total: here is only what turns raw values into numbers and
text. Where a data set holds an element twice, the first one counts.
"""

from __future__ import annotations

import io
import math
import zlib
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from vault.compare.geometry import GeometryError
from vault.dicom import dictionary, elements, part10
from vault.dicom.charset import Decoder, ascii_decoder, decoder, visible
from vault.dicom.elements import Buffer, Fragments
from vault.dicom.part10 import NotDicom

Floats = NDArray[np.float64]

NUMBERS_MAXIMUM = 1 << 20
"""Numbers in one value: a third as many points of a contour."""

INFLATED_MAXIMUM = 256 << 20
"""Bytes that a deflated data set may become."""

_TEXT_MAXIMUM = 1024
_CHARACTER_SET = 0x00080005
_BINARY = {"FD": "f8", "FL": "f4", "SL": "i4", "SS": "i2", "UL": "u4", "US": "u2", "US or SS": "u2"}
_PADDING = b" \0"


@dataclass(frozen=True, slots=True)
class DataSet:
    """A data set or an item of one."""

    buffer: Buffer = field(repr=False)
    transfer_syntax: str
    big_endian: bool
    decode: Decoder = field(repr=False)
    _elements: dict[int, elements.Element] = field(repr=False)

    def __contains__(self, keyword: str) -> bool:
        element = self._element(keyword)
        return element is not None and element[3] > 0

    def raw(self, keyword: str) -> bytes:
        """The bytes of a value as they lie; empty where it is absent."""
        element = self._element(keyword)
        return b"" if element is None else self.buffer[element[2] : element[2] + element[3]]

    def place(self, keyword: str) -> tuple[int, int]:
        """Offset and length of a value that is too long to be copied; (0, 0) where it is absent or in fragments."""
        element = self._element(keyword)
        return (0, 0) if element is None or element[4] is not None else (element[2], element[3])

    def encapsulated(self, keyword: str) -> int | None:
        """Offset of a value that is in fragments (PS3.5 annex A.4); None where it is not."""
        element = self._element(keyword)
        return element[2] if element is not None and isinstance(element[4], Fragments) else None

    def text(self, keyword: str) -> str:
        """A value as text on one line; empty where it is absent."""
        element = self._element(keyword)
        if element is None:
            return ""
        start = element[2]
        data = self.buffer[start : start + min(element[3], _TEXT_MAXIMUM)]
        return visible(self.decode(data).strip(" \0"))

    def number(self, keyword: str) -> float | None:
        """The one finite number that a value is, or None."""
        try:
            found = self.numbers(keyword)
        except GeometryError:
            return None
        return float(found[0]) if len(found) == 1 else None

    def numbers(self, keyword: str) -> Floats:
        """The numbers of a value; empty where it is absent. Raises GeometryError when one is no finite number."""
        data = self.raw(keyword)
        entry = dictionary.element(dictionary.tags_by_keyword()[keyword])
        kind = _BINARY.get(entry.vr if entry else "")
        found = self._binary(data, kind) if kind else _listed(data)
        if found is None or not np.isfinite(found).all():
            raise GeometryError(f"{keyword} holds what is no number")
        return found

    def items(self, keyword: str) -> list[DataSet]:
        """The items of a sequence; none where it is absent."""
        element = self._element(keyword)
        inside = element[4] if element else None
        if not isinstance(inside, list):
            return []
        return [_made(self.buffer, self.transfer_syntax, item, self.decode) for item in inside]

    def _element(self, keyword: str) -> elements.Element | None:
        return self._elements.get(dictionary.tags_by_keyword()[keyword])

    def _binary(self, data: bytes, kind: str) -> Floats | None:
        order = ">" if self.big_endian else "<"
        dtype = np.dtype(order + kind)
        if len(data) % dtype.itemsize or len(data) // dtype.itemsize > NUMBERS_MAXIMUM:
            return None
        with np.errstate(all="ignore"):
            return np.frombuffer(data, dtype).astype(np.float64)


def _listed(data: bytes) -> Floats | None:
    """Numbers separated by backslashes; None where one is none, or there are too many."""
    data = data.strip(_PADDING)
    if not data:
        return np.empty(0)
    if data.count(b"\\") >= NUMBERS_MAXIMUM or b"_" in data:
        return None
    try:
        found = np.fromiter(map(float, data.split(b"\\")), np.float64)
    except ValueError:
        return None
    return found


def read(data: bytes) -> DataSet:
    """The data set of a Part 10 file. Raises GeometryError for what is no DICOM file or is deflated without end."""
    try:
        syntax, offset = part10.dataset_offset(io.BytesIO(data))
    except NotDicom as error:
        raise GeometryError(f"the object is no DICOM file: {error}") from error
    if syntax == part10.DEFLATED:
        data, offset = _inflated(data, offset), 0
    parsed = elements.parse(data, offset, elements.encoding_of(data, offset, syntax))
    return _made(data, syntax, parsed, None)


def _made(buffer: Buffer, syntax: str, parsed: elements.Dataset, decode: Decoder | None) -> DataSet:
    found: dict[int, elements.Element] = {}
    for element in parsed.elements:
        found.setdefault(element[0], element)
    named = found.get(_CHARACTER_SET)
    if named is not None:
        decode = decoder(buffer[named[2] : named[2] + min(named[3], _TEXT_MAXIMUM)])
    return DataSet(buffer, syntax, parsed.big_endian, decode or ascii_decoder, found)


def _inflated(data: bytes, offset: int) -> bytes:
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    try:
        plain = inflater.decompress(memoryview(data)[offset:], INFLATED_MAXIMUM)
    except zlib.error as error:
        raise GeometryError("the data set is not deflated as its transfer syntax says") from error
    if inflater.unconsumed_tail:
        raise GeometryError(f"the data set inflates to more than {INFLATED_MAXIMUM >> 20} MiB")
    return plain


def positive(value: float | None) -> bool:
    """Whether a number is there, and a length."""
    return value is not None and math.isfinite(value) and value > 0
