"""Small real documents, made by code: PDF, Word and RTF files of the kind that lie in a patient's chart.

The text is Latin; each file is the same bytes for the same words and date.
"""

from __future__ import annotations

import zipfile
from collections.abc import Sequence
from datetime import date
from io import BytesIO
from xml.sax.saxutils import escape

_ZIP_EPOCH = (1980, 1, 1, 0, 0, 0)
_WORD = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"
_PACKAGE = "http://schemas.openxmlformats.org/package/2006"
_OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"


def pdf(title: str, lines: Sequence[str], saved: date) -> bytes:
    """A PDF of one A4 page; `saved` stands in its metadata, as every program that saves one writes it."""
    shown = [f"BT /F1 16 Tf 72 770 Td ({_pdf_text(title)}) Tj ET"]
    shown += [
        f"BT /F1 11 Tf 72 {740 - 16 * number} Td ({_pdf_text(line)}) Tj ET"
        for number, line in enumerate(lines)
    ]
    content = "\n".join(shown).encode("cp1252", "replace")
    bodies = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Contents 4 0 R "
        b"/Resources << /Font << /F1 5 0 R >> >> >>",
        b"<< /Length %d >>\nstream\n%s\nendstream" % (len(content), content),
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /WinAnsiEncoding >>",
        f"<< /Title ({_pdf_text(title)}) /CreationDate (D:{saved:%Y%m%d}080000Z) >>".encode(
            "cp1252", "replace"
        ),
    ]
    out = BytesIO()
    out.write(b"%PDF-1.4\n%\xe2\xe3\xcf\xd3\n")
    offsets = []
    for number, body in enumerate(bodies, 1):
        offsets.append(out.tell())
        out.write(b"%d 0 obj\n%s\nendobj\n" % (number, body))
    start = out.tell()
    out.write(b"xref\n0 %d\n0000000000 65535 f \n" % (len(bodies) + 1))
    out.writelines(b"%010d 00000 n \n" % offset for offset in offsets)
    out.write(
        b"trailer\n<< /Size %d /Root 1 0 R /Info 6 0 R >>\nstartxref\n%d\n%%%%EOF\n"
        % (len(bodies) + 1, start)
    )
    return out.getvalue()


def docx(title: str, lines: Sequence[str]) -> bytes:
    """A Word document of a heading and paragraphs (ECMA-376)."""
    paragraphs = "".join(
        f'<w:p><w:r><w:t xml:space="preserve">{escape(line)}</w:t></w:r></w:p>' for line in (title, *lines)
    )
    types = (
        f'<Types xmlns="{_PACKAGE}/content-types">'
        '<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
        '<Override PartName="/word/document.xml" ContentType='
        '"application/vnd.openxmlformats-officedocument.wordprocessingml.document.main+xml"/></Types>'
    )
    relations = (
        f'<Relationships xmlns="{_PACKAGE}/relationships">'
        f'<Relationship Id="rId1" Type="{_OFFICE}/officeDocument" Target="word/document.xml"/></Relationships>'
    )
    parts = {
        "[Content_Types].xml": types,
        "_rels/.rels": relations,
        "word/document.xml": f'<w:document xmlns:w="{_WORD}"><w:body>{paragraphs}</w:body></w:document>',
    }
    out = BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in parts.items():
            head = '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>\n'
            archive.writestr(zipfile.ZipInfo(name, _ZIP_EPOCH), head + text, zipfile.ZIP_DEFLATED)
    return out.getvalue()


def rtf(title: str, lines: Sequence[str]) -> bytes:
    """A Rich Text file."""
    body = "\\par\n".join(_rtf_text(line) for line in (title, *lines))
    return f"{{\\rtf1\\ansi\\deff0{{\\fonttbl{{\\f0 Helvetica;}}}}\\f0\\fs22\n{body}\\par\n}}\n".encode(
        "ascii"
    )


def _pdf_text(text: str) -> str:
    return text.replace("\\", r"\\").replace("(", r"\(").replace(")", r"\)")


def _rtf_text(text: str) -> str:
    """Text with what RTF escapes; other scripts as UTF-16 code units."""
    out = []
    for letter in text:
        if letter in "\\{}":
            out.append("\\" + letter)
        elif letter.isascii():
            out.append(letter)
        else:
            units = memoryview(letter.encode("utf-16-le")).cast("H")
            out += [f"\\u{unit - 0x10000 if unit > 0x7FFF else unit}?" for unit in units]
    return "".join(out)
