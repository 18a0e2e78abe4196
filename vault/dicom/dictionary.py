"""A frozen dictionary: what each tag is called, how it is read, and what a UID stands for.

`dictionary.tsv` is made once by `tools/make_dictionary.py` and then kept: the normal form is a pure function of
the bytes and its version, so the table must not move with a library's upgrade. It is read on first use.
"""

from __future__ import annotations

from functools import cache
from importlib import resources
from typing import NamedTuple


class Entry(NamedTuple):
    """What PS3.6 says of one element."""

    vr: str
    """`DS`, or where the standard leaves a choice `US or SS`, `OB or OW`, `US or OW`, `US or SS or OW`."""
    keyword: str
    """`RTPlanLabel`; empty where the standard gave none."""
    repeating: bool = False
    """The keyword is shared by the groups of a repeating group such as 60xx, so it does not name one element."""


class _Tables(NamedTuple):
    elements: dict[int, Entry]
    repeaters: dict[int, dict[int, Entry]]
    uids: dict[str, str]


@cache
def _tables() -> _Tables:
    tables = _Tables({}, {}, {})
    text = resources.files("vault.dicom").joinpath("dictionary.tsv").read_text("utf-8")
    for line in text.splitlines()[1:]:  # the first says where it is from
        kind, key, *rest = line.split("\t")
        if kind == "E":
            tables.elements[int(key, 16)] = Entry(rest[0], rest[1])
        elif kind == "U":
            tables.uids[key] = rest[0]
        elif kind == "R":
            mask = int("".join("0" if digit == "x" else "f" for digit in key), 16)
            value = int(key.replace("x", "0"), 16)
            tables.repeaters.setdefault(mask, {})[value] = Entry(rest[0], rest[1], repeating=True)
    return tables


def element(tag: int) -> Entry | None:
    """The entry of a public element (`0x300a00b2`), or None for private and unknown ones."""
    tables = _tables()
    found = tables.elements.get(tag)
    if found is not None:
        return found
    if tag & 0x10000:  # odd groups are private, also where a repeating group's mask would match
        return None
    for mask, entries in tables.repeaters.items():
        found = entries.get(tag & mask)
        if found is not None:
            return found
    return None


@cache
def sequence_tags() -> frozenset[int]:
    """Every tag that is a sequence by the dictionary (but for those of repeating groups)."""
    return frozenset(tag for tag, entry in _tables().elements.items() if entry.vr == "SQ")


@cache
def plain_tags() -> frozenset[int]:
    """Every tag that is not a sequence by the dictionary (but for those of repeating groups)."""
    return frozenset(_tables().elements) - sequence_tags()


@cache
def tags_by_keyword() -> dict[str, int]:
    """The tag of each keyword that names exactly one element."""
    return {entry.keyword: tag for tag, entry in _tables().elements.items() if entry.keyword}


def uid_name(uid: str) -> str:
    """What a UID of PS3.6 stands for, such as `RT Plan Storage`; empty when it is not in the table."""
    return _tables().uids.get(uid, "")
