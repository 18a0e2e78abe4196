"""Documents and database rows compared: the row field by field, the text line by line."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from difflib import SequenceMatcher
from itertools import zip_longest

from vault.compare.lines import attribute_changes
from vault.model import AttributeChange
from vault.normal.rows import is_stamp, unquoted

ALIGNED_MAXIMUM = 4_000
"""Lines of text on either side, between what both begin and end with, that are aligned; more are compared as a set."""

_TEXT = b"text UT "
_TITLE = b'record.title UT "'


def form_changes(old: bytes, new: bytes) -> tuple[AttributeChange, ...]:
    """What turns one normal form of a document or of rows into another; empty where only stamps moved.

    Lines of text have no number of their own, so they are aligned: one that was inserted is one change, wherever it
    stands, and one in which a word differs stands against the line it was.
    """
    before, after = old.splitlines(), new.splitlines()
    said = attribute_changes(_without_text(before), _without_text(after))
    text = _text_changes(_text(before), _text(after))
    if not text and all(is_stamp(change.path.encode()) for change in said):
        return ()
    return (*said, *text)


def document_title(form: bytes, otherwise: str) -> str:
    """A document's title, as its normal form says it."""
    for line in form.splitlines():
        if line.startswith(_TITLE):
            return unquoted(line.split(b" UT ", 1)[1].decode("utf-8", "replace")).strip() or otherwise
    return otherwise


def _without_text(lines: Iterable[bytes]) -> bytes:
    return b"".join(line + b"\n" for line in lines if not line.startswith(_TEXT))


def _text(lines: Iterable[bytes]) -> list[str]:
    marked = (line for line in lines if line.startswith(_TEXT))
    return [line.removeprefix(_TEXT).decode("utf-8", "backslashreplace") for line in marked]


def _text_changes(old: list[str], new: list[str]) -> list[AttributeChange]:
    start = _same(old, new)
    old, new = old[start:], new[start:]
    end = _same(old[::-1], new[::-1])
    old, new = old[: len(old) - end], new[: len(new) - end]
    if max(len(old), len(new)) > ALIGNED_MAXIMUM:
        forms = (b"".join(_TEXT + line.encode() + b"\n" for line in lines) for lines in (old, new))
        return list(attribute_changes(*forms))
    return [_changed(was, now) for was, now in _aligned(old, new)]


def _same(one: list[str], two: list[str]) -> int:
    """How many lines two lists begin with in common."""
    return next(
        (n for n, (a, b) in enumerate(zip(one, two, strict=False)) if a != b), min(len(one), len(two))
    )


def _aligned(old: list[str], new: list[str]) -> Iterator[tuple[str | None, str | None]]:
    for kind, i1, i2, j1, j2 in SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
        if kind != "equal":
            yield from zip_longest(old[i1:i2], new[j1:j2])


def _changed(was: str | None, now: str | None) -> AttributeChange:
    return AttributeChange("text", "text", "", "UT", was, now)
