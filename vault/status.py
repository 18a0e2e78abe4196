"""Where things stand, read from refs, the ledger and folders: no network, no object is opened."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import Any

from vault.archive.ledger import Ledger
from vault.archive.refs import BRANCHES, VERIFIED, history_ref, shared_ref
from vault.archive.repository import PatientRepository, all_repositories
from vault.config import Config
from vault.errors import ConfigError, VaultError
from vault.keys import Pseudonyms
from vault.model import Failure
from vault.retention import standing
from vault.retention.lists import waiting
from vault.verification.state import RunState, policy_of, states

RUNS_READ = 60
"""How many runs back a patient's last one is looked for."""
VERDICTS_READ = 14
"""How many runs back missing verdicts are said."""


@dataclass(slots=True)
class PatientStatus:
    """What the vault has of one patient, and what the last run that asked for the patient said."""

    commit: str | None = None
    when: datetime | None = None
    objects: int = 0
    run: str | None = None
    complete: bool | None = None
    """Whether that run retrieved everything that was due; None when no run is known."""
    failed: int = 0
    verified: str | None = None
    """The newest commit that people have confirmed."""


@dataclass(slots=True)
class Status:
    """The state of a vault."""

    root: Path
    patients: dict[str, PatientStatus] = field(default_factory=dict)
    last_run: Mapping[str, Any] | None = None
    """The last run as the ledger has it."""
    last_hour: Mapping[str, Any] | None = None
    """The last hourly run as the ledger has it."""
    damaged: list[Failure] = field(default_factory=list)
    """Repositories that can't be read."""
    unfinished: list[str] = field(default_factory=list)
    """Runs that were interrupted: the next one finishes them."""
    unfinished_hours: list[str] = field(default_factory=list)
    """The same of hourly runs."""
    unshared: int = 0
    """Histories whose newest commit is neither on the share nor kept for it: a run ended before it got that far."""
    waiting: int = 0
    """Encrypted files in the outbox."""
    mail_waiting: int = 0
    """Letters in the mail outbox."""
    mail_refused: int = 0
    """Letters that the mail server will never take."""
    quarantined: int = 0
    emergency: datetime | None = None
    """Since when an emergency is declared."""
    held: list[str] = field(default_factory=list)
    """Patients whom retention may not touch."""
    announced: list[str] = field(default_factory=list)
    """Patients whom the last digest named: they go the night after it, unless somebody objects."""
    removals: int = 0
    """Ciphertexts that nothing needs any more and that wait to be removed from the share."""
    verdicts: list[RunState] = field(default_factory=list)
    """Where the last runs stand that people are asked about, newest first."""
    off: dict[str, str] = field(default_factory=dict)
    """Sections that the configuration leaves out, and what that means."""


def status(config: Config) -> Status:
    """Look at the vault. Raises VaultError when a repository or the ledger can't be read."""
    root = config.vault.root
    result = Status(root)
    result.patients = {patient: PatientStatus() for patient in config.census.patients}
    for repository in all_repositories(root, result.damaged):
        try:
            result.patients[repository.patient_id] = _kept(repository)
            result.unshared += config.share is not None and _is_unshared(repository)
        except VaultError as error:
            result.damaged.append(Failure(repository.path.name, str(error)))
    try:
        _add_runs(result, Pseudonyms.load(config.vault.pseudonym_key))
        if config.mail is not None:
            runs = states(Ledger(root), policy_of(config), VERDICTS_READ)
            result.verdicts = [run for run in runs if run.run.somebody or run.verdicts]
    except VaultError as error:
        result.damaged.append(Failure("ledger.git", str(error)))
    result.unfinished = sorted(_names(root / "inbox"))
    result.unfinished_hours = sorted(_names(root / "hourly"))
    result.waiting = len(_names(root / "outbox"))
    if (root / "mail").is_dir():
        from vault.mail import outbox  # noqa: PLC0415  # 7 ms that a vault without mail does not pay

        result.mail_waiting, result.mail_refused = len(outbox.waiting(root)), len(outbox.refused(root))
    result.quarantined = sum(name.endswith(".dcm") for name in _names(root / "quarantine"))
    result.off = _off(config)
    return result


def _is_unshared(repository: PatientRepository) -> bool:
    tips = {branch: repository.tip(branch) for branch in BRANCHES}
    return any(
        tip != repository.ref(mark(branch))
        for branch, tip in tips.items()
        for mark in (shared_ref, history_ref)
    )


def _kept(repository: PatientRepository) -> PatientStatus:
    tip = repository.tip()
    if tip is None:
        return PatientStatus()
    objects = repository.count(tip, ".dcm")
    when = repository.commit_info(tip).when
    return PatientStatus(commit=tip, when=when, objects=objects, verified=repository.ref(VERIFIED))


def _add_runs(result: Status, pseudonyms: Pseudonyms) -> None:
    """Fill in the last run, and each patient's newest one; reads no more runs than that takes."""
    ledger = Ledger(result.root)
    if not ledger.head():
        return
    _add_retention(result, ledger, pseudonyms)
    result.last_hour = next(ledger.events("hourly"), None)
    unknown = {pseudonyms.of(patient): entry for patient, entry in result.patients.items()}
    for run in islice(ledger.events("runs"), RUNS_READ):
        result.last_run = result.last_run or run
        for pseudonym in run["patients"].keys() & unknown.keys():
            entry = unknown.pop(pseudonym)
            entry.run = run["run"]
            entry.complete = run["patients"][pseudonym]["complete"]
            entry.failed = run["patients"][pseudonym]["failed"]
        if not unknown:
            break


def _add_retention(result: Status, ledger: Ledger, pseudonyms: Pseudonyms) -> None:
    result.emergency = standing.emergency_since(ledger)
    held, announced = standing.holds(ledger), standing.announced(ledger)
    result.held = sorted(patient for patient in result.patients if pseudonyms.of(patient) in held)
    result.announced = sorted(patient for patient in result.patients if pseudonyms.of(patient) in announced)
    result.removals = waiting(result.root)


def _names(folder: Path) -> list[str]:
    """Names in a folder but for temporary ones; none when there is no folder."""
    try:
        return [path.name for path in folder.iterdir() if not path.name.startswith(".")]
    except FileNotFoundError:
        return []


def _off(config: Config) -> dict[str, str]:
    off = {}
    if config.share is None:
        off["share"] = "no encrypted copy leaves this computer"
    if config.mail is None:
        off["mail"] = "nobody is told what a night found"
    if config.retention is None:
        off["retention"] = "nobody ever goes"
    if config.network is None:
        off["network"] = "the network is left as it is"
    return off | _database_off(config)


def _database_off(config: Config) -> dict[str, str]:
    """What the database of the ROIS is not asked for, under the keys that would ask."""
    sql = config.rois.sql
    if sql is None:
        return {"rois.sql": "DICOM objects alone: no prescriptions, documents and treatment history"}
    from vault.rois.sql.queries import load as query_set  # noqa: PLC0415  # only a vault with a database reads it

    try:
        off = {f"rois.sql, query {query}": lacking for query, lacking in query_set(sql.queries).off.items()}
    except ConfigError as error:
        return {"rois.sql": str(error)}
    if sql.documents is None:
        off["rois.sql, documents"] = "no documents: nobody says where they are"
    return off
