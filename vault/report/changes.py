"""What a run changed, patient by patient, as one model that the page, the paper, the mail and the terminal are made of.

The ledger says which commits a run made for which pseudonyms; the repositories say whose they are and what differs.
Nothing else is read, but for the sentences of what failed, which the run leaves beside its report (`accounts`): the
ledger may hold no name, so it has their number alone. One patient's damaged repository is a failure in the report, and
the others are told all the same.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, time
from typing import Any
from zoneinfo import ZoneInfo

from vault.archive.ledger import Ledger
from vault.archive.repository import PatientRepository, all_repositories
from vault.compare.diff import compare
from vault.compare.groups import Group, grouped
from vault.compare.rules import SEVERITIES, Rules, load, worst
from vault.compare.text import KINDS, attribute_lines
from vault.config import Config
from vault.errors import IntegrityError, VaultError
from vault.keys import Pseudonyms
from vault.model import Anomaly, Change, Failure
from vault.normal.volatile import VolatileTable, extended
from vault.report.accounts import Account, PatientAccount, account_of
from vault.report.people import person_in
from vault.report.runs import Run, find_run

LINES = 200
"""Attribute lines of one object that the report keeps; the rest are counted, and `vault diff` shows them."""

LONGEST_VALUE = 4096
"""Characters of an attribute's value that are kept; a structure set's contours have megabytes."""


@dataclass(frozen=True, slots=True)
class Lines:
    """The raw attribute lines of one change: the first of them, and how many more there are."""

    shown: tuple[str, ...]
    more: int = 0


@dataclass(frozen=True, slots=True)
class PatientChanges:
    """What differs between two commits of one patient, and what the run says of the patient beside that."""

    patient_id: str
    """As the ROIS spells it; empty where no repository says whose the pseudonym is."""
    pseudonym: str
    """What the ledger calls the patient; empty where it was not asked for."""
    name: str
    """As people write it; empty where nothing says it."""
    old: str | None
    """The commit before; None for a patient whom the vault had not."""
    new: str | None
    changes: tuple[Change, ...] = ()
    """Worst first. At most `LINES` attributes each, no value longer than `LONGEST_VALUE`: `lines` tells of all."""
    failed: tuple[Failure, ...] = ()
    """What of this patient could not be done, by the run or by the comparison."""
    gaps: tuple[Failure, ...] = ()
    """What should be in the vault and is not, though nothing failed."""
    anomalies: tuple[Anomaly, ...] = ()
    birth_date: str = ""
    groups: tuple[Group, ...] = ()
    """The same changes, those that say the same in one; worst first."""
    lines: Mapping[str, Lines] = field(default_factory=dict)
    """Of each change with attributes, by path."""
    counts: Mapping[str, int] = field(default_factory=dict)
    """Objects by their fate, as the run counted them: `unchanged`, `not_due` …"""
    complete: bool = True
    """Everything that was due was retrieved."""

    @property
    def severity(self) -> str | None:
        """The worst severity of the changes; None where there are none. What nobody weighed counts as worst."""
        return worst(change.severity or SEVERITIES[0] for change in self.changes)

    @property
    def routine(self) -> bool:
        """Whether there is nothing but what every ordinary night brings: nothing failed, nothing lacks."""
        return self.severity == SEVERITIES[-1] and not (self.failed or self.anomalies)

    @property
    def is_new(self) -> bool:
        """Whether the vault had nothing of the patient before."""
        return self.old is None and self.new is not None

    @property
    def told(self) -> bool:
        """Whether there is anything to tell, or the patient is only counted."""
        return bool(self.changes or self.failed or self.gaps or self.anomalies)

    def by_severity(self) -> dict[str, int]:
        """How many changes have which severity, worst first; only those that occur."""
        counts = Counter(change.severity or SEVERITIES[0] for change in self.changes)
        return {severity: counts[severity] for severity in SEVERITIES if counts[severity]}


@dataclass(frozen=True, slots=True)
class Census:
    """Whom a run's census named."""

    named: int
    gone: tuple[str, ...] = ()
    """Patients of the vault whom the census before named and this one does not, by ID."""


