"""The raw structure of a data set: where each element's value lies, found with struct and no value objects.

The walk is total: truncated files, lengths that overrun and plain garbage end the container they stand in, and
what was not accounted for is kept as `Dataset.unparsed`. It looks only at element headers, so that the pages of
big values are never touched. Nesting and the number of elements are bounded.
"""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass, field
from enum import Enum
from mmap import mmap

from vault.dicom import dictionary, part10

DEPTH_MAXIMUM = 32
"""Sequences nested deeper than this are kept as unparsed bytes of the item that holds them."""

ELEMENTS_MAXIMUM = 1 << 20
"""Elements and items of one object, about 150 MB of memory; what follows is kept as unparsed bytes."""

UNDEFINED = 0xFFFFFFFF
PIXEL_DATA = 0x7FE00010
_ITEM, _ITEM_END, _SEQUENCE_END = 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD
_ITEM_BYTES = b"\xfe\xff\x00\xe0"

Buffer = bytes | mmap


class Encoding(Enum):
    """How elements are written (PS3.5 section 7.1)."""

    IMPLICIT = "implicit"
    EXPLICIT = "explicit"
    BIG = "big"


@dataclass(slots=True)
class Dataset:
    """A data set or an item: its elements in the order of the bytes."""

    elements: list[Element] = field(default_factory=list)
    big_endian: bool = False
    unparsed: tuple[int, int] | None = None
    """Offset and length of the bytes at its end that are no elements."""
    reason: str = ""
    """Why they are unparsed, where it is a bound of ours and not their fault."""


@dataclass(slots=True)
class Fragments:
    """The pieces of an encapsulated value (PS3.5 annex A.4) as (offset, length); the first is the offset table."""

    pieces: list[tuple[int, int]]


Element = tuple[int, str, int, int, "list[Dataset] | Fragments | None"]
"""Tag, VR as declared ("" where none is), offset and length of the value, and what is inside it, if anything."""

_SHORT = "AE AS AT CS DA DS DT FD FL IS LO LT PN SH SL SS ST TM UI UL US"
_LONG = "OB OD OF OL OV OW SQ SV UC UN UR UT UV"
_SHORT_FORM = {vr.encode(): vr for vr in _SHORT.split()}
_LONG_FORM = {vr.encode(): vr for vr in _LONG.split()}
_LETTERS = re.compile(rb"[A-Z]{2}")

_LITTLE_HEADER, _BIG_HEADER = (struct.Struct(f"{order}HHI").unpack_from for order in "<>")
"""Group, element and length: of items, their delimiters and implicit elements."""
_LITTLE_VR_HEADER, _BIG_VR_HEADER = (struct.Struct(f"{order}HH2sH").unpack_from for order in "<>")
_LITTLE_NUMBER, _BIG_NUMBER = (struct.Struct(f"{order}I").unpack_from for order in "<>")


def encoding_of(buffer: Buffer, offset: int, transfer_syntax: str) -> Encoding:
    """The encoding of the data set at `offset`: by its transfer syntax, unless its first element plainly disagrees."""
    if transfer_syntax == part10.EXPLICIT_BIG:
        return Encoding.BIG
    vr = buffer[offset + 4 : offset + 6]
    known = vr in _SHORT_FORM or vr in _LONG_FORM
    if transfer_syntax == part10.IMPLICIT_LITTLE:
        (length,) = struct.unpack("<I", (buffer[offset + 4 : offset + 8] + b"\0\0\0\0")[:4])
        return Encoding.EXPLICIT if known and length > len(buffer) - offset else Encoding.IMPLICIT
    return Encoding.EXPLICIT if known or len(vr) < 2 else Encoding.IMPLICIT


def parse(buffer: Buffer, offset: int, encoding: Encoding, stop: int | None = None) -> Dataset:
    """Walk the data set from `offset` to the end of `buffer`, or to the first element whose tag is above `stop`."""
    walk = _Walk(buffer)
    dataset, _ = walk.dataset(offset, len(buffer), encoding, 0, stop=stop)
    return dataset


