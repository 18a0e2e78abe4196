"""When a run must have been confirmed, and when alarms are due. Pure: the clock is the caller's."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta, tzinfo


def deadline_of(began: datetime, at: time, zone: tzinfo) -> datetime:
    """Return, in UTC, the first time after the run began that the site's clocks show `at`.

    On the days when clocks change, a time that they skip is as late after midnight as if they had not changed
    (02:30 shows as 03:30), and of a time that they show twice it is the first that lies after the beginning.
    """
    day = began.astimezone(zone).date()
    candidates = (moment for later in (0, 1) for moment in _shown(day + timedelta(days=later), at, zone))
    return min(moment for moment in candidates if moment > began)


def alarm_due(now: datetime, deadline: datetime, every: timedelta, last: datetime | None) -> bool:
    """Whether an alarm is due: one in each `every` from the deadline on, none before; `last` is when the last went.

    A caller that comes late sends one alarm, not all that were missed. A `last` that lies in the future was written
    by a clock that jumped (see `clock_jumped`): it silences nobody.
    """
    if now < deadline:
        return False
    if last is None or last < deadline or last > now:
        return True
    return (now - deadline) // every > (last - deadline) // every


def clock_jumped(now: datetime, last_seen: datetime | None) -> bool:
    """Whether the clock went back since something was last recorded, in UTC: then no deadline can be trusted."""
    return last_seen is not None and now < last_seen


def _shown(day: date, at: time, zone: tzinfo) -> set[datetime]:
    """When, in UTC, clocks show `at` on a day: twice, perhaps; where they skip it, as late after midnight."""
    first, second = (datetime.combine(day, at.replace(fold=fold), zone).astimezone(UTC) for fold in (0, 1))
    return {first, second} if first < second else {first}