@dataclass(frozen=True, slots=True)
class Answers:
    """How many different people have to confirm what a run changed, and by when, at the site."""

    required: int
    deadline: time


@dataclass(frozen=True, slots=True)
class RunReport:
    """What a run changed. The same ledger and repositories give the same report."""

    run: str
    """Empty where the report is of two commits, not of a run."""
    began: datetime
    """In the site's time zone."""
    site: str
    ledger_head: str | None
    """The ledger's commit that recorded the run: a witness that a later ledger must extend."""
    patients: tuple[PatientChanges, ...]
    """Those of whom there is anything to tell, worst first."""
    unchanged: int = 0
    """Patients whom the run asked for and of whom there is nothing to tell."""
    anomalies: tuple[Anomaly, ...] = ()
    failed: tuple[Failure, ...] = ()
    """What concerns the run as a whole, or a repository that does not say whose it is."""
    census: Census | None = None
    """None where the patients were named by hand, or the census was not to be believed."""
    finished: tuple[str, ...] = ()
    """Earlier runs, interrupted, that this one finished first: each has a report of its own."""
    vault: str = ""
    """Version of the program that ran."""
    answers: Answers | None = None
    """None where nothing changed, or the site asks nobody."""
    since: datetime | None = None
    """Of two commits: when the earlier one was made; None where there is none."""

    @property
    def severity(self) -> str | None:
        """The worst severity of all changes; None where nothing changed."""
        return worst(patient.severity for patient in self.patients if patient.severity)

    @property
    def changed(self) -> tuple[PatientChanges, ...]:
        """Patients with changes, worst first."""
        return tuple(patient for patient in self.patients if patient.changes)

    @property
    def asked(self) -> int:
        """Patients whom the run asked for."""
        return len(self.patients) + self.unchanged

    @property
    def unknown(self) -> int:
        """Patients without a change that is known, of whom something failed: they may have changed."""
        return sum(bool(patient.failed) and not patient.changes for patient in self.patients)

    @property
    def nothing_new(self) -> int:
        """Patients of whom the run knows that nothing changed."""
        return self.asked - len(self.changed) - self.unknown

    def by_severity(self) -> dict[str, int]:
        """How many patients have which worst severity, worst first; zeroes included."""
        counts = Counter(patient.severity for patient in self.changed)
        return {severity: counts[severity] for severity in SEVERITIES}


def run_report(config: Config, run: str | None = None) -> RunReport:
    """The report of a run: by its name, the beginning of one, or `latest`, which None stands for.

    Raises UsageError when the ledger has no such run, ConfigError for rules that can't be read, IntegrityError for a
    ledger that can't.
    """
    return _Run(config, find_run(Ledger(config.vault.root), run)).report()


def diff_report(
    config: Config, repository: PatientRepository, old: str | None, new: str, *, pseudonym: str = ""
) -> RunReport:
    """The report of two commits of one patient, as of the later one. Raises what `compare` does."""
    zone = ZoneInfo(config.site.timezone)
    rules, volatile = _rules(config), _volatile(config)
    patient = _told(repository, pseudonym, old, new, rules, volatile)
    return RunReport(
        run="",
        began=repository.commit_info(new).when.astimezone(zone),
        site=config.site.name,
        ledger_head=Ledger(config.vault.root).head(),
        patients=(patient,) if patient.told else (),
        unchanged=0 if patient.told else 1,
        since=repository.commit_info(old).when.astimezone(zone) if old else None,
    )


