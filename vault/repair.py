"""Heal a patient's damaged repository from the share. Nothing is deleted: what was there is set aside.

1. The patient is restored from the share beside the vault, with every signature and checksum checked.
2. What came back must be what the ledger last recorded: an older state is refused, so nothing is made worse.
3. The two change places in one step; the damaged one goes to `damaged/`, for whoever investigates.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import pluggy

from vault.archive import hours
from vault.archive.ledger import Ledger
from vault.archive.repository import FOLDER, PatientRepository
from vault.archive.signing import Signer, allowed_keys
from vault.archive.swap import exchange
from vault.audit import ledger as recorded_by
from vault.audit.findings import Finding
from vault.audit.repository import contents, structure
from vault.config import Config
from vault.errors import ConfigError, IntegrityError, UsageError, VaultError
from vault.events import network
from vault.files import private_folder, sync_folder
from vault.keys import Pseudonyms
from vault.lock import run_lock
from vault.model import PatientID
from vault.names import safe_name
from vault.procedure import new_run
from vault.progress import Progress
from vault.restore import restore
from vault.restore_manifest import Trust
from vault.share.backend import share_of
from vault.share.envelope import Identities

DAMAGED = "damaged"
"""Folder of what was set aside, below the vault's root: patients' data, which retention removes in time."""

_WORK = "repair"


@dataclass(frozen=True, slots=True)
class Repaired:
    """What a repair came to."""

    healed: bool
    """False where nothing was wrong, and nothing was changed."""
    commits: Mapping[str, str | None]
    """Branch to last commit, as the ledger has them too."""
    aside: Path | None = None
    """Where the damaged repository is; None where there was none."""

    def as_json(self) -> dict[str, Any]:
        """The result as `--json` prints it."""
        return {
            "healed": self.healed,
            "commits": dict(self.commits),
            "aside": str(self.aside) if self.aside else None,
        }


def repair(
    config: Config,
    patient_id: PatientID,
    identities: Identities,
    *,
    now: datetime,
    progress: Progress | None = None,
    events: pluggy.PluginManager | None = None,
) -> Repaired:
    """Bring a patient's repository back from the share, if it is not what it must be.

    Raises UsageError for a patient whom the ledger does not know, or who was pruned; IntegrityError when the share's
    state is another than the ledger's or is damaged itself; ShareError when it is away; LockedError when a run is at
    work. The repository is as it was then.
    """
    if config.share is None:
        raise ConfigError(f"{config.path} has no [share], so there is nothing to repair from.")
    root = config.vault.root
    with run_lock(root):
        try:
            wanted = _recorded(config, patient_id)
            path = root / FOLDER / f"{safe_name(patient_id)}.git"
            if not _wrong(config, patient_id, path, wanted):
                return Repaired(False, wanted)
            work = private_folder(root / _WORK) / safe_name(patient_id)
            with network(events, config):
                report = restore(
                    share_of(config.share),
                    identities,
                    work,
                    patient_id=patient_id,
                    trust=Trust(_signers(config)),
                    progress=progress,
                )
            # a manifest that can't be used is no reason: whether what came back is right, the ledger knows
            failures = [each for one in report.repositories for each in one.failed]
            if failures or not report.repositories:
                said = (failures or report.failed)[0].reason
                raise IntegrityError(f"The share can't heal this patient, and nothing was changed: {said}")
            fresh = work / FOLDER / path.name
            _check(patient_id, fresh, wanted)
            aside = _put_in_place(config, patient_id, fresh, path, f"{new_run(now)}-{path.name}")
            return Repaired(True, wanted, aside)
        finally:  # also of a repair that was killed: what is there is the share's, and nothing but a copy
            shutil.rmtree(root / _WORK, ignore_errors=True)


def give_up(config: Config, patient_id: PatientID, *, now: datetime) -> Path | None:
    """Let the next run begin a new history of a patient, and record that; returns where a damaged one was set aside.

    Raises UsageError for a patient whom the ledger does not know or who was pruned, or whose repository is whole,
    LockedError when a run is at work.
    """
    root = config.vault.root
    with run_lock(root):
        wanted = _recorded(config, patient_id)
        path = root / FOLDER / f"{safe_name(patient_id)}.git"
        if not _wrong(config, patient_id, path, wanted):
            raise UsageError(
                "Nothing is wrong with this patient's repository, so there is nothing to give up."
            )
        run = new_run(now)
        pseudonym = Pseudonyms.load(config.vault.pseudonym_key).of(patient_id)
        event = {"run": run, "event": "given up", "when": now.isoformat(), "patients": {pseudonym: wanted}}
        ledger = Ledger(root, Signer.load(config.vault.signing_key), allowed_signers=_signers(config))
        ledger.append("repairs", run, event, when=now)
        if not path.exists():
            return None
        aside = private_folder(root / DAMAGED) / f"{run}-{path.name}"
        path.rename(aside)
        sync_folder(path.parent)
        sync_folder(aside.parent)
        return aside


def _signers(config: Config) -> Path:
    return config.vault.signing_key.parent / "allowed_signers"


def _recorded(config: Config, patient_id: PatientID) -> dict[str, str | None]:
    """The tips that the ledger last recorded of a patient."""
    findings: list[Finding] = []
    ledger = Ledger(config.vault.root)
    tips = recorded_by.read(ledger, findings).tips.get(
        Pseudonyms.load(config.vault.pseudonym_key).of(patient_id)
    )
    if findings:
        raise IntegrityError(f"The ledger is damaged, so nothing says what is right: {findings[0].text}")
    if tips is None or not any(tips.values()):
        raise UsageError(
            f"The ledger has nothing of {patient_id}, or the patient was pruned: nothing to repair."
        )
    return {branch: tips.get(branch) for branch in ("main", hours.BRANCH)}


def _wrong(config: Config, patient_id: PatientID, path: Path, wanted: Mapping[str, str | None]) -> bool:
    """Whether anything is wrong with the repository that is there."""
    try:
        repository = PatientRepository.open(config.vault.root, patient_id)
        if repository is None or {branch: repository.tip(branch) for branch in wanted} != wanted:
            return True
        found = structure(repository, path.name, allowed_keys(_signers(config)))
        return any(True for _ in found) or any(True for _ in contents(repository, path.name))
    except VaultError:
        return True


def _check(patient_id: PatientID, fresh: Path, wanted: Mapping[str, str | None]) -> None:
    repository = PatientRepository(fresh, patient_id)
    if {branch: repository.tip(branch) for branch in wanted} != wanted:
        raise IntegrityError(
            "The share has another state of this patient than the ledger recorded last, so nothing was changed. "
            "`vault restore` brings what it has into an empty folder: compare that by hand."
        )


def _put_in_place(config: Config, patient_id: PatientID, fresh: Path, path: Path, name: str) -> Path | None:
    """Give the healed repository its place; what was there is set aside. Raises OSError."""
    PatientRepository.configure(fresh, patient_id, _signers(config))
    if not path.exists():
        private_folder(path.parent)
        fresh.rename(path)
        sync_folder(path.parent)
        return None
    aside = private_folder(config.vault.root / DAMAGED) / name
    fresh.rename(aside)  # first: so the one step that heals is the one that sets the damaged one aside
    sync_folder(aside.parent)
    if not exchange(aside, path):
        healed = fresh.parent / name
        aside.rename(healed)
        path.rename(aside)
        healed.rename(path)
    sync_folder(path.parent)
    sync_folder(aside.parent)
    return aside
