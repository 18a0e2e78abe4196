"""The documents: the same bytes for the same data, every script readable, and no text breaks the layout."""

from __future__ import annotations

import io
import re
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pypdfium2
import pytest
import report_kit
from day_rows import DAY, course, demographics, history, plans, schedule

from vault.model import Anomaly, Row
from vault.report.build import Sources, appointments, department_day, patient_day
from vault.report.department_pdf import department_pdf
from vault.report.glyphs import EAST_ASIAN, LONGEST, REPLACEMENT, SYSTEM, _font_of, printable
from vault.report.patient_pdf import Setting, patient_pdf
from vault.report.pdf import pdf
from vault.report.sheet import Frame, Sheet
from vault.report.treatments import PatientDay, Person

ZONE = ZoneInfo("Europe/Berlin")
SETTING = Setting("Strahlentherapie Köln", datetime(2026, 11, 25, 15, 0, tzinfo=ZONE))
NAMES = {
    "Latin": "Müller^Łucja",
    "Vietnamese": "Nguyễn^Ánh",
    "Greek": "Παπαδοπούλου^Λουκία",
    "Cyrillic": "Иванов^Пётр",
    "Armenian": "Հակոբյան^Արամ",
    "Georgian": "ბერიძე^ნინო",
    "Hebrew": "ישראלי^דוד",
    "Arabic": "محمد^علي",
}
HOSTILE = (
    "\u202eEVIL\x1b[31m\n\r\t\x00"
    + "Z\u0300\u0301\u0302\u0303\u0304\u0305" * 500
    + "x" * 10_000
    + "\ufeff\ue000"
)


def patient(
    name: str = "Müller^Anna", patient_id: str = "4711", upto: int = 12, **changes: str
) -> PatientDay:
    rows = {
        "history": course(upto=upto, patient=patient_id, **changes),
        "plans": plans(patient=patient_id),
        "demographics": demographics(name, patient=patient_id),
        "schedule": schedule(0, 1, 2, patient=patient_id),
    }
    return patient_day(Sources(patient_id, rows), DAY, ZONE)


def pages(document: bytes) -> list[str]:
    """The text of each page, as a reader's program finds it."""
    pdf = pypdfium2.PdfDocument(io.BytesIO(document))
    return [page.get_textpage().get_text_bounded() for page in pdf]


def as_seen(document: bytes) -> str:
    """The letters of all pages line by line and from the left, as they lie on the paper; without spaces."""
    seen = []
    for page in pypdfium2.PdfDocument(io.BytesIO(document)):
        text = page.get_textpage()
        letters = []
        for index in range(text.count_chars()):
            left, bottom, *_ = text.get_charbox(index, loose=True)
            if not (letter := text.get_text_range(index, 1)).isspace():
                letters.append((-round(bottom), left, letter))
        seen += [letter for *_, letter in sorted(letters)]
    return "".join(seen)


def within(document: bytes) -> bool:
    """Whether all text lies on the paper, between its margins."""
    for page in pypdfium2.PdfDocument(io.BytesIO(document)):
        text = page.get_textpage()
        width, height = page.get_size()
        for index in range(text.count_chars()):
            left, bottom, right, top = text.get_charbox(index)
            if not (20 <= left <= right <= width - 20 and 20 <= bottom <= top <= height - 20):
                return False
    return True


def test_a_patients_page_says_what_is_needed() -> None:
    (text,) = pages(patient_pdf(patient(), SETTING))
    for said in (
        "Müller, Anna",
        "4711",
        "1951-03-09",
        "Wednesday, 25 November 2026",
        "As of 2026-11-25 15:00 CET",
        "Page 1 of 1",
        "Fraction 12 of 39: PROSTATE_1A (C1)",
        "24 of 78 Gy",
        "1-ARC",
        "376.5",
        "TB1",
        "2026-11-26 08:10",
        "+49 30 1234567",
        "C61 Malignant neoplasm of prostate",
    ):
        assert said in text, said


def test_what_needs_attention_stands_out() -> None:
    (text,) = pages(patient_pdf(patient(delivered_mu="100", termination="MACHINE", override="yes"), SETTING))
    assert "PARTIAL, OVERRIDE" in text
    assert "Ended: MACHINE" in text
    assert "≈ 23.29 of 78 Gy" in text
    assert "\u2212261.0" in text


def test_the_departments_pages_say_who_where_and_how_much() -> None:
    patients = [patient(f"Person{number}^A", str(1000 + number)) for number in range(30)]
    patients.append(patient("Cut^Short", "77", delivered_mu="100"))
    due = [
        (Person("9", "Late, Riser", "1960-01-02", phone="110"), slot)
        for slot in appointments(schedule(0), DAY, ZONE)
    ]
    texts = pages(department_pdf(department_day(patients, due, DAY), SETTING))
    assert len(texts) > 2
    for number, text in enumerate(texts, 1):
        assert f"Page {number} of {len(texts)}" in text
        assert text.count("As of 2026-11-25 15:00 CET") == 2
    whole = " ".join(texts)
    assert all(f"Person{number}, A" in whole for number in range(30))
    assert whole.index("Needs attention") < whole.index("Cut, Short") < whole.index("Person0, A")
    assert "1-ARC 376.5 / 376.5 MU; 2-ARC 100.0 / 361.0 MU PARTIAL" in whole
    assert "Late, Riser" in whole


