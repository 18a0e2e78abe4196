"""One canonical text for one value, whatever driver and type it came by."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vault.rois.sql.contract import Kind
from vault.rois.sql.values import WrongTypeError, canonical, number, text, typed


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (None, None),
        (True, "yes"),
        (False, "no"),
        (0, "0"),
        (-7, "-7"),
        (2**63, "9223372036854775808"),
        (0.1, "0.1"),
        (78.0, "78"),
        (-0.0, "0"),
        (1e22, "10000000000000000000000"),
        (1e-7, "0.0000001"),
        (Decimal("2.500"), "2.5"),
        (Decimal("1E+2"), "100"),
        (Decimal("0.000"), "0"),
        (date(2026, 11, 25), "2026-11-25"),
        (datetime(2026, 11, 25, 7, 31, 2), "2026-11-25T07:31:02"),
        (datetime(2026, 11, 25, 7, 31, 2, 120000), "2026-11-25T07:31:02.12"),
        (datetime(2026, 11, 25, 7, 31, 2, 120000, UTC), "2026-11-25T07:31:02.12+00:00"),
        (datetime(2026, 11, 25, tzinfo=timezone(timedelta(hours=-4.5))), "2026-11-25T00:00:00-04:30"),
        (time(7, 31), "07:31:00"),
        (b"\x00\xff", "hex:00ff"),
        (bytearray(b"a"), "hex:61"),
        (UUID("a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"), "A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11"),
        ("ab      ", "ab"),
        ("  ab\n", "  ab\n"),
        ("a\0b\0\0 ", "a\0b"),
        ("😀 Ωμέγα", "😀 Ωμέγα"),
        ("half \ud83d", r"half \ud83d"),
        ("", ""),
    ],
)
def test_canonical(value: object, said: str | None) -> None:
    assert canonical(value) == said


@pytest.mark.parametrize(
    ("kind", "values", "said"),
    [
        (Kind.WHEN, [datetime(2026, 11, 25, 7, 31, 2), "2026-11-25 07:31:02.000", "2026-11-25T07:31:02",
                     "20261125 07:31:02"], "2026-11-25T07:31:02"),
        (Kind.WHEN, [date(2026, 11, 25), "2026-11-25", "20261125", "2026-11-25   "], "2026-11-25"),
        (Kind.WHEN, ["2026-11-25 07:31:02.1234567 +01:00", "2026-11-25T07:31:02.123456+01:00"],
         "2026-11-25T07:31:02.123456+01:00"),
        (Kind.DATE, [date(1950, 3, 1), datetime(1950, 3, 1), "1950-03-01 00:00:00", "19500301"], "1950-03-01"),
        (Kind.NUMBER, [78, 78.0, Decimal("78.000"), "78", "78.00", " 7.8E1 "], "78"),
        (Kind.WHOLE, [28, 28.0, Decimal("28.00"), "28", "028"], "28"),
        (Kind.FLAG, [True, 1, Decimal(1), "1", "Y", "yes", "T", "true "], "yes"),
        (Kind.FLAG, [False, 0, 0.0, "0", "N", "No", "f"], "no"),
        (Kind.UID, ["1.2.840", "1.2.840 ", "1.2.840\0"], "1.2.840"),
        (Kind.TEXT, ["x", "x   "], "x"),
    ],
)  # fmt: skip
def test_a_kind_reads_what_drivers_make_of_it(kind: Kind, values: list[object], said: str) -> None:
    assert [typed(value, kind) for value in values] == [said] * len(values)


@pytest.mark.parametrize("kind", Kind)
@pytest.mark.parametrize("value", [None, "", "    ", "\0"])
def test_blank_is_null(kind: Kind, value: str | None) -> None:
    assert typed(value, kind) is None


@pytest.mark.parametrize(
    ("kind", "values"),
    [
        (Kind.WHEN, ["yesterday", "2026-13-01", "2026-02-30", 20261125, "07:31", b"x", time(7), "2026-11-25 25:00"]),
        (Kind.DATE, ["1.3.1950", 3.5]),
        (Kind.NUMBER, ["a", "78 Gy", "1,5", True, "nan", "inf", float("nan"), "1e9999", date(2026, 1, 1), b"1"]),
        (Kind.WHOLE, [2.5, "2.5", "x"]),
        (Kind.FLAG, [2, "maybe", b"1", date(2026, 1, 1)]),
        (Kind.UID, ["1.2.x", "1..2", "1" * 65, "*", 2.5]),
    ],
)  # fmt: skip
def test_another_type_is_refused_without_its_value(kind: Kind, values: list[object]) -> None:
    for value in values:
        with pytest.raises(WrongTypeError) as caught:
            typed(value, kind)
        if len(str(value)) > 3:
            assert str(value) not in str(caught.value)


@given(
    st.decimals(allow_nan=False, allow_infinity=False, places=6)
    | st.floats(allow_nan=False, allow_infinity=False)
)
def test_a_number_is_exact(value: Decimal | float) -> None:
    said = number(value)
    assert float(said) == float(value)
    assert "E" not in said.upper()
    assert not said.startswith("-0") or said.startswith("-0.")


@given(st.text())
def test_text_can_always_be_encoded(value: str) -> None:
    assert text(value).encode().decode() == text(value)


@given(st.text(), st.sampled_from(Kind))
def test_any_text_is_read_or_refused(value: str, kind: Kind) -> None:
    try:
        said = typed(value, kind)
    except WrongTypeError:
        return
    assert said is None or said == said.rstrip(" ")
