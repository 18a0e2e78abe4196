"""Pruning, readable from top to bottom: the last step of the night, and `vault prune`.

1. What a pruning that was interrupted had done is recorded.
2. The plan is made of what the vault itself has seen. Copies on this computer of whoever goes are removed.
3. The ledger records what is to happen.
4. Hourly histories are rewritten without the days that go; patients who go do so as a whole. Each one is old or new at
   any instant; what the share need not have any more is noted before.
5. The ledger records what did happen, with every ref before and after: another rewrite is an intruder's.
6. The share gets the new state, then loses what nothing needs any more.

One repository's failure stops no other.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pluggy

from vault.archive import hours
from vault.archive.bare import BareRepository
from vault.archive.ledger import Ledger
from vault.archive.overview import Overview
from vault.archive.refs import is_mark
from vault.archive.repository import all_repositories
from vault.archive.rewrite import Rewritten, retiring, rewriting
from vault.archive.signing import Signer, allowed_keys
from vault.config import Config
from vault.delivery import open_outbox, to_share
from vault.errors import IntegrityError, VaultError
from vault.keys import Pseudonyms, read_pseudonym_key
from vault.lock import run_lock
from vault.model import Failure, RunID
from vault.procedure import new_run, tidy
from vault.progress import Progress, Silent
from vault.recipients import pinned
from vault.retention import removals, standing
from vault.retention.copies import remove_copies
from vault.retention.facts import OVERVIEW, Facts, day_in, gather, policy
from vault.retention.lists import waiting
from vault.retention.plan import Fate, Plan, plan
from vault.retention.report import PruneReport
from vault.share import layout
from vault.share.envelope import parse_recipients

AT_ONCE = 3
"""Repositories that are rewritten at the same time: they wait for the disk together."""

EVENTS = "prunes"


def prune(
    config: Config,
    *,
    now: datetime,
    dry_run: bool = False,
    progress: Progress | None = None,
    events: pluggy.PluginManager | None = None,
) -> PruneReport:
    """Carry out the plan, or only make it. Nobody is announced here: that is the nightly digest's part.

    Raises ConfigError without `[retention]`, LockedError when another run is at work, and VaultError when the ledger
    or a key can't be read; what concerns one patient or the share is in the report.
    """
    if dry_run:
        return Pruning(config, new_run(now), now).report
    with run_lock(config.vault.root):
        tidy(config.vault.root)
        pruning = Pruning(config, new_run(now), now, progress, events)
        pruning.carry_out()
        return pruning.report


@dataclass(frozen=True, slots=True)
class _Task:
    """One repository that is to be rewritten, or to go."""

    name: str
    """A pseudonym, or `OVERVIEW`."""
    repository: BareRepository
    days: frozenset[date]
    """Empty: the whole repository goes."""

    @property
    def what(self) -> str:
        """As the ledger says it."""
        return "hourly" if self.days else "patient"


class Pruning:
    """One pruning: what it is made of, and its report. The caller holds the vault's lock when it writes."""

    def __init__(
        self,
        config: Config,
        run: RunID,
        now: datetime,
        progress: Progress | None = None,
        events: pluggy.PluginManager | None = None,
    ) -> None:
        self._config = config
        self._run = run
        self._now = now
        self._progress = progress or Silent()
        self._events = events
        self._root = config.vault.root
        self._ledger = Ledger(self._root)
        self._facts = gather(config, self._ledger, now)
        made = plan(self._facts.night, self._facts.observed, policy(config))
        names = {name: self._facts.patient_id(name) for name in self._facts.repositories}
        self.report = PruneReport(made, names)
        self._to_seal: list[tuple[BareRepository, Rewritten]] = []

    @property
    def plan(self) -> Plan:
        """What is to happen."""
        return self.report.plan

    def announce(self) -> None:
        """Record whom tonight's digest names; before it goes out. Raises VaultError."""
        named, going = sorted(self.plan.of(Fate.ANNOUNCED)), sorted(self.plan.of(Fate.GOES))
        before = next((one for one in self._ledger.events(EVENTS) if one["event"] == "announced"), None)
        if named or (before and before["patients"]):
            self._append("1-announced", {"event": "announced", "patients": named, "going": going})

    def carry_out(self) -> None:
        """Do what the plan says; failures are in the report. Raises VaultError where the ledger can't be written."""
        recover(self._config, self._now)
        if standing.emergency_since(
            self._ledger
        ):  # declared while the night was at work: nothing goes, anywhere
            return
        tasks = self._tasks()
        if not self._copies_go(tasks):
            tasks = [task for task in tasks if task.days]
        if tasks:
            self._append("2-intent", {"event": "intent", "patients": _intent(tasks)})
            self._progress.start("Pruning", len(tasks))
            with ThreadPoolExecutor(AT_ONCE, thread_name_prefix="prune") as pool:
                done = dict(zip((task.name for task in tasks), pool.map(self._do, tasks), strict=True))
            self._progress.stop()
            self._append("3-done", {"event": "done", "patients": {k: v for k, v in done.items() if v}})
        if self._config.share:
            self._share(bool(tasks))

    def _tasks(self) -> list[_Task]:
        held = self._facts.repositories
        kept = standing.holds(self._ledger)  # since the plan was made, somebody may have objected
        going: dict[str, tuple[date, ...]] = {**dict.fromkeys(self.plan.of(Fate.GOES), ()), **self.plan.hours}
        tasks = [_Task(name, held[name], frozenset(days)) for name, days in going.items() if name not in kept]
        overview = Overview.open(self._root)
        if overview and (days := _overview_days(self._facts, self.plan, policy(self._config).hourly)):
            tasks.append(_Task(OVERVIEW, overview, days))
        return tasks

    def _copies_go(self, tasks: list[_Task]) -> bool:
        """Remove the copies first: once a repository is gone, no later run knows whose they were."""
        with self._said("copies"):
            gone = [(task.name, self.report.names[task.name]) for task in tasks if not task.days]
            window = policy(self._config).after_last_treatment
            if not self.plan.barrier:
                remove_copies(self._root, self._ledger, gone, self._now, window)
            return True
        return False

    def _do(self, task: _Task) -> dict[str, Any] | None:
        """Rewrite one repository, or let it go; returns what the ledger is to say, None when nothing happened."""
        entry: dict[str, Any] | None = None
        subject = "a repository that was to be pruned"
        with self._said(subject):
            before = _said(task.repository.refs())
            with self._said(subject):
                if task.days:
                    self._rewrite(task)
                else:
                    self._retire(task)
            # whatever failed: the disk may have refused after the new one was in place
            path = task.repository.path
            after = _said(BareRepository(path).refs()) if path.exists() else {}
            if after != before:
                entry = {"what": task.what, "before": before, "after": after}
                if task.name != OVERVIEW:
                    (self.report.shortened if task.days else self.report.gone).append(
                        self.report.names[task.name]
                    )
        self._progress.advance()
        return entry

    def _retire(self, task: _Task) -> None:
        with retiring(task.repository) as result:
            self._remember(task, result)

    def _rewrite(self, task: _Task) -> None:
        signers = allowed_keys(self._config.vault.signing_key.parent / "allowed_signers")
        with rewriting(
            task.repository,
            branch=hours.BRANCH,
            before=self._now - policy(self._config).hourly,
            goes=lambda path: day_in(path) in task.days,
            signer=Signer.load(self._config.vault.signing_key),
            allowed=signers,
        ) as result:
            if result:
                self._remember(task, result)
        if result and result.to_share:
            self._to_seal.append((task.repository, result))

    def _remember(self, task: _Task, result: Rewritten) -> None:
        if self._config.share:
            key = read_pseudonym_key(self._config.vault.pseudonym_key)
            removals.remember(self._root, f"{self._run}-{task.name}", key, result.gone)

    def _seal(self) -> None:
        """Seal the few files that rewrites made, so that the rest of those histories need not be sealed again."""
        outbox = open_outbox(self._root)
        key = read_pseudonym_key(self._config.vault.pseudonym_key)
        recipients = parse_recipients(pinned(self._config))
        for repository, result in self._to_seal:
            for oid in sorted(result.added):
                with repository.stream(oid) as blob:
                    outbox.seal(layout.blob_name(key, oid), blob, repository.size(oid), recipients)
        outbox.keep()
        for repository, result in self._to_seal:
            for name, oid in result.to_share.items():
                repository.set_ref(name, oid)

    def _share(self, changed: bool) -> None:
        """Bring the new state to the share, then remove what it need not have any more."""
        if not changed and not waiting(self._root):
            return
        with self._said("share"):
            self._seal()
            removals.withdraw(self._config)
            overview = Overview.open(self._root)
            delivered = to_share(
                self._config,
                others=[overview] if overview else [],
                events=self._events,
                progress=self._progress,
            )
            self.report.failed.extend(delivered.failed)
            self.report.integrity |= delivered.integrity
            removals.remove(self._config, self.report, self._events)

    def _append(self, name: str, event: Mapping[str, Any]) -> None:
        signer = Signer.load(self._config.vault.signing_key)
        said = {**event, "run": self._run, "when": self._now.astimezone(UTC).isoformat(timespec="seconds")}
        Ledger(self._root, signer).append(EVENTS, f"{self._run}-{name}", said, when=self._now)

    @contextmanager
    def _said(self, subject: str) -> Iterator[None]:
        """A failure goes into the report, without a path: it may name a patient."""
        try:
            yield
        except VaultError as error:
            self.report.failed.append(Failure(subject, str(error)))
            self.report.integrity |= isinstance(error, IntegrityError)
        except OSError as error:
            why = error.strerror or type(error).__name__
            self.report.failed.append(
                Failure(subject, f"the disk refused ({why}): look at it, then run again")
            )


