"""Deadlines are the site's wall clock; alarms count from them."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest

from vault.verification.deadline import alarm_due, clock_jumped, deadline_of

BERLIN = ZoneInfo("Europe/Berlin")
TEN = datetime(2026, 11, 24, 9, tzinfo=UTC)
EVERY = timedelta(minutes=10)


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("began", "at", "deadline"),
    [
        ("2026-11-24T01:00", "10:00", "2026-11-24T09:00"),
        ("2026-07-24T00:00", "10:00", "2026-07-24T08:00"),
        ("2026-11-24T09:00", "10:00", "2026-11-25T09:00"),
        ("2026-11-23T23:30", "10:00", "2026-11-24T09:00"),
        ("2026-03-29T00:30", "10:00", "2026-03-29T08:00"),
        ("2026-10-25T00:00", "10:00", "2026-10-25T09:00"),
        ("2026-03-28T09:30", "10:00", "2026-03-29T08:00"),
        ("2026-10-24T08:30", "10:00", "2026-10-25T09:00"),
        ("2026-10-25T00:00", "02:30", "2026-10-25T00:30"),
        ("2026-10-25T00:45", "02:30", "2026-10-25T01:30"),
    ],
)
def test_deadline(began: str, at: str, deadline: str) -> None:
    assert deadline_of(utc(began), time.fromisoformat(at), BERLIN) == utc(deadline)


def test_skipped_time_is_as_late_after_midnight() -> None:
    assert deadline_of(utc("2026-03-28T23:30"), time(2, 30), BERLIN) == utc("2026-03-29T01:30")


@pytest.mark.parametrize(
    ("now", "last", "due"),
    [
        (-1, None, False),
        (0, None, True),
        (0, -5, True),
        (9, 0, False),
        (10, 0, True),
        (19, 11, False),
        (20, 11, True),
        (95, 0, True),
        (5, 30, True),
    ],
)
def test_alarms(now: int, last: int | None, due: bool) -> None:
    before = None if last is None else TEN + timedelta(minutes=last)
    assert alarm_due(TEN + timedelta(minutes=now), TEN, EVERY, before) is due


def test_clock_that_went_back_is_noticed() -> None:
    assert clock_jumped(TEN, TEN + EVERY)
    assert not clock_jumped(TEN, TEN)
    assert not clock_jumped(TEN, None)
