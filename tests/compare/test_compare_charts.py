"""Documents and rows of the database: word by word, field by field, by whom, and which of it is routine."""

from __future__ import annotations

from pathlib import Path

import pytest
from history_kit import History

from vault.compare.diff import compare
from vault.compare.findings import wording
from vault.model import AttributeChange, Row
from vault.normal import rows
from vault.normal.document import head

FOLDER = "documents/7-1"


def line(old: str | None, new: str | None) -> AttributeChange:
    return AttributeChange("text", "text", "", "UT", *(one and f'"{one}"' for one in (old, new)))


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        (
            [line("Bolus: none, knee rest 4", "Bolus: 5 mm, knee rest 4")],
            "lines of text: 1 changed (Bolus: none, → 5 mm,)",
        ),
        (
            [line("give 78 Gy in 39 fractions", "give 70 Gy in 35 fractions")],
            "lines of text: 1 changed (give 78 → 70; Gy in 39 → 35)",
        ),
        ([line("no allergies known", "allergies known")], "lines of text: 1 changed (no → nothing)"),
        ([line(None, "Check daily.")], "lines of text: 1 added (added: Check daily.)"),
        (
            [line("a", "b"), line("c", None), line("d", None), line("e", None)],
            "lines of text: 1 changed, 3 removed (a → b; removed: c; removed: d; …)",
        ),
        ([line("x " * 500, "y " * 500)], None),
        ([line("spaced  out", "spaced out")], "lines of text: 1 changed (spaced  out → spaced out)"),
    ],
)
def test_text_is_told_word_by_word(lines: list[AttributeChange], expected: str | None) -> None:
    said = wording.told(lines)
    assert said == expected if expected else len(said) < 250


def plan(key: str = "1", **fields: str | None) -> Row:
    common = {
        "plan_key": key,
        "status": "PlanApproval",
        "status_at": "2026-11-20T15:00:00",
        "fractions": "30",
    }
    return Row("plans", {**common, "changed_at": "2026-11-20T15:00:00", "changed_by": "P. Ostrow", **fields})


def told(folder: Path, path: str, *versions: bytes) -> list[tuple[str, str]]:
    history = History(folder / "root")
    files = {} if path.startswith("database/") else {f"{FOLDER}/a.pdf": b"1"}
    commits = [history.night({**files, path: version}) for version in versions]
    return [
        (finding.severity, finding.text)
        for change in compare(history.repository, *commits)
        for finding in change.findings
    ]


def plans(folder: Path, old: Row, new: Row) -> list[tuple[str, str]]:
    forms = (rows.normal_form("plans", [row]) for row in (old, new))
    return told(folder, "database/plans.txt", *forms)


LATER = {"changed_at": "2026-11-24T14:05:00", "changed_by": "R. Lindqvist"}
BY = "; changed 2026-11-24 14:05 by R. Lindqvist"


@pytest.mark.parametrize(
    ("old", "new", "severity"),
    [
        ("Unapproved", "Reviewed", "routine"),
        ("Reviewed", "PlanApproval", "routine"),
        ("PlanApproval", "TreatApproval", "routine"),
        ("Planning Approved", "Treatment Approved", "routine"),
        ("TreatApproval", "Completed", "routine"),
        ("TreatApproval", "PlanApproval", "critical"),
        ("TreatApproval", "Rejected", "critical"),
        ("TreatApproval", "Retired", "critical"),
        ("Weird", "TreatApproval", "critical"),
    ],
)
def test_a_status_forward_is_routine_and_backward_is_not(
    tmp_path: Path, old: str, new: str, severity: str
) -> None:
    moved = plan(status=new, status_at="2026-11-24T14:05:00", **LATER)
    said = plans(tmp_path, plan(status=old), moved)
    assert said[0] == (severity, f"row 1: status {old} → {new}{BY}")
    assert [one for one, _ in said] == [severity, severity]


def test_a_step_forward_hides_nothing_else(tmp_path: Path) -> None:
    moved = plan(status="TreatApproval", fractions="25", **LATER)
    assert plans(tmp_path, plan(), moved) == [
        ("critical", f"row 1: fractions 30 → 25{BY}"),
        ("routine", f"row 1: status PlanApproval → TreatApproval{BY}"),
    ]


def document(text: str, *, approved: str | None = None, by: str | None = None) -> bytes:
    row = {"document_key": "7-1", "title": "Consent", "approved": approved, "approved_by": by, **LATER}
    return head(Row("documents", row)) + f'content CS PDF\ntext UT "{text}"\n'.encode()


SIGNED = {"approved": "2026-11-20T10:00:00", "by": "P. Ostrow"}


def test_a_document_that_is_signed_is_routine(tmp_path: Path) -> None:
    said = told(tmp_path, f"{FOLDER}/record.txt", document("x"), document("x", **SIGNED))
    assert said == [
        ("routine", f"approved absent → 2026-11-20T10:00:00{BY}"),
        ("routine", f"approved by absent → P. Ostrow{BY}"),
    ]


def test_a_signature_that_is_withdrawn_or_somebody_elses_is_critical(tmp_path: Path) -> None:
    said = told(tmp_path, f"{FOLDER}/record.txt", document("x", **SIGNED), document("x"))
    assert {severity for severity, _ in said} == {"critical"}
    other = document("x", **{**SIGNED, "by": "M. Allory"})
    said = told(tmp_path / "2", f"{FOLDER}/record.txt", document("x", **SIGNED), other)
    assert said == [("critical", f"approved by P. Ostrow → M. Allory{BY}")]


def test_a_text_that_changed_after_it_was_approved_is_critical(tmp_path: Path) -> None:
    path = f"{FOLDER}/record.txt"
    assert told(tmp_path, path, document("give 78 Gy"), document("give 70 Gy")) == [
        ("major", f"lines of text: 1 changed (give 78 → 70){BY}")
    ]
    signed = (document(f"give {dose} Gy", **SIGNED) for dose in (78, 70))
    assert told(tmp_path / "2", path, *signed) == [
        ("critical", f"lines of text: 1 changed (give 78 → 70), after it had been approved{BY}")
    ]
