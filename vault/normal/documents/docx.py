"""DOCX (ISO/IEC 29500): a line per paragraph, from the body, then headers, footers, notes and comments.

What was crossed out, and what a tracked change deleted, is said as such: a word with a line through it is not the
word. Pictures and embedded files are compared by their bytes; styles, settings, properties and ids don't show.
"""

from __future__ import annotations

import re
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any
from xml.sax import SAXException
from xml.sax.handler import ContentHandler, feature_namespaces

from defusedxml import DefusedXmlException
from defusedxml.sax import make_parser

from vault.normal.documents.items import Item, TooMuchError, UnreadableError, carried, marked, text

UNPACKED_MAXIMUM = 128 << 20
"""Bytes that all parts together may unpack to."""

PARTS_MAXIMUM = 10_000

BODY = "word/document.xml"
_PIECE = 1 << 16
_BESIDE = re.compile(r"word/(?:header|footer|footnotes|endnotes|comments)[0-9]*\.xml")
_CARRIED = re.compile(r"word/(?:media|embeddings|charts|diagrams|activeX|ink)/[^/]+|word/vbaProject\.bin")
_STRUCK = frozenset(("strike", "dstrike"))
_OFF = frozenset(("0", "false", "off"))


def items(path: Path) -> Iterator[Item]:
    """Yield what a DOCX says. Raises UnreadableError for what is no DOCX, TooMuchError for a bomb."""
    try:
        with zipfile.ZipFile(path) as package:
            yield from _package(package)
    except TooMuchError:
        raise
    except DefusedXmlException:
        raise UnreadableError("it defines entities, which no word processor writes") from None
    except (zipfile.BadZipFile, zlib.error, RuntimeError, NotImplementedError, SAXException, KeyError, OSError,
            ValueError, EOFError):  # fmt: skip
        raise UnreadableError("a damaged or locked DOCX") from None


def _package(package: zipfile.ZipFile) -> Iterator[Item]:
    names = sorted(set(package.namelist()))
    if len(names) > PARTS_MAXIMUM:
        raise TooMuchError
    left = [UNPACKED_MAXIMUM]
    for name in [BODY, *filter(_BESIDE.fullmatch, names)]:
        reader = _Paragraphs()
        parser = make_parser()
        parser.setFeature(feature_namespaces, True)
        parser.forbid_dtd = True
        parser.setContentHandler(reader)
        with package.open(name) as part:
            for piece in _pieces(part, left):
                parser.feed(piece)
                yield from reader.taken()
        parser.close()
        yield from reader.taken()
    pictures = []
    for name in filter(_CARRIED.fullmatch, names):
        with package.open(name) as part:
            pictures.append(carried("part", _pieces(part, left), note=name.split("/")[1]))
    yield from sorted(pictures)  # word processors number them anew


def _pieces(part: IO[bytes], left: list[int]) -> Iterator[bytes]:
    while piece := part.read(_PIECE):
        left[0] -= len(piece)
        if left[0] < 0:
            raise TooMuchError
        yield piece


class _Paragraphs(ContentHandler):
    """Collects the text of paragraphs as they end; cells of a table are paragraphs too."""

    def __init__(self) -> None:
        super().__init__()
        self._items: list[Item] = []
        self._open: list[list[tuple[str, str]]] = [[]]
        self._in_text = False
        self._deleted = self._struck = False

    def taken(self) -> list[Item]:
        """The items since the last call."""
        items, self._items = self._items, []
        return items

    def startElementNS(self, name: tuple[str | None, str], _qname: str | None, attributes: Any) -> None:  # noqa: N802
        """Enter an element."""
        said = {key[1]: value for key, value in attributes.items()}
        match name[1]:
            case "p":
                self._open.append([])  # a text box stands within a paragraph
            case "r":
                self._struck = False
            case "t" | "delText" | "instrText":
                self._in_text = name[1] != "instrText"
                self._deleted = name[1] == "delText"
            case "tab" | "br" | "cr":
                self._say(" ")
            case "noBreakHyphen":
                self._say("-")
            case "sym":
                self._say(_symbol(said.get("char", "")))
            case "checked":
                self._say("[ ]" if said.get("val") in _OFF else "[x]")
            case struck if struck in _STRUCK:
                self._struck = said.get("val") not in _OFF

    def endElementNS(self, name: tuple[str | None, str], _qname: str | None) -> None:  # noqa: N802
        """Leave an element."""
        if name[1] in {"t", "delText"}:
            self._in_text = False
        elif name[1] == "p" and len(self._open) > 1:
            self._items.extend(text(marked(self._open.pop())))

    def characters(self, content: str) -> None:
        """Take text."""
        if self._in_text:
            self._say(content)

    def _say(self, said: str) -> None:
        mark = "deleted" if self._deleted else "struck" if self._struck else ""
        self._open[-1].append((mark, said))


def _symbol(code: str) -> str:
    """A character of a symbol font, such as the tick of Wingdings: by its number there."""
    return chr(int(code, 16)) if re.fullmatch(r"[0-9A-Fa-f]{1,4}", code) else "?"
