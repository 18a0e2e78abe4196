"""PDF, by PDFium: the words in the order in which they stand on the page, and what is drawn beside them.

Each page is also rendered without its words, and the picture is compared by its SHA-256: a replaced photograph, a
moved curve or a crossed-out line is a change although no word is another. Dates, ids, metadata, compression and the
order of objects in the file don't show.
"""

from __future__ import annotations

import ctypes
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pypdfium2
import pypdfium2.raw as pdfium

from vault.normal.documents.items import Item, TooMuchError, UnreadableError, carried, text

PAGES_MAXIMUM = 5_000

SIDE_MAXIMUM = 2_000
"""Pixels of a rendered page's longer side; a point is a pixel where that allows it."""

_NESTED = 15
_WIDGET = pdfium.FPDF_ANNOT_WIDGET
_SKIPPED = frozenset((pdfium.FPDF_ANNOT_LINK, pdfium.FPDF_ANNOT_POPUP))
_HYPHEN = {0x02: "-", 0xFFFE: "-"}
"""What PDFium puts where a line ends in a hyphen."""
_WORD = re.compile(r"[^\s\0]+")


class Word(NamedTuple):
    """A word and where its first letter stands, in points from the page's lower left corner."""

    text: str
    left: float
    bottom: float
    top: float


def items(path: Path) -> Iterator[Item]:
    """Yield what a PDF says. Raises UnreadableError where it can't be opened: damaged, or locked by a password."""
    try:
        document = pypdfium2.PdfDocument(path)
    except pypdfium2.PdfiumError as error:
        locked = "password" in str(error).lower()
        raise UnreadableError("locked by a password" if locked else "a damaged PDF") from None
    if len(document) > PAGES_MAXIMUM:
        raise TooMuchError
    document.init_forms()
    for number in range(len(document)):
        try:
            page = document[number]
        except pypdfium2.PdfiumError:
            raise UnreadableError("a page of the PDF is damaged") from None
        yield from _page(document, page)
        page.close()
    yield from _carried_along(document)


def _carried_along(document: Any) -> Iterator[Item]:
    signatures = pdfium.FPDF_GetSignatureCount(document)
    if signatures > 0:
        yield Item("signatures", "", str(signatures))
    for index in range(document.count_attachments()):
        attachment = document.get_attachment(index)
        try:
            data = bytes(attachment.get_data())
        except pypdfium2.PdfiumError:
            data = b""
        yield carried("attachment", [data], label=attachment.get_name())


def _page(document: Any, page: Any) -> Iterator[Item]:
    textpage = page.get_textpage()
    words = sorted(_words(textpage), key=lambda word: -(word.top + word.bottom))
    textpage.close()
    for line in _rows(words):
        yield from text(" ".join(word.text for word in sorted(line, key=lambda word: word.left)))
    yield from _annotations(document, page)
    for part in page.get_objects(filter=[pdfium.FPDF_PAGEOBJ_TEXT], max_depth=_NESTED):
        pdfium.FPDFPageObj_SetIsActive(part, False)
    picture = page.render(scale=min(1.0, SIDE_MAXIMUM / max(page.get_size())), grayscale=True)
    pixels = bytes(picture.buffer)
    if pixels.count(255) != len(pixels):  # a page with nothing but words is white without them
        yield carried("drawing", [pixels], note=f"{picture.width}x{picture.height} pixels")


def _words(textpage: Any) -> Iterator[Word]:
    letters = _letters(textpage)
    left, _, bottom, top = sides = [ctypes.c_double() for _ in range(4)]
    for match in _WORD.finditer(letters):
        pdfium.FPDFText_GetCharBox(textpage, match.start(), *sides)
        yield Word(match[0], left.value, bottom.value, top.value)


def _letters(textpage: Any) -> str:
    """The page's characters, as many as PDFium counts: it leaves some out of the text that it gives in one piece."""
    count = textpage.count_chars()
    letters: str = textpage.get_text_range() if count else ""
    if len(letters) != count:
        codes = (pdfium.FPDFText_GetUnicode(textpage, index) for index in range(count))
        letters = "".join(chr(code) if code <= sys.maxunicode else "\ufffd" for code in codes)
    return letters.translate(_HYPHEN)


def _rows(words: list[Word]) -> Iterator[list[Word]]:
    """Words, from the top, by the row they stand in: the middle of each lies within the row's first word."""
    row: list[Word] = []
    for word in words:
        if row and not row[0].bottom <= (word.top + word.bottom) / 2 <= row[0].top:
            yield row
            row = []
        row.append(word)
    if row:
        yield row


def _annotations(document: Any, page: Any) -> Iterator[Item]:
    """Form fields with their values, and what people noted on the page."""
    for index in range(pdfium.FPDFPage_GetAnnotCount(page)):
        annotation = pdfium.FPDFPage_GetAnnot(page, index)
        if not annotation:
            continue
        kind = pdfium.FPDFAnnot_GetSubtype(annotation)
        if kind == _WIDGET and document.formenv:
            form = document.formenv
            name = _string(
                lambda out, size: pdfium.FPDFAnnot_GetFormFieldName(form, annotation, out, size)  # noqa: B023 - called at once
            )
            value = _string(
                lambda out, size: pdfium.FPDFAnnot_GetFormFieldValue(form, annotation, out, size)  # noqa: B023
            )
            yield Item("field", name, value)
        elif kind not in _SKIPPED:
            noted = _string(
                lambda out, size: pdfium.FPDFAnnot_GetStringValue(annotation, b"Contents", out, size)  # noqa: B023
            )
            yield from (Item("note", "", item.value) for item in text(noted))
        pdfium.FPDFPage_CloseAnnot(annotation)


def _string(ask: Callable[[Any, int], int]) -> str:
    """A UTF-16 string of PDFium's: the first call says how long it is, the second fills it in."""
    size = ask(None, 0)
    buffer = ctypes.create_string_buffer(size)
    ask(ctypes.cast(buffer, ctypes.POINTER(pdfium.FPDF_WCHAR)), size)
    return buffer.raw[:size].decode("utf-16-le", "replace").rstrip("\0")
