"""What can be confirmed: the nightly runs of the ledger, and what each changed, by pseudonym."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from vault.archive.ledger import Ledger
from vault.errors import DAMAGED, IntegrityError
from vault.verification.proof import Step, change_set_digest, code

RUNS_READ = 120
"""Runs that are looked at, newest first: four months of nights. What is older stays in the ledger as it was left."""

_NUMBERED = re.compile(r"(.+)\.([0-9]+)", re.ASCII)


@dataclass(frozen=True, slots=True)
class ChangeSet:
    """What a run changed, as far as it had come when it was recorded."""

    steps: Mapping[str, Step]
    """By pseudonym; patients of whom nothing changed are not in it."""
    digest: str
    routine: frozenset[str] = frozenset()
    """Pseudonyms of the patients whose changes are of the daily kind alone."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A run that changed something."""

    name: str
    began: datetime
    somebody: bool
    """Whether there was anybody to ask: no verdict is missing from nights before the site had recipients."""
    versions: tuple[ChangeSet, ...]
    """One, but for a run that was interrupted: then one more for each time that it was taken up again."""

    @property
    def changes(self) -> ChangeSet:
        """All that the run changed."""
        return self.versions[-1]

    def version(self, digest: str) -> ChangeSet | None:
        """The change set of that digest; None when this run never had it."""
        return next((each for each in self.versions if each.digest == digest), None)


def asked(ledger: Ledger, newest: int = RUNS_READ) -> list[Asked]:
    """The runs that changed something, newest first. Raises IntegrityError for a ledger that can't be read."""
    parts: dict[str, list[tuple[int, str]]] = {}
    for recorded in ledger.names("runs"):
        match = _NUMBERED.fullmatch(recorded)
        name, number = (match[1], int(match[2])) if match else (recorded, 1)
        parts.setdefault(name, []).append((number, recorded))
    found = []
    for name in sorted(parts, reverse=True)[:newest]:
        events = [event for _, each in sorted(parts[name]) if (event := ledger.get("runs", each)) is not None]
        try:
            run = _night_run(name, events)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise IntegrityError(
                f"The ledger's event of the run {name} is not as runs are. {DAMAGED}"
            ) from error
        if run.changes.steps:
            found.append(run)
    return found


def last_began(ledger: Ledger) -> datetime | None:
    """When the last run began, whatever it changed; None when there is none yet."""
    event = next(ledger.events("runs"), None)
    return datetime.fromisoformat(event["started"]) if event else None


def codes(key: bytes, run: Asked, recipients: Sequence[str]) -> dict[str, str]:
    """The code of each recipient (by name) for all that the run changed, as mails print it."""
    return {name: code(key, name, run.name, run.changes.digest) for name in recipients}


def _night_run(name: str, events: Sequence[Mapping[str, Any]]) -> Asked:
    steps: dict[str, Step] = {}
    routine: dict[str, bool] = {}
    versions = []
    for event in events:
        for pseudonym, entry in event["patients"].items():
            old, new = entry["old_commit"], entry["new_commit"]
            if pseudonym in steps:
                old = steps[pseudonym].old
                routine[pseudonym] &= entry.get("routine") is True
            else:
                routine[pseudonym] = entry.get("routine") is True
            if new is not None:
                steps[pseudonym] = Step(old, new)
        changed = {pseudonym: step for pseudonym, step in steps.items() if step.old != step.new}
        usual = frozenset(pseudonym for pseudonym in changed if routine[pseudonym])
        versions.append(ChangeSet(changed, change_set_digest(name, changed), usual))
    somebody = any(event.get("asked") is True for event in events)
    return Asked(name, datetime.fromisoformat(events[0]["started"]), somebody, tuple(versions))
