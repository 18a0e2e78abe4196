"""The objects themselves, for what their normal forms hold digests of only: pixels and long contours.

Everything here is total: what can't be read as it should gives None, and the finding then says less.
"""

from __future__ import annotations

import io
import math
import struct
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from vault.compare.findings.places import place
from vault.dicom import dictionary
from vault.dicom.elements import Dataset, Fragments, encoding_of, parse
from vault.dicom.part10 import DEFLATED, NotDicom, dataset_offset
from vault.model import AttributeChange
from vault.normal.identity import identity_tags

LIST_MAXIMUM = 1 << 20
"""Bytes of a list of numbers that is read: more than there are spots in a layer, or points in a block."""

DIGEST = " bytes sha256:"
"""Stands in a value of the normal form that is too long to be written out."""

_FLOATS = {"FL": "f", "FD": "d", "OF": "f", "OD": "d"}

TEXT_MAXIMUM = 64
"""Bytes of a short value that is read as text."""


@dataclass(frozen=True, slots=True)
class Raw:
    """An object's bytes and where its elements lie in them."""

    data: bytes
    root: Dataset

    def value(self, tag: int, dataset: Dataset | None = None) -> memoryview | None:
        """The bytes of an element of the object, or of one of its items; None where there are none, or fragments."""
        for found, _, offset, length, inside in (dataset or self.root).elements:
            if found == tag:
                return None if inside is not None else memoryview(self.data)[offset : offset + length]
        return None

    def items(self, tag: int, dataset: Dataset | None = None) -> list[Dataset]:
        """The items of a sequence; none where it is no sequence."""
        for found, _, _, _, inside in (dataset or self.root).elements:
            if found == tag:
                return [] if inside is None or isinstance(inside, Fragments) else inside
        return []

    def text(self, tag: int, dataset: Dataset | None = None) -> str:
        """A short value as text, without padding; empty where there is none."""
        value = self.value(tag, dataset)
        return bytes(value[:TEXT_MAXIMUM]).decode("ascii", "replace").strip(" \0") if value else ""

    def number(self, tag: int) -> int | None:
        """A 16-bit number of the object."""
        value = self.value(tag)
        if value is None or len(value) != 2:
            return None
        return int.from_bytes(value, "big" if self.root.big_endian else "little")

    def decimal(self, tag: int, absent: float | None = None) -> float | None:
        """A finite number that is written as text; `absent` where there is no such element."""
        if self.value(tag) is None:
            return absent
        try:
            parsed = float(self.text(tag))
        except ValueError:
            return None
        return parsed if math.isfinite(parsed) else None


def raw(data: bytes) -> Raw | None:
    """Find an object's elements; None for what is no DICOM file, or a deflated one."""
    try:
        syntax, offset = dataset_offset(io.BytesIO(data))
    except NotDicom:
        return None
    if syntax == DEFLATED:
        return None
    return Raw(data, parse(data, offset, encoding_of(data, offset, syntax)))


def numbers(raw: Raw, path: str) -> list[float]:
    """The numbers of an element, by its path in the normal form; none where it is not there, or holds something else.

    The items on the way are found by the attribute that identifies them, as the normal form names them.
    """
    at, dataset = place(path), raw.root
    tags = dictionary.tags_by_keyword()
    for sequence, key in at.steps:
        tag = tags.get(sequence)
        items = raw.items(tag, dataset) if tag else []
        identity = identity_tags().get(tag or 0)
        named = [item for item in items if identity and raw.text(identity, item) == key]
        by_place = items[int(key) - 1 : int(key)] if not identity and key.isdecimal() and int(key) else []
        if len(found := named or by_place) != 1:
            return []
        dataset = found[0]
    return _numbers(raw, dataset, tags.get(at.name, 0))


def _numbers(raw: Raw, dataset: Dataset, tag: int) -> list[float]:
    value = raw.value(tag, dataset)
    declared = next((vr for found, vr, *_ in dataset.elements if found == tag), "")
    known = dictionary.element(tag)
    vr = declared if declared not in {"", "UN"} else known.vr if known else ""
    if value is None or len(value) > LIST_MAXIMUM:
        return []
    order = ">" if dataset.big_endian and declared != "UN" else "<"
    try:
        if vr in _FLOATS:
            return [one for (one,) in struct.iter_unpack(f"{order}{_FLOATS[vr]}", value)]
        if vr == "DS":
            return [float(one) for one in bytes(value).strip(b" \0").split(b"\\")]
    except (struct.error, ValueError):
        pass
    return []


class Contents:
    """Both sides of a changed object, read when first asked for."""

    def __init__(self, read: Callable[[], Iterator[bytes | None]]) -> None:
        self._read = read

    def written_out(self, change: AttributeChange) -> AttributeChange:
        """An attribute's change with its numbers, where the normal form holds digests of them."""
        if DIGEST not in (change.old or "") or DIGEST not in (change.new or "") or not self.sides:
            return change
        old, new = (numbers(raw, change.path) for raw in self.sides)
        if not old or not new or not all(map(math.isfinite, (*old, *new))):
            return change
        return replace(change, old=_joined(old), new=_joined(new))

    @cached_property
    def sides(self) -> tuple[Raw, Raw] | None:
        """The object before and after; None where one is too large, or can't be read."""
        both = [raw(data) if data else None for data in self._read()]
        old, new = both if len(both) == 2 else (None, None)
        return (old, new) if old and new else None


def _joined(values: Sequence[float]) -> str:
    return "\\".join(f"{value:.9g}" for value in values)
