"""Where each run stands, derived from the ledger alone: its runs, and the verdicts on them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, time, tzinfo
from functools import cached_property
from typing import Any
from zoneinfo import ZoneInfo

import rfc8785

from vault.archive.ledger import Ledger
from vault.config import Config
from vault.errors import DAMAGED, IntegrityError
from vault.verification.deadline import deadline_of
from vault.verification.proof import Step
from vault.verification.quorum import Answer, State, Verdict, state_of
from vault.verification.runs import RUNS_READ, Asked, asked


@dataclass(frozen=True, slots=True)
class Recorded:
    """A verdict as the ledger has it: no address, no patient's ID."""

    run: str
    digest: str
    """Of the change set that was answered."""
    verdict: Verdict
    at: datetime
    """When it was recorded."""
    how: str
    """"mail" or "console"."""
    message: str | None = None
    """What the mail that brought it is known by."""
    totp_step: int | None = None
    """The time step of the TOTP that came with it."""
    late: bool = False
    reason: str = ""
    """What was said at the console, if anything."""

    @property
    def name(self) -> str:
        """The event's name: the same for the same verdict, however often it is recorded."""
        said = {key: value for key, value in self.event().items() if key not in {"at", "late"}}
        return f"{self.run}-{hashlib.sha256(rfc8785.dumps(said)).hexdigest()[:16]}"

    def event(self) -> dict[str, Any]:
        """The event, as it goes into the ledger."""
        patients = self.verdict.patients
        return {
            "run": self.run,
            "changes": self.digest,
            "recipient": self.verdict.recipient,
            "answer": self.verdict.answer.value,
            "patients": None if patients is None else sorted(patients),
            "at": self.at.astimezone(UTC).isoformat(timespec="milliseconds"),
            "how": self.how,
            "message": self.message,
            "totp_step": self.totp_step,
            "late": self.late,
            "reason": self.reason,
        }


@dataclass(frozen=True, slots=True)
class Patient:
    """Where a run's changes of one patient stand."""

    step: Step
    state: State
    confirmed_by: tuple[str, ...] = ()
    rejected_by: tuple[str, ...] = ()
    routine: bool = False
    """Confirmed by the site's policy, since all of it is of the daily kind."""


@dataclass(frozen=True)
class RunState:
    """Where one run stands."""

    run: Asked
    deadline: datetime
    patients: Mapping[str, Patient]
    verdicts: tuple[Recorded, ...]
    """On this run, in the order in which they were recorded."""

    @cached_property
    def state(self) -> State:
        """Of the whole run: disputed as soon as one patient is, confirmed once all are."""
        states = {patient.state for patient in self.patients.values()}
        for state in (State.DISPUTED, State.PENDING):
            if state in states:
                return state
        return State.CONFIRMED

    def of(self, state: State) -> list[str]:
        """The pseudonyms of the patients who stand there, sorted."""
        return sorted(pseudonym for pseudonym, each in self.patients.items() if each.state is state)

    @property
    def waits(self) -> tuple[str, ...]:
        """Pseudonyms of those whose verdicts are missing; nobody where nobody was asked."""
        return tuple(self.of(State.PENDING)) if self.run.somebody else ()

    @property
    def answered(self) -> tuple[str, ...]:
        """Who has answered, in the order of their first answers."""
        return tuple(dict.fromkeys(each.verdict.recipient for each in self.verdicts))


@dataclass(frozen=True, slots=True)
class Policy:
    """What a site asks for."""

    required: int = 2
    """How many different recipients confirm."""
    deadline: time = time(10)
    zone: tzinfo = UTC
    routine_confirms: bool = False
    """Whether patients whose changes are of the daily kind alone need no verdict."""


def policy_of(config: Config) -> Policy:
    """What the configuration asks for."""
    section = config.verification
    return Policy(
        section.required, section.deadline, ZoneInfo(config.site.timezone), section.routine == "confirm"
    )


def recorded(ledger: Ledger) -> list[Recorded]:
    """Every verdict of the ledger, oldest first. Raises IntegrityError for one that is none."""
    found = []
    for event in ledger.events("verdicts"):
        try:
            found.append(_recorded(event))
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise IntegrityError(f"A verdict in the ledger is not as verdicts are. {DAMAGED}") from error
    return sorted(found, key=lambda each: (each.at, each.name))


def states(ledger: Ledger, policy: Policy, newest: int = RUNS_READ) -> list[RunState]:
    """Where the newest runs stand that changed something, newest first."""
    verdicts: dict[str, list[Recorded]] = {}
    for each in recorded(ledger):
        verdicts.setdefault(each.run, []).append(each)
    return [run_state(run, verdicts.get(run.name, ()), policy) for run in asked(ledger, newest)]


def run_state(run: Asked, verdicts: Iterable[Recorded], policy: Policy) -> RunState:
    """Where a run stands, given all verdicts on it. A verdict on changes that the run never made counts for nothing."""
    counted = [narrowed for each in verdicts if (narrowed := _narrowed(run, each))]
    patients = {
        pseudonym: _patient(pseudonym, step, counted, policy, routine=pseudonym in run.changes.routine)
        for pseudonym, step in run.changes.steps.items()
    }
    return RunState(
        run, deadline_of(run.began.astimezone(UTC), policy.deadline, policy.zone), patients, tuple(counted)
    )


def used_steps(verdicts: Iterable[Recorded]) -> dict[str, int]:
    """The last TOTP step that each recipient has used."""
    used: dict[str, int] = {}
    for each in verdicts:
        if each.totp_step is not None:
            name = each.verdict.recipient
            used[name] = max(each.totp_step, used.get(name, each.totp_step))
    return used


def _narrowed(run: Asked, each: Recorded) -> Recorded | None:
    """The verdict, about the patients whose changes are still those that were answered."""
    version = run.version(each.digest)
    if version is None:
        return None
    if version is run.changes:
        return each
    now = run.changes.steps
    same = frozenset(pseudonym for pseudonym, step in version.steps.items() if now.get(pseudonym) == step)
    named = each.verdict.patients
    if each.verdict.answer is Answer.REJECT:  # what somebody objected to stays objected to
        same = frozenset(version.steps)
    patients = same if named is None else same & named
    return replace(each, verdict=replace(each.verdict, patients=patients))


def _patient(
    pseudonym: str, step: Step, verdicts: Sequence[Recorded], policy: Policy, *, routine: bool
) -> Patient:
    about = [each.verdict for each in verdicts if each.verdict.about(pseudonym)]
    said = {
        answer: tuple(dict.fromkeys(each.recipient for each in about if each.answer is answer))
        for answer in Answer
    }
    state = state_of(pseudonym, about, policy.required)
    by_policy = routine and policy.routine_confirms and state is State.PENDING
    return Patient(
        step,
        State.CONFIRMED if by_policy else state,
        said[Answer.VERIFY],
        said[Answer.REJECT],
        routine=by_policy,
    )


def _recorded(event: Mapping[str, Any]) -> Recorded:
    patients = event["patients"]
    return Recorded(
        run=event["run"],
        digest=event["changes"],
        verdict=Verdict(
            event["recipient"],
            Answer(event["answer"]),
            None if patients is None else frozenset(patients),
        ),
        at=datetime.fromisoformat(event["at"]),
        how=event["how"],
        message=event["message"],
        totp_step=event["totp_step"],
        late=event["late"],
        reason=event.get("reason", ""),
    )
