"""Plain text, in UTF-8, UTF-16 with its mark, or else Windows-1252."""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator
from pathlib import Path

from vault.normal.documents.items import Item, UnreadableError, text

_CONTROLS = re.compile("[\x00-\x08\x0e-\x1a\x1c-\x1f\x7f]")
_MARKS = {codecs.BOM_UTF8: "utf-8-sig", codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16"}


def items(path: Path) -> Iterator[Item]:
    """Yield the lines of a text file. Raises UnreadableError for bytes that no text has."""
    encoding = _encoding(path)
    with path.open(encoding=encoding, errors="surrogateescape" if encoding == "cp1252" else "strict") as file:
        try:
            for line in file:
                if _CONTROLS.search(line):
                    raise UnreadableError("no kind of document that the vault can read")
                yield from text(line)
        except UnicodeError:
            raise UnreadableError("text in no character set that the vault knows") from None


def decoded(data: bytes, charset: str | None) -> str:
    """Text in the character set that is declared, else in UTF-8, else in Windows-1252: total."""
    for name in filter(None, (charset, "utf-8")):
        try:
            return data.decode(codecs.lookup(name).name)
        except (LookupError, UnicodeError, ValueError):
            continue
    return data.decode("cp1252", "replace")


def _encoding(path: Path) -> str:
    decoder = codecs.getincrementaldecoder("utf-8")()
    with path.open("rb") as file:
        start = file.read(3)
        for mark, name in _MARKS.items():
            if start.startswith(mark):
                return name
        file.seek(0)
        try:
            while piece := file.read(1 << 20):
                decoder.decode(piece)
            decoder.decode(b"", final=True)
        except UnicodeError:
            return "cp1252"
    return "utf-8"
