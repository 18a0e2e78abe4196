"""Documents: saved again they say the same, one word changed is one line, and nothing that they show is left out."""

import difflib
import hashlib
import io
import subprocess
import sys
import time
import zipfile

import pytest
from document_kit import PIXEL, WORD, docx, mht, paragraph, pdf, pdf_of, rtf
from hypothesis import given
from hypothesis import strategies as st

from vault.model import Row
from vault.normal import document
from vault.normal.documents import reader
from vault.normal.documents.__main__ import answer

ROW = Row(
    "documents",
    {
        "document_key": "7-1",
        "title": 'Consent "A"',
        "file": "2026Q4\\a.pdf",
        "approved": None,
        "changed_at": "2026-01-02",
        "changed_by": "smith",
    },
)


@pytest.fixture
def said(tmp_path):
    """What the normal form says of these bytes, line by line, without the row's part."""

    def form(data):
        path = tmp_path / "document"
        path.write_bytes(data)
        return document.content(path).decode().splitlines()

    return form


def words(lines):
    return [line.removeprefix("text UT ").strip('"') for line in lines if line.startswith("text ")]


def changed(old, new):
    return [line for line in difflib.ndiff(old, new) if line[0] in "+-"]


def test_the_row_comes_first_its_stamps_in_a_section_of_their_own_then_the_text(tmp_path):
    path = tmp_path / "a"
    path.write_bytes(b"Turn left\n\n  at the   couch\n")
    assert document.normal_form(path, ROW).decode() == (
        "normal-form 1\n"
        'record.document_key UT "7-1"\n'
        'record.title UT "Consent \\"A\\""\n'
        'stamp.changed_at UT "2026-01-02"\n'
        'stamp.changed_by UT "smith"\n'
        'stamp.file UT "2026Q4\\\\a.pdf"\n'
        "content CS TEXT\n"
        'text UT "Turn left"\n'
        'text UT "at the couch"\n'
    )


LINES = ["Prostate: 39 fractions", "Dose 78 Gy in total", "No pacemaker"]
OTHER = ["Prostate: 39 fractions", "Dose 70 Gy in total", "No pacemaker"]

MADE = {
    "pdf": pdf,
    "docx": lambda lines: docx(map(paragraph, lines)),
    "rtf": lambda lines: rtf("\\par ".join(lines)),
    "txt": lambda lines: "\r\n".join(lines).encode(),
    "html": lambda lines: ("<html><body>" + "".join(f"<p>{line}</p>" for line in lines)).encode(),
    "mht": lambda lines: mht("<html>" + "<br>".join(lines)),
}


@pytest.mark.parametrize("kind", MADE)
def test_one_word_changed_is_one_changed_line(said, kind):
    old, new = said(MADE[kind](LINES)), said(MADE[kind](OTHER))
    assert words(old)[-3:] == LINES
    assert [line[0] for line in changed(old, new) if line[0] != "?"] == ["-", "+"]


@pytest.mark.parametrize("kind", MADE)
def test_a_line_inserted_moves_no_other(said, kind):
    old, new = (
        said(MADE[kind](LINES)),
        said(MADE[kind]([LINES[0], "A word about bladder filling", *LINES[1:]])),
    )
    assert changed(old, new) == ['+ text UT "A word about bladder filling"']


SAVED_AGAIN = {
    "pdf": (pdf(LINES), pdf(LINES, date="D:20261124120000Z", ident="ff", order=3)),
    "docx": (
        docx(map(paragraph, LINES)),
        docx(map(paragraph, LINES), date="2026-11-24T10:00:00Z", compression=zipfile.ZIP_STORED),
    ),
    "rtf": (rtf("A\\par B"), rtf("{A}\\par\n B", date=r"\yr2026\mo11\dy24", head=r"{\*\rsidtbl\rsid42}")),
    "mht": (mht("<p>A", [PIXEL]), mht("<p>A", [PIXEL], boundary="zz", location="file:///D:/x")),
    "html": (
        b"<html><p>A<p>B",
        b"<!DOCTYPE html>\n<html><style>p {}</style><body>\n<p>A</p>\n<p>B</p></body></html>",
    ),
    "txt": (b"A\r\nB \xc3\xa9\r\n", b"\xef\xbb\xbfA\nB  \xc3\xa9\n\n"),
}


