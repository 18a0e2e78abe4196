"""The objects themselves, for what their normal forms hold digests of only: pixels and long contours.

Everything here is total: what can't be read as it should gives None, and the finding then says less.
"""

from __future__ import annotations

import io
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property

from vault.dicom.elements import Dataset, Fragments, encoding_of, parse
from vault.dicom.part10 import DEFLATED, NotDicom, dataset_offset

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


class Contents:
    """Both sides of a changed object, read when first asked for."""

    def __init__(self, read: Callable[[], Iterator[bytes | None]]) -> None:
        self._read = read

    @cached_property
    def sides(self) -> tuple[Raw, Raw] | None:
        """The object before and after; None where one is too large, or can't be read."""
        both = [raw(data) if data else None for data in self._read()]
        old, new = both if len(both) == 2 else (None, None)
        return (old, new) if old and new else None
