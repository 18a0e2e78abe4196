"""Who goes tonight, who goes next, and what holds the others: a pure function, with a reason for every decision.

The ROIS is asked nothing here. A patient's clock starts at the latest sign of treatment that the vault itself saw, by
the vault's own times, so no date in a database can end it early. What would go is held back by any doubt: a patient
too many costs disk space, a patient too few costs a treatment.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from enum import StrEnum

DAY = timedelta(days=1)

WATCHED = 0.5
"""Share of a window's days in which the vault must have looked and not seen the patient. A clock that leaps makes
every date old, but no night has been watched through."""

NOTICE = timedelta(hours=12)
"""An announcement must be so old before the patient goes: the mail of one night, the pruning of another."""

STALE = timedelta(days=7)
"""An announcement older than this is forgotten, and made again: nobody remembers it."""

LEAP = timedelta(days=7)
"""Longer without a run, the clock may have leapt (or the vault was off): a night of watching comes first."""

FRESH = timedelta(hours=26)
"""The census that a pruning relies on must not be older."""

MANY = 3
"""So many patients may be due at once before that is worth a remark, whatever the share."""


@dataclass(frozen=True, slots=True)
class Policy:
    """What the site decided. Raises ValueError for a policy that would keep nothing."""

    after_last_treatment: timedelta
    """A patient goes so long after the vault last saw a sign of treatment."""
    hourly: timedelta
    """What the hourly runs kept of a day goes so long after it last changed."""
    largest_share: float
    """Of the patients, in one night; one may always go."""

    def __post_init__(self) -> None:
        if self.after_last_treatment < DAY or self.hourly < DAY or not 0 < self.largest_share <= 0.5:
            raise ValueError("a retention policy keeps at least a day, and half of the patients a night")


@dataclass(frozen=True, slots=True)
class Night:
    """What concerns all patients."""

    now: datetime
    census: datetime | None
    """When the last census was taken, if it was complete and can be taken at its word."""
    census_doubt: str = ""
    """Why it can't; empty where it can."""
    before: datetime | None = None
    """When the run before that one began; None where there was none."""
    recorded: datetime | None = None
    """The latest time that the ledger's newest entries bear."""
    emergency: datetime | None = None
    """Since when an emergency is declared."""


@dataclass(frozen=True, slots=True)
class Observed:
    """What the vault knows of one patient, from its own ledger and histories."""

    patient: str
    """A pseudonym."""
    evidence: datetime | None
    """The latest sign of treatment: a commit with something new, or a census that named the patient."""
    nights: int = 0
    """Days since then with a good census that did not name the patient."""
    in_census: bool = False
    """The last census names the patient."""
    announced: datetime | None = None
    """When the last digest that named who goes was made, if the patient was in it."""
    held: bool = False
    disputed: bool = False
    unverified: bool = False
    """Somebody's verdict on the newest commit is missing, where the site asks for verdicts."""
    damaged: bool = False
    """The history or the ledger can't be read."""
    hours: Mapping[date, datetime] = field(default_factory=dict)
    """Days that the hourly runs kept, and when each last changed."""
    night: datetime | None = None
    """The last night that retrieved the patient completely, or that had no reason to retrieve the patient."""


class Fate(StrEnum):
    """What becomes of a patient."""

    STAYS = "stays"
    HELD_BACK = "held back"
    """The time is over, but something speaks against it."""
    ANNOUNCED = "announced"
    """Goes the next night, unless somebody objects."""
    GOES = "goes"


@dataclass(frozen=True, slots=True)
class Decision:
    """What becomes of one patient, and why."""

    patient: str
    fate: Fate
    reason: str
    due: datetime | None
    """When the time is over; None where that can't be said."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to happen tonight. `barrier` says why nothing does, and is empty else."""

    decisions: tuple[Decision, ...]
    hours: Mapping[str, tuple[date, ...]]
    """Patient to the days of the hourly history that go. Whoever goes as a whole is not in it."""
    barrier: str
    anomalies: tuple[str, ...]

    def of(self, fate: Fate) -> tuple[str, ...]:
        """The patients who meet this fate, in the order in which they are due."""
        return tuple(decision.patient for decision in self.decisions if decision.fate is fate)


