from __future__ import annotations

import pytest

from vault.compare.groups import grouped
from vault.model import AttributeChange, Change, Finding


def attribute(keyword: str, old: str | None, new: str | None) -> AttributeChange:
    return AttributeChange(keyword, keyword, "", "PN", old, new)


NAME = attribute("PatientName", '"DOE^JON"', '"DOE^JOHN"')


def changed(modality: str, number: int, *attributes: AttributeChange, severity: str = "critical") -> Change:
    path = f"dicom/{modality}/1.2/1.2.{number:04}.dcm"
    findings = tuple(Finding(severity, one.keyword) for one in attributes)
    return Change(path, "changed", modality, f"{modality} {number}", severity, attributes, findings)


def came(modality: str, number: int, *findings: Finding, kind: str = "added") -> Change:
    title = f"fraction {number}" if modality == "RTRECORD" else f"Planning, image {number}"
    path = f"dicom/{modality}/1.9/1.9.{number:04}.dcm"
    return Change(path, kind, modality, title, "routine", findings=findings or (Finding("routine", "new"),))


def test_a_corrected_name_in_nine_hundred_files_is_one_group() -> None:
    images = [changed("CT", number, NAME) for number in range(880)]
    records = [changed("RTRECORD", number, NAME) for number in range(20)]
    plan = changed("RTPLAN", 1, NAME, attribute("RTPlanLabel", '"A"', '"B"'))
    alone, name = grouped([plan, *records, *images])
    assert (alone.changes, alone.text) == ((plan,), "")
    assert name.text == "patient name changed in 900 objects: DOE^JON → DOE^JOHN (880 CT, 20 RTRECORD)"
    assert len(name.paths) == len(set(name.paths)) == 900
    assert (name.severity, name.kind, name.attributes) == ("critical", "changed", (NAME,))
    assert name.findings == (Finding("critical", "PatientName"),)


def test_other_values_are_another_group_and_several_attributes_are_said_together() -> None:
    birth = attribute("PatientBirthDate", None, "19500101")
    other = attribute("PatientName", '"DOE^JON"', '"DOE^JANE"')
    first, second = grouped(
        [
            *(changed("CT", n, NAME, birth) for n in range(2)),
            *(changed("CT", n, other) for n in range(2, 4)),
        ]
    )
    assert first.text == (
        "patient name and date of birth changed in 2 objects: DOE^JON → DOE^JOHN; absent → 19500101 (2 CT)"
    )
    assert second.text == "patient name changed in 2 objects: DOE^JON → DOE^JANE (2 CT)"


def test_many_attributes_are_counted() -> None:
    attributes = [attribute(keyword, "1", "2") for keyword in ("KVP", "Rows", "Columns", "GantryAngle")]
    (group,) = grouped(changed("CT", number, *attributes) for number in range(3))
    assert group.text == (
        "KVP, rows, columns and 1 more changed in 3 objects: 1 → 2; 1 → 2; 1 → 2; and 1 more (3 CT)"
    )


@pytest.mark.parametrize("kind", ["added", "removed"])
def test_images_of_a_series_that_came_or_went_are_one_group(kind: str) -> None:
    (group,) = grouped(came("CT", number, kind=kind) for number in range(60))
    assert group.text == f"CT Planning: 60 images {kind}"
    assert [one.text for one in grouped(came("CT", number, kind=kind) for number in range(4))] == [""] * 4


def test_new_records_are_one_group_unless_there_is_more_to_say() -> None:
    partial = came("RTRECORD", 9, Finding("major", "5 of 10 MU"), Finding("routine", "new"))
    alone, routine = grouped([partial, *(came("RTRECORD", number) for number in range(1, 8))])
    assert alone.changes == (partial,)
    assert routine.text == "7 treatment records added, fraction 1 to fraction 7"


def test_plans_and_what_is_no_object_stand_alone() -> None:
    plans = [came("RTPLAN", number) for number in range(6)]
    papers = [
        Change(f"documents/{n}/a.pdf", "changed", "", "note", "major", (attribute("text", "a", "b"),))
        for n in range(3)
    ]
    groups = grouped([*plans, *papers])
    assert [group.changes for group in groups] == [(change,) for change in (*plans, *papers)]
    assert {group.text for group in groups} == {""}


def test_nothing_is_no_group() -> None:
    assert grouped([]) == []
