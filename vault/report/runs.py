"""The nightly runs that the ledger knows, found by what a person calls them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from vault.archive.ledger import Ledger
from vault.errors import DAMAGED, IntegrityError, UsageError

LATEST = "latest"

_NUMBERED = re.compile(r"\.\d+$")


@dataclass(frozen=True, slots=True)
class Run:
    """One run as the ledger has it: all that it recorded, also what a later run finished of it."""

    name: str
    began: datetime
    head: str | None
    """The ledger's commit that recorded the last of it."""
    patients: Mapping[str, Mapping[str, Any]]
    """By pseudonym."""
    failed: int
    anomalies: Sequence[Any]
    census: Sequence[str] | None
    census_before: Sequence[str] | None
    """Whom the census of the run before named."""
    finished: tuple[str, ...]
    vault: str


def find_run(ledger: Ledger, wanted: str | None = None) -> Run:
    """The run whose name is, or begins with, `wanted`; the last one for None or `latest`.

    Raises UsageError when there is none or more than one.
    """
    names = [name for name in ledger.names("runs") if not _NUMBERED.search(name)]
    asked = LATEST if wanted is None else wanted.strip()
    if asked == LATEST:
        if not names:
            raise UsageError("The ledger has no run yet; `vault sync` makes the first one.")
        return _run(ledger, names[0])
    found = [name for name in names if asked and name.startswith(asked)]
    if asked in found:
        return _run(ledger, asked)
    if len(found) == 1:
        return _run(ledger, found[0])
    if found:
        raise UsageError(
            f"More than one run's name begins with {asked!r}: {', '.join(found[:3])} …; give more of it."
        )
    raise UsageError(
        f"There is no run {asked!r}; allowed are `{LATEST}`, or a run's name or how it begins, as in "
        f"`vault report {names[0] if names else '20261124'}`."
    )


def _run(ledger: Ledger, name: str) -> Run:
    try:
        return _joined(ledger, name)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise IntegrityError(f"The ledger's event of the run {name} is not as runs are. {DAMAGED}") from error


def _joined(ledger: Ledger, name: str) -> Run:
    recorded = [each for each in ledger.names("runs") if each == name or _number(each, name) is not None]
    recorded.sort(key=lambda each: _number(each, name) or 1)
    events = [event for each in recorded if (event := ledger.get("runs", each)) is not None]
    patients: dict[str, dict[str, Any]] = {}
    for event in events:
        for pseudonym, entry in event["patients"].items():
            before = patients.get(pseudonym)
            patients[pseudonym] = {**entry, "old_commit": before["old_commit"]} if before else dict(entry)
    last = events[-1]
    return Run(
        name=name,
        began=datetime.fromisoformat(events[0]["started"]),
        head=ledger.recorded("runs", recorded[-1]),
        patients=patients,
        failed=sum(event["failed"] for event in events),
        anomalies=[said for event in events for said in event.get("anomalies") or ()],
        census=events[0].get("census"),
        census_before=next(_census_before(ledger, name), None),
        finished=tuple(dict.fromkeys(run for event in events for run in event.get("finished") or ())),
        vault=str(last.get("vault") or ""),
    )


def _number(recorded: str, name: str) -> int | None:
    """Which of the run's events one is, from 2: `NAME.2`; None for the first, and for another run's."""
    rest = recorded.removeprefix(f"{name}.")
    return int(rest) if rest != recorded and rest.isdecimal() else None


def _census_before(ledger: Ledger, name: str) -> Iterator[Sequence[str]]:
    for each in ledger.names("runs"):
        if each < name and not each.startswith(f"{name}."):
            event = ledger.get("runs", each)
            if event and event.get("census"):
                yield event["census"]