def test_a_long_course_runs_over_pages_that_each_say_whose_they_are() -> None:
    rows = {"history": [], "plans": []}
    for number in range(12):
        rows["history"] += course(f"PLAN_{number}", upto=14)
        rows["plans"] += plans(f"PLAN_{number}")
    day = patient_day(Sources("4711", {**rows, "demographics": demographics("A^B")}), DAY, ZONE)
    texts = pages(patient_pdf(day, SETTING))
    assert len(texts) > 3
    assert all("A, B · 4711" in text and "As of" in text for text in texts)


def test_the_same_data_is_the_same_bytes() -> None:
    assert patient_pdf(patient(), SETTING) == patient_pdf(patient(), SETTING)
    day = department_day([patient()], [], DAY)
    assert department_pdf(day, SETTING) == department_pdf(day, SETTING)
    made = patient_pdf(patient(), SETTING)
    assert re.findall(rb"D:(\d{8})", made) == [b"20000101"]


def test_nobody_treated_is_a_page_too() -> None:
    (text,) = pages(department_pdf(department_day([], [], DAY), SETTING))
    assert "Nobody" in text
    (text,) = pages(patient_pdf(patient_day(Sources("1", {}), DAY, ZONE), SETTING))
    assert "No treatment was seen" in text


@pytest.mark.parametrize("script", NAMES)
def test_the_shipped_font_has_the_script(script: str) -> None:
    found = printable(NAMES[script].replace("^", ", "), system=())
    assert REPLACEMENT not in found.text
    assert not found.lacking


def test_arabic_and_hebrew_are_shaped_and_read_from_the_right() -> None:
    (text,) = pages(patient_pdf(patient("محمد^علي"), SETTING))
    letters = [letter for letter in text if "\u0600" <= letter <= "\u06ff" or "\ufb50" <= letter <= "\ufeff"]
    assert letters


@pytest.mark.parametrize("name", ["محمد^علي", "ישראלי^דוד"])
def test_an_id_reads_from_the_left_beside_a_name_that_does_not(name: str) -> None:
    """Left to the bidirectional algorithm alone, `12-34-56` after an Arabic name is printed `56-34-12`."""
    document = patient_pdf(patient(name, "12-34-56"), SETTING)
    assert as_seen(document).count("12-34-56") == 2  # on the page and over it


def test_no_text_is_a_placeholder() -> None:
    """`{nb}` is the number of pages to the library that writes the file: an ID `{nb}7` was printed as `17`."""
    (text,) = pages(patient_pdf(patient("{nb}^Ånna", "{nb}7"), SETTING))
    assert text.count("{nb}, Ånna") == 2
    assert text.count("{nb}7") == 2


def test_an_id_is_on_each_page_however_long_the_name_is() -> None:
    for name in ("Wolfeschlegelsteinhausenbergerdorff-Montmorency^Hubert Blaine Theodor", "W" * 400):
        (text,) = pages(patient_pdf(patient(name, "ID-0123456789"), SETTING))
        assert text.count("ID-0123456789") == 2, name
    changed = [report_kit.patient(1, "critical")]
    changed[0] = replace(changed[0], patient_id="ID-0123456789", name="Wolfe Montmorency " * 9)
    text = pages(pdf(replace(report_kit.report(*changed), run="")))[0]
    assert "· ID-0123456789" in text


def test_a_heading_takes_two_lines_before_it_loses_a_word() -> None:
    rows = {
        "history": [
            *history(fraction=41, delivered_mu="100"),
            *history(fraction=41, at=datetime(2026, 11, 25, 9)),
        ],
        "plans": plans(),
    }
    rows["history"] = [Row("history", {**row.fields, "override": "yes"}) for row in rows["history"]]
    rows["history"] += history(
        fraction=40, at=datetime(2026, 11, 24, 8), fields=(("1-ARC", "9"), ("3", "9"), ("2-ARC", "9"))
    )
    (text,) = pages(patient_pdf(patient_day(Sources("4711", rows), DAY, ZONE), SETTING))
    assert "PARTIAL, OVERRIDE, MORE MU THAN PLANNED, MORE FRACTIONS THAN PLANNED" in text
    name = "Wolfeschlegelsteinhausenbergerdorff-Montmorency, Hubert Blaine"
    one = replace(report_kit.patient(1, "critical"), name=name, birth_date="1951-03-09")
    whole = "".join(pages(pdf(report_kit.report(one))))
    assert re.search(rf"CRITICAL +{name} \(P-001\)", whole)
    assert "born 1951-03-09" in whole


