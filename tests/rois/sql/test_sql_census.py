"""When a census is an anomaly and not an instruction."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vault.rois.plausible import FEWEST, implausible


def people(*numbers: int) -> set[str]:
    return {f"P{number}" for number in numbers}


FULL = people(*range(100))


@pytest.mark.parametrize(
    ("previous", "current"),
    [
        ([], set()),
        ([], FULL),
        ([set()], set()),
        ([FULL], FULL),
        ([FULL], people(*range(80))),
        ([FULL], people(*range(10, 120))),
        ([people(1, 2, 3)], people(1)),
        ([people(*range(6))], people(0, 1, 2)),
        ([FULL, people(*range(150))], people(*range(90))),
    ],
)
def test_ordinary_nights(previous: list[set[str]], current: set[str]) -> None:
    assert implausible(previous, current) is None


@pytest.mark.parametrize(
    ("previous", "current", "why"),
    [
        ([FULL], set(), "the census is empty; the last one had 100 patients"),
        ([people(1)], set(), "the census is empty"),
        ([FULL], people(*range(50)), "50 of the last census's 100 patients are no longer in it"),
        ([FULL], people(*range(200, 300)), "100 of the last census's 100"),
        ([set(), FULL], people(*range(50)), "50 of the last census's 100"),
        # slowly, every night a few
        ([people(*range(60)), *[FULL] * 5], people(*range(50)),
         "the census has 50 patients; over the last 6 runs 100 were usual"),
    ],
)  # fmt: skip
def test_suspicious_nights(previous: list[set[str]], current: set[str], why: str) -> None:
    said = implausible(previous, current)
    assert said is not None
    assert said.startswith(why)


patients = st.sets(st.integers(0, 60).map(str))


@given(st.lists(patients, max_size=4), patients)
def test_nobody_gone_is_never_suspicious_and_everybody_gone_always_is(
    previous: list[set[str]], current: set[str]
) -> None:
    earlier = [census for census in previous if census]
    assert implausible(previous, set().union(current, *earlier)) is None
    if earlier and (len(earlier[0]) > FEWEST or not current):
        assert implausible(previous, current - earlier[0]) is not None
