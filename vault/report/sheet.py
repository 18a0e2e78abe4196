"""Sheets of paper: one PDF whose pages carry who, what, as of when, and page x of y.

The same calls give the same bytes: nothing in the file says when or by which run it was made.
"""

from __future__ import annotations

import io
import re
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from fpdf import FPDF

from vault.report.glyphs import BOLD, REGULAR, REPLACEMENT, printable

MARGIN = 14.0
"""mm on every side; printers leave out less."""

HEADER = 12.0
FOOTER = 11.0
LINE = 1.28
"""Line height as a multiple of the type size."""

POINT = 25.4 / 72
"""mm in a point."""

SMALLER = (0.93, 0.86, 0.8)
"""Shares of its type size to which a text shrinks before it is cut."""

NARROWEST = 0.15
"""Width of a narrow letter as a share of the type size: more of them than fit need not be measured."""

PAD = 1.3
"""mm between a table's cells and their edges."""

GREY = 232
"""Background of headings: survives a black and white printer."""

Align = Literal["L", "R", "C"]
Paper = Literal["a4", "letter"]

_MADE = datetime(2000, 1, 1, tzinfo=UTC)
"""The file's creation date: always the same, since the page says what it is of."""

_TYPE = "dejavu"

_PLAIN = re.compile(
    "[\\x20-\\u02ff\\u0370-\\u0482\\u048a-\\u052f\\u2010-\\u2027\\u2030-\\u205e\\u2190-\\u22ff\\u25a0-\\u25ff]*"
)
"""Latin, Greek, Cyrillic, arrows and signs: letters that stand side by side as they are."""


@dataclass(frozen=True, slots=True)
class Frame:
    """What every page of a document says."""

    site: str
    title: str
    subject: str
    """Whom it is about; on every page, since pages get separated."""
    as_of: str
    footer: str
    number: str = ""
    """The patient's ID, which stands behind the subject and gives it only what room it leaves."""
    paper: Paper = "a4"
    landscape: bool = False


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table; `width` is a share, made mm by the table."""

    title: str
    width: float
    align: Align = "L"


@dataclass(frozen=True, slots=True)
class Line:
    """A row of a table. `below` are lines across the whole row, under its cells."""

    cells: Sequence[str]
    bold: bool = False
    marked: bool = False
    """A thick bar at the left margin: needs attention, and survives a black and white printer."""
    below: Sequence[str] = ()
    rule: bool = True
    """A thin line under the row."""
    size: float | None = None
    """Type size of the cells, else the table's."""


@dataclass(slots=True)
class _State:
    lacking: dict[str, None] = field(default_factory=dict)
    fonts: dict[Path, str] = field(default_factory=dict)