def recover(config: Config, now: datetime) -> None:
    """Record what a pruning that was interrupted had done: intents without an end. Raises VaultError."""
    ledger = Ledger(config.vault.root, Signer.load(config.vault.signing_key))
    ended: set[str] = set()
    for event in list(ledger.events(EVENTS)):
        if event["event"] == "done":
            ended.add(event["run"])
        elif event["event"] == "intent" and event["run"] not in ended:
            done = _what_was_done(config, event["patients"])
            when = now.astimezone(UTC).isoformat(timespec="seconds")
            said = {"event": "done", "run": event["run"], "when": when, "interrupted": True, "patients": done}
            ledger.append(EVENTS, f"{event['run']}-3-done", said, when=now)


def _what_was_done(config: Config, intended: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Of what was intended, what the repositories show."""
    pseudonyms = Pseudonyms.load(config.vault.pseudonym_key)
    found: dict[str, BareRepository] = {
        pseudonyms.of(repository.patient_id): repository for repository in all_repositories(config.vault.root)
    }
    if overview := Overview.open(config.vault.root):
        found[OVERVIEW] = overview
    done = {}
    for name, entry in intended.items():
        after = _said(found[name].refs()) if name in found else {}
        if after != entry["before"]:
            done[name] = {"what": entry["what"], "before": entry["before"], "after": after}
    return done


def _intent(tasks: list[_Task]) -> dict[str, Any]:
    return {
        task.name: {
            "what": task.what,
            "before": _said(task.repository.refs()),
            **({"days": sorted(day.isoformat() for day in task.days)} if task.days else {}),
        }
        for task in tasks
    }


def _said(refs: Mapping[str, str]) -> dict[str, str]:
    """Refs without those that only say what has been shared."""
    return {name: oid for name, oid in refs.items() if not is_mark(name)}


def _overview_days(facts: Facts, made: Plan, hourly: timedelta) -> frozenset[date]:
    """The days of the department's summary that go: old enough, and a good night has come since."""
    census = facts.night.census
    if made.barrier or census is None:
        return frozenset()
    old = facts.night.now - hourly
    return frozenset(day for day, changed in facts.overview_days.items() if changed <= min(old, census))
