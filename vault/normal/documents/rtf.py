"""RTF (specification 1.9.1): a line per paragraph, headers, footers, notes and text boxes included.

A reader of our own: those to be had leave out headers, footnotes and text boxes without a word, so that a change in
them would pass for none. Pictures and embedded objects are compared by their bytes; tables of fonts, colours, styles
and revisions, and the properties with their dates, don't show.
"""

from __future__ import annotations

import codecs
import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from vault.normal.documents.items import Item, TooMuchError, UnreadableError, carried, marked, text

SIZE_MAXIMUM = 256 << 20
"""Bytes of a file that is read."""

DEPTH_MAXIMUM = 1_000

_TOKEN = re.compile(
    rb"\\([a-zA-Z]{1,32})(-?[0-9]{1,10})? ?|\\'([0-9a-fA-F]{2})|\\(\r\n|[^a-zA-Z])|([{}])|[\r\n]+|([^\\{}\r\n]+)",
    re.DOTALL,
)
_LEFT_OUT = frozenset(
    b"fonttbl colortbl stylesheet info generator listtable listoverridetable rsidtbl revtbl filetbl themedata "
    b"colorschememapping latentstyles datastore xmlnstbl fldinst pgdsctbl userprops docvar bkmkstart bkmkend "
    b"template operator mmathPr wgrffmtfilter upr sp panose blipuid picprop nonshppict xe tc rxe "
    b"atnid atnref atndate atntime atnparent".split()
)
_DATA = frozenset(b"pict objdata".split())
_BREAKS = frozenset(b"par line sect page column row cell nestcell nestrow softline".split())
_LITERAL = {b"tab": "\t", b"emdash": "\u2014", b"endash": "\u2013", b"bullet": "\u2022", b"lquote": "\u2018",
            b"rquote": "\u2019", b"ldblquote": "\u201c", b"rdblquote": "\u201d", b"emspace": " ", b"enspace": " ",
            b"qmspace": " "}  # fmt: skip
_SYMBOL = {b"~": " ", b"_": "-", b"-": ""}
_CHARSETS = {
    0: "cp1252", 2: "latin-1", 77: "mac_roman", 128: "cp932", 129: "cp949", 134: "gbk", 136: "big5", 161: "cp1253",
    162: "cp1254", 163: "cp1258", 177: "cp1255", 178: "cp1256", 186: "cp1257", 204: "cp1251", 222: "cp874",
    238: "cp1250",
}  # fmt: skip
_FONT = re.compile(rb"\\f([0-9]{1,6})\b[^{};]*?\\fcharset([0-9]{1,3})")


@dataclass(frozen=True, slots=True)
class _State:
    """What a group inherits and gives back at its end."""

    shown: bool = True
    data: bool = False
    struck: bool = False
    deleted: bool = False
    encoding: str = "cp1252"
    skip: int = 1
    """Characters that stand for a Unicode one, for readers that know none."""


def items(path: Path) -> Iterator[Item]:
    """Yield what an RTF file says. Raises UnreadableError for what is none, TooMuchError for one without measure."""
    if path.stat().st_size > SIZE_MAXIMUM:
        raise TooMuchError
    data = path.read_bytes()
    if not data.lstrip().startswith(b"{\\rtf"):
        raise UnreadableError("not RTF")
    yield from _Reader(data).items()