def plan(night: Night, patients: Sequence[Observed], policy: Policy) -> Plan:
    """Decide about every patient. The result is ordered by age: whoever is due first comes first."""
    stopped = barrier(night)
    ranked = sorted(patients, key=lambda each: (-_age(each, night.now), each.patient))
    most = max(1, math.floor(policy.largest_share * len(patients)))
    going = announced = due = 0
    decisions = []
    for each in ranked:
        fate, reason = _judge(each, night, policy, stopped)
        due += fate is not Fate.STAYS
        if fate is Fate.GOES and going >= most:
            fate, reason = Fate.HELD_BACK, f"{most} go tonight already, the largest share of one night"
        if fate is Fate.ANNOUNCED and announced >= most:
            fate, reason = Fate.HELD_BACK, f"{most} are announced already, the largest share of one night"
        going += fate is Fate.GOES
        announced += fate is Fate.ANNOUNCED
        ends = each.evidence + policy.after_last_treatment if each.evidence else None
        decisions.append(Decision(each.patient, fate, reason, ends))
    goers = {decision.patient for decision in decisions if decision.fate is Fate.GOES}
    hours = {each.patient: days for each in ranked if (days := _hours(each, night, policy, stopped))}
    return Plan(
        tuple(decisions),
        {patient: days for patient, days in hours.items() if patient not in goers},
        stopped,
        _anomalies(due, len(patients), most),
    )


def barrier(night: Night) -> str:
    """Why nothing may go tonight; empty where something may."""
    if night.emergency is not None:
        return f"an emergency is declared since {_minute(night.emergency)}; `vault emergency end` lifts the freeze"
    if night.recorded is not None and night.now < night.recorded:
        return f"the clock went back: the ledger has an entry of {_minute(night.recorded)}; correct the clock"
    if night.census is None:
        return night.census_doubt or "there is no census to rely on"
    if night.census > night.now or night.now - night.census > FRESH:
        return f"the last good census is of {_minute(night.census)}; `vault sync` takes a new one"
    if night.before is not None and night.census - night.before > LEAP:
        return (
            f"the run before the last was on {_minute(night.before)}: the vault was off, or the clock leapt. "
            "Check the clock; the next night may prune"
        )
    return ""


def _judge(each: Observed, night: Night, policy: Policy, stopped: str) -> tuple[Fate, str]:
    """What becomes of one patient, were there no others."""
    window = policy.after_last_treatment
    if why := _too_early(each, night, window):
        return Fate.STAYS, why
    assert each.evidence is not None  # noqa: S101  # for the type checker
    if objection := stopped or _objection(each, window):
        return Fate.HELD_BACK, objection
    if each.announced is None or not NOTICE <= night.now - each.announced <= STALE:
        return Fate.ANNOUNCED, f"no sign of treatment since {_minute(each.evidence)}: goes the next night"
    if night.now - each.evidence < window:
        return Fate.ANNOUNCED, f"{_days(window)} are over on {_minute(each.evidence + window)}"
    return Fate.GOES, (
        f"no sign of treatment since {_minute(each.evidence)}; announced on {_minute(each.announced)}"
    )


def _too_early(each: Observed, night: Night, window: timedelta) -> str:
    """Why a patient's time is not over; empty where it is, or will be by the next night."""
    if each.evidence is None or each.damaged:
        return "what the vault knows of this patient can't be read: `vault audit` says why"
    if each.evidence > night.now:
        return f"the vault's last sign of treatment is of {_minute(each.evidence)}: a wrong clock"
    if each.in_census:
        return "under treatment: the census names this patient"
    if night.now - each.evidence < window - DAY:
        return f"the last sign of treatment is of {_minute(each.evidence)}, less than {_days(window)} ago"
    return ""


def _objection(each: Observed, window: timedelta) -> str:
    """What speaks against a patient's going whose time is over; empty where nothing does."""
    if each.held:
        return "held: `vault hold --release` lifts it"
    if each.disputed:
        return "a change of this patient is disputed: settle it first"
    if each.unverified:
        return "the last change of this patient is not verified: `vault verify` does that"
    if _watched(each) < window:
        return (
            f"only {each.nights} nights since then had a good census; "
            f"{math.ceil(WATCHED * window / DAY)} are needed before it counts as absence"
        )
    return ""


def _watched(each: Observed) -> timedelta:
    """The longest window that the nights watched are enough for."""
    return each.nights / WATCHED * DAY


def _age(each: Observed, now: datetime) -> float:
    """How long a patient is away by the clock and by the nights watched, in seconds: the order of going.

    One order for every policy, so that a longer window lets nobody go who would not go under a shorter one.
    """
    if each.evidence is None:
        return -math.inf
    return min(now - each.evidence, _watched(each)).total_seconds()


def _hours(each: Observed, night: Night, policy: Policy, stopped: str) -> tuple[date, ...]:
    """The days of the hourly history that go: old enough, and a good night has come since."""
    if stopped or each.held or each.disputed or each.damaged or each.night is None:
        return ()
    return tuple(
        day
        for day, changed in sorted(each.hours.items())
        if night.now - changed >= policy.hourly and changed < each.night
    )


def _anomalies(due: int, patients: int, most: int) -> tuple[str, ...]:
    if due <= max(MANY, most):
        return ()
    return (
        f"{due} of {patients} patients are due to go at once; no more than {most} go in a night. If their treatments "
        "are not over, find out why the census no longer names them, and `vault emergency declare` freezes pruning.",
    )


def _minute(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M}"


def _days(window: timedelta) -> str:
    return f"{window / DAY:g} days"