def test_fields_that_do_not_fit_are_not_dropped_without_a_word() -> None:
    fields = tuple((f"A field of a long name {number}", "100") for number in range(40))
    rows = {"history": history(fields=fields), "demographics": demographics("A^B")}
    day = patient_day(Sources("4711", rows), DAY, ZONE)
    whole = " ".join(pages(department_pdf(department_day([day], [], DAY), SETTING)))
    assert "name 39 100.0" not in whole
    assert re.search(r"… and \d+ more lines?", whole)


def test_a_page_that_a_patient_runs_on_to_says_whose_it_is() -> None:
    """Pages get separated, and a picture alone is nobody's."""
    odd = tuple(Anomaly("x", "major", f"leaf {number}", "") for number in range(120))
    one = replace(report_kit.patient(1, "critical"), anomalies=odd)
    whole = pages(pdf(report_kit.report(one, report_kit.patient(2, "critical"))))
    runs_on = [text for text in whole if "leaf 60" in text or "leaf 119" in text]
    assert len(runs_on) > 1
    assert "Demo, Anna 1 (P-001), continued" in runs_on[-1]
    assert all("Demo, Anna 2 (P-002), continued" not in text for text in whole)


@pytest.mark.parametrize("letters", ["قوس", "קשת"])
def test_what_was_given_stays_before_what_was_planned(letters: str) -> None:
    """Also where a field's name from the right begins the line, which would else be turned round as a whole."""
    sheet = Sheet(Frame("site", "title", "subject", "as of", "footer"))
    sheet.line(f"{letters} 80.0 / 100.0 MU")
    sheet.line(f"{letters}, 12 of 39")
    sheet.line(f"{letters} 2 {letters} 45 → 50.4 Gy")
    seen = as_seen(sheet.finish())
    assert "80.0/100.0MU" in seen
    assert "12of39" in seen
    assert "45→50.4Gy" in seen


@pytest.mark.system
@pytest.mark.skipif(
    _font_of("山", SYSTEM) is None,
    reason=f"none of {', '.join(EAST_ASIAN)} is installed: apt-get install fonts-wqy-microhei",
)
def test_east_asian_names_need_a_font_of_the_system() -> None:
    (text,) = pages(patient_pdf(patient("山田^太郎=김^철수=やまだ^たろう"), SETTING))
    assert "山田, 太郎 (김, 철수, やまだ, たろう)" in text


def test_a_script_without_a_font_shows_and_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vault.report.sheet.printable", lambda text: printable(text, system=()))
    (text,) = pages(patient_pdf(patient("山田^太郎"), SETTING))
    assert "□□, □□" in text
    assert "□ stands for what can't be printed here: cjk (U+592A), cjk (U+5C71)" in text


def test_hostile_text_stays_in_its_place() -> None:
    rows = {
        "history": [
            Row(
                "history",
                {**row.fields, "plan": HOSTILE, "field": HOSTILE, "machine": HOSTILE, "termination": HOSTILE},
            )
            for row in [*history(fraction=1, at=datetime(2026, 11, 24, 8)), *history(fraction=2)]
        ],
        "demographics": [Row("demographics", dict.fromkeys(demographics("x")[0].fields, HOSTILE))],
        "schedule": [Row("schedule", {**schedule(1)[0].fields, "activity": HOSTILE, "status": HOSTILE})],
    }
    day = patient_day(Sources(HOSTILE[:64], rows), DAY, ZONE)
    setting = Setting(HOSTILE, SETTING.as_of)
    slot = appointments(schedule(0), DAY, ZONE)[0]
    for document in (
        patient_pdf(day, setting),
        department_pdf(department_day([day], [(Person("9", HOSTILE), slot)], DAY), setting),
    ):
        assert within(document)
        assert len(pages(document)) <= 2
        text = " ".join(pages(document))
        assert "\x1b" not in text
        assert "\u202e" not in text
        assert "control characters" in text


def test_text_is_bounded_and_controls_show() -> None:
    found = printable("a\u202eb\x07c" + "x" * 100_000)
    assert found.text.startswith("a□b□c")
    assert len(found.text) <= LONGEST
    assert found.lacking == ("control characters",)
    assert printable(" a\n\tb  c ").text == "a b c"
    assert printable("e" + "\u0301" * 50).text == "é" + "\u0301" * 4
    assert printable("\u0645\u200c\u0627").text == "\u0645\u200c\u0627"


def test_paper_may_be_letter() -> None:
    document = patient_pdf(patient(), Setting("Site", SETTING.as_of, "letter"))
    (page,) = pypdfium2.PdfDocument(io.BytesIO(document))
    assert page.get_size() == (612, 792)
    assert within(document)


def test_the_document_stands_alone(tmp_path: Path) -> None:
    made = patient_pdf(patient(), SETTING)
    assert made.count(b"/FontFile2") >= 2  # its fonts are in it
    assert b"http" not in made
    assert len(made) < 60_000
