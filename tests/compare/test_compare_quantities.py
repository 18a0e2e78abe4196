from __future__ import annotations

import pytest

from vault.compare.findings.leaves import Positions, told
from vault.compare.findings.quantities import became, figure, turn
from vault.compare.findings.vocabulary import Term, words

MU = Term("meterset", "monitor units", "MU", "relative")
ANGLE = Term("angles", "gantry angle", "°", "angle")
POINT = Term("isocentre", "isocentre", "mm", "point")
LIST = Term("x", "weights")


@pytest.mark.parametrize(
    ("term", "old", "new", "said"),
    [
        (MU, "100", "120", "monitor units 100 → 120 MU (+20 MU, +20 %)"),
        (MU, "0", "12.5", "monitor units 0 → 12.5 MU (+12.5 MU)"),
        (MU, None, "120", "monitor units absent → 120 MU"),
        (MU, "120", None, "monitor units 120 → absent MU"),
        (MU, '""', "120", "monitor units empty → 120 MU"),
        (MU, "1e999", "120", "monitor units 1e999 → 120 MU"),
        (ANGLE, "359", "1", "gantry angle 359 → 1° (+2°)"),
        (ANGLE, "1", "359", "gantry angle 1 → 359° (-2°)"),
        (POINT, "1\\2\\3", "1\\2\\5", "isocentre moved by 2 mm: z 3 → 5 mm"),
        (POINT, "1\\2\\3", "1\\2", "isocentre 1\\2\\3 → 1\\2"),
        (
            LIST,
            "1\\2\\3\\4\\5\\6\\7",
            "1\\2\\3\\4\\5\\6\\9",
            "weights: 1 of 7 values differ, greatest difference 2",
        ),
        (LIST, "1\\2\\3\\4\\5\\6\\7", "1\\2\\3\\4\\5\\6", "weights: 7 → 6 values"),
        (LIST, "4 bytes sha256:aa", "4 bytes sha256:bb", "weights differ"),
        (LIST, '"a"', '"b"', "weights a → b"),
    ],
)
def test_how_a_value_became_another(term: Term, old: str | None, new: str | None, said: str) -> None:
    assert became(old, new, term) == said


LABEL = Term("label", "plan label")
LONG = "x" * 300


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (f'"{LONG}a"', f'"{LONG}b"', f"…{'x' * 30}a → …{'x' * 30}b"),
        (f'"{LONG}"', f'"{LONG}b"', f"…{'x' * 30} → …{'x' * 30}b"),
        (f'"A{LONG}"', f'"B{LONG}"', f"A{'x' * 78}… → B{'x' * 78}…"),
        ('"DOE^JON"', '"DOE^JON "', '"DOE^JON" → "DOE^JON "'),
        ('"DOE  JON"', '"DOE JON"', "DOE  JON → DOE JON"),
        ('"Jos\u00e9"', '"Jose\u0301"', r'"Jos\xe9" → "Jose\u0301"'),
        ('""', '" "', '"" → " "'),
        (None, '"absent"', 'absent → "absent"'),
        ('"empty"', '""', '"empty" → ""'),
    ],
)
def test_two_values_never_read_the_same(old: str | None, new: str | None, said: str) -> None:
    assert became(old, new, LABEL) == f"plan label {said}"


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("60", "60.04", "60 → 60.04 MU (+0.04 MU, +0.0667 %)"),
        ("0.1234567890123456", "0.1234567890123457", "0.1234567890123456 → 0.1234567890123457 MU"),
        ("60", "60.0000000000000001", "60 → 60.0000000000000001 MU"),
        ("1.234e-5", "1.2341e-5", "1.234e-05 → 1.2341e-05 MU"),
        ("-0", "0", "-0 → 0 MU"),
        ("1e300", "1.1e300", "1e+300 → 1.1e+300 MU"),
        ("nan", "60", "nan → 60 MU"),
    ],
)
def test_two_numbers_never_read_the_same(old: str, new: str, said: str) -> None:
    assert became(old, new, MU).startswith(f"monitor units {said}")
    assert len(became(old, new, MU)) < 100


def test_a_difference_that_no_number_can_hold_is_not_told() -> None:
    assert became("1e308", "-1e308", MU) == "monitor units 1e+308 → -1e+308 MU"


@pytest.mark.parametrize(
    ("value", "said"),
    [(1.0, "1"), (0.0, "0"), (-0.0, "0"), (116.0036697, "116.004"), (0.00001, "1e-05"), (2000.5, "2000.5")],
)
def test_figures(value: float, said: str) -> None:
    assert figure(value) == said


@pytest.mark.parametrize(("old", "new", "by"), [(0, 180, 180), (350, 10, 20), (10, 350, -20), (90, 90, 0)])
def test_the_short_way_round(old: float, new: float, by: float) -> None:
    assert turn(old, new) == by


def test_leaves_that_cannot_be_compared() -> None:
    assert told("MLCX", [Positions("3", None, "1\\2")]) == "MLCX leaves absent → 1\\2 at control point 3"
    assert told("X", [Positions("0", "1\\2", "1\\2\\3"), Positions("1", '"a"', "1\\2")]) == (
        "X jaws 1\\2 → 1\\2\\3 at control point 0, and at 1 more"
    )


def test_the_second_leaf_of_a_vertical_bank() -> None:
    assert told("MLCY", [Positions("7", "0\\0\\0\\0\\0\\0", "0\\0\\0\\0\\0\\-2.5")]) == (
        "MLCY leaves: shift 2.5 mm, leaf pair 3, bank Y2, 0 → -2.5 mm at control point 7"
    )


@pytest.mark.parametrize(
    ("keyword", "said"),
    [
        ("GantryAngleTolerance", "gantry angle tolerance"),
        ("RTROIObservations", "RTROI observations"),
        ("(0009,1001)", "(0009,1001)"),
        ("", ""),
    ],
)
def test_words_of_a_keyword(keyword: str, said: str) -> None:
    assert words(keyword) == said