@pytest.mark.parametrize("kind", SAVED_AGAIN)
def test_the_same_text_saved_again_has_the_same_normal_form(said, kind):
    first, second = SAVED_AGAIN[kind]
    assert first != second
    assert said(first) == said(second)


# what is no text, and must not pass for nothing


def test_what_a_pdf_draws_is_compared(said):
    plain, lined = said(pdf(LINES)), said(pdf(LINES, drawing="1 w 72 750 m 300 750 l S"))
    moved = said(pdf(LINES, drawing="1 w 72 734 m 300 734 l S"))
    assert not any(line.startswith("drawing") for line in plain)
    assert words(plain) == words(lined) == words(moved)
    assert plain != lined != moved
    assert changed(lined, said(pdf(OTHER, drawing="1 w 72 750 m 300 750 l S")))[0].startswith("- text")
    assert sum(line.startswith("drawing OB 595x842 pixels") for line in lined) == 1


def test_a_tick_that_moves_from_one_box_to_another_is_a_change(said):
    def ticked(x):
        return said(pdf(["yes            no"], drawing=f"BT /F1 11 Tf 1 0 0 1 {x} 760 Tm (X) Tj ET"))

    assert words(ticked(60)) == ["X yes no"]
    assert words(ticked(170)) == ["yes no X"]


def test_fields_and_notes_of_a_pdf_are_said(said):
    note = "/Annots[<</Type/Annot/Subtype/Text/Rect[10 10 30 30]/Contents(call the ward)>>]"
    assert 'note UT "call the ward"' in said(pdf(LINES, more=note))


def test_pictures_and_strikes_of_a_docx_show(said):
    base = said(docx([paragraph("70 Gy")], parts=[("word/media/image1.png", b"one")]))
    assert any(line.startswith("part OB media 3 bytes sha256:") for line in base)
    assert base != said(docx([paragraph("70 Gy")], parts=[("word/media/image1.png", b"two")]))
    assert base == said(docx([paragraph("70 Gy")], parts=[("word/media/image9.png", b"one")]))
    assert words(said(docx([paragraph("70 Gy", "<w:strike/>")]))) == ["[struck: 70 Gy]"]
    assert words(said(docx([paragraph("70 Gy", '<w:strike w:val="0"/>')]))) == ["70 Gy"]
    deleted = "<w:p><w:del><w:r><w:delText>70</w:delText></w:r></w:del><w:r><w:t>72 Gy</w:t></w:r></w:p>"
    assert words(said(docx([deleted]))) == ["[deleted: 70]72 Gy"]


def test_words_that_were_cut_into_pieces_are_one(said):
    run = '<w:r><w:rPr><w:strike/></w:rPr><w:t xml:space="preserve">{}</w:t></w:r>'.format
    assert words(said(docx([f"<w:p>{run('7')}{run('8 G')}{run('y')}</w:p>"]))) == ["[struck: 78 Gy]"]
    assert words(said(b"<html><s>7<b>8</b></s><del> Gy</del> x")) == ["[struck: 78 Gy] x"]
    assert words(said(rtf(r"{\strike 7}{\strike\b 8}{\strike  Gy} x"))) == ["[struck: 78 Gy] x"]


WORD_RTF = rb"""{\rtf1\ansi\ansicpg1252\uc1\deff0{\fonttbl{\f0\froman\fcharset0{\*\panose 0202}Times;}
{\f3\fcharset2 Symbol;}}
{\stylesheet{\ql \snext0 Normal;}{\*\cs10 \additive Default;}}{\*\latentstyles\lsdstimax156}{\*\rsidtbl \rsid5}
{\info{\title x}}
{\*\pnseclvl1\pnucrm{\pntxta .}}{\header \pard{\insrsid5 Klinik f\'fcr Strahlen\par }}\pard{\b Aufkl\'e4rung}{\insrsid5
 hier\par }\trowd\cellx4500 {Feld\cell MU\cell }{\trowd\row }{\field{\*\fldinst{HYPERLINK "x"}}{\fldrslt{\ul link}}}\par
{\listtext\pard\f3 \'b7\tab}eins\par {\object\objemb{\*\objclass Word}{\*\objdata 01}{\result{\pict\wmetafile8 0100}}}
{\*\shppict{\pict{\*\picprop{\sp{\sn x}{\sv 1}}}\pngblip{\*\blipuid 00aa}8950}}{\nonshppict{\pict 0102}}
{\*\bkmkstart a}}"""