class _Run:
    """One run, and what its report is made of."""

    def __init__(self, config: Config, run: Run) -> None:
        self._config = config
        self._run = run
        self._account: Account = account_of(config.vault.root, run.name)
        self._pseudonyms = Pseudonyms.load(config.vault.pseudonym_key)
        self._rules, self._volatile = _rules(config), _volatile(config)
        self._damaged: list[Failure] = []
        self._repositories = {
            self._pseudonyms.of(repository.patient_id): repository
            for repository in all_repositories(config.vault.root, self._damaged)
        }

    def report(self) -> RunReport:
        told = [self._patient(pseudonym, entry) for pseudonym, entry in self._run.patients.items()]
        patients = sorted((patient for patient in told if patient.told), key=urgency)
        return RunReport(
            run=self._run.name,
            began=self._run.began.astimezone(ZoneInfo(self._config.site.timezone)),
            site=self._config.site.name,
            ledger_head=self._run.head,
            patients=tuple(patients),
            unchanged=len(told) - len(patients),
            anomalies=tuple(map(anomaly, self._run.anomalies)),
            failed=(*self._failed(), *(_damage(failure) for failure in self._damaged)),
            census=self._census(),
            finished=self._run.finished,
            vault=self._run.vault,
            answers=self._answers() if any(patient.changes for patient in patients) else None,
        )

    def _answers(self) -> Answers | None:
        asked = self._config.verification
        return Answers(asked.required, asked.deadline) if self._config.mail else None

    def _patient(self, pseudonym: str, entry: Mapping[str, Any]) -> PatientChanges:
        old, new = entry["old_commit"], entry["new_commit"]
        account = self._account.patients.get(pseudonym) or _counted(entry)
        repository = self._repositories.get(pseudonym)
        told = PatientChanges("", pseudonym, "", old, new)
        if repository is None:
            account = replace(account, failed=(*account.failed, _unknown(entry)) if new else account.failed)
        elif new not in (None, old) or account != PatientAccount():  # else only counted, whoever it is
            told = self._compared(repository, pseudonym, old, new)
        return replace(
            told,
            failed=(*account.failed, *told.failed),
            gaps=account.gaps,
            anomalies=tuple(map(anomaly, account.anomalies)),
            counts={key: value for key, value in entry.items() if key in _COUNTS and value},
            complete=bool(entry.get("complete", True)),
        )

    def _compared(
        self, repository: PatientRepository, pseudonym: str, old: str | None, new: str | None
    ) -> PatientChanges:
        known = PatientChanges(repository.patient_id, pseudonym, "", old, new)
        try:
            if new is None or old == new:
                found = person_in(repository, new)
                return replace(known, name=found.name, birth_date=found.birth_date)
            return _told(repository, pseudonym, old, new, self._rules, self._volatile)
        except IntegrityError as error:
            why = f"what changed can't be said: {error}"
        except VaultError as error:
            why = f"what changed could not be compared: {error}"
        except Exception as error:  # a defect of ours that one patient's data met must not hide the others
            why = f"what changed could not be compared: an unforeseen {type(error).__name__}"
        return replace(known, failed=(Failure("", why),))

    def _failed(self) -> Sequence[Failure]:
        if self._account.failed or not self._run.failed:
            return self._account.failed
        return (Failure("", _SAID_BY_THE_RUN.format(_things(self._run.failed))),)

    def _census(self) -> Census | None:
        if self._run.census is None:
            return None
        gone = sorted(
            self._repositories[pseudonym].patient_id
            for pseudonym in set(self._run.census_before or ()) - set(self._run.census)
            if pseudonym in self._repositories
        )
        return Census(len(self._run.census), tuple(gone))


_COUNTS = ("added", "changed", "removed", "unchanged", "reencoded", "not_due")

_SAID_BY_THE_RUN = (
    "{} failed; what, the run said on its screen and in its journal: its account is not kept any more"
)


def _told(
    repository: PatientRepository,
    pseudonym: str,
    old: str | None,
    new: str,
    rules: Rules,
    volatile: VolatileTable,
) -> PatientChanges:
    found = person_in(repository, new)
    if not found.name:
        found = person_in(repository, old)
    changes = sorted(compare(repository, old, new, volatile, rules), key=_place)
    lines = {change.path: _lines(change) for change in changes if change.attributes}
    kept = {id(change): _bounded(change) for change in changes}
    groups = (
        replace(group, changes=tuple(kept[id(one)] for one in group.changes)) for group in grouped(changes)
    )
    return PatientChanges(
        patient_id=repository.patient_id,
        pseudonym=pseudonym,
        name=found.name,
        birth_date=found.birth_date,
        old=old,
        new=new,
        changes=tuple(kept[id(change)] for change in changes),
        groups=tuple(groups),
        lines=lines,
    )


