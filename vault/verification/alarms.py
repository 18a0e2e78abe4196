"""Which alarms are due, given the ledger and the time. Pure but for reading the ledger.

| reason | when | how often |
| --- | --- | --- |
| `unanswered` | the deadline of a run has passed, and verdicts are missing | each `alert_every`, until they are there |
| `disputed` | somebody rejected | at once, for each objection |
| `anomaly` | a run found what looks like an attack | at once, for each run |
| `no-night` | no run has begun for 26 hours | each hour |
| `clock` | the ledger holds something that was recorded later than now | each hour |
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from vault.archive.ledger import Ledger
from vault.errors import DAMAGED, IntegrityError
from vault.verification.deadline import alarm_due, clock_jumped
from vault.verification.quorum import Answer
from vault.verification.runs import last_began
from vault.verification.state import RunState

OVERDUE = timedelta(hours=26)
"""Without a run for so long, a night has been missed."""

HOURLY = timedelta(hours=1)

ALARMED_FOR = timedelta(days=7)
"""How long after its beginning a run is alarmed about; then `vault status` goes on to say that it waits."""


@dataclass(frozen=True, slots=True)
class Alarm:
    """An alarm that is due."""

    reason: str
    key: str
    """The same for the same alarm, however often it is found to be due: nobody gets it twice."""
    subject: str
    text: str
    runs: tuple[str, ...] = ()
    about: tuple[str, ...] = ()
    """Verdicts that are alarmed about, by the names of their events."""
    answered: tuple[str, ...] = ()
    """Who has answered the newest of the runs."""

    def event(self, now: datetime) -> dict[str, Any]:
        """The alarm as the ledger keeps it."""
        return {
            "at": now.astimezone(UTC).isoformat(timespec="seconds"),
            "reason": self.reason,
            "key": self.key,
            "runs": list(self.runs),
            "about": list(self.about),
            "answered": list(self.answered),
        }

    @property
    def name(self) -> str:
        """The event's name, which the key alone decides."""
        return f"{self.reason}-{hashlib.sha256(self.key.encode()).hexdigest()[:24]}"


@dataclass(frozen=True, slots=True)
class Sent:
    """An alarm that went out."""

    at: datetime
    reason: str
    key: str
    runs: frozenset[str]
    about: frozenset[str]


def sent(ledger: Ledger) -> list[Sent]:
    """Every alarm of the ledger, newest first. Raises IntegrityError for one that is none."""
    try:
        found = [
            Sent(
                datetime.fromisoformat(event["at"]),
                str(event["reason"]),
                str(event["key"]),
                frozenset(event["runs"]),
                frozenset(event["about"]),
            )
            for event in ledger.events("alarms")
        ]
    except (KeyError, TypeError, ValueError) as error:
        raise IntegrityError(f"An alarm in the ledger is not as alarms are. {DAMAGED}") from error
    return sorted(found, key=lambda each: each.at, reverse=True)


def due(
    ledger: Ledger,
    runs: Sequence[RunState],
    now: datetime,
    every: timedelta,
    people: Sequence[str],
    required: int,
) -> list[Alarm]:
    """The alarms that are due at `now` (aware). `people` are the recipients, `runs` newest first."""
    before = sent(ledger)
    alarms = [
        *_clock(runs, before, now),
        *_no_night(ledger, before, now),
        *_anomalies(ledger, before, now),
        *_disputed(runs, before, now),
        *_unanswered(runs, before, now, every, people, required),
    ]
    return [each for each in alarms if not any(each.key == earlier.key for earlier in before)]


def waiting(runs: Sequence[RunState], now: datetime) -> list[RunState]:
    """The runs whose verdicts are missing and still alarmed about, newest first."""
    return [run for run in runs if run.waits and now - run.run.began < ALARMED_FOR]


def last_seen(runs: Sequence[RunState], before: Sequence[Sent]) -> datetime | None:
    """The latest time that anything recorded bears."""
    times = [run.run.began for run in runs]
    times += [verdict.at for run in runs for verdict in run.verdicts]
    times += [each.at for each in before]
    return max(times, default=None)


def _unanswered(
    runs: Sequence[RunState],
    before: Sequence[Sent],
    now: datetime,
    every: timedelta,
    people: Sequence[str],
    required: int,
) -> Iterator[Alarm]:
    last = next((each.at for each in before if each.reason == "unanswered"), None)
    late = [run for run in waiting(runs, now) if now >= run.deadline]
    if not any(alarm_due(now, run.deadline, every, last) for run in late):
        return
    newest = late[0]
    slot = (now - newest.deadline) // every
    lines = [line for run in late for line in _said(run, people, required)]
    number = len({pseudonym for run in late for pseudonym in run.waits})
    yield Alarm(
        "unanswered",
        f"alarm unanswered {newest.run.name} {slot}" + (" again" if last and last > now else ""),
        f"ALARM: {_patients(number)} not confirmed",
        "\n".join(
            [
                "What a night changed has not been confirmed by enough people.",
                "",
                *lines,
                "Look at the mail of that night and answer it, or at the vault: vault verify list",
            ]
        ),
        tuple(run.run.name for run in late),
        answered=newest.answered,
    )


