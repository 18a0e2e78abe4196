"""HTML, and MHT (RFC 2557), the web page with its pictures in one file that ARIA keeps as a document's preview.

Text as a browser would break it into lines, pictures by their bytes where the file has them. Scripts, styles and the
names that a program gives to parts don't show.
"""

from __future__ import annotations

import email.policy
import re
from collections.abc import Iterator
from email.message import Message
from email.parser import BytesParser
from html.parser import HTMLParser
from pathlib import Path

from vault.normal.documents.items import Item, TooMuchError, UnreadableError, carried, marked, text
from vault.normal.documents.plain import decoded

SIZE_MAXIMUM = 128 << 20
"""Bytes of a file that is read."""

PARTS_MAXIMUM = 1_000

_BLOCK_TAGS = """
address article aside blockquote body br caption center dd div dl dt fieldset figure footer form h1 h2 h3 h4 h5 h6 head
header hr html legend li main nav ol option p pre section table tbody td tfoot th thead title tr ul
"""
_BLOCKS = frozenset(_BLOCK_TAGS.split())
_UNSEEN = frozenset(("script", "style", "template"))
_STRUCK = frozenset(("s", "strike", "del"))
_CHARSET = re.compile(rb"<meta[^>]{0,200}charset=[\"']?([A-Za-z0-9_.:-]{1,40})", re.IGNORECASE)


def html_items(path: Path) -> Iterator[Item]:
    """Yield what an HTML file says."""
    yield from _html(_whole(path), None)


def mht_items(path: Path) -> Iterator[Item]:
    """Yield what an MHT file says. Raises UnreadableError where it has no parts."""
    message = BytesParser(policy=email.policy.compat32).parsebytes(_whole(path))
    pictures = []
    subject = message.get("Subject")
    if subject:
        yield from text(str(subject))
    for number, part in enumerate(message.walk()):
        if number > PARTS_MAXIMUM:
            raise TooMuchError
        if part.is_multipart():
            continue
        data = part.get_payload(decode=True)
        if not isinstance(data, bytes):
            raise UnreadableError("a damaged MHT")
        if part.get_content_type() == "text/html":
            yield from _html(data, _charset(part))
        elif part.get_content_type() == "text/plain":
            for line in decoded(data, _charset(part)).splitlines():
                yield from text(line)
        elif part.get_content_type() != "text/css":
            pictures.append(carried("part", [data], note=part.get_content_type()))
    yield from sorted(pictures)


def _whole(path: Path) -> bytes:
    if path.stat().st_size > SIZE_MAXIMUM:
        raise TooMuchError
    return path.read_bytes()


def _charset(part: Message) -> str | None:
    charset = part.get_param("charset")
    return charset if isinstance(charset, str) else None


def _html(data: bytes, charset: str | None) -> Iterator[Item]:
    declared = _CHARSET.search(data[:4096])
    reader = _Reader()
    reader.feed(decoded(data, charset or (declared[1].decode() if declared else None)))
    reader.close()
    reader.end_line()
    yield from reader.items


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.items: list[Item] = []
        self._line: list[tuple[str, str]] = []
        self._unseen = self._struck = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        said = dict(attrs)
        if tag in _BLOCKS:
            self.end_line()
        if tag in _UNSEEN:
            self._unseen += 1
        elif tag in _STRUCK:
            self._struck += 1
        elif tag == "img":
            self._picture(said)
        elif tag == "input" and (said.get("type") or "").lower() in {"checkbox", "radio"}:
            self._say("[x]" if "checked" in said else "[ ]")
        elif tag == "input":
            self._say(f" {said.get('value') or ''} ")

    def _picture(self, said: dict[str, str | None]) -> None:
        source = said.get("src") or ""
        self._say(f" {said.get('alt') or ''} ")
        if source.startswith("data:"):
            self.items.append(carried("part", [source.encode("utf-8", "replace")], note="data"))

    def handle_endtag(self, tag: str) -> None:
        if tag in _BLOCKS:
            self.end_line()
        elif tag in _UNSEEN:
            self._unseen = max(self._unseen - 1, 0)
        elif tag in _STRUCK:
            self._struck = max(self._struck - 1, 0)

    def handle_data(self, data: str) -> None:
        if not self._unseen and data:
            self._say(data)

    def _say(self, said: str) -> None:
        self._line.append(("struck" if self._struck else "", said))

    def end_line(self) -> None:
        """What came since the last block is a line."""
        self.items.extend(text(marked(self._line)))
        self._line.clear()