def urgency(patient: PatientChanges) -> tuple[int, int, tuple[bool, int], int, str, str]:
    """Sort key: the worst changes first, then who failed or is odd, then what was changed under its own UID.

    A department that revises a plan issues another; what is different under the same UID was edited in place.
    """
    severity = SEVERITIES.index(patient.severity) if patient.severity else len(SEVERITIES)
    places = [place[1:] for place in map(_place, patient.changes) if place[0] == severity]
    whole = 0 if patient.failed or patient.anomalies else 1
    return (
        severity,
        whole,
        min(places, default=(True, 0)),
        -len(places),
        patient.patient_id,
        patient.pseudonym,
    )


def anomaly(said: str | Mapping[str, Any]) -> Anomaly:
    """An anomaly as the ledger has it: a sentence, or what a measure says."""
    if isinstance(said, str):
        return Anomaly("", "major", said)
    return Anomaly(
        measure=str(said.get("measure") or ""),
        severity=str(said.get("severity") or "major"),
        text=str(said.get("text") or ""),
        look_at_first=str(said.get("look_at_first") or ""),
    )


def _place(change: Change) -> tuple[int, bool, int]:
    """Sort key, stable over `compare`'s order: by severity, objects before charts, what changed before what came."""
    rank = SEVERITIES.index(change.severity or SEVERITIES[0])
    return rank, not change.modality, KINDS.index(change.kind)


def _lines(change: Change) -> Lines:
    shown: list[str] = []
    more = 0
    for line in attribute_lines(change.attributes):
        if len(shown) < LINES:
            shown.append(line)
        else:
            more += 1
    return Lines(tuple(shown), more)


def _bounded(change: Change) -> Change:
    """A change that is small enough to be kept for each of two hundred patients."""
    kept = change.attributes[:LINES]
    if any(len(value) > LONGEST_VALUE for one in kept for value in (one.old, one.new) if value):
        kept = tuple(replace(one, old=_cut(one.old), new=_cut(one.new)) for one in kept)
    return change if kept is change.attributes else replace(change, attributes=kept)


def _cut(value: str | None) -> str | None:
    return value if value is None or len(value) <= LONGEST_VALUE else f"{value[: LONGEST_VALUE - 1]}…"


def _counted(entry: Mapping[str, Any]) -> PatientAccount:
    """What the ledger says of a patient whose account is no longer kept: how much, not what."""

    def said(key: str) -> Iterator[Failure]:
        if entry.get(key):
            yield Failure("", _SAID_BY_THE_RUN.format(_things(entry[key])))

    noticed = tuple(
        f"{_things(number)} looked as if nobody meant it; what, the run said on its screen and in its journal"
        for number in [entry.get("anomalies")]
        if number
    )
    return PatientAccount(failed=tuple(said("failed")), anomalies=noticed, gaps=tuple(_lacking(entry)))


def _lacking(entry: Mapping[str, Any]) -> Iterator[Failure]:
    if entry.get("gaps"):
        yield Failure("", f"{_things(entry['gaps'])} should be in the vault and was not")


def _things(number: int) -> str:
    return "one thing" if number == 1 else f"{number} things"


def _unknown(entry: Mapping[str, Any]) -> Failure:
    changed = entry["old_commit"] != entry["new_commit"]
    what = "something was committed" if changed else "nothing was committed"
    return Failure(
        "",
        f"{what} for a patient whose repository is not among those that can be read: it was pruned since, or it is "
        "damaged. `vault status` names what is damaged",
    )


def _damage(failure: Failure) -> Failure:
    return Failure(f"repository {failure.subject}", failure.reason)


def _rules(config: Config) -> Rules:
    return load(config.path.parent)


def _volatile(config: Config) -> VolatileTable:
    return extended((entry.attribute, entry.reason) for entry in config.normal.volatile)
