from __future__ import annotations

from vault.compare.text import render
from vault.model import AttributeChange, Change, Finding


def attribute(path: str, old: str | None, new: str | None) -> AttributeChange:
    return AttributeChange(path, path.rsplit(".", 1)[-1], "(300a,0078)", "IS", old, new)


def plan(*attributes: AttributeChange, kind: str = "changed", title: str = "PROSTATE") -> Change:
    return Change("dicom/RTPLAN/1.2/1.2.1.dcm", kind, "RTPLAN", title, attributes=attributes)


def ct(number: int, kind: str = "added") -> Change:
    return Change(f"dicom/CT/1.9/1.9.{number:03}.dcm", kind, "CT", f"Planning, image {number}")


def test_no_changes() -> None:
    assert list(render([])) == ["No differences."]


def test_changed_first_plans_first_and_the_counts_last() -> None:
    record = Change("dicom/RTRECORD/1.3/1.3.1.dcm", "added", "RTRECORD", "treatment 2026-11-24, fraction 3")
    summary = Change("patient.json", "changed", "", "patient summary")
    lines = list(render([ct(1), record, summary, plan(attribute("A[1].B", "28", "30"))]))
    assert lines == [
        "Changed",
        "  RTPLAN PROSTATE  (1.2.1)",
        "      A[1].B: 28 → 30",
        "  patient summary  (patient.json)",
        "",
        "Added",
        "  RTRECORD treatment 2026-11-24, fraction 3  (1.3.1)",
        "  CT Planning, image 1  (1.9.001)",
        "",
        "2 changed, 2 added",
    ]


def test_images_of_a_series_are_one_line() -> None:
    lines = list(render([ct(number) for number in range(1, 121)]))
    assert lines[:2] == ["Added", "  CT Planning: 120 images added  (series 1.9)"]
    assert lines[-1] == "120 added"


def test_changed_images_are_never_collapsed() -> None:
    changes = [
        Change(f"dicom/CT/1.9/{n}.dcm", "changed", "CT", "x", attributes=(attribute("Rows", "1", "2"),))
        for n in range(30)
    ]
    assert sum("Rows: 1 → 2" in line for line in render(changes)) == 30


def test_a_new_beam_is_one_line() -> None:
    added = [attribute(f"BeamSequence[3].ControlPointSequence[{n}].GantryAngle", None, "1") for n in range(9)]
    changed = [attribute("BeamSequence[2].BeamName", "a", "b")]
    text = "\n".join(render([plan(*changed, *added)]))
    assert "BeamSequence[3]: 9 attributes added" in text
    assert "BeamSequence[2].BeamName: a → b" in text


def test_many_attributes_are_counted_and_can_be_asked_for() -> None:
    change = plan(*(attribute(f"A[{n}].B", "1", "2") for n in range(100)))
    assert "and 60 more lines; --attributes" in "\n".join(render([change]))
    assert len(list(render([change], attributes=None))) == 104
    assert len(list(render([change], attributes=0))) == 4


def test_findings_are_told() -> None:
    change = Change(
        "dicom/RTPLAN/1/1.dcm", "changed", "RTPLAN", "P", findings=(Finding("critical", "MU 100 → 120"),)
    )
    assert "      critical: MU 100 → 120" in list(render([change]))


def test_colour_only_where_asked_and_nothing_else_commands_the_terminal() -> None:
    hostile = plan(attribute("A\x1b[2J", "\x1b", "1"), title="\x1b[31mX\r")
    assert "\x1b" not in "".join(render([hostile]))
    assert "\x1b[1;33m" in "".join(render([hostile], colour=True))
