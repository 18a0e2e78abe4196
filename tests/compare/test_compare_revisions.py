"""A plan or structure set that comes back under a new UID is told by its differences."""

from __future__ import annotations

from pathlib import Path

import pytest
from history_kit import History

from vault.compare.diff import compare
from vault.model import Change

SERIES = "dicom/RTPLAN/1.2"


@pytest.fixture
def history(tmp_path: Path) -> History:
    return History(tmp_path / "root")


def plan(uid: str, label: str, meterset: float, *more: str, seed: str = "same") -> dict[str, bytes | None]:
    lines = [
        f"SOPInstanceUID UI {uid}",
        f'RTPlanLabel SH "{label}"',
        f"FractionGroupSequence[1].ReferencedBeamSequence[1].BeamMeterset DS {meterset}",
        'BeamSequence[1].BeamName LO "ARC"',
        *(f'BeamSequence[1].ControlPointSequence[{n}].Note LO "{seed} {n}"' for n in range(40)),
        *more,
    ]
    text = "\n".join(["normal-form 1", *lines, ""])
    return {f"{SERIES}/{uid}.dcm": text.encode(), f"{SERIES}/{uid}.txt": text.encode()}


def gone(uid: str) -> dict[str, bytes | None]:
    return {f"{SERIES}/{uid}.dcm": None, f"{SERIES}/{uid}.txt": None}


def told(changes: list[Change]) -> list[tuple[str, str]]:
    return [(change.kind, change.path.rpartition("/")[2]) for change in changes]


MU = "beam 1 ARC: monitor units 100 → 120 MU (+20 MU, +20 %)"


def test_one_that_replaces_one_that_is_gone(history: History) -> None:
    old = history.night(plan("1.1", "P", 100))
    new = history.night({**plan("1.2", "P", 120), **gone("1.1")})
    (change,) = compare(history.repository, old, new)
    assert (change.kind, change.severity, change.title) == ("revised", "critical", "P")
    assert [(one.severity, one.text) for one in change.findings] == [
        ("critical", MU),
        ("major", "plan issued anew under a new UID: it replaces P (1.1), which the ROIS no longer has"),
    ]
    assert {one.path for one in change.attributes} >= {"SOPInstanceUID"}


def test_one_that_stands_beside_its_predecessor(history: History) -> None:
    old = history.night(plan("1.1", "P", 100))
    new = history.night(plan("1.2", "P:1", 120))
    (change,) = compare(history.repository, old, new)
    assert change.kind == "revised"
    assert [one.text for one in change.findings] == [
        MU,
        "plan issued anew under a new UID: it replaces P (1.1), which the ROIS still has",
        "plan label P → P:1",
    ]


def test_an_identical_one_under_a_new_uid_is_said(history: History) -> None:
    old = history.night(plan("1.1", "P", 100))
    new = history.night({**plan("1.2", "P", 100), **gone("1.1")})
    (change,) = compare(history.repository, old, new)
    assert (change.kind, change.severity, len(change.findings)) == ("revised", "major", 1)


def test_what_a_plan_says_of_its_predecessor_counts_first(history: History) -> None:
    reference = "ReferencedRTPlanSequence[1.1]."
    stated = f'{reference}RTPlanRelationship CS "PREDECESSOR"', f"{reference}ReferencedSOPInstanceUID UI 1.1"
    old = history.night({**plan("1.1", "P", 100, seed="other"), **plan("1.3", "Q", 100)})
    new = history.night(plan("1.2", "Q", 120, *stated))
    (change,) = compare(history.repository, old, new)
    assert change.kind == "revised"
    assert any("it replaces P (1.1)" in one.text for one in change.findings)
    assert not any("reference to plan" in one.text for one in change.findings)


def test_another_plan_is_no_revision(history: History) -> None:
    old = history.night(plan("1.1", "P", 100))
    new = history.night(plan("1.2", "BOOST", 100, seed="other"))
    assert told(compare(history.repository, old, new)) == [("added", "1.2.dcm")]
    last = history.night({**plan("1.4", "R", 100, seed="third"), **gone("1.1")})
    assert told(compare(history.repository, new, last)) == [("removed", "1.1.dcm"), ("added", "1.4.dcm")]


def test_two_new_ones_find_each_its_own(history: History) -> None:
    old = history.night({**plan("1.1", "P", 100), **plan("1.2", "Q", 100, seed="other")})
    new = history.night(
        {**plan("1.3", "Q", 110, seed="other"), **plan("1.4", "P", 120), **gone("1.1"), **gone("1.2")}
    )
    changes = compare(history.repository, old, new)
    assert told(changes) == [("revised", "1.3.dcm"), ("revised", "1.4.dcm")]
    assert any("it replaces Q (1.2)" in one.text for one in changes[0].findings)


def test_one_that_is_gone_is_replaced_once(history: History) -> None:
    old = history.night(plan("1.1", "P", 100))
    new = history.night({**plan("1.3", "P", 110), **plan("1.4", "P", 120), **gone("1.1")})
    assert sorted(told(compare(history.repository, old, new))) == [
        ("added", "1.4.dcm"),
        ("revised", "1.3.dcm"),
    ]


def test_the_first_night_has_no_revisions(history: History) -> None:
    first = history.night({**plan("1.1", "P", 100), **plan("1.2", "P", 110)})
    assert {change.kind for change in compare(history.repository, None, first)} == {"added"}


def test_the_same_change_in_many_objects_says_so(history: History) -> None:
    def images(name: str) -> dict[str, bytes | None]:
        text = f'normal-form 1\nPatientName PN "{name}"\n'.encode()
        return {f"dicom/CT/1.9/1.9.{n}{end}": text for n in range(30) for end in (".dcm", ".txt")}

    old, new = history.night(images("A")), history.night(images("B"))
    changes = compare(history.repository, old, new)
    assert {(change.severity, change.findings[0].text) for change in changes} == {
        ("critical", "patient name A → B (the same in 30 objects)")
    }
