"""The normal form of a document: what its database row says, who changed it last, and its text.

    normal-form 1
    record.document_key UT "4711-3-1"
    record.title UT "Consent"
    stamp.changed_at UT "2026-11-20T09:12:00"
    stamp.file UT "2026Q4\\\\consent.pdf"
    content CS PDF
    text UT "I agree to the radiation treatment of the prostate."
    drawing OB 595x842 pixels 501832 bytes sha256:…

Lines of text have no numbers, so that one inserted in the middle moves no other. What can't be taken apart has one
line that says why, with its length and SHA-256. Where a document lies is a stamp: it moves when it is revised, and
when the server does.
"""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

from vault.files import CHUNK
from vault.model import Row
from vault.normal import rows
from vault.normal.documents.items import Item
from vault.normal.documents.reader import read
from vault.normal.text import escape, label, quote

STAMPS = ("changed_at", "changed_by", "file")
"""Columns of a document's row that say when, by whom and where it was put, and nothing of what it is."""

_DIGEST = re.compile(r"[\x20-\x7e]{0,120}[0-9]{1,20} bytes sha256:[0-9a-f]{64}", re.ASCII)
_WORDS = frozenset(("field", "note", "text"))
_DIGESTED = frozenset(("attachment", "drawing", "part"))


def normal_form(source: Path, row: Row) -> bytes:
    """The normal form of the document `source` with its database row. Raises OSError when it can't be read."""
    return head(row) + content(source)


def head(row: Row) -> bytes:
    """The part that comes from the row alone: all but the content."""
    lines = [
        rows.HEADER,
        *rows.fields("record.", row.fields, without=STAMPS),
        *rows.stamps("", row.fields, STAMPS),
    ]
    return "".join(f"{line}\n" for line in lines).encode()


def content(source: Path) -> bytes:
    """The part that comes from the document alone."""
    said = read(source)
    if said.kind and any(item.name in _WORDS for item in said.items):
        lines = [f"content CS {said.kind}", *map(_line, said.items)]
    else:
        kind = [f"content CS {said.kind}"] if said.kind else []
        lines = [*kind, _unread(source, said.reason or "no text in it: a picture of a page, or empty")]
    return "".join(f"{line}\n" for line in lines).encode()


def content_of(form: bytes) -> bytes:
    """The content's part of a normal form, so that a document whose row alone changed is not parsed again."""
    return form[_content_start(form) :]


def head_of(form: bytes) -> bytes:
    """The row's part of a normal form."""
    return form[: _content_start(form)]


def _content_start(form: bytes) -> int:
    start = form.find(b"\n") + 1
    while form.startswith((b"record.", b"stamp."), start):
        start = form.index(b"\n", start) + 1
    return start


def _line(item: Item) -> str:
    path = f"{item.name}[{label(escape(item.label))}]" if item.label else item.name
    if item.name in _DIGESTED and _DIGEST.fullmatch(item.value):
        return f"{path} OB {item.value}"
    return f"{path} UT {quote(item.value)}"


def _unread(source: Path, reason: str) -> str:
    digest, size = hashlib.sha256(), 0
    with source.open("rb") as file:
        while piece := file.read(CHUNK):
            digest.update(piece)
            size += len(piece)
    return f"(unread) UN {size} bytes sha256:{digest.hexdigest()} ({escape(reason)})"
