"""Documents and rows between two commits: one word is one line, stamps alone are nothing, titles are the documents'."""

from __future__ import annotations

from pathlib import Path

import pytest
from history_kit import History
from hypothesis import given
from hypothesis import strategies as st

from vault.compare.diff import compare
from vault.compare.emr import document_title, form_changes
from vault.compare.text import render
from vault.model import Row
from vault.normal import rows

FOLDER = "documents/7-1"


@pytest.fixture
def history(tmp_path: Path) -> History:
    return History(tmp_path)


def document(*text: str, title: str = "Consent", at: str = "1") -> bytes:
    head = f'normal-form 1\nrecord.title UT "{title}"\nstamp.changed_at UT "{at}"\ncontent CS PDF\n'
    return (head + "".join(f"text UT {rows.quote(line)}\n" for line in text)).encode()


def said(old: bytes, new: bytes) -> list[tuple[str, str | None, str | None]]:
    return [(change.path, change.old, change.new) for change in form_changes(old, new)]


def test_one_word_is_one_change_and_an_inserted_line_one_more() -> None:
    old = document("Anna", "78 Gy", "no pacemaker", "signed")
    new = document("Anna", "bladder full", "70 Gy", "no pacemaker", "signed")
    assert said(old, document("Anna", "70 Gy", "no pacemaker", "signed")) == [("text", '"78 Gy"', '"70 Gy"')]
    assert said(old, document("Anna", "78 Gy", "x", "no pacemaker", "signed")) == [("text", None, '"x"')]
    assert [change[0] for change in said(old, new)] == ["text", "text"]


def test_lines_that_changed_places_are_told() -> None:
    assert said(document("left", "right"), document("right", "left")) == [
        ("text", None, '"right"'),
        ("text", '"right"', None),
    ]


def test_the_row_is_compared_by_field_and_its_stamp_tells_who() -> None:
    assert said(document("x", at="1"), document("x", title="Void", at="2")) == [
        ("record.title", '"Consent"', '"Void"'),
        ("stamp.changed_at", '"1"', '"2"'),
    ]


def test_a_stamp_alone_is_nothing() -> None:
    assert said(document("x", at="1"), document("x", at="2")) == []


LINES = st.lists(st.sampled_from(["a", "b", "c", 'q"', ""]), max_size=12)


@given(LINES, LINES)
def test_changes_of_text_lead_from_the_old_to_the_new(old: list[str], new: list[str]) -> None:
    changes = [change for change in said(document(*old), document(*new)) if change[0] == "text"]
    assert (not changes) == (old == new)
    for place, lines, others in ((1, old, new), (2, new, old)):
        only = sorted(change[place] for change in changes if change[place] is not None)
        spare = [rows.quote(line) for line in others]
        missing = []
        for line in map(rows.quote, lines):
            if line in spare:
                spare.remove(line)
            else:
                missing.append(line)
        assert all(only.count(line) >= missing.count(line) for line in missing)


def test_texts_without_measure_are_compared_as_a_set() -> None:
    old = document(*(f"line {n}" for n in range(9_000)))
    new = document("first", *(f"line {n}" for n in range(1, 8_999)), "last")
    assert len(said(old, new)) == 2


@pytest.mark.parametrize(
    ("form", "title"),
    [(document("x"), "Consent"), (b"normal-form 1\n", "a.pdf"), (document(title=""), "a.pdf")],
)
def test_titles(form: bytes, title: str) -> None:
    assert document_title(form, "a.pdf") == title


# between commits


def test_a_revised_document_is_one_change_under_its_title(history: History) -> None:
    old = history.night(
        {f"{FOLDER}/a.pdf": b"1", f"{FOLDER}/record.txt": document("78 Gy"), "patient.json": b"{}"}
    )
    new = history.night(
        {
            f"{FOLDER}/a.pdf": b"2",
            f"{FOLDER}/record.txt": document("70 Gy", at="2"),
            "patient.json": b'{"rois": 1}',
        }
    )
    (change,) = compare(history.repository, old, new)
    assert (change.path, change.kind, change.title) == (f"{FOLDER}/a.pdf", "changed", "Consent")
    assert [(a.path, a.keyword, a.vr, a.old, a.new) for a in change.attributes] == [
        ("stamp.changed_at", "changed_at", "UT", '"1"', '"2"'),
        ("text", "text", "UT", '"78 Gy"', '"70 Gy"'),
    ]
    assert [line.strip() for line in render([change])][:5] == [
        "Major",
        f"Consent  ({FOLDER}/a.pdf)  changed",
        "major: lines of text: 1 changed (78 → 70); changed 2",
        'stamp.changed_at: "1" → "2"',
        'text: "78 Gy" → "70 Gy"',
    ]


def test_added_removed_renamed_and_stamps(history: History) -> None:
    first = history.night({f"{FOLDER}/a.pdf": b"1", f"{FOLDER}/record.txt": document("x")})
    stamped = history.night({f"{FOLDER}/record.txt": document("x", at="2")})
    void = history.night({f"{FOLDER}/record.txt": document("x", title="Void")})
    renamed = history.night(
        {
            f"{FOLDER}/a.pdf": None,
            f"{FOLDER}/b.doc": b"2",
            f"{FOLDER}/record.txt": document("y", title="Void"),
        }
    )
    gone = history.night({f"{FOLDER}/b.doc": None, f"{FOLDER}/record.txt": None, "patient.json": b"{}"})

    def told(old: str | None, new: str) -> list[tuple[str, str, str]]:
        return [
            (change.path, change.kind, change.title)
            for change in compare(history.repository, old, new)
            if change.path != "patient.json"
        ]

    assert told(None, first) == [(f"{FOLDER}/a.pdf", "added", "Consent")]
    assert told(first, stamped) == []
    assert told(stamped, void) == [(f"{FOLDER}/a.pdf", "changed", "Void")]
    assert told(void, renamed) == [(f"{FOLDER}/b.doc", "changed", "Void")]
    assert told(renamed, gone) == [(f"{FOLDER}/b.doc", "removed", "Void")]


def test_rows_are_compared_by_field(history: History) -> None:
    def form(dose: str, at: str) -> bytes:
        fields = {"prescription_key": "1", "total_dose_gy": dose, "changed_at": at}
        return rows.normal_form("prescriptions", [Row("prescriptions", fields)])

    path = "database/prescriptions.txt"
    first = history.night({path: form("78", "1")})
    stamped = history.night({path: form("78", "2")})
    last = history.night({path: form("70", "2")})
    (added,) = compare(history.repository, None, first)
    assert (added.kind, added.title) == ("added", "prescriptions")
    assert compare(history.repository, first, stamped) == []
    (change,) = compare(history.repository, stamped, last)
    assert [(a.path, a.old, a.new) for a in change.attributes] == [
        ("prescriptions[1].total_dose_gy", '"78"', '"70"')
    ]


def test_a_word_in_a_long_line_is_shown_where_it_differs(history: History) -> None:
    long = "word " * 60
    old = history.night({f"{FOLDER}/a.pdf": b"1", f"{FOLDER}/record.txt": document(f"{long}left {long}")})
    new = history.night({f"{FOLDER}/a.pdf": b"2", f"{FOLDER}/record.txt": document(f"{long}right {long}")})
    (line,) = (
        line for line in render(compare(history.repository, old, new)) if line.strip().startswith("text:")
    )
    assert "left" in line
    assert "right" in line
