"""Completeness: three lists that agree or don't, and references that lead somewhere or don't."""

from __future__ import annotations

from datetime import date
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vault.completeness import IMAGE, Completeness, Missing, Reference, examine, references_of
from vault.department.modules import part10
from vault.department.nights import night
from vault.department.patients import Scale, roster
from vault.model import Failure, FoundObject, ObjectKey, Row
from vault.normal.dicom import normal_form

PLAN, DOSE, STRUCTURES, RECORD, CT1, CT2 = (
    ObjectKey(modality, f"9.{number}", f"1.{number}")
    for number, modality in enumerate(("RTPLAN", "RTDOSE", "RTSTRUCT", "RTRECORD", "CT", "CT"), 1)
)
ALL = (PLAN, DOSE, STRUCTURES, RECORD, CT1, CT2)
REFERENCES = (
    Reference("RTRECORD", RECORD.sop_uid, "RTPLAN", PLAN.sop_uid),
    Reference("RTDOSE", DOSE.sop_uid, "RTPLAN", PLAN.sop_uid),
    Reference("RTPLAN", PLAN.sop_uid, "RTSTRUCT", STRUCTURES.sop_uid),
    Reference("RTSTRUCT", STRUCTURES.sop_uid, IMAGE, CT1.sop_uid),
    Reference("RTSTRUCT", STRUCTURES.sop_uid, IMAGE, CT2.sop_uid),
)


def found(*keys: ObjectKey, sop_class: str = "") -> list[FoundObject]:
    return [FoundObject("8.1", key, sop_class) for key in keys]


def rows(*keys: ObjectKey) -> list[Row]:
    return [Row("expected_objects", {"sop_uid": key.sop_uid, "modality": key.modality}) for key in keys]


def gaps(result: Completeness) -> list[tuple[str, str, str]]:
    return [(gap.missing.value, gap.modality, gap.uid) for gap in result.gaps]


def without(*keys: ObjectKey) -> tuple[ObjectKey, ...]:
    return tuple(key for key in ALL if key not in keys)


def test_all_three_agree() -> None:
    result = examine(rows(*ALL), found(*ALL), ALL, REFERENCES)
    assert result == Completeness(expected=6, found=6, held=6, gaps=(), unexpected=())
    assert result.complete


def test_a_plan_that_the_rois_keeps_back_from_everybody() -> None:
    result = examine(rows(*ALL), found(*without(PLAN)), without(PLAN))
    assert gaps(result) == [("not found", "RTPLAN", PLAN.sop_uid)]
    assert (
        "The database names it, but C-FIND does not list it. Likely: a plan without fields"
        in result.gaps[0].reason
    )
    assert result.gaps[0].as_failure() == Failure("RTPLAN 1.1", result.gaps[0].reason)


def test_a_plan_that_is_listed_and_not_sent() -> None:
    result = examine(None, found(*ALL), without(PLAN))
    assert gaps(result) == [("not received", "RTPLAN", PLAN.sop_uid)]
    assert "a plan without fields, which ARIA lists and refuses" in result.gaps[0].reason
    assert result.expected is None


def test_a_plan_of_a_private_class_says_so() -> None:
    listed = found(PLAN, sop_class="1.2.246.352.70.1.70")
    assert "SOP class of Varian's own" in examine(None, listed, ()).gaps[0].reason


def test_without_c_find_the_database_alone_judges() -> None:
    result = examine(rows(PLAN, CT1), None, (CT1,))
    assert gaps(result) == [("not found", "RTPLAN", PLAN.sop_uid)]
    assert "C-FIND could not be asked" in result.gaps[0].reason


def test_what_is_found_is_not_also_missed_by_the_database() -> None:
    result = examine(rows(PLAN), found(PLAN), (), REFERENCES[:1])
    assert gaps(result) == [("not received", "RTPLAN", PLAN.sop_uid)]


