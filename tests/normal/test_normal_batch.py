"""Lists of numbers spelled together read as each alone."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vault.normal import batch
from vault.normal.numbers import canonical_list

# loads numpy, so that the vectors are what is tested
assert batch.canonical_lists([b"1.0" * 1] * batch.WORTH_IT)[0] == b"1"

PIECES = [
    "1",
    "0",
    "-0",
    "-0.0",
    "1.50",
    "-3.000",
    "00",
    "01",
    "+1",
    "1e3",
    " 2",
    "",
    "..",
    "1.2.3",
    "-",
    "-.5",
]
PIECES += [".5", "5.", "100", "0.10", "1.0e1", "x", "10.0", "1." + "0" * 30, "2.5" + "0" * 21, "\n"]
lists = st.lists(st.sampled_from(PIECES), min_size=1, max_size=5).map("\\".join).map(str.encode)
raw = st.text("0019.-\\ e", max_size=12).map(str.encode)


@given(st.lists(st.one_of(lists, raw), max_size=6))
def test_together_as_each_alone(many):
    assert batch.canonical_lists(many) == [canonical_list(data) for data in many]


@pytest.mark.parametrize("zeros", [0, 1, 6, 7, 8, 9, 64, 1000])
def test_any_number_of_zeros_goes_from_the_end_of_a_fraction(zeros):
    tail = b"0" * zeros
    lists = [b"1.5" + tail + b"\\10." + tail + b"5\\7." + b"0" + tail, b"1" + tail]
    assert batch._vectorised(lists) == [b"1.5\\10." + tail + b"5\\7", b"1" + tail]
