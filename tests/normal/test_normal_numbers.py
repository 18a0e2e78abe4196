"""Numbers in one spelling: equal numbers always, different numbers never."""

import struct
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vault.normal.numbers import canonical, canonical_list, double, single


@pytest.mark.parametrize(
    ("written", "spelled"),
    [
        ("1", "1"),
        ("1.0", "1"),
        ("+1", "1"),
        ("1.00E0", "1"),
        (" 001 ", "1"),
        ("0.10", "0.1"),
        (".5", "0.5"),
        ("5.", "5"),
        ("-0", "0"),
        ("-0.00", "0"),
        (".0", "0"),
        ("12e-3", "0.012"),
        ("1.5e2", "150"),
        ("120", "120"),
        ("-12.50\\120\\0.0", "-12.5\\120\\0"),
        ("\\1\\", "\\1\\"),
        ("12345678901234.5600", "12345678901234.56"),
    ],
)
def test_one_spelling(written, spelled):
    assert canonical_list(written.encode()) == spelled.encode()


@pytest.mark.parametrize(
    "text", ["abc", ".", "1.2.00", "1..", "--1", "1-", "e5", "1e", "0x1", "1e9999", "1,5", "+"]
)
def test_what_is_no_number_stays_what_it_is(text):
    assert canonical_list(text.encode()) is None
    assert canonical_list(f"1\\{text}\\2.50".encode()) is None


decimals = st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**20), max_value=10**20)


@given(decimals, st.sampled_from(["{}", "+{}", " {} ", "{:E}", "{:.30f}"]))
def test_a_number_keeps_its_value_and_has_one_spelling(number, form):
    text = form.format(number).replace("+-", "-")
    spelled = canonical(text.encode())
    assert spelled is not None
    assert Decimal(spelled.decode()) == Decimal(text)
    assert canonical(spelled) == spelled == canonical_list(spelled)


@given(st.lists(decimals, max_size=5), st.lists(decimals, max_size=5))
def test_different_numbers_are_spelled_differently(one, other):
    spell = [canonical_list("\\".join(f"{n:f}" for n in numbers).encode()) for numbers in (one, other)]
    assert (spell[0] == spell[1]) == (one == other)


@given(st.lists(st.text("0123456789.-\\eE+ ", max_size=12), max_size=6))
def test_a_list_is_spelled_as_its_values_are(values):
    values = [value.replace("\\", "") for value in values]
    alone = [canonical(value.encode()) for value in values]
    together = canonical_list("\\".join(values).encode())
    expected = None if None in alone else b"\\".join(alone)
    assert together == expected


@given(st.binary(min_size=4, max_size=4), st.binary(min_size=4, max_size=4))
def test_singles_differ_where_their_bytes_do(one, other):
    assert (single(one) == single(other)) == (one == other)


@given(st.binary(min_size=8, max_size=8), st.binary(min_size=8, max_size=8))
def test_doubles_differ_where_their_bytes_do(one, other):
    assert (double(one) == double(other)) == (one == other)


def test_floats_are_short():
    assert single(struct.pack("<f", 0.1)) == "0.1"
    assert double(struct.pack("<d", 1e-5)) == "0.00001"
    assert single(struct.pack("<f", -0.0)) == "-0"
