"""Who goes and who stays: tables of single cases, and what holds for every vault, policy and clock."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vault.retention.plan import FRESH, LEAP, NOTICE, STALE, Fate, Night, Observed, Policy, plan

NOW = datetime(2026, 11, 24, 2, 30, tzinfo=UTC)
DAY = timedelta(days=1)
HOUR = timedelta(hours=1)
POLICY = Policy(30 * DAY, 2 * DAY, 0.1)
NIGHT = Night(NOW, census=NOW - HOUR / 2, before=NOW - DAY, recorded=NOW - HOUR / 2)
GONE = Observed("a1", NOW - 31 * DAY, nights=30, announced=NOW - DAY, night=NOW - HOUR)
"""A patient who goes tonight; each case changes one thing."""


def fate(observed: Observed, night: Night = NIGHT, policy: Policy = POLICY) -> Fate:
    return plan(night, [observed], policy).decisions[0].fate


PATIENTS = [
    (GONE, Fate.GOES, "announced on 2026-11-23"),
    (replace(GONE, evidence=NOW - 30 * DAY), Fate.GOES, "no sign"),
    (replace(GONE, evidence=NOW - 30 * DAY + HOUR), Fate.ANNOUNCED, "are over on"),
    (replace(GONE, evidence=NOW - 29 * DAY + HOUR), Fate.STAYS, "less than 30 days"),
    (replace(GONE, evidence=NOW + 300 * DAY), Fate.STAYS, "wrong clock"),
    (replace(GONE, evidence=None), Fate.STAYS, "can't be read"),
    (replace(GONE, damaged=True), Fate.STAYS, "can't be read"),
    (replace(GONE, in_census=True), Fate.STAYS, "under treatment"),
    (replace(GONE, held=True), Fate.HELD_BACK, "vault hold --release"),
    (replace(GONE, disputed=True), Fate.HELD_BACK, "disputed"),
    (replace(GONE, unverified=True), Fate.HELD_BACK, "not verified"),
    (replace(GONE, nights=14), Fate.HELD_BACK, "15 are needed"),
    (replace(GONE, nights=15), Fate.GOES, ""),
    (replace(GONE, announced=None), Fate.ANNOUNCED, "goes the next night"),
    (replace(GONE, announced=NOW - NOTICE + HOUR), Fate.ANNOUNCED, "goes the next night"),
    (replace(GONE, announced=NOW - STALE - HOUR), Fate.ANNOUNCED, "goes the next night"),
    (replace(GONE, announced=NOW + DAY), Fate.ANNOUNCED, "goes the next night"),
    (replace(GONE, announced=None, held=True), Fate.HELD_BACK, "held"),
]


@pytest.mark.parametrize(("observed", "expected", "words"), PATIENTS)
def test_a_patient(observed, expected, words):
    decision = plan(NIGHT, [observed], POLICY).decisions[0]
    assert (decision.fate, words in decision.reason) == (expected, True), decision


NIGHTS = [
    (replace(NIGHT, emergency=NOW - DAY), "vault emergency end"),
    (replace(NIGHT, recorded=NOW + timedelta(seconds=1)), "clock went back"),
    (replace(NIGHT, census=None, census_doubt="the census failed"), "the census failed"),
    (replace(NIGHT, census=None), "no census"),
    (replace(NIGHT, census=NOW - FRESH - HOUR), "vault sync"),
    (replace(NIGHT, census=NOW + HOUR), "vault sync"),
    (replace(NIGHT, before=NOW - LEAP - HOUR), "the clock leapt"),
]


@pytest.mark.parametrize(("night", "words"), NIGHTS)
def test_a_night_in_which_nothing_goes(night, words):
    day = replace(
        GONE, patient="b", evidence=NOW - DAY, in_census=True, hours={date(2026, 11, 20): NOW - 3 * DAY}
    )
    new = replace(GONE, patient="c", announced=None)
    made = plan(night, [GONE, day, new], POLICY)
    assert words in made.barrier
    assert {decision.fate for decision in made.decisions} == {Fate.HELD_BACK, Fate.STAYS}
    assert made.hours == {}


def test_a_first_night_may_have_no_run_before_it():
    assert fate(GONE, replace(NIGHT, before=None, recorded=None)) is Fate.GOES


def test_the_share_of_one_night_counts_the_oldest_first_and_is_said():
    many = [replace(GONE, patient=f"p{n:02}", evidence=NOW - (31 + n) * DAY, nights=60) for n in range(8)]
    new = [replace(each, patient=f"n{each.patient}", announced=None) for each in many]
    made = plan(NIGHT, many + new + [Observed(f"s{n}", NOW - DAY) for n in range(14)], POLICY)
    assert made.of(Fate.GOES) == ("p07", "p06", "p05")
    assert made.of(Fate.ANNOUNCED) == ("np07", "np06", "np05")
    assert len(made.of(Fate.HELD_BACK)) == 10
    assert "16 of 30 patients are due" in made.anomalies[0]


def test_one_may_go_of_a_small_department():
    made = plan(NIGHT, [GONE, replace(GONE, patient="b"), Observed("c", NOW)], POLICY)
    assert made.of(Fate.GOES) == ("a1",)
    assert made.anomalies == ()


HOURS = {date(2026, 11, day): datetime(2026, 11, day, 18, 0, tzinfo=UTC) for day in (20, 21, 22, 23)}


@pytest.mark.parametrize(
    ("change", "days"),
    [
        ({}, (20, 21)),
        ({"night": datetime(2026, 11, 21, 2, 0, tzinfo=UTC)}, (20,)),
        ({"night": None}, ()),
        ({"held": True}, ()),
        ({"disputed": True}, ()),
        ({"damaged": True}, ()),
        ({"unverified": True}, (20, 21)),
    ],
)
def test_hours_go_when_they_are_old_and_a_night_has_come_since(change, days):
    treated = Observed("a1", NOW - DAY, in_census=True, hours=HOURS, night=NOW - HOUR)
    found = plan(NIGHT, [replace(treated, **change)], POLICY).hours.get("a1", ())
    assert found == tuple(date(2026, 11, day) for day in days)


@pytest.mark.parametrize(
    "values", [(0, 2, 0.1), (-30, 2, 0.1), (30, 0, 0.1), (30, 2, 0), (30, 2, 0.6), (30, 2, 1)]
)
def test_a_policy_that_keeps_nothing_is_refused(values):
    after, hourly, share = values
    with pytest.raises(ValueError, match="keeps at least a day"):
        Policy(after * DAY, hourly * DAY, share)


# --- what always holds

times = st.integers(-20 * 24, 400 * 24).map(lambda hours: NOW - hours * HOUR)
observed = st.builds(
    Observed,
    patient=st.just(""),
    evidence=st.none() | times,
    nights=st.integers(0, 400),
    in_census=st.booleans(),
    announced=st.none() | st.integers(-48, 200).map(lambda hours: NOW - hours * HOUR),
    held=st.booleans(),
    disputed=st.booleans(),
    unverified=st.booleans(),
    damaged=st.booleans(),
    hours=st.dictionaries(st.dates(date(2026, 11, 1), date(2026, 11, 30)), times, max_size=4),
    night=st.none() | times,
)
likely = st.builds(
    lambda age, nights: replace(GONE, evidence=NOW - age * DAY, nights=nights),
    st.integers(20, 90),
    st.integers(5, 60),
)
"""Patients of whom many go, so that what is said of those who go is said of somebody."""
vaults = st.lists(observed | likely, max_size=40).map(
    lambda found: [replace(each, patient=f"{number:02}") for number, each in enumerate(found)]
)
policies = st.builds(
    Policy,
    st.integers(1, 90).map(lambda days: days * DAY),
    st.integers(24, 200).map(lambda hours: hours * HOUR),
    st.floats(0.01, 0.5),
)
nights = st.builds(
    Night,
    now=st.just(NOW),
    census=st.none() | times,
    before=st.none() | times,
    recorded=st.none() | times,
    emergency=st.none() | times,
) | st.just(NIGHT)


@settings(max_examples=300, deadline=None)
@given(nights, vaults, policies)
def test_nobody_goes_against_a_rail(night, patients, policy):
    made = plan(night, patients, policy)
    by_name = {each.patient: each for each in patients}
    assert sorted(decision.patient for decision in made.decisions) == sorted(by_name)
    assert all(decision.reason for decision in made.decisions)
    goers, announced = made.of(Fate.GOES), made.of(Fate.ANNOUNCED)
    assert max(len(goers), len(announced)) <= max(1, policy.largest_share * len(patients))
    stops = [
        night.emergency is not None,
        night.recorded is not None and night.recorded > NOW,
        night.census is None or not timedelta() <= NOW - night.census <= FRESH,
        night.census and night.before and night.census - night.before > LEAP,
    ]
    if any(stops):
        assert made.barrier
        assert (goers, announced, made.hours) == ((), (), {})
    for name in goers:
        each = by_name[name]
        assert each.evidence is not None
        assert NOW - each.evidence >= policy.after_last_treatment
        assert each.nights * 2 * DAY >= policy.after_last_treatment
        assert each.announced is not None
        assert NOTICE <= NOW - each.announced <= STALE
        assert not any([each.held, each.disputed, each.unverified, each.in_census, each.damaged])
    for name, days in made.hours.items():
        each = by_name[name]
        assert name not in goers
        assert not any([each.held, each.disputed, each.damaged])
        for day in days:
            assert NOW - each.hours[day] >= policy.hourly
            assert each.night is not None
            assert each.hours[day] < each.night


@settings(max_examples=300, deadline=None)
@given(vaults, policies, st.integers(0, 60), st.integers(0, 200), st.floats(0, 1))
def test_a_more_careful_policy_lets_nobody_go_who_would_stay(patients, policy, days, hours, part):
    careful = Policy(
        policy.after_last_treatment + days * DAY,
        policy.hourly + hours * HOUR,
        max(0.01, policy.largest_share * part),
    )
    loose, strict = plan(NIGHT, patients, policy), plan(NIGHT, patients, careful)
    assert set(strict.of(Fate.GOES)) <= set(loose.of(Fate.GOES))
    for name, gone in strict.hours.items():
        assert name in loose.of(Fate.GOES) or set(gone) <= set(loose.hours[name])


@settings(max_examples=200, deadline=None)
@given(
    vaults, policies, st.sampled_from(["held", "disputed", "unverified", "in_census", "damaged"]), st.data()
)
def test_an_objection_saves_its_patient_and_costs_nobody_else(patients, policy, objection, data):
    if not patients:
        return
    one = data.draw(st.sampled_from(patients))
    saved = [replace(each, **{objection: True}) if each is one else each for each in patients]
    before, after = plan(NIGHT, patients, policy), plan(NIGHT, saved, policy)
    assert one.patient not in after.of(Fate.GOES)
    taken_up = set(after.of(Fate.GOES)) - set(before.of(Fate.GOES))
    assert len(taken_up) <= 1  # the place under the night's share that became free


@settings(max_examples=100, deadline=None)
@given(st.lists(st.integers(0, 29), min_size=1, max_size=40), st.integers(8, 4000))
def test_a_clock_that_leaps_forward_makes_nobody_go_then_or_the_nights_after(ages, leap):
    """All evidence is within the window; the clock leaps, and the nights go on: half a window is watched first."""
    for later in range(14):
        now = NOW + leap * DAY + later * DAY
        patients = [
            Observed(f"{number}", NOW - age * DAY, nights=later, announced=now - DAY)
            for number, age in enumerate(ages)
        ]
        before = NOW if later == 0 else now - DAY
        made = plan(Night(now, census=now, before=before, recorded=now), patients, POLICY)
        assert made.of(Fate.GOES) == ()