def _said(run: RunState, people: Sequence[str], required: int) -> Iterator[str]:
    """Where a run stands, in lines."""
    answered = [f"{each.verdict.recipient} ({each.verdict.answer.value.upper()})" for each in run.verdicts]
    missing = [name for name in people if name not in run.answered]
    yield f"Run {run.run.name}: {_patients(len(run.waits))} not confirmed; {required} people have to."
    yield f"  Answered: {', '.join(dict.fromkeys(answered)) or 'nobody'}"
    yield f"  Not answered: {', '.join(missing) or 'nobody'}"
    yield ""


def _disputed(runs: Sequence[RunState], before: Sequence[Sent], now: datetime) -> Iterator[Alarm]:
    told = {name for each in before if each.reason == "disputed" for name in each.about}
    for run in runs:
        for verdict in run.verdicts:
            if verdict.verdict.answer is not Answer.REJECT or verdict.name in told:
                continue
            if now - verdict.at > ALARMED_FOR:
                continue
            named = verdict.verdict.patients
            about = sorted(run.patients) if named is None else sorted(named)
            who = "all its patients" if named is None else f"the patients {', '.join(about)}"
            text = (
                f"{verdict.verdict.recipient} says REJECT to what the run {run.run.name} changed, for {who}.\n"
                + (f"Reason: {verdict.reason}\n" if verdict.reason else "")
                + "\nTheir verified state stays what it was, and they are not pruned. Find out what happened before "
                "anybody of them is treated.\n\nOn the vault: vault verify list"
            )
            yield Alarm(
                "disputed",
                f"alarm disputed {verdict.name}",
                f"ALARM: {verdict.verdict.recipient} REJECTS {_patients(len(about))}",
                text,
                (run.run.name,),
                (verdict.name,),
                run.answered,
            )


def _anomalies(ledger: Ledger, before: Sequence[Sent], now: datetime) -> Iterator[Alarm]:
    told = {name for each in before if each.reason == "anomaly" for name in each.runs}
    for name in ledger.names("runs"):
        event = ledger.get("runs", name) or {}
        began = datetime.fromisoformat(event["started"])
        if now - began > ALARMED_FOR:
            break
        if event.get("asked") is not True:
            continue
        number = sum(map(_grave, event.get("anomalies") or ())) or sum(
            _count(entry.get("anomalies")) for entry in event["patients"].values()
        )  # what a patient is part of is said of the run, too
        if number and name not in told:
            things = "one thing looks" if number == 1 else f"{number} things look"
            yield Alarm(
                "anomaly",
                f"alarm anomaly {name}",
                f"ALARM: {things} like an attack",
                f"In the run {name} {things} as if nobody meant it. Read the mail of that night now, the notices "
                "first, and ask whoever runs the ROIS.",
                (name,),
            )


def _grave(anomaly: str | Mapping[str, Any]) -> int:
    return int(isinstance(anomaly, str) or anomaly.get("severity") in {"critical", "major"})


def _count(said: object) -> int:
    return said if isinstance(said, int) else len(said) if isinstance(said, list) else 0


def _no_night(ledger: Ledger, before: Sequence[Sent], now: datetime) -> Iterator[Alarm]:
    began = last_began(ledger)
    if began is None or now - began <= OVERDUE:
        return
    last = next((each.at for each in before if each.reason == "no-night"), None)
    start = began + OVERDUE
    if alarm_due(now, start, HOURLY, last):
        hours = (now - began) // HOURLY
        yield Alarm(
            "no-night",
            f"alarm no-night {began.isoformat()} {(now - start) // HOURLY}",
            f"ALARM: no run for {hours} hours",
            f"The last night's run began {hours} hours ago, so at least one night is missing: nothing newer is in the "
            "vault. Look at the computer: vault status",
        )


def _clock(runs: Sequence[RunState], before: Sequence[Sent], now: datetime) -> Iterator[Alarm]:
    seen = last_seen(runs, [each for each in before if each.reason != "clock"])
    if not clock_jumped(now, seen) or seen is None:
        return
    yield Alarm(
        "clock",
        f"alarm clock {seen.isoformat()} {now.astimezone(UTC):%Y%m%dT%H}",
        "ALARM: the vault's clock went back",
        f"The vault's clock shows {now.astimezone(UTC):%Y-%m-%d %H:%M} UTC, but something was recorded at "
        f"{seen.astimezone(UTC):%Y-%m-%d %H:%M} UTC. No deadline can be trusted until it is set right: timedatectl",
    )


def _patients(number: int) -> str:
    return "1 patient" if number == 1 else f"{number} patients"