class _Walk:
    """One pass over a buffer. `faults` counts what went wrong, so that a guess can be taken back."""

    def __init__(self, buffer: Buffer) -> None:
        self.buffer = buffer
        self.budget = ELEMENTS_MAXIMUM
        self.faults = 0
        self.sequence_tags = dictionary.sequence_tags()
        self.plain_tags = dictionary.plain_tags()

    def dataset(
        self,
        position: int,
        end: int,
        encoding: Encoding,
        depth: int,
        *,
        delimited: bool = False,
        stop: int | None = None,
    ) -> tuple[Dataset, int]:
        """Elements from `position` until `end`, or until the item delimiter where `delimited`; and where they end."""
        dataset = Dataset(big_endian=encoding is Encoding.BIG)
        if encoding is Encoding.IMPLICIT:
            position, closed = self._implicit(dataset, position, end, depth, delimited, stop)
        else:
            position, closed = self._explicit(dataset, position, end, depth, delimited, stop)
        if not closed and position < end:
            dataset.unparsed = (position, end - position)
            position = end
        if dataset.unparsed or (delimited and not closed):
            self.faults += 1
        return dataset, position

    def _implicit(  # noqa: C901 - the hot loop: one pass over the header of every element
        self, dataset: Dataset, position: int, end: int, depth: int, delimited: bool, stop: int | None
    ) -> tuple[int, bool]:
        """Fill `dataset`; returns where it stopped, and whether something (a delimiter, `stop`) closed it."""
        buffer = self.buffer
        header = _LITTLE_HEADER
        add = dataset.elements.append
        plain_tags = self.plain_tags
        while position + 8 <= end:
            group, low, length = header(buffer, position)
            tag = group << 16 | low
            if group == 0xFFFE:
                return (position + 8, True) if delimited and tag == _ITEM_END else (position, False)
            if stop is not None and tag > stop:
                return position, True
            self.budget -= 1
            if self.budget < 0:
                dataset.reason = "too many elements"
                return position, False
            start = position + 8
            if length == UNDEFINED:
                inside, after = self._undefined(tag, "", start, end, Encoding.IMPLICIT, depth)
                if inside is None:
                    dataset.reason = "nested too deeply"
                    return position, False
                add((tag, "", start, after - start, inside))
                position = after
                continue
            position = start + length
            if position > end:
                return start - 8, False
            if not length or tag in plain_tags:
                add((tag, "", start, length, None))
            elif tag in self.sequence_tags:
                add((tag, "", start, length, self._defined(start, position, Encoding.IMPLICIT, depth)))
            elif buffer[start : start + 4] == _ITEM_BYTES:
                add((tag, "", start, length, self._guessed(tag, start, position, depth)))
            else:
                add((tag, "", start, length, None))
        return position, False

    def _explicit(  # noqa: C901, PLR0911 - the hot loop
        self, dataset: Dataset, position: int, end: int, depth: int, delimited: bool, stop: int | None
    ) -> tuple[int, bool]:
        """As `_implicit`, for both byte orders."""
        buffer = self.buffer
        encoding = Encoding.BIG if dataset.big_endian else Encoding.EXPLICIT
        header = _BIG_VR_HEADER if dataset.big_endian else _LITTLE_VR_HEADER
        number = _BIG_NUMBER if dataset.big_endian else _LITTLE_NUMBER
        plain_tags = self.plain_tags
        add = dataset.elements.append
        while position + 8 <= end:
            group, low, code, length = header(buffer, position)
            tag = group << 16 | low
            if group == 0xFFFE:
                return (position + 8, True) if delimited and tag == _ITEM_END else (position, False)
            if stop is not None and tag > stop:
                return position, True
            self.budget -= 1
            if self.budget < 0:
                dataset.reason = "too many elements"
                return position, False
            element = position
            start = position + 8
            vr = _SHORT_FORM.get(code)
            if vr is None:
                vr = _LONG_FORM.get(code, "UN")
                # a VR of a later standard has the long form (PS3.5 7.1.2)
                if vr != "UN" or _LETTERS.fullmatch(code):
                    if start + 4 > end:
                        return element, False
                    (length,) = number(buffer, start)
                    start += 4
                else:  # not a VR: an implicit element amid explicit ones
                    (length,) = number(buffer, position + 4)
                    vr = ""
                if length == UNDEFINED:
                    inside, after = self._undefined(tag, vr, start, end, encoding, depth)
                    if inside is None:
                        dataset.reason = "nested too deeply"
                        return element, False
                    add((tag, vr, start, after - start, inside))
                    position = after
                    continue
            position = start + length
            if position > end:
                return element, False
            items = None
            if length and (tag not in plain_tags or vr == "SQ"):
                items = self._inside(tag, vr, start, length, encoding, depth)
            add((tag, vr, start, length, items))
        return position, False

    def _inside(
        self, tag: int, vr: str, start: int, length: int, encoding: Encoding, depth: int
    ) -> list[Dataset] | None:
        """The items in an explicit element of defined length, where there are some."""
        if vr == "SQ":
            return self._defined(start, start + length, encoding, depth)
        if vr in {"UN", ""} and tag in self.sequence_tags:
            return self._defined(start, start + length, Encoding.IMPLICIT, depth)
        if self.buffer[start : start + 4] == _ITEM_BYTES:
            return self._guessed(tag, start, start + length, depth)
        return None

    def _undefined(
        self, tag: int, vr: str, start: int, end: int, encoding: Encoding, depth: int
    ) -> tuple[list[Dataset] | Fragments | None, int]:
        """What an element of undefined length holds, and where it ends; None when it is nested too deeply."""
        if vr not in {"SQ", "UN", ""} or (tag == PIXEL_DATA and vr != "SQ"):
            return self._fragments(start, end, big=encoding is Encoding.BIG)
        if depth >= DEPTH_MAXIMUM:
            return None, start
        # UN is implicit little endian (PS3.5 6.2.2, note 2)
        inner = encoding if vr == "SQ" else Encoding.IMPLICIT
        return self._items(start, end, inner, depth + 1, delimited=True)

    def _defined(self, start: int, end: int, encoding: Encoding, depth: int) -> list[Dataset]:
        if depth >= DEPTH_MAXIMUM:
            self.faults += 1
            return [Dataset(unparsed=(start, end - start), reason="nested too deeply")]
        items, after = self._items(start, end, encoding, depth + 1, delimited=False)
        if after < end:
            self.faults += 1
            items.append(Dataset(unparsed=(after, end - after)))
        return items

    def _guessed(self, tag: int, start: int, end: int, depth: int) -> list[Dataset] | None:
        """Items in a private or unknown element, whose VR can't be known: only where every byte fits."""
        if dictionary.element(tag) is not None or depth >= DEPTH_MAXIMUM:
            return None
        faults, budget = self.faults, self.budget
        items = self._defined(start, end, Encoding.IMPLICIT, depth)
        if self.faults == faults:
            return items
        self.faults, self.budget = faults, budget
        return None

    def _items(
        self, position: int, end: int, encoding: Encoding, depth: int, *, delimited: bool
    ) -> tuple[list[Dataset], int]:
        """Items until `end` or, where `delimited`, the sequence delimiter; stops before what is no item."""
        header = _BIG_HEADER if encoding is Encoding.BIG else _LITTLE_HEADER
        items: list[Dataset] = []
        while position + 8 <= end:
            group, low, length = header(self.buffer, position)
            tag = group << 16 | low
            if tag == _SEQUENCE_END and delimited:
                return items, position + 8
            if tag != _ITEM or self.budget <= 0:
                break
            self.budget -= 1
            start = position + 8
            if length == UNDEFINED:
                dataset, position = self.dataset(start, end, encoding, depth, delimited=True)
            elif start + length > end:
                break
            else:
                dataset, position = self.dataset(start, start + length, encoding, depth)
            items.append(dataset)
        if delimited:  # the delimiter is missing, so all that follows is lost
            self.faults += 1
            if position < end:
                items.append(Dataset(unparsed=(position, end - position)))
                position = end
        return items, position

    def _fragments(self, position: int, end: int, *, big: bool) -> tuple[Fragments, int]:
        header = _BIG_HEADER if big else _LITTLE_HEADER
        pieces: list[tuple[int, int]] = []
        while position + 8 <= end:
            group, low, length = header(self.buffer, position)
            tag = group << 16 | low
            if tag == _SEQUENCE_END:
                return Fragments(pieces), position + 8
            self.budget -= 1
            if tag != _ITEM or position + 8 + length > end or self.budget < 0:
                break
            pieces.append((position + 8, length))
            position += 8 + length
        self.faults += 1
        return Fragments(pieces), position
