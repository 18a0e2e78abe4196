"""Documents of each kind for the tests, small and made from their parts: who they say they are is up to the caller."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterable, Sequence
from email.mime.image import MIMEImage
from email.mime.multipart import MIMEMultipart
from email.mime.text import MIMEText
from xml.sax.saxutils import escape

WORD = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"
PIXEL = b"GIF89a\x01\x00\x01\x00\x00\x00\x00;"


def pdf(
    lines: Sequence[str],
    *,
    drawing: str = "",
    date: str = "D:20260101000000Z",
    ident: str = "00",
    order: int = 0,
    more: str = "",
) -> bytes:
    """A page of Helvetica: `lines` from the top, `drawing` as PDF operators; `order` shuffles the objects."""
    shown = "".join(f"1 0 0 1 72 {760 - 16 * n} Tm ({line}) Tj " for n, line in enumerate(lines))
    content = f"{drawing} BT /F1 11 Tf {shown} ET".encode("latin-1")
    objects = [
        "<</Type/Catalog/Pages 2 0 R>>",
        "<</Type/Pages/Kids[3 0 R]/Count 1>>",
        "<</Type/Page/Parent 2 0 R/MediaBox[0 0 595 842]/Contents 4 0 R"
        f"/Resources<</Font<</F1 5 0 R>>>>{more}>>",
        f"<</Length {len(content)}>>stream\n{content.decode('latin-1')}\nendstream",
        "<</Type/Font/Subtype/Type1/BaseFont/Helvetica/Encoding/WinAnsiEncoding>>",
        f"<</CreationDate({date})/ModDate({date})/Producer(maker {ident})>>",
    ]
    return pdf_of(objects, order=order, trailer=f"/Info 6 0 R/ID[<{ident}><{ident}>]")


def pdf_of(objects: Sequence[str], *, order: int = 0, trailer: str = "") -> bytes:
    """A PDF of these objects, numbered from 1, the first of which is the catalogue; they begin with the `order`th."""
    numbered = list(enumerate(objects, 1))
    out = io.BytesIO()
    out.write(b"%PDF-1.7\n")
    places = {}
    for number, body in numbered[order:] + numbered[:order]:
        places[number] = out.tell()
        out.write(f"{number} 0 obj{body}endobj\n".encode("latin-1"))
    xref, size = out.tell(), len(objects) + 1
    out.write(b"xref\n0 %d\n0000000000 65535 f \n" % size)
    out.write(b"".join(b"%010d 00000 n \n" % places[number] for number in range(1, size)))
    out.write(f"trailer<</Size {size}/Root 1 0 R{trailer}>>\nstartxref\n{xref}\n%%EOF\n".encode())
    return out.getvalue()


def paragraph(words: str, properties: str = "") -> str:
    """A paragraph of a DOCX with one run."""
    inside = f"<w:rPr>{properties}</w:rPr>" if properties else ""
    return f'<w:p><w:r>{inside}<w:t xml:space="preserve">{escape(words)}</w:t></w:r></w:p>'


def docx(
    paragraphs: Iterable[str],
    *,
    parts: Iterable[tuple[str, bytes]] = (),
    date: str = "2026-01-01T00:00:00Z",
    prolog: str = "",
    compression: int = zipfile.ZIP_DEFLATED,
) -> bytes:
    """A DOCX with these paragraphs (as `paragraph` makes them), saved at `date`."""
    body = f'{prolog}<w:document xmlns:w="{WORD}"><w:body>{"".join(paragraphs)}</w:body></w:document>'
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", compression) as package:
        package.writestr("[Content_Types].xml", "<Types/>")
        package.writestr("docProps/core.xml", f"<created>{date}</created>")
        package.writestr("word/document.xml", body)
        for name, data in parts:
            package.writestr(name, data)
    return out.getvalue()


def rtf(body: str, *, date: str = r"\yr2026\mo1\dy1", head: str = "") -> bytes:
    """An RTF document around `body`, saved at `date`."""
    fonts = r"{\fonttbl{\f0\fnil\fcharset0 Arial;}{\f1\fnil\fcharset204 Arial Cyr;}{\f2\fnil\fcharset128 MS Gothic;}}"
    info = rf"{{\info{{\creatim{date}}}{{\author X}}}}"
    return rf"{{\rtf1\ansi\ansicpg1252\deff0{fonts}{info}{head}\f0 {body}\par}}".encode("cp1252")


def mht(
    html: str, pictures: Iterable[bytes] = (), *, boundary: str = "b1", location: str = "file:///C:/a"
) -> bytes:
    """A web page with its pictures in one file."""
    message = MIMEMultipart("related", boundary=boundary)
    message["Subject"] = "Consent"
    message["Date"] = f"Mon, 5 Jan 2026 10:00:00 +0000 ({boundary})"
    message.attach(MIMEText(html, "html", "utf-8"))
    for number, data in enumerate(pictures):
        part = MIMEImage(data, "gif")
        part["Content-Location"] = f"{location}/{number}.gif"
        message.attach(part)
    return message.as_bytes()