def test_references_that_lead_nowhere() -> None:
    result = examine(None, None, (RECORD, DOSE), REFERENCES[:2])
    assert gaps(result) == [("referenced", "RTPLAN", PLAN.sop_uid)]
    assert result.gaps[0].reason.startswith(
        "2 RTDOSE and RTRECORD objects refer to it, but nobody has it. Likely: the"
    )
    (gap,) = examine(None, None, (PLAN,), REFERENCES[2:3]).gaps
    assert gap.reason.startswith("1 RTPLAN object refers to it")


def test_missing_images_are_one_gap() -> None:
    result = examine(None, None, (STRUCTURES, CT1), REFERENCES[3:])
    assert gaps(result) == [("referenced", IMAGE, STRUCTURES.sop_uid)]
    assert result.gaps[0].reason.startswith("1 of the 2 images that this structure set was drawn on")


def test_what_is_not_kept_is_not_missed() -> None:
    result = examine(rows(*ALL), found(*ALL), (PLAN,), modalities=("RTPLAN",))
    assert result.complete
    assert (result.expected, result.found) == (1, 6)


def test_what_the_database_does_not_name() -> None:
    assert examine(rows(PLAN, CT1), None, (PLAN, CT1, CT2)).unexpected == ()  # of images it need not name all
    other = ObjectKey("RTPLAN", "9.1", "1.99")
    assert examine(rows(PLAN), None, (PLAN, other)).unexpected == (other,)
    assert examine(None, None, (PLAN, other)).unexpected == ()


@cache
def department() -> tuple[tuple[ObjectKey, bytes], ...]:
    """The first night of a small patient: keys and normal forms."""
    first = date(2026, 11, 23)
    patients = roster(1, first, scale=Scale(matrix=16, slices=4, control_points=10, dose_pitch=10.0))
    made = []
    with TemporaryDirectory() as name:
        for number, step in enumerate(night(patients, 1, first).steps):
            each, path = step.make(), Path(name, f"{number}.dcm")
            path.write_bytes(part10(each))
            with (Path(name) / "out").open("wb+") as out:
                normal_form(path, out)
                out.seek(0)
                text = out.read()
            made.append((ObjectKey(each.Modality, each.SeriesInstanceUID, each.SOPInstanceUID), text))
    return tuple(made)


def test_references_are_read_from_normal_forms() -> None:
    objects = department()
    links = [link for key, text in objects for link in references_of(key, text.splitlines(keepends=True))]
    kinds = {(link.modality, link.to_modality) for link in links}
    assert kinds == {
        ("RTRECORD", "RTPLAN"),
        ("RTDOSE", "RTPLAN"),
        ("RTPLAN", "RTSTRUCT"),
        ("RTSTRUCT", IMAGE),
    }
    keys = [key for key, _ in objects]
    assert examine(None, None, keys, links).complete
    slices = [key for key in keys if key.modality == "CT"]
    assert sum(link.to_modality == IMAGE for link in links) == len(slices) == 4
    for gone in ("CT", "RTPLAN", "RTSTRUCT"):
        left = [key for key in keys if key.modality != gone]
        (gap,) = examine(None, None, left, [link for link in links if link.modality != gone]).gaps
        assert gap.missing is Missing.REFERENCED
        assert gap.modality == (IMAGE if gone == "CT" else gone)


keys = st.sampled_from(ALL)


@given(st.sets(keys), st.none() | st.sets(keys), st.none() | st.sets(keys))
def test_a_gap_is_never_held_and_nothing_missing_is_silent(
    held: set[ObjectKey], listed: set[ObjectKey] | None, named: set[ObjectKey] | None
) -> None:
    result = examine(
        None if named is None else rows(*named), None if listed is None else found(*listed), held
    )
    missed = {gap.uid for gap in result.gaps}
    assert missed == {key.sop_uid for key in ((listed or set()) | (named or set())) - held}
    assert len(result.gaps) == len(missed)


@pytest.mark.parametrize("line", [b"", b"ReferencedRTPlanSequence[", b"\xff\xfe", b"Referenced UI"])
def test_a_normal_form_of_nonsense_has_no_references(line: bytes) -> None:
    assert list(references_of(RECORD, [line])) == []
