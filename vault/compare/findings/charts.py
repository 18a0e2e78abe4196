"""Documents, notes and rows of the ROIS's database: what their normal forms say differs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from vault.compare.findings.places import items, place, prefix
from vault.compare.findings.said import Said
from vault.compare.findings.telling import tell
from vault.compare.findings.vocabulary import Item, Vocabulary
from vault.model import AttributeChange

_TEXT = "text"


def document(attributes: Sequence[AttributeChange]) -> list[Said]:
    """What changed in a document: its row, field by field; of its text, how many lines."""
    rest = [one for one in attributes if one.path != _TEXT and not _is_stamp(one)]
    said = []
    if lines := [one for one in attributes if one.path == _TEXT]:
        said.append(Said("document.text", _lines(lines), frozenset({_TEXT})))
    for told in tell(
        Vocabulary("document", {}), [one for one in rest if one.path.startswith("record.")], b"", b""
    ):
        said.append(Said("document.record", told.text.removeprefix("record "), told.attributes))
    for told in tell(
        Vocabulary("document", {}), [one for one in rest if not one.path.startswith("record.")], b"", b""
    ):
        said.append(Said("document.content", told.text, told.attributes))
    return said


def _lines(lines: Sequence[AttributeChange]) -> str:
    kinds = {
        "changed": sum(one.old is not None and one.new is not None for one in lines),
        "added": sum(one.old is None for one in lines),
        "removed": sum(one.new is None for one in lines),
    }
    said = ", ".join(f"{count} {kind}" for kind, count in kinds.items() if count)
    return f"lines of text: {said}"


def rows(query: str, attributes: Sequence[AttributeChange], old: bytes, new: bytes) -> list[Said]:
    """What changed in the rows of a query: values field by field, and rows that came or went."""
    words = Vocabulary("database", {}, {query: Item("row", query)})
    before = items(old)
    told = [one for one in attributes if not _is_stamp(one)]
    added = [one for one in told if one.old is None and prefix(place(one.path).steps[:1]) not in before]
    new_rows = {id(one) for one in added}
    changed = [one for one in told if id(one) not in new_rows]
    return [
        *(replace(one, subject=f"database.{query}") for one in tell(words, changed, old, new)),
        *(replace(one, subject=f"database-added.{query}") for one in tell(words, added, old, new)),
    ]


def _is_stamp(change: AttributeChange) -> bool:
    return change.path.startswith("stamp.") or "].stamp." in change.path
