"""The report as lines, as JSON and on paper: the page's order, and hostile text as text."""

from __future__ import annotations

import io
import json
from dataclasses import replace

import pypdfium2
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from report_kit import HOSTILE, patient, report

from vault.compare.groups import Group
from vault.model import Failure, Finding
from vault.report import telling
from vault.report.changes import Census, Lines, RunReport
from vault.report.document import document
from vault.report.html import html
from vault.report.pdf import pdf
from vault.report.pictures import Picture
from vault.report.sheet import png_size
from vault.report.text import text


def night() -> RunReport:
    lacking = replace(patient(4, "routine"), gaps=(Failure("CT 1.2", "never arrived"),))
    return report(patient(1, "critical"), patient(2, "major"), patient(3, "routine"), lacking)


def pages(data: bytes) -> list[str]:
    return [page.get_textpage().get_text_bounded() for page in pypdfium2.PdfDocument(data)]


def test_text_in_order() -> None:
    said = text(night())
    places = [
        said.index(what)
        for what in (
            "STOP AND LOOK",
            "6 patients asked for, by the worst of each: 1 critical, 1 major, 0 minor, 0 administrative, 2 routine",
            "critical  Demo, Anna 1 (P-001)",
            "leaves 1 → 2",
            "major  Demo, Anna 2 (P-002)",
            "missing: CT 1.2: never arrived",
            "Nothing but routine: 1 patient",
            "Demo, Anna 3 (P-003): changed: plan PROSTATE",
            "Ledger aaaa",
        )
    ]
    assert places == sorted(places)
    assert "\x1b" not in said
    assert "\x1b[31mcritical\x1b[0m" in text(night(), colour=True)


def test_a_new_patient_is_said_to_be_one() -> None:
    told = report(replace(patient(1, "minor", kind="added"), old=None))
    assert "(P-001), new in the vault" in text(told)
    assert "new in the vault" in pages(pdf(told))[0]
    assert "new in the vault</span>" in html(told).decode()


def test_how_grave_the_findings_are_that_are_left_out_is_said() -> None:
    said = tuple(Finding("critical" if number < 15 else "minor", f"f{number}") for number in range(20))
    (change,) = patient(1, "critical").changes
    group = Group((replace(change, findings=said),), "")
    told = text(report(replace(patient(1, "critical"), groups=(group,))))
    assert "f11" in told
    assert "f12" not in told
    assert "        and 8 findings more: 3 critical, 5 minor" in told


def test_how_many_the_census_dropped_is_said_however_many_they_are() -> None:
    gone = tuple(f"P-{number:05}" for number in range(200))
    said = text(replace(night(), census=Census(3, gone)))
    assert "3 named by the census; 200 no longer: P-00000, P-00001, " in said
    assert f"and {200 - telling.GONE_NAMED} more" in said
    assert "2 no longer: A, B\n" in text(replace(night(), census=Census(9, ("A", "B"))))


def test_text_commands_no_terminal() -> None:
    said = text(report(patient(1, "critical", HOSTILE), text=HOSTILE))
    assert all(letter.isprintable() or letter == "\n" for letter in said)
    assert "\\u202e" in said
    assert max(map(len, said.splitlines())) < 5000


def test_json() -> None:
    found = json.loads(json.dumps(document(night())))
    assert (found["light"]["colour"], found["asked"], found["unchanged"]) == ("red", 6, 2)
    assert [each["severity"] for each in found["patients"]] == ["critical", "major", "routine", "routine"]
    (change,) = found["patients"][0]["changes"]
    assert (change["kind"], change["modality"], change["attributes"]) == (
        "changed",
        "RTPLAN",
        ["A: 1 → 2"] * 3,
    )
    assert change["more_attributes"] == 5
    assert found["counts"]["routine"] == 2
    assert found["census"] == {"named": 9, "gone": []}


def test_paper_in_order_and_the_same_twice() -> None:
    data = pdf(night())
    assert data == pdf(night())
    said = "\n".join(pages(data))
    places = [
        said.index(what)
        for what in ("STOP AND LOOK", "Who must look", "CRITICAL", "MAJOR", "Nothing but routine")
    ]
    assert places == sorted(places)
    assert "Page 1 of" in said
    assert "never arrived" in said


def test_paper_takes_hostile_text_and_long_names() -> None:
    long = "N" * 10_240
    for hostile in (HOSTILE, long, "שלום\u202e עולם", "山田"):
        assert len(pages(pdf(report(patient(1, "critical", hostile), text=hostile)))) < 12


def test_pictures_on_paper_are_whole() -> None:
    one = patient(1, "critical")
    figure = Figure(figsize=(7, 3))
    FigureCanvasAgg(figure)
    drawn = io.BytesIO()
    figure.savefig(drawn, format="png", dpi=50)
    assert png_size(drawn.getvalue()) == (350, 150)
    shown = Picture("View", "alt", drawn.getvalue(), "as seen from the source")
    lacking = Picture("Dose", "alt", b"", "No picture: too large.")
    data = pdf(report(one), {("P-001", one.changes[0].path): [shown, lacking]})
    assert "as seen from the source" in pages(data)[0]
    assert "No picture: too large." in pages(data)[0]
    assert len(data) > len(pdf(report(one))) + 300


def test_no_png_is_no_picture() -> None:
    with pytest.raises(ValueError, match="not a PNG"):
        png_size(b"GIF89a" + bytes(40))


def test_many_lines_are_counted_on_paper() -> None:
    one = patient(1, "critical")
    (path,) = one.lines
    one = replace(one, lines={path: Lines(tuple(f"line {n}" for n in range(50)), 100)})
    assert "and 144 more attribute lines" in "\n".join(pages(pdf(report(one))))
