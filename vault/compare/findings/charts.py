"""Documents, notes and rows of the ROIS's database: what their normal forms say differs, and who changed it when."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

from vault.compare.findings import wording
from vault.compare.findings.places import items, place, prefix
from vault.compare.findings.quantities import shown
from vault.compare.findings.said import Said
from vault.compare.findings.telling import tell
from vault.compare.findings.vocabulary import Item, Vocabulary
from vault.model import AttributeChange

_TEXT = "text"
_APPROVAL = frozenset({"record.approved", "record.approved_by"})
_ROW = re.compile(r"row ([^:]+?)(?:: | added$)")

STEPS = ("", "unapproved", "reviewed", "planapproval", "treatapproval", "completed")
"""What the status of a plan is in a database, in the order in which it comes to be; in small letters."""

_ALSO = {
    "planningapproved": "planapproval",
    "treatmentapproved": "treatapproval",
    "externalapproval": "treatapproval",
}


def document(attributes: Sequence[AttributeChange], old: bytes = b"", new: bytes = b"") -> list[Said]:
    """What changed in a document: its row, field by field; its text, word by word. `old`, `new`: its normal forms."""
    rest = [one for one in attributes if one.path != _TEXT and not _is_stamp(one)]
    words = Vocabulary("document", {})
    approved = b"\nrecord.approved UT " in old
    said = []
    if lines := [one for one in attributes if one.path == _TEXT]:
        subject, when = ("text-after-approval", ", after it had been approved") if approved else ("text", "")
        said.append(Said(f"document.{subject}", f"{wording.told(lines)}{when}", frozenset({_TEXT})))
    approval = [one for one in rest if one.path in _APPROVAL]
    given = bool(approval) and all(one.old is None for one in approval)
    for told in tell(words, [one for one in rest if one.path.startswith("record.")], b"", b""):
        subject = "record"
        if told.attributes <= _APPROVAL:
            subject = "approval-given" if given else "approval"
        said.append(Said(f"document.{subject}", told.text.removeprefix("record "), told.attributes))
    for told in tell(words, [one for one in rest if not one.path.startswith("record.")], b"", b""):
        subject = "content-after-approval" if approved else "content"
        said.append(Said(f"document.{subject}", told.text, told.attributes))
    by = _who(_of_document(new, b"changed_at"), _of_document(new, b"changed_by"))
    return [replace(one, text=f"{one.text}{by}") for one in said]


def rows(query: str, attributes: Sequence[AttributeChange], old: bytes, new: bytes) -> list[Said]:
    """What changed in the rows of a query: values field by field, and rows that came or went."""
    words = Vocabulary("database", {}, {query: Item("row", query)})
    before = items(old)
    told = [one for one in attributes if not _is_stamp(one)]
    added = [one for one in told if one.old is None and prefix(place(one.path).steps[:1]) not in before]
    new_rows = {id(one) for one in added}
    changed = [one for one in told if id(one) not in new_rows]
    forward = _forward(changed)
    said = [
        *(replace(one, subject=f"database.{query}") for one in tell(words, changed, old, new)),
        *(replace(one, subject=f"database-added.{query}") for one in tell(words, added, old, new)),
    ]
    return [_signed(_stepped(one, forward), query, new) for one in said]


def _forward(changed: Sequence[AttributeChange]) -> frozenset[str]:
    """The rows whose status took a step that it takes in the course of planning."""
    steps = [one for one in changed if place(one.path).name == "status"]
    return frozenset(
        shown(place(one.path).steps[0][1])
        for one in steps
        if place(one.path).steps
        and _step(one.old) is not None
        and (_step(one.new) or 0) > (_step(one.old) or 0)
    )


def _step(status: str | None) -> int | None:
    plain = (status or "").strip('"').replace(" ", "").lower()
    plain = _ALSO.get(plain, plain)
    return STEPS.index(plain) if plain in STEPS else None


def _stepped(said: Said, forward: frozenset[str]) -> Said:
    row = _ROW.match(said.text)
    if row and row[1] in forward and said.attributes <= {"status", "status_at"}:
        return replace(said, subject="database.status-forward")
    return said


def _signed(said: Said, query: str, new: bytes) -> Said:
    """A finding about one row with who changed it, and when."""
    row = _ROW.match(said.text)
    if row is None:
        return said
    stamps = [
        re.search(
            rb"\n%s\[%s\]\.stamp\.%s UT ([^\n]+)" % (query.encode(), re.escape(row[1].encode()), name), new
        )
        for name in (b"changed_at", b"changed_by")
    ]
    by = _who(*(match[1].decode("utf-8", "replace") if match else "" for match in stamps))
    return replace(said, text=f"{said.text}{by}")


def _of_document(form: bytes, name: bytes) -> str:
    match = re.search(rb"\nstamp\.%s UT ([^\n]+)" % name, form)
    return match[1].decode("utf-8", "replace") if match else ""


def _who(when: str, who: str) -> str:
    """`; changed 2026-11-24 14:00 by R. Lindqvist`, as far as the database says it."""
    parts = []
    if when:
        parts.append(shown(when).replace("T", " ").removesuffix(":00"))
    if who:
        parts.append(f"by {shown(who)}")
    return f"; changed {' '.join(parts)}" if parts else ""


def _is_stamp(change: AttributeChange) -> bool:
    return change.path.startswith("stamp.") or "].stamp." in change.path
