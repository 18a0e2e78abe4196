"""The refresh policy: nothing new waits, nothing held waits longer than a week, nothing is both due and not due."""

from datetime import date, timedelta

from hypothesis import given
from hypothesis import strategies as st

from vault.model import FoundObject, ObjectKey
from vault.names import safe_name
from vault.rois.plan import DAYS, instance_moves, plan

MODALITIES = st.sampled_from(["CT", "MR", "RTPLAN", "RTDOSE", "RTIMAGE"])
WEEKLY = {"CT", "MR", "RTIMAGE"}


def policy(modality):
    return "weekly" if modality in WEEKLY else "nightly"


@st.composite
def departments(draw):
    """Found objects in series of one modality each, and a part of them held as file names spell them."""
    found = []
    for number in range(draw(st.integers(0, 5))):
        modality = draw(MODALITIES)
        found += [
            FoundObject("1", ObjectKey(modality, f"1.{number}", f"1.{number}.{item}"))
            for item in range(draw(st.integers(1, 6)))
        ]
    held = [item.key for item in found if draw(st.booleans())]
    spelled = {ObjectKey(safe_name(k.modality), safe_name(k.series_uid), safe_name(k.sop_uid)) for k in held}
    return found, frozenset(spelled)


DATES = st.dates(date(2020, 1, 1), date(2030, 1, 1))


@given(departments(), DATES, st.one_of(st.none(), st.integers(0, 40)))
def test_every_object_is_due_or_not_due_and_every_due_one_is_asked_for(made, today, ago):
    found, held = made
    last = None if ago is None else today - timedelta(days=ago)
    todo = plan(found, held, policy, today, last)
    due = {item.key for item in todo.due}
    assert due.isdisjoint(todo.not_due)
    assert due | todo.not_due == {item.key for item in found}
    whole = {move.series_uid for move in todo.series_moves}
    single = {item.key for item in todo.instance_moves}
    assert all(key.series_uid in whole or key in single for key in due)
    held_uids = {key.sop_uid for key in held}
    for item in found:
        if item.key.sop_uid not in held_uids or policy(item.key.modality) == "nightly" or last is None:
            assert item.key in due


@given(departments(), DATES, st.lists(st.booleans(), min_size=7, max_size=21))
def test_no_held_object_waits_longer_than_a_week_of_nights_whichever_were_missed(made, first, nights):
    """A night that fails is made up for by the next that succeeds."""
    found, _ = made
    held = frozenset(item.key for item in found)
    last, seen = first, {item.key: first for item in found}
    for number, succeeds in enumerate(nights, 1):
        today = first + timedelta(days=number)
        if succeeds:
            for item in plan(found, held, policy, today, last).due:
                seen[item.key] = today
            last = today
            assert all((today - when).days < DAYS for when in seen.values())


def test_once_is_never_asked_for_again():
    item = FoundObject("1", ObjectKey("CT", "1.1", "1.1.1"))
    todo = plan([item], frozenset([item.key]), lambda _: "once", date(2026, 1, 1), None)
    assert not todo.due
    assert todo.not_due == {item.key}


@given(departments(), st.integers(1, 4))
def test_instance_moves_name_each_object_once_and_stay_within_a_series(made, at_once):
    found, _ = made
    moves = list(instance_moves(found, at_once))
    assert sorted(uid for move in moves for uid in move.sop_uids) == sorted(i.key.sop_uid for i in found)
    assert all(1 <= len(move.sop_uids) <= at_once for move in moves)
    series = {item.key.sop_uid: item.key.series_uid for item in found}
    assert all(series[uid] == move.series_uid for move in moves for uid in move.sop_uids)


def test_a_held_plan_that_the_query_calls_an_image_is_asked_for_every_night():
    held = frozenset({ObjectKey("RTPLAN", "1.1", "1.1.1")})
    renamed = [FoundObject("1", ObjectKey("CT", "1.1", "1.1.1"))]
    for day in range(DAYS):
        today = date(2026, 11, 24) + timedelta(days=day)
        made = plan(renamed, held, policy, today, today - timedelta(days=1))
        assert made.due == tuple(renamed)
        assert made.not_due == frozenset()
