"""What people have said about keeping: which patients are held, and whether an emergency is declared.

Both are events of the ledger, numbered in the order in which they were recorded, so that no clock can turn them round.
None holds a name or an ID.
"""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import islice
from typing import Any

from vault.archive.ledger import Ledger

HOLDS = "holds"
EMERGENCIES = "emergencies"


def hold(ledger: Ledger, pseudonym: str, *, held: bool, reason: str, now: datetime) -> None:
    """Record that a patient is to be kept whatever the plan says, or no longer. Raises what `Ledger.append` raises."""
    event = {"patient": pseudonym, "held": held, "reason": reason}
    _append(ledger, HOLDS, "held" if held else "released", event, now)


def holds(ledger: Ledger) -> dict[str, dict[str, Any]]:
    """The patients who are held, each with the event that says so."""
    latest: dict[str, dict[str, Any]] = {}
    for event in ledger.events(HOLDS):
        latest.setdefault(event["patient"], event)
    return {patient: event for patient, event in latest.items() if event["held"]}


def emergency(ledger: Ledger, *, declared: bool, reason: str, now: datetime) -> None:
    """Record that an emergency begins, or ends. Raises what `Ledger.append` raises."""
    kind = "declared" if declared else "ended"
    _append(ledger, EMERGENCIES, kind, {"declared": declared, "reason": reason}, now)


def emergency_since(ledger: Ledger) -> datetime | None:
    """Since when an emergency is declared; None where there is none."""
    latest = next(ledger.events(EMERGENCIES), None)
    if latest is None or not latest["declared"]:
        return None
    since = datetime.fromisoformat(latest["when"])
    for event in ledger.events(EMERGENCIES):
        if not event["declared"]:
            break
        since = datetime.fromisoformat(event["when"])
    return since


def announced(ledger: Ledger) -> dict[str, datetime]:
    """Whom the last announcement named as those who go next, and when; without those who have gone since.

    Whoever was to go when it was made, and has not (the run was killed), stays announced as before.
    """
    gone: set[str] = set()
    found: dict[str, datetime] = {}
    left: set[str] | None = None
    for event in ledger.events("prunes"):
        if event["event"] == "done":
            gone |= {name for name, entry in event["patients"].items() if entry["what"] == "patient"}
        elif event["event"] == "announced":
            when = datetime.fromisoformat(event["when"])
            named = set(event["patients"]) if left is None else left & set(event["patients"])
            found |= dict.fromkeys(named, when)
            left = (
                set(event.get("going", ())) if left is None else (left - named) & set(event.get("going", ()))
            )
            if not left:
                break
    return {patient: when for patient, when in found.items() if patient not in gone}


def let_go_since(ledger: Ledger, generation: int) -> set[str]:
    """Patients whom a pruning let go, or was about to, after the ledger had so many commits. Raises VaultError."""
    repository = ledger.repository
    found: set[str] = set()
    for commit in islice(repository.log(), max(0, repository.depth() - generation)) if repository else ():
        kind, _, name = commit.subject.partition(": ")
        event = ledger.get(kind, name) if kind == "prunes" else None
        if event and event["event"] in {"intent", "done"}:
            found |= {each for each, entry in event["patients"].items() if entry["what"] == "patient"}
    return found


def _append(ledger: Ledger, kind: str, what: str, event: dict[str, Any], now: datetime) -> None:
    number = sum(1 for _ in ledger.events(kind)) + 1
    when = now.astimezone(UTC).isoformat(timespec="seconds")
    ledger.append(kind, f"{number:06}-{what}", {**event, "when": when}, when=now)
