"""What the retention plan is made of, read from the ledger and the repositories: never from the ROIS."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from itertools import islice
from typing import Any
from zoneinfo import ZoneInfo

from vault.archive import hours
from vault.archive.ledger import Ledger
from vault.archive.overview import Overview
from vault.archive.refs import VERIFIED
from vault.archive.repository import PatientRepository, all_repositories
from vault.config import Config
from vault.errors import ConfigError, VaultError
from vault.keys import Pseudonyms
from vault.model import Failure, PatientID
from vault.retention import standing
from vault.retention.plan import Night, Observed, Policy
from vault.verification.state import policy_of, states

ENTRIES_READ = 50
"""The ledger's newest entries, whose times must not lie in the future: some days of them, so that a clock that was
wrong once holds up retention for so long, and not for ever."""

BEYOND = timedelta(days=60)
"""How much longer than the window the runs are looked through."""

OVERVIEW = "overview"
"""Stands for `overview.git` where a pseudonym stands for a patient."""


@dataclass(slots=True)
class Facts:
    """Everything that `vault.retention.plan` asks for, and whose repositories these are."""

    night: Night
    observed: list[Observed]
    repositories: dict[str, PatientRepository]
    """By pseudonym."""
    damaged: list[Failure] = field(default_factory=list)
    overview_days: dict[date, datetime] = field(default_factory=dict)
    """Days in `overview.git`, and when each last changed."""

    def patient_id(self, pseudonym: str) -> PatientID:
        """The patient's ID, for the console and the mail."""
        return PatientID(self.repositories[pseudonym].patient_id)


@dataclass(frozen=True, slots=True)
class _Run:
    """A nightly run, as far as it matters here."""

    began: datetime
    census: frozenset[str]
    good: bool
    """The census is one to rely on: complete, plausible, and nothing failed."""
    partial: bool
    """Somebody named the patients, and nothing was wrong: no census, and no doubt about one."""
    entries: Mapping[str, Mapping[str, Any]]


def policy(config: Config) -> Policy:
    """The site's policy. Raises ConfigError where `[retention]` is left out, or keeps nothing."""
    if config.retention is None:
        raise ConfigError(
            f"{config.path} has no [retention], so nothing ever goes. Add the section to turn it on."
        )
    section = config.retention
    return Policy(
        timedelta(seconds=section.after_last_treatment),
        timedelta(seconds=section.hourly),
        section.largest_share,
    )


def gather(config: Config, ledger: Ledger, now: datetime) -> Facts:
    """Look at everything. Raises VaultError where the ledger can't be read: nothing may go then."""
    horizon = now - policy(config).after_last_treatment - BEYOND
    zone = ZoneInfo(config.site.timezone)
    pseudonyms = Pseudonyms.load(config.vault.pseudonym_key)
    runs = list(_runs(ledger, now, horizon))
    facts = Facts(_night(ledger, runs, now), [], {})
    held, disputed = standing.holds(ledger), _disputed(ledger)
    announced = standing.announced(ledger)
    seen = _hourly_signs(ledger, now, horizon)
    unanswered = {pseudonym for run in states(ledger, policy_of(config)) for pseudonym in run.waits}
    for repository in all_repositories(config.vault.root, facts.damaged):
        pseudonym = pseudonyms.of(repository.patient_id)
        facts.repositories[pseudonym] = repository
        try:
            verified = repository.ref(VERIFIED) == repository.tip()
            signs = [_last_sign(repository), seen.get(pseudonym)]
            signs += [run.began for run in runs if pseudonym in run.census]
            evidence = max((sign for sign in signs if sign), default=None)
            facts.observed.append(
                Observed(
                    pseudonym,
                    evidence,
                    nights=_watched(runs, pseudonym, evidence, zone),
                    in_census=_in_last_census(runs, pseudonym),
                    announced=announced.get(pseudonym),
                    held=pseudonym in held,
                    disputed=pseudonym in disputed and not verified,
                    unverified=pseudonym in unanswered,
                    hours=last_changes(repository),
                    night=_last_night(runs, pseudonym),
                )
            )
        except VaultError as error:
            facts.damaged.append(Failure(repository.path.name, str(error)))
            facts.observed.append(Observed(pseudonym, None, damaged=True))
    if overview := Overview.open(config.vault.root):
        facts.overview_days = last_changes(overview)
    return facts


def last_changes(repository: PatientRepository | Overview) -> dict[date, datetime]:
    """The days in a repository's hourly history, and when each last changed. Raises IntegrityError."""
    tip = repository.tip(hours.BRANCH)
    wanted = {day for path in repository.tree(tip) if (day := day_in(path))}
    found: dict[date, datetime] = {}
    for commit in repository.log(hours.BRANCH):
        if wanted <= found.keys():
            break
        for path, _, new in repository.changed_paths(commit.parent, commit.oid):
            day = day_in(path)
            if day and new:
                found.setdefault(day, commit.when)
    return found