def test_rtf_as_word_writes_it(said):
    lines = said(WORD_RTF)
    assert words(lines) == ["Klinik für Strahlen", "Aufklärung hier", "Feld", "MU", "link", "· eins"]
    assert sum(line.startswith("part OB") for line in lines) == 3  # the object, how it looks, and the picture


def test_headers_notes_and_tables_of_a_docx_are_said(said):
    header = f'<w:hdr xmlns:w="{WORD}">{paragraph("Ward 3")}</w:hdr>'
    table = (
        f"<w:tbl><w:tr><w:tc>{paragraph('field 1')}</w:tc><w:tc>{paragraph('120 MU')}</w:tc></w:tr></w:tbl>"
    )
    lines = words(said(docx([table], parts=[("word/header1.xml", header.encode())])))
    assert lines == ["field 1", "120 MU", "Ward 3"]


def test_what_rtf_readers_like_to_leave_out_is_said(said):
    lines = words(
        said(
            rtf(
                r"{\header Ward 3\par}Text{\footnote by phone\par}\par{\*\shpinst{\sp{\sn x}{\sv y}}{\shptxt box\par}}"
            )
        )
    )
    assert lines == ["Ward 3", "Textby phone", "box"]


def test_characters_of_rtf(said):
    body = r"\'fc\u8364?\uc2\u937 xx\f1\'c4\'e0\f2 \'93\'fa\'96\'7b\f0 \{a\}\tab b\strike c\strike0 d"
    assert words(said(rtf(body))) == ["ü€ΩДа日本{a} b[struck: c]d"]


def test_a_picture_in_rtf_is_compared_by_its_bytes_however_it_is_broken_into_lines(said):
    one, again, other = (
        said(rtf(rf"Photo{{\*\shppict{{\pict\pngblip {digits}}}}}"))
        for digits in ("89504E47\r\n0D0A", "89504e470d\r\n0a", "89504E470D0B")
    )
    assert one == again != other
    digest = hashlib.sha256(b"89504e470d0a").hexdigest()
    assert f"part OB 6 bytes sha256:{digest}" in one


def test_checkboxes_of_html_and_pictures_of_mht_show(said):
    assert words(said(b"<html><input type=checkbox checked>yes <input type=checkbox>no")) == ["[x]yes [ ]no"]
    assert said(mht("<p>A", [PIXEL])) != said(mht("<p>A", [PIXEL + b"x"]))
    assert words(said(b"<html><input type><input value=7><img alt>x")) == ["7 x"]
    assert words(said(b"<html><s>70</s> 72")) == ["[struck: 70] 72"]


# what can't be taken apart is said, and compared by its bytes


def bomb(size):
    out = io.BytesIO()
    with (
        zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as package,
        package.open("word/document.xml", "w") as part,
    ):
        part.write(
            b'<w:document xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"><w:body>'
        )
        for _ in range(size >> 20):
            part.write(b"<w:p/>" + b" " * ((1 << 20) - 6))
    return out.getvalue()


LAUGHS = '<!DOCTYPE l [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;">]>'

LOOP = b"<</Type/Pages/Kids[2 0 R 3 0 R]/Count 99999>>"

