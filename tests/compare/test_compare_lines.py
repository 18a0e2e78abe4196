from __future__ import annotations

import time

from hypothesis import given
from hypothesis import strategies as st

from vault.compare.lines import attribute_changes
from vault.model import AttributeChange

HEAD = "normal-form 1\n"
LEAVES = "BeamSequence[2].ControlPointSequence[0].BeamLimitingDevicePositionSequence[MLCX].LeafJawPositions"


def form(*lines: str) -> bytes:
    return (HEAD + "".join(f"{line}\n" for line in lines)).encode()


def test_equal_forms_have_no_changes() -> None:
    text = form('RTPlanLabel SH "A"', "BeamSequence[1].BeamNumber IS 1")
    assert attribute_changes(text, text) == ()


def test_a_changed_value_has_path_keyword_tag_and_both_values() -> None:
    old = form('RTPlanLabel SH "A"', rf"{LEAVES} DS -12.5\-12.5")
    new = form('RTPlanLabel SH "A"', rf"{LEAVES} DS -12.5\-7.5")
    assert attribute_changes(old, new) == (
        AttributeChange(LEAVES, "LeafJawPositions", "(300a,011c)", "DS", r"-12.5\-12.5", r"-12.5\-7.5"),
    )


def test_what_is_absent_on_one_side_is_none_there() -> None:
    changes = attribute_changes(form('RTPlanLabel SH "A"'), form('RTPlanName LO ""'))
    assert [(c.keyword, c.old, c.new) for c in changes] == [
        ("RTPlanLabel", '"A"', None),
        ("RTPlanName", None, '""'),
    ]


def test_another_vr_is_a_removal_and_an_addition() -> None:
    changes = attribute_changes(form('RTPlanLabel SH "A"'), form('RTPlanLabel LO "A"'))
    assert [(c.vr, c.old, c.new) for c in changes] == [("SH", '"A"', None), ("LO", None, '"A"')]


def test_an_item_inserted_in_the_middle_moves_no_other() -> None:
    items = [f"BeamSequence[{number}].BeamNumber IS {number}" for number in (1, 2, 3)]
    changes = attribute_changes(form(items[0], items[2]), form(*items))
    assert [(c.path, c.old, c.new) for c in changes] == [("BeamSequence[2].BeamNumber", None, "2")]


def test_changes_come_in_the_order_of_the_text() -> None:
    old = form("Rows US 1", "Columns US 1", "BitsStored US 1", "HighBit US 1")
    new = form(
        "Rows US 2", "BitsAllocated US 9", "Columns US 1", "BitsStored US 2", "SmallestImagePixelValue US 0"
    )
    assert [c.keyword for c in attribute_changes(old, new)] == [
        "Rows",
        "BitsAllocated",
        "BitsStored",
        "HighBit",
        "SmallestImagePixelValue",
    ]


def test_items_in_another_order_are_one_change_of_their_sequence() -> None:
    items = [f"BeamSequence[{number}].BeamNumber IS {number}" for number in (1, 2, 3)]
    (change,) = attribute_changes(form(*items), form(items[2], items[0], items[1]))
    assert (change.path, change.keyword, change.vr) == ("BeamSequence", "BeamSequence", "SQ")
    assert (change.old, change.new) == ("items in the order 1, 2, 3", "items in the order 3, 1, 2")


def test_a_path_that_occurs_twice_loses_nothing() -> None:
    old = form("Rows US 1", "Rows US 2", "Rows US 2")
    new = form("Rows US 1", "Rows US 2", "Rows US 3", "Rows US 4")
    assert [(c.old, c.new) for c in attribute_changes(old, new)] == [("2", "3"), (None, "4")]


def test_duplicates_in_another_order_are_said() -> None:
    (change,) = attribute_changes(form("Rows US 1", "Rows US 2"), form("Rows US 2", "Rows US 1"))
    assert change.old != change.new


paths = st.sampled_from(
    ["Rows", "Columns", "BeamSequence[1].BeamNumber", "BeamSequence[2].BeamNumber", "PatientID"]
)
maps = st.dictionaries(paths, st.integers(0, 3).map(str))


@given(maps, maps)
def test_applying_the_changes_to_the_old_gives_the_new(old: dict[str, str], new: dict[str, str]) -> None:
    applied = dict(old)
    changes = attribute_changes(*(form(*(f"{k} IS {v}" for k, v in sorted(m.items()))) for m in (old, new)))
    for change in changes:
        assert applied.get(change.path) == change.old
        if change.new is None:
            del applied[change.path]
        else:
            applied[change.path] = change.new
    assert applied == new


def test_ten_megabytes_with_one_changed_line_take_no_time() -> None:
    values = "\\".join(["-123.45"] * 300)
    lines = [
        f"ROIContourSequence[{n % 40}].ContourSequence[{n}].ContourData DS {n}{values}" for n in range(5000)
    ]
    old = form(*lines)
    assert len(old) > 10_000_000
    lines[2500] = lines[2500].replace("-123.45", "-123.46", 1)
    new = form(*lines)
    begun = time.monotonic()
    assert len(attribute_changes(old, new)) == 1
    assert time.monotonic() - begun < 3
