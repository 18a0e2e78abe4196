"""Which kind of document a file is, by its first bytes: a name says what somebody wants it to be taken for."""

from __future__ import annotations

import re
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

from vault.normal.documents.items import Item, UnreadableError

HEAD = 4096
"""Bytes that are looked at."""

Extract = Callable[[Path], Iterator[Item]]

_HTML = re.compile(
    rb"\s*(?:<\?xml[^>]*>\s*)?(?:<!--.*?-->\s*)*<(?:!doctype\s+html|html|head|body)\b", re.I | re.S
)
_MHT = re.compile(rb"(?:[A-Za-z-]+:.*\r?\n(?:[ \t].*\r?\n)*)*?MIME-Version:", re.IGNORECASE)


def format_of(path: Path) -> tuple[str, Extract]:
    """The name of a file's format, and what takes it apart. Raises UnreadableError for one that is not known."""
    with path.open("rb") as file:
        head = file.read(HEAD)
    if b"%PDF-" in head[:1024]:  # PDF 32000-1, annex H.3.4.1: within the first 1024 bytes
        from vault.normal.documents import pdf  # noqa: PLC0415 - each format pays for its own library

        return "PDF", pdf.items
    if head.startswith(b"PK\x03\x04"):
        return "DOCX", _docx(path)
    if head.lstrip().startswith(b"{\\rtf"):
        from vault.normal.documents import rtf  # noqa: PLC0415

        return "RTF", rtf.items
    if head.startswith(b"\xd0\xcf\x11\xe0"):
        raise UnreadableError("a DOC, XLS or other file of the old Office format, which the vault can't read")
    from vault.normal.documents import plain, web  # noqa: PLC0415

    if _MHT.match(head):
        return "MHT", web.mht_items
    if _HTML.match(head.removeprefix(b"\xef\xbb\xbf")):
        return "HTML", web.html_items
    return "TEXT", plain.items


def _docx(path: Path) -> Extract:
    from vault.normal.documents import docx  # noqa: PLC0415

    try:
        with zipfile.ZipFile(path) as package:
            package.getinfo(docx.BODY)
    except (zipfile.BadZipFile, KeyError, NotImplementedError, OSError, ValueError):
        raise UnreadableError("a ZIP file that is no DOCX") from None
    return docx.items