HOSTILE = {
    "empty": (b"", "no text in it"),
    "binary": (bytes(range(256)) * 40, "no kind of document"),
    "doc": (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(512), "old Office format"),
    "broken pdf": (b"%PDF-1.7\n" + b"\0" * 99, "damaged PDF"),
    "page tree in a circle": (
        pdf(["x"]).replace(b"<</Type/Pages/Kids[3 0 R]/Count 1>>", LOOP),
        "more than the vault",
    ),
    "scan": (pdf([], drawing="0 0 300 300 re f"), "no text in it"),
    "zip": (docx([]).replace(b"word/document.xml", b"word/dokument.xml"), "no DOCX"),
    "torn zip": (docx(map(paragraph, LINES))[:-40], "no DOCX"),
    "entities": (docx([paragraph("&b;")], prolog=LAUGHS), "defines entities"),
    "broken xml": (docx(["<w:p>"]), "damaged"),
    "zip bomb": (bomb(130 << 20), "more than the vault compares"),
    "deep rtf": (b"{\\rtf1" + b"{" * 100_000, "more than the vault compares"),
    "endless text": (b"a b\n" * 600_000, "more than the vault compares"),
    "nested mail": (mht("x").replace(b"text/html", b"message/rfc822"), ""),
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_what_can_not_be_read_says_so_and_is_compared_by_its_digest(said, kind):
    data, reason = HOSTILE[kind]
    started = time.monotonic()
    lines = said(data)
    assert time.monotonic() - started < 20
    if reason:
        assert lines[-1].startswith(
            f"(unread) UN {len(data)} bytes sha256:{hashlib.sha256(data).hexdigest()} ("
        )
        assert reason in lines[-1]
    assert not any(line.startswith("text") for line in lines) or not reason


def test_a_child_that_hangs_or_dies_costs_one_document(tmp_path, monkeypatch):
    good = tmp_path / "good"
    good.write_bytes(b"fine")
    hanging = tmp_path / "hang"
    subprocess.run(
        ["mkfifo", str(hanging)], check=True
    )  # a file that never ends, as far as the child can tell
    monkeypatch.setattr(reader, "SECONDS", 0.5)
    assert reader.read(hanging).reason == "its reader ran out of time or memory"
    monkeypatch.undo()
    assert reader.read(good).items[0].value == "fine"


def exponential_pdf(depth):
    """A page that shows a form that shows a form ten times, and so on: nothing to look at, endless to draw."""
    form = "/Type/XObject/Subtype/Form/BBox[0 0 9 9]"
    objects = [
        "<</Type/Catalog/Pages 2 0 R>>",
        "<</Type/Pages/Kids[3 0 R]/Count 1>>",
        "<</Type/Page/Parent 2 0 R/MediaBox[0 0 9 9]/Contents 4 0 R/Resources<</XObject<</X 5 0 R>>>>>>",
        "<</Length 5>>stream\n/X Do\nendstream",
    ]
    for number in range(depth):
        body = "0 0 m 9 9 l S" if number == depth - 1 else "/X Do " * 10
        inner = f"/Resources<</XObject<</X {6 + number} 0 R>>>>"
        objects.append(f"<<{form}{inner}/Length {len(body)}>>stream\n{body}\nendstream")
    return pdf_of(objects)


def test_a_pdf_that_is_endless_to_draw_costs_the_time_that_one_may_take(said, monkeypatch):
    assert said(exponential_pdf(2))[-1].endswith("(no text in it: a picture of a page, or empty)")
    monkeypatch.setattr(reader, "SECONDS", 1)
    assert said(exponential_pdf(14))[-1].endswith("(its reader ran out of time or memory)")
    assert words(said(pdf(LINES))) == LINES


def test_one_child_serves_many_documents(tmp_path):
    path = tmp_path / "a"
    path.write_bytes(b"fine")
    reader.read(path)
    first = reader._child(reader.os.getpid()).pid
    reader.read(path)
    assert reader._child(reader.os.getpid()).pid == first


@pytest.mark.parametrize(
    "said", [b'{"kind": "PDF", "items": [["text\\nrecord.title", "", "x"]]}', b"[]", b'{"items": 1}']
)
def test_a_child_that_was_taken_over_can_add_no_line(said):
    with pytest.raises((ValueError, TypeError, KeyError, AttributeError)):
        reader._checked(reader.json.loads(said))


def test_a_digest_that_is_none_is_quoted():
    assert document._line(document.Item("part", "", 'x"\n')) == 'part UT "x\\"\\n"'


@given(st.binary(max_size=300))
def test_any_bytes_have_a_normal_form_of_whole_lines(tmp_path_factory, data):
    path = tmp_path_factory.getbasetemp() / "any"
    path.write_bytes(data)
    made = answer(path)
    assert ("reason" in made) != ("items" in made)


@given(
    st.lists(
        st.sampled_from([*rb"{}\\' ", b"\\par ", b"\\u9 ", b"\\bin4 ", b"\\pict ", b"\\*", b"\\'e4", b"ab"]),
        max_size=30,
    )
)
def test_any_rtf_ends(tmp_path_factory, pieces):
    path = tmp_path_factory.getbasetemp() / "any.rtf"
    path.write_bytes(
        b"{\\rtf1 " + b"".join(piece if isinstance(piece, bytes) else bytes([piece]) for piece in pieces)
    )
    assert answer(path)


def test_the_child_writes_no_file_and_is_started_bare():
    program = reader._PROGRAM
    done = subprocess.run(
        [sys.executable, "-I", program],
        check=False,
        input=b'"/nonexistent"\n',
        capture_output=True,
        cwd="/",
        env={},
    )
    assert b"gave up (FileNotFoundError)" in done.stdout
