"""Whom the night asks for: the census, held against the vault and against the censuses of earlier nights."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from datetime import date
from pathlib import Path
from typing import Any

from vault.archive import summary
from vault.archive.repository import PatientRepository, all_repositories
from vault.config import Config
from vault.errors import VaultError
from vault.keys import Pseudonyms
from vault.model import Anomaly, Failure, PatientID
from vault.rois.census import census
from vault.rois.plausible import RUNS_COMPARED, implausible
from vault.sync_report import SyncReport


def tonights_patients(
    config: Config, runs: Iterable[Mapping[str, Any]], pseudonyms: Pseudonyms, report: SyncReport, today: date
) -> list[PatientID]:
    """Everybody under treatment, each once.

    `runs` are the ledger's, newest first. A census that can't be taken at its word is an anomaly in `report`, and
    whoever it dropped of the vault's patients is asked for all the same. Raises what `vault.rois.census.census` does.
    """
    damaged: list[Failure] = []  # said when they are committed, or sealed
    held = [PatientID(repository.patient_id) for repository in all_repositories(config.vault.root, damaged)]
    seen = _last_treatments(config.vault.root) if config.census.source == "sql" else {}
    named = census(config, today=today, held=seen, refused=report.failed)
    report.census = sorted(pseudonyms.of(patient_id) for patient_id in named)
    report.not_in_census = len(set(held) - set(named))
    earlier = [run["census"] for run in runs if run.get("census")][:RUNS_COMPARED]
    why = None if config.census.source == "list" else implausible(earlier, report.census)
    if why is None:
        return named
    report.census = None  # not to be measured by: else the next night would find nothing missing
    were = set().union(*earlier)
    dropped = [each for each in held if each not in set(named) and pseudonyms.of(each) in were]
    report.anomalies.append(
        Anomaly(
            "census",
            "critical",
            f"{why}: the {len(dropped)} of them whom the vault holds were asked for all the same.",
            "Find out why the ROIS names so few.",
        )
    )
    return [*named, *dropped]


def _last_treatments(root: Path) -> dict[PatientID, date | None]:
    """Every patient of the vault, with the latest treatment that the vault has seen."""
    damaged: list[Failure] = []
    return {
        PatientID(repository.patient_id): _last_treatment(repository)
        for repository in all_repositories(root, damaged)
    }


def _last_treatment(repository: PatientRepository) -> date | None:
    try:
        tip = repository.tip()
        oid = repository.tree(tip).get(summary.PATH) if tip else None
        text = json.loads(repository.read(oid)).get("last_treatment") if oid else None
        return date.fromisoformat(text) if text else None
    except (VaultError, ValueError, AttributeError, TypeError):  # said when the patient is committed
        return None
