"""The ledger: signed, linear, append-only, every event readable; and whether the repositories are as it says."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from vault.archive import hours
from vault.archive.bare import BareRepository
from vault.archive.ledger import KINDS, Ledger
from vault.audit.findings import Finding, Level
from vault.errors import VaultError
from vault.retention.facts import OVERVIEW

SUBJECT = "ledger.git"

_FORGED = "Treat the vault as broken into: keep a copy, compare with a recipient's mail and with the share."


@dataclass(slots=True)
class Recorded:
    """What the ledger says of the repositories, by pseudonym, and of `OVERVIEW`."""

    tips: dict[str, dict[str, str | None]] = field(default_factory=dict)
    """Branch to last commit; a patient who was pruned has none."""
    interrupted: bool = False
    """A pruning was begun and its end is not recorded."""
    events: int = 0


def append_only(ledger: Ledger) -> Iterator[Finding]:
    """Yield whatever a commit of the ledger does but add events."""
    repository = ledger.repository
    if repository is None:
        return
    try:
        for commit in repository.log():
            for path, old, new in repository.changed_paths(commit.parent, commit.oid):
                kind, _, name = path.partition("/")
                if old is not None or new is None:
                    what = "replaces" if new else "removes"
                    yield Finding(
                        Level.INTEGRITY, SUBJECT, f"commit {commit.oid[:12]} {what} the event {path}", _FORGED
                    )
                elif kind not in KINDS or "/" in name or not name.endswith(".json"):
                    yield Finding(
                        Level.INTEGRITY, SUBJECT, f"commit {commit.oid[:12]} adds what is no event", _FORGED
                    )
    except VaultError as error:
        yield Finding(Level.INTEGRITY, SUBJECT, str(error), _FORGED)


def witnessed(ledger: Ledger, witness: str) -> Iterator[Finding]:
    """Yield a finding unless the ledger extends the head that somebody was sent."""
    repository = ledger.repository
    known = repository.log() if repository else iter(())
    try:
        if len(witness) >= 12 and any(commit.oid.startswith(witness.lower()) for commit in known):
            return
    except VaultError as error:
        yield Finding(Level.INTEGRITY, SUBJECT, str(error), _FORGED)
        return
    yield Finding(
        Level.INTEGRITY,
        SUBJECT,
        f"the ledger does not hold {witness[:40]!r}, which a mail names as its head: it was rewritten, or "
        "that is a slip of the pen",
        _FORGED,
    )


def read(ledger: Ledger, findings: list[Finding]) -> Recorded:
    """Read every event, in the order in which they were recorded; what can't be goes into `findings`."""
    result = Recorded()
    repository = ledger.repository
    if repository is None:
        return result
    open_prunes: set[str] = set()
    try:
        for commit in reversed(list(repository.log())):
            for path, _, oid in repository.changed_paths(commit.parent, commit.oid):
                if oid is not None:
                    result.events += 1
                    _apply(path, _event(repository, oid), result, open_prunes)
    except (VaultError, ValueError, KeyError, TypeError, AttributeError) as error:
        said = str(error) if isinstance(error, VaultError) else "an event is not as events are"
        findings.append(Finding(Level.INTEGRITY, SUBJECT, said, _FORGED))
    result.interrupted = bool(open_prunes)
    return result


def compare(
    recorded: Recorded,
    repositories: Mapping[str, BareRepository],
    subjects: Mapping[str, str],
    unfinished: bool,
) -> Iterator[Finding]:
    """Yield where repositories are not as the ledger says. `unfinished`: a run was interrupted before it recorded."""
    excused = unfinished or recorded.interrupted
    for pseudonym, tips in recorded.tips.items():
        if pseudonym not in repositories and any(tips.values()):
            yield _missing(pseudonym, recorded.interrupted)
    for pseudonym, repository in repositories.items():
        subject = subjects[pseudonym]
        tips = recorded.tips.get(pseudonym, {})
        for branch in ("main", hours.BRANCH):
            try:
                yield from _compare_branch(repository, branch, tips.get(branch), subject, excused)
            except VaultError as error:
                yield Finding(Level.INTEGRITY, subject, str(error))


def _compare_branch(
    repository: BareRepository, branch: str, recorded: str | None, subject: str, excused: bool
) -> Iterator[Finding]:
    tip = repository.tip(branch)
    if tip == recorded:
        return
    after = recorded is None or any(commit.oid == recorded for commit in repository.log(branch))
    if after and excused:
        yield Finding(
            Level.WARNING,
            subject,
            f"{branch} has commits of a run that was interrupted",
            "The next run records them.",
        )
    elif after:
        yield Finding(
            Level.INTEGRITY, subject, f"{branch} has commits that no run recorded", "Find out who made them."
        )
    else:
        yield Finding(
            Level.WARNING if excused else Level.INTEGRITY,
            subject,
            f"{branch} is not as the ledger has it: the history was rewritten, and no pruning says so",
            "Keep a copy, and compare with `vault restore` from the share.",
        )


def _missing(pseudonym: str, interrupted: bool) -> Finding:
    level = Level.WARNING if interrupted else Level.INTEGRITY
    return Finding(
        level,
        "repos",
        f"what the ledger has (pseudonym {pseudonym}) is not here, and no pruning says so",
        "If somebody removed or damaged the repository, `vault repair PATIENT --from-share` brings it back.",
    )


def _event(repository: BareRepository, oid: str) -> dict[str, Any]:
    event = json.loads(repository.read(oid))
    if not isinstance(event, dict):
        raise TypeError("an event is an object")
    return event


def _apply(path: str, event: Mapping[str, Any], result: Recorded, open_prunes: set[str]) -> None:
    kind = path.partition("/")[0]
    if kind in {"runs", "hourly"}:
        branch = "main" if kind == "runs" else hours.BRANCH
        for pseudonym, entry in event["patients"].items():
            if entry[
                "new_commit"
            ]:  # none is of a patient who could not be committed: what was there still counts
                result.tips.setdefault(pseudonym, {})[branch] = entry["new_commit"]
        if event.get("overview"):
            result.tips.setdefault(OVERVIEW, {})[branch] = event["overview"]
    elif kind == "repairs":  # a history that was given up
        for pseudonym in event["patients"]:
            result.tips[pseudonym] = {}
    elif kind == "prunes" and event["event"] == "intent":
        open_prunes.add(event["run"])
    elif kind == "prunes" and event["event"] == "done":
        open_prunes.discard(event["run"])
        for pseudonym, entry in event["patients"].items():
            after = {name.removeprefix("refs/heads/"): oid for name, oid in entry["after"].items()}
            kept = result.tips.setdefault(pseudonym, {})
            kept.update({branch: after.get(branch) for branch in ("main", hours.BRANCH)})
