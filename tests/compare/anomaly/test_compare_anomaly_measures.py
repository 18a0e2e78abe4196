from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vault.compare.anomaly.baseline import FLOOR, limit
from vault.compare.anomaly.counts import Tally
from vault.compare.anomaly.measures import MEASURES, NAMES, Verdict, judge, learnt
from vault.config.model import Anomalies

LIMITS = Anomalies()
QUIET = Tally(held=40)


def department(*odd: Tally, of: int = 20) -> dict[str, Tally]:
    return {f"P{number}": (odd[number] if number < len(odd) else QUIET) for number in range(of)}


def raised(verdict: Verdict) -> list[str]:
    return [anomaly.measure for anomaly in verdict.anomalies]


def night(**measures: float) -> dict[str, Any]:
    return {"census": ["a"], "measures": {**dict.fromkeys(NAMES, 0), **measures}, "anomalies": []}


def test_a_quiet_night_is_nothing_and_nobody_is_nothing() -> None:
    assert judge(department(), [], LIMITS).anomalies == ()
    assert judge({}, [], LIMITS).anomalies == ()
    assert judge(department(Tally(known=False)), [], LIMITS).values["known"] == 19


@pytest.mark.parametrize(
    ("measure", "odd", "enough", "too_few"),
    [
        ("changed", replace(QUIET, changed=1), 6, 5),
        ("vanished", replace(QUIET, vanished=1), 3, 2),
        ("unstamped", replace(QUIET, unstamped=1), 1, 0),
        ("withdrawn", replace(QUIET, withdrawn=1), 3, 2),
        ("unreadable", replace(QUIET, unreadable=1), 2, 1),
        ("misnamed", replace(QUIET, misnamed=1), 3, 2),
        ("identity", replace(QUIET, identity=7), 3, 2),
        ("new_uids", replace(QUIET, new_uids=True), 2, 1),
        ("mass_edits", replace(QUIET, edits=("2026-11-24T00:17:00",)), 5, 4),
    ],
)
def test_each_measure_from_its_threshold_on(measure: str, odd: Tally, enough: int, too_few: int) -> None:
    verdict = judge(department(*[odd] * enough), [], LIMITS)
    assert raised(verdict) == [measure]
    (anomaly,) = verdict.anomalies
    assert anomaly.severity in {"critical", "major"}
    assert anomaly.text.count(". ") >= 1
    assert anomaly.look_at_first.endswith(".")
    assert "{" not in anomaly.text
    assert set(verdict.concerned) == {f"P{number}" for number in range(enough)}
    assert not any(patient in str(anomaly) for patient in verdict.concerned)
    assert raised(judge(department(*[odd] * too_few), [], LIMITS)) == []


def test_there_is_a_threshold_for_every_measure() -> None:
    assert all(LIMITS.threshold(measure.name) > 0 for measure in MEASURES)
    assert len(set(NAMES)) == len(MEASURES)


def test_three_of_four_patients_are_no_share_of_a_department() -> None:
    changed = replace(QUIET, changed=1)
    assert raised(judge(department(changed, changed, changed, of=4), [], LIMITS)) == []
    assert raised(judge(department(*[changed] * 4, of=4), [], LIMITS)) == ["changed"]


def edited(*stamps: str) -> list[Tally]:
    return [replace(QUIET, edits=(stamp,)) for stamp in stamps]


def test_edits_count_by_patients_within_a_window() -> None:
    apart = edited(*(f"2026-11-24T10:{minute:02}:00" for minute in range(0, 50, 5)))
    assert judge(department(*apart), [], LIMITS).values["mass_edits"] == 1
    close = edited(*(f"2026-11-24T10:00:{second:02}" for second in range(0, 50, 5)), "2026-11-24T12:00:00")
    verdict = judge(department(*close), [], LIMITS)
    assert verdict.values["mass_edits"] == 10
    assert "10 patients were edited within 2 minutes" in verdict.anomalies[0].text
    many_of_one = [replace(QUIET, edits=tuple(f"2026-11-24T10:00:{n:02}" for n in range(60)))]
    assert judge(department(*many_of_one), [], LIMITS).values["mass_edits"] == 1


def test_stamps_that_are_none_count_for_nothing() -> None:
    hostile = edited(*["", "yesterday", "9999-99-99", "2026-11-24T10:00:00+99:00"] * 5)
    assert judge(department(*hostile), [], LIMITS).values["mass_edits"] == 0


# the baseline


def test_before_enough_nights_are_known_the_threshold_holds() -> None:
    assert limit([0.0] * 13, 0.3, nights=14, deviations=6) == 0.3


def test_a_quiet_past_makes_the_vault_a_little_more_sensitive() -> None:
    assert limit([0.0] * 14, 0.4, nights=14, deviations=6) == pytest.approx(0.3)
    assert limit([0.05, 0.06] * 10, 0.4, nights=14, deviations=6) == pytest.approx(0.3)


def test_the_spread_of_past_nights_counts_robustly() -> None:
    past = [0.2, 0.22, 0.18, 0.21, 0.19] * 4
    expected = 0.2 + 6 * 1.4826 * 0.01
    assert limit(past, 0.3, nights=14, deviations=6) == pytest.approx(expected)
    assert limit([*past, 1.0], 0.3, nights=14, deviations=6) == pytest.approx(expected, abs=0.02)


@given(
    st.lists(st.floats(0, 1000), max_size=80), st.floats(0.01, 1000), st.integers(3, 60), st.floats(1, 100)
)
def test_learning_never_raises_a_limit_and_never_lowers_it_much(
    past: list[float], threshold: float, nights: int, deviations: float
) -> None:
    found = limit(past, threshold, nights=nights, deviations=deviations)
    assert FLOOR * threshold <= found <= threshold


def test_a_slowly_worse_past_teaches_nothing() -> None:
    """An attacker who rewrites a patient more every night does not move the threshold."""
    past = [night(changed=number / 100) for number in range(29, 0, -1)]
    changed = replace(QUIET, changed=1)
    assert raised(judge(department(*[changed] * 6), past, LIMITS)) == ["changed"]


def test_what_is_learnt_from() -> None:
    odd = {**night(changed=0.9), "anomalies": [{"measure": "changed"}]}
    other = {**night(changed=0.2), "anomalies": [{"measure": "vanished"}, "a sentence"]}
    by_name = {**night(changed=0.5), "census": None}
    before_there_were_measures = {"census": ["a"], "anomalies": []}
    hostile: Mapping[str, object] = {"census": ["a"], "measures": [1], "anomalies": 7}
    past = [night(changed=0.1), odd, other, by_name, before_there_were_measures, hostile]
    assert learnt(past, "changed") == [0.1, 0.2]


def test_a_learnt_limit_raises_the_alarm_earlier() -> None:
    changed = replace(QUIET, changed=1)
    five = department(*[changed] * 5)
    assert raised(judge(five, [night()] * 13, LIMITS)) == []
    assert raised(judge(five, [night()] * 14, LIMITS)) == ["changed"]