class Sheet:
    """A document that grows downwards; a new page begins where something does not fit any more."""

    def __init__(self, frame: Frame) -> None:
        self._frame = frame
        self.running = ""
        """What stands at the top of a page that begins here: whose the rest of a section is."""
        self._state = _State()
        self._widths: dict[tuple[str, float, bool], float] = {}
        self._pdf = _Pdf(
            orientation="landscape" if frame.landscape else "portrait", unit="mm", format=frame.paper
        )
        pdf = self._pdf
        pdf.decorate = self._decorate
        pdf.set_creation_date(_MADE)
        pdf.set_producer("vault")
        pdf.set_title(printable(frame.title).text)
        pdf.set_lang("en")
        pdf.set_margins(MARGIN, MARGIN + HEADER, MARGIN)
        pdf.set_auto_page_break(auto=False)
        pdf.alias_nb_pages("")  # else `{nb}` in anybody's text prints as a number
        pdf.c_margin = 0
        pdf.add_font(_TYPE, "", REGULAR)
        pdf.add_font(_TYPE, "B", BOLD)
        pdf.add_page()
        self._y = MARGIN + HEADER

    @property
    def width(self) -> float:
        """mm between the margins."""
        return float(self._pdf.w) - 2 * MARGIN

    @property
    def _bottom(self) -> float:
        return float(self._pdf.h) - MARGIN - FOOTER

    def space(self, millimetres: float) -> None:
        """Leave room."""
        self._y += millimetres

    def need(self, millimetres: float) -> bool:
        """Begin a new page unless so much room is left; says whether it did."""
        if self._y + millimetres <= self._bottom:
            return False
        self._pdf.add_page()
        self._y = MARGIN + HEADER
        if self.running:
            self.line(self.running, size=9, bold=True)
        return True

    def line(
        self, text: str, *, size: float = 9, bold: bool = False, align: Align = "L", indent: float = 0
    ) -> None:
        """One line of text, cut with an ellipsis where it is too long."""
        height = size * POINT * LINE
        self.need(height)
        self._text(MARGIN + indent, self._y, self.width - indent, text, size, bold=bold, align=align)
        self._y += height

    def heading(self, text: str, right: str = "", *, size: float = 11, keep: float = 18) -> None:
        """A heading on grey, `right` at its end; stays on one page with the `keep` mm that follow.

        Where the two do not fit beside each other, `right` has a line of its own.
        """
        line, room = size * POINT * LINE, self.width - 3
        wide = self._measure(right, size, bold=True) + 3 if right else 0.0
        lines = 1 if self._measure(text, size, bold=True) + wide <= room else 1 + bool(right)
        height = size * POINT * 1.7 + (lines - 1) * line
        self.need(height + keep)
        pdf = self._pdf
        pdf.set_fill_color(GREY)
        pdf.rect(MARGIN, self._y, self.width, height, style="F")
        top = self._y + (height - lines * line) / 2
        self._text(MARGIN + 1.5, top, room - (wide if lines == 1 else 0), text, size, bold=True)
        self._text(MARGIN + 1.5, top + (lines - 1) * line, room, right, size, bold=True, align="R")
        self._y += height + 1.2

    def facts(self, pairs: Sequence[tuple[str, str]], *, columns: int = 4, size: float = 10) -> None:
        """Small labels with their values below, side by side; what has no value is left out.

        A long value takes the room of two.
        """
        step = self.width / columns
        height = 7 * POINT * LINE + size * POINT * LINE + 1
        self.need(height)
        at = 0
        for label, value in pairs:
            if not value:
                continue
            room = 2 if self._measure(value, size, bold=True) > step - 3 else 1
            if at + room > columns:
                self._y += height
                self.need(height)
                at = 0
            left = MARGIN + at * step
            self._text(left, self._y, room * step - 3, label, 7)
            self._text(left, self._y + 7 * POINT * LINE, room * step - 3, value, size, bold=True)
            at += room
        self._y += height

    def table(self, columns: Sequence[Column], lines: Sequence[Line], *, size: float = 8.5) -> None:
        """A table whose head is repeated on each page; a row and what is below it stay together."""
        share = sum(column.width for column in columns)
        widths = [column.width / share * self.width for column in columns]
        height = size * POINT * LINE + 1.1
        self.need(2 * height + 4)
        self._head(columns, widths, size)
        for line in lines:
            below = (size - 0.5) * POINT * LINE
            if self.need(height + len(line.below) * below):
                self._head(columns, widths, size)
            top = self._y
            left = MARGIN
            for column, width, cell in zip(columns, widths, line.cells, strict=True):
                self._text(
                    left + PAD,
                    top + 0.55,
                    width - 2 * PAD,
                    cell,
                    line.size or size,
                    bold=line.bold,
                    align=column.align,
                )
                left += width
            self._y += height
            for text in line.below:
                self._text(MARGIN + 4, self._y - 0.3, self.width - 4, text, size - 0.5)
                self._y += below
            self._finish(line, top)

    def note(self, text: str, *, size: float = 7.5, bold: bool = False, indent: float = 0) -> None:
        """A remark that may take several lines."""
        for part in self._wrapped(text, size, self.width - indent, bold=bold):
            self.line(part, size=size, bold=bold, indent=indent)

    def picture(self, png: bytes, *, tallest: float = 150) -> None:
        """A picture as wide as the page, narrower where it would be taller than `tallest` mm; never cut in two."""
        width, height = png_size(png)
        wide = min(self.width, tallest * width / height)
        high = wide * height / width
        self.need(high + 1)
        self._pdf.image(io.BytesIO(png), x=MARGIN, y=self._y, w=wide, h=high)
        self._y += high + 1

    def wrapped(self, text: str, most: int, width_less: float = 4, size: float = 8) -> list[str]:
        """`text` in pieces that fit a line `width_less` mm narrower than the page, broken at a space.

        Of more than `most` the last one says how many are left out.
        """
        lines = list(self._wrapped(text, size, self.width - width_less, bold=False))
        if len(lines) <= most:
            return lines
        return [*lines[: most - 1], f"… and {len(lines) - most + 1} more lines"]

    def finish(self) -> bytes:
        """The document. Says at its end what `□` stands for, where it stands for anything."""
        if self._state.lacking:
            what = ", ".join(sorted(self._state.lacking)[:12])
            self.space(2)
            self.note(f"{REPLACEMENT} stands for what can't be printed here: {what}.")
        self._number_pages()
        return bytes(self._pdf.output())

    # --- inside

    def _finish(self, line: Line, top: float) -> None:
        pdf = self._pdf
        if line.marked:
            pdf.set_fill_color(0)
            pdf.rect(MARGIN - 1.6, top + 0.2, 1.3, self._y - top - 0.4, style="F")
        if line.rule:
            pdf.set_draw_color(170)
            pdf.set_line_width(0.15)
            pdf.line(MARGIN, self._y, MARGIN + self.width, self._y)

    def _head(self, columns: Sequence[Column], widths: Sequence[float], size: float) -> None:
        left = MARGIN
        height = (size - 1) * POINT * LINE + 1.4
        for column, width in zip(columns, widths, strict=True):
            self._text(
                left + PAD,
                self._y + 0.5,
                width - 2 * PAD,
                column.title,
                size - 1,
                bold=True,
                align=column.align,
            )
            left += width
        self._y += height
        self._pdf.set_draw_color(0)
        self._pdf.set_line_width(0.35)
        self._pdf.line(MARGIN, self._y, MARGIN + self.width, self._y)

    def _wrapped(self, text: str, size: float, width: float, *, bold: bool) -> Iterator[str]:
        """Lines of words, as wide as the sum of theirs: measuring each line anew took most of a long report's time."""
        space = self._measure("x x", size, bold=bold) - 2 * self._measure("x", size, bold=bold)
        words: list[str] = []
        used = 0.0
        for word in text.split(" "):
            wide = self._measure(word, size, bold=bold)
            if words and used + space + wide > width:
                yield " ".join(words)
                words, used = [], 0.0
            used += space + wide if words else wide
            words.append(word)
        if any(words):
            yield " ".join(words)

    def _measure(self, text: str, size: float, *, bold: bool) -> float:
        key = text, size, bold
        if key not in self._widths:
            prepared = self._prepared(text)
            self._set_type(prepared, size, bold=bold)
            self._widths[key] = float(self._pdf.get_string_width(prepared))
        return self._widths[key]

    def _text(
        self,
        x: float,
        y: float,
        width: float,
        text: str,
        size: float,
        *,
        bold: bool = False,
        align: Align = "L",
    ) -> None:
        """Text in a box of one line, somewhat smaller where it would not fit; what then is too long is visibly cut."""
        prepared = self._prepared(text)
        if not prepared:
            return
        most = int(width / (size * POINT * NARROWEST)) + 1
        prepared = prepared if len(prepared) <= most else prepared[:most] + "…"
        for smaller in (1.0, *SMALLER):
            self._set_type(prepared, size * smaller, bold=bold)
            if self._pdf.get_string_width(prepared) <= width:
                break
        self._pdf.set_xy(x, y)
        self._pdf.cell(width, size * POINT * LINE, self._fitted(prepared, width), align=align)

    def _prepared(self, text: str) -> str:
        """Text without what could break the layout, its fonts at hand."""
        found = printable(text)
        self._state.lacking.update(dict.fromkeys(found.lacking))
        for path in found.fonts:
            if path not in self._state.fonts:
                name = f"other{len(self._state.fonts)}"
                self._pdf.add_font(name, "", path)
                self._state.fonts[path] = name
                self._pdf.set_fallback_fonts(list(self._state.fonts.values()), exact_match=False)
        return found.text

    def _set_type(self, text: str, size: float, *, bold: bool) -> None:
        """Set the type for `text`: shaped (joined Arabic, marks in place, right to left) where it needs to be."""
        self._pdf.set_font(_TYPE, "B" if bold else "", size)
        self._pdf.set_text_shaping(not _PLAIN.fullmatch(text))

    def _fitted(self, text: str, width: float) -> str:
        pdf = self._pdf
        if pdf.get_string_width(text) <= width:
            return text
        low, high = 0, len(text)
        while low < high:
            middle = (low + high + 1) // 2
            if pdf.get_string_width(_cut(text, middle)) <= width:
                low = middle
            else:
                high = middle - 1
        return _cut(text, low)

    def _decorate(self) -> None:
        """Header and footer of the page that was just begun."""
        frame, pdf = self._frame, self._pdf
        half = self.width / 2
        self._text(MARGIN, MARGIN, half, frame.site, 8, bold=True)
        self._text(MARGIN + half, MARGIN, half, frame.as_of, 8, bold=True, align="R")
        self._text(MARGIN, MARGIN + 4, half, frame.title, 8)
        number = f"· {frame.number}" if frame.number else ""
        least = half / 3  # of a patient whose ID is absurdly long there is a name too
        wide = min(self._measure(number, 8, bold=False) + 0.1, half - least) if number else 0.0
        self._text(MARGIN + half, MARGIN + 4, half - wide - (wide and 0.8), frame.subject, 8, align="R")
        self._text(MARGIN + self.width - wide, MARGIN + 4, wide, number, 8, align="R")
        pdf.set_draw_color(0)
        pdf.set_line_width(0.35)
        pdf.line(MARGIN, MARGIN + 8.6, MARGIN + self.width, MARGIN + 8.6)

    def _number_pages(self) -> None:
        """The footers, now that their number is known."""
        pdf = self._pdf
        pages = pdf.page_no()
        bottom = float(pdf.h) - MARGIN - 4
        for page in range(1, pages + 1):
            pdf.page = page
            pdf.set_draw_color(0)
            pdf.set_line_width(0.35)
            pdf.line(MARGIN, bottom - 1, MARGIN + self.width, bottom - 1)
            self._text(MARGIN, bottom, self.width - 30, self._frame.footer, 7.5)
            self._text(
                MARGIN + self.width - 30, bottom, 30, f"Page {page} of {pages}", 7.5, bold=True, align="R"
            )


def png_size(png: bytes) -> tuple[int, int]:
    """Width and height of a PNG in pixels, from its header. Raises ValueError when it is none."""
    if len(png) < 24 or not png.startswith(b"\x89PNG\r\n\x1a\n"):
        raise ValueError("not a PNG")
    width, height = struct.unpack(">II", png[16:24])
    if not (width and height):
        raise ValueError("a PNG without pixels")
    return width, height


def _cut(text: str, length: int) -> str:
    return text if length >= len(text) else text[:length].rstrip() + "…"


class _Pdf(FPDF):
    """fpdf2 with our own page decoration."""

    decorate = staticmethod(lambda: None)

    def header(self) -> None:
        """Called by fpdf2 for each new page."""
        self.decorate()
