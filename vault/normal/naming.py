"""What an element is called in the normal form, and in which order a data set's elements are said."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from operator import itemgetter
from typing import NamedTuple

from vault.dicom import dictionary
from vault.dicom.charset import Decoder
from vault.dicom.elements import Buffer, Dataset, Element
from vault.normal.text import creator

CREATOR_MAXIMUM = 1024
"""Bytes of a private creator; a longer one names nothing."""


class Name(NamedTuple):
    """What an element is called, and how it is read."""

    name: str
    vr: str
    """By the frozen dictionary, where the standard leaves a choice as `US or SS`; `UN` where it has none."""
    ordinary: bool = True
    """Nothing more has to be asked about elements of this tag."""


def public_name(tag: int) -> Name:
    """The name of a public element."""
    entry = dictionary.element(tag)
    if entry is None:
        return Name(tag_name(tag), "UN")
    if entry.repeating or not entry.keyword:  # 60xx: the keyword is shared, so the tag names it
        return Name(tag_name(tag), entry.vr)
    return Name(entry.keyword, entry.vr)


def tag_name(tag: int) -> str:
    """`(300a,00b2)`."""
    return f"({tag >> 16:04x},{tag & 0xFFFF:04x})"


def ordered(dataset: Dataset, buffer: Buffer, decode: Decoder) -> Iterator[tuple[Element, Name | None]]:
    """The elements by group and element number; private ones by their creator (PS3.5 7.8.1), not by their block.

    Private elements come with their names, made one at a time since an escaped creator may be long. Elements of the
    same name stay in the order of the bytes.
    """
    owners = {
        (tag >> 16, tag & 0xFF): decode(buffer[offset : offset + length]).strip(" \0")
        for tag, _, offset, length, _ in dataset.elements
        if _reserves(tag) and length <= CREATOR_MAXIMUM
    }
    keyed = [(_key(element[0], owners), element) for element in dataset.elements]
    keyed.sort(key=itemgetter(0))
    return ((element, _private_name(key)) for key, element in keyed)


_Key = tuple[int, int, str, int]
"""Group, kind, creator, element number: what elements are sorted by."""

_PUBLIC, _CREATOR, _OWNED, _UNOWNED = range(4)


def _reserves(tag: int) -> bool:
    """Whether this is a private creator element: (gggg,0010) to (gggg,00ff) of an odd group."""
    return bool(tag & 0x10000) and 0x10 <= tag & 0xFFFF <= 0xFF


def _key(tag: int, owners: dict[tuple[int, int], str]) -> _Key:
    group, element = tag >> 16, tag & 0xFFFF
    if not group & 1:
        return group, _PUBLIC, "", element
    if _reserves(tag):
        return group, _CREATOR, owners.get((group, element), ""), 0
    owner = owners.get((group, element >> 8), "")
    return (group, _OWNED, owner, element & 0xFF) if owner else (group, _UNOWNED, "", element)


_braced = lru_cache(maxsize=64)(creator)
"""The elements of a creator follow each other, as they are sorted by it."""


@lru_cache(maxsize=256)
def _private_name(key: _Key) -> Name | None:
    group, kind, owner, element = key
    if kind == _PUBLIC:
        return None
    if kind == _CREATOR:
        return Name(f"{_braced(owner)}({group:04x},00xx)", "LO", ordinary=False)
    if kind == _OWNED:
        return Name(f"{_braced(owner)}({group:04x},xx{element:02x})", "UN", ordinary=False)
    return Name(f"({group:04x},{element:04x})", "UN", ordinary=False)
