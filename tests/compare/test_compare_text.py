from __future__ import annotations

from dataclasses import replace

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
        "Critical",
        "  RTPLAN PROSTATE  (1.2.1)  changed",
        "      A[1].B: 28 → 30",
        "  patient summary  (patient.json)  changed",
        "  RTRECORD treatment 2026-11-24, fraction 3  (1.3.1)  added",
        "  CT Planning, image 1  (1.9.001)  added",
        "",
        "2 changed, 2 added; 4 critical",
    ]


def weighed(change: Change, *findings: tuple[str, str]) -> Change:
    return replace(
        change,
        severity=findings[0][0],
        findings=tuple(Finding(severity, text) for severity, text in findings),
    )


def test_the_most_severe_comes_first_and_what_was_added_in_one_line() -> None:
    removed = Change("dicom/RTPLAN/1.2/1.2.2.dcm", "removed", "RTPLAN", "OLD")
    changes = [
        weighed(record(3), ("routine", "new treatment record: fraction 3")),
        weighed(plan(attribute("RTPlanLabel", '"A"', '"B"'), title="B"), ("major", "plan label A → B")),
        weighed(removed, ("critical", "the ROIS no longer has this plan")),
    ]
    assert list(render(changes)) == [
        "Critical",
        "  RTPLAN OLD  (1.2.2): the ROIS no longer has this plan",
        "",
        "Major",
        "  RTPLAN B  (1.2.1)  changed",
        "      major: plan label A → B",
        '      RTPlanLabel: "A" → "B"',
        "",
        "Routine",
        "  RTRECORD treatment 2026-11-24, fraction 3  (1.3.3): new treatment record: fraction 3",
        "",
        "1 changed, 1 removed, 1 added; 1 critical, 1 major, 1 routine",
    ]


def record(number: int) -> Change:
    title = f"treatment 2026-11-24, fraction {number}"
    return Change(f"dicom/RTRECORD/1.3.{number}/1.3.{number}.dcm", "added", "RTRECORD", title)


def test_many_routine_records_are_one_line_and_one_that_is_not_stays_alone() -> None:
    routine = [weighed(record(number), ("routine", "new treatment record")) for number in range(1, 8)]
    partial = weighed(
        record(8), ("major", "beam 1: 5 of 10 MU delivered"), ("routine", "new treatment record")
    )
    lines = list(render([*routine, partial]))
    assert lines[:3] == [
        "Major",
        "  RTRECORD treatment 2026-11-24, fraction 8  (1.3.8)  added",
        "      major: beam 1: 5 of 10 MU delivered",
    ]
    assert lines[5:] == [
        "Routine",
        "  7 treatment records added, treatment 2026-11-24, fraction 1 to treatment 2026-11-24, fraction 7",
        "",
        "8 added; 1 major, 7 routine",
    ]


def test_images_of_a_series_are_one_line() -> None:
    lines = list(render([ct(number) for number in range(1, 121)]))
    assert lines[:2] == ["Critical", "  CT Planning: 120 images added  (series 1.9)"]
    assert lines[-1] == "120 added; 120 critical"


def changed_images(*rows: str) -> list[Change]:
    return [
        Change(f"dicom/CT/1.9/{n}.dcm", "changed", "CT", f"x{n}", attributes=(attribute("Rows", "1", new),))
        for n, new in enumerate(rows)
    ]


def test_images_that_changed_differently_are_never_collapsed() -> None:
    lines = list(render(changed_images(*map(str, range(2, 32)))))
    assert sum("Rows: 1 → " in line for line in lines) == 30


def test_what_changed_alike_in_many_objects_is_told_once() -> None:
    lines = list(render([*changed_images(*["2"] * 30), plan(attribute("Rows", "1", "2"))]))
    assert lines[1] == "  RTPLAN PROSTATE, CT x0, CT x1 and 28 more: 31 objects changed alike"
    assert sum("Rows: 1 → 2" in line for line in lines) == 1


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
    assert "\x1b[1;31m" in "".join(render([hostile], colour=True))