class _Reader:
    def __init__(self, data: bytes) -> None:
        self._data = data
        self._fonts = {int(font): _CHARSETS.get(int(charset), "") for font, charset in _FONT.findall(data)}
        self._state = _State()
        self._stack: list[_State] = []
        self._line: list[tuple[str, str]] = []
        self._bytes = bytearray()
        self._to_skip = 0
        self._page = "cp1252"
        self._picture: hashlib._Hash | None = None
        self._picture_size = 0

    def items(self) -> Iterator[Item]:
        place = 0
        while match := _TOKEN.match(self._data, place):
            place = match.end()
            word, number, hexadecimal, symbol, brace, plain = match.groups()
            if brace:
                yield from self._group(brace)
                if not self._stack:  # what follows the document is no part of it
                    break
            elif hexadecimal:
                self._characters(bytes.fromhex(hexadecimal.decode()))
            elif plain:
                self._characters(plain)
            elif symbol is not None:
                yield from self._symbol(symbol, place)
            elif word == b"bin":
                length = max(int(number or 0), 0)
                yield carried("part", [self._data[place : place + length]], note="bin")
                place += length
            elif word:
                yield from self._word(word, int(number) if number else None)
        yield from self._end_line()

    def _symbol(self, symbol: bytes, place: int) -> Iterator[Item]:
        if symbol == b"*":
            self._state = replace(self._state, shown=self._wanted_destination(place))
        elif symbol in _SYMBOL:
            self._say(_SYMBOL[symbol])
        elif symbol in {b"\r\n", b"\r", b"\n"}:
            yield from self._end_line()
        else:
            self._characters(symbol)

    def _wanted_destination(self, place: int) -> bool:
        """Of the destinations that a reader may pass over, text boxes and pictures are wanted."""
        wanted = (
            b"\\shppict",
            b"\\shpinst",
            b"\\shptxt",
            b"\\ftnsep",
            b"\\annotation",
            b"\\objdata",
            b"\\pict",
        )
        return self._state.shown and self._data.startswith(wanted, place)

    def _group(self, brace: bytes) -> Iterator[Item]:
        self._flush()
        if brace == b"{":
            if len(self._stack) >= DEPTH_MAXIMUM:
                raise TooMuchError
            self._stack.append(self._state)
        elif self._stack:
            ended, self._state = self._state, self._stack.pop()
            if ended.data and not self._state.data and self._picture:
                yield Item("part", "", f"{self._picture_size} bytes sha256:{self._picture.hexdigest()}")
                self._picture = None
        self._to_skip = 0

    def _word(self, word: bytes, number: int | None) -> Iterator[Item]:
        if word in _LEFT_OUT:
            self._state = replace(self._state, shown=False)
        elif word in _DATA and self._state.shown:
            self._state = replace(self._state, data=True)
            self._picture, self._picture_size = hashlib.sha256(), 0
        elif word in _BREAKS:
            if self._state.shown:
                yield from self._end_line()
        elif word in _LITERAL:
            self._say(_LITERAL[word])
        elif word == b"u" and number is not None:
            self._say(chr(number & 0xFFFF))
            self._to_skip = self._state.skip
        else:
            self._set(word, number)

    def _set(self, word: bytes, number: int | None) -> None:
        """Take note of a control word that changes how the following is read."""
        self._flush()
        on = number != 0
        if word == b"uc":
            self._state = replace(self._state, skip=min(max(number or 0, 0), 8))
        elif word == b"ansicpg":
            self._page = _codec(f"cp{number}")
            self._state = replace(self._state, encoding=self._page)
        elif word in {b"f", b"af"} and number is not None:
            self._state = replace(self._state, encoding=self._fonts.get(number) or self._page)
        elif word in {b"strike", b"striked"}:
            self._state = replace(self._state, struck=on)
        elif word == b"deleted":
            self._state = replace(self._state, deleted=on)
        elif word == b"plain":
            self._state = replace(self._state, struck=False, deleted=False, encoding=self._page)

    def _characters(self, data: bytes) -> None:
        if self._to_skip:
            skipped = min(self._to_skip, len(data))
            self._to_skip -= skipped
            data = data[skipped:]
        if not self._state.shown or not data:
            return
        if self._state.data and self._picture:
            digits = data.translate(None, b" \t").lower()  # however its lines were broken
            self._picture.update(digits)
            self._picture_size += len(digits) // 2
        else:
            self._bytes += data

    def _say(self, said: str) -> None:
        self._flush()
        if self._state.shown and not self._state.data:
            mark = "deleted" if self._state.deleted else "struck" if self._state.struck else ""
            self._line.append((mark, said))

    def _flush(self) -> None:
        """Decode the bytes so far: characters of two bytes come as two."""
        if self._bytes:
            data = bytes(self._bytes)
            self._bytes.clear()
            self._say(data.decode(self._state.encoding, "replace"))

    def _end_line(self) -> Iterator[Item]:
        self._flush()
        said = marked(self._line)
        self._line.clear()
        yield from text(said.encode("utf-16", "surrogatepass").decode("utf-16", "replace"))


def _codec(name: str) -> str:
    try:
        return codecs.lookup(name).name
    except LookupError:
        return "cp1252"