def day_in(path: str) -> date | None:
    """The day whose history a path of the tree belongs to; None for a file that belongs to none."""
    parts = path.split("/")
    try:
        return date.fromisoformat(parts[1]) if len(parts) > 2 and parts[0] == hours.HISTORY else None
    except ValueError:
        return None


def _runs(ledger: Ledger, now: datetime, horizon: datetime) -> Iterator[_Run]:
    """The nightly runs, newest first, but for those of a clock that was wrong."""
    for event in ledger.events("runs"):
        began = datetime.fromisoformat(event["started"])
        if began > now:
            continue
        if began < horizon:
            break
        census = event.get("census")
        clean = not event["failed"] and not _alarming(event["anomalies"])
        good, partial = clean and census is not None, clean and census is None
        yield _Run(began, frozenset(census or ()), good, partial, event["patients"])


def _alarming(anomalies: Any) -> bool:
    """Whether a run met something that looks like an attack; what is said to be minor is no reason."""
    minor = {"minor", "administrative"}
    return any(not (isinstance(each, Mapping) and each.get("severity") in minor) for each in anomalies)


def _night(ledger: Ledger, runs: list[_Run], now: datetime) -> Night:
    recorded = ledger.repository.log() if ledger.repository else iter(())
    times = [commit.when for commit in islice(recorded, ENTRIES_READ)]
    census, before = None, None
    doubt = "there has been no run with a census yet"
    complete = [run for run in runs if not run.partial]
    if complete and complete[0].good:
        census, doubt = complete[0].began, ""
    elif complete:
        doubt = "the last census failed, or the run met an anomaly: settle that first"
    if len(complete) > 1:
        before = complete[1].began
    return Night(
        now,
        census,
        doubt,
        before,
        max(times, default=None),
        standing.emergency_since(ledger),
    )


def _last_sign(repository: PatientRepository) -> datetime | None:
    """When a commit last brought something from the ROIS, by the vault's own clock."""
    signs = []
    for branch in ("main", hours.BRANCH):
        brought = (one.when for one in repository.log(branch) if "Retrieved-From" in one.trailers)
        signs += list(islice(brought, 1))
    first = [one.when for one in islice(repository.log(), 1)] if not signs else []
    return max([*signs, *first], default=None)


def _hourly_signs(ledger: Ledger, now: datetime, horizon: datetime) -> dict[str, datetime]:
    """When an hourly run last found something new of each patient, whatever became of its commit."""
    found: dict[str, datetime] = {}
    for event in ledger.events("hourly"):
        began = datetime.fromisoformat(event["started"])
        if began < horizon:
            break
        for pseudonym, entry in event["patients"].items():
            if began <= now and entry["new_commit"] != entry["old_commit"]:
                found.setdefault(pseudonym, began)
    return found


def _watched(runs: list[_Run], pseudonym: str, evidence: datetime | None, zone: ZoneInfo) -> int:
    """Days since the last sign on which a good census did not name the patient."""
    if evidence is None:
        return 0
    absent = (run for run in runs if run.good and run.began > evidence and pseudonym not in run.census)
    return len({run.began.astimezone(zone).date() for run in absent})


def _in_last_census(runs: list[_Run], pseudonym: str) -> bool:
    last = next((run for run in runs if run.good), None)
    return last is not None and pseudonym in last.census


def _last_night(runs: list[_Run], pseudonym: str) -> datetime | None:
    """The last good night that retrieved the patient completely, or had no reason to."""
    for run in runs:
        if run.good and (pseudonym not in run.census or run.entries.get(pseudonym, {}).get("complete")):
            return run.began
    return None


def _disputed(ledger: Ledger) -> set[str]:
    """Patients of whom somebody has ever rejected a change; what was verified since is no longer disputed."""
    found: set[str] = set()
    for verdict in ledger.events("verdicts"):
        if str(verdict.get("answer", "")).lower() != "reject":
            continue
        named = verdict.get("patients")
        found |= _all_of(ledger, str(verdict.get("run", ""))) if named is None else set(named)
    return found


def _all_of(ledger: Ledger, run: str) -> set[str]:
    """Everybody in a run, and in what a later one finished of it (`RUN.2`)."""
    name, number = run, 1
    found: set[str] = set()
    while (event := ledger.get("runs", name)) is not None:
        found |= set(event["patients"])
        number += 1
        name = f"{run}.{number}"
    return found
