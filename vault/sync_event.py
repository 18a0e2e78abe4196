"""The night as it is kept: for everybody in the ledger, which may name nobody, and for people in the report."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime
from typing import Any

from vault import __version__
from vault.config import Config
from vault.keys import Pseudonyms
from vault.procedure import began
from vault.report.accounts import Account, PatientAccount
from vault.sync_report import SyncReport, counts
from vault.verification.routine import only_routine


def event_of(report: SyncReport, config: Config, pseudonyms: Pseudonyms, now: datetime) -> dict[str, Any]:
    """The run as the ledger keeps it: no name, no ID, no UID."""
    unasked = config.verification.routine == "confirm" and not report.anomalies
    patients = {
        pseudonyms.of(patient_id): {
            "old_commit": outcome.old_commit,
            "new_commit": outcome.new_commit,
            **counts(outcome),
            "failed": len(outcome.failed),
            "gaps": len(outcome.gaps),
            "anomalies": len(outcome.anomalies),
            **({"routine": only_routine(config, patient_id, outcome)} if unasked else {}),
        }
        for patient_id, outcome in report.patients.items()
    }
    return {
        "run": report.run,
        "procedure": "sync",
        "vault": __version__,
        "started": began(report.run).astimezone(now.tzinfo).isoformat(),
        "patients": patients,
        "census": report.census,
        "anomalies": [asdict(anomaly) for anomaly in report.anomalies],
        "measures": report.measures,
        "failed": len(report.failed),
        "finished": [earlier.run for earlier in report.resumed],
        **({"asked": True} if config.mail else {}),  # somebody can confirm it
    }


def account_of(report: SyncReport, pseudonyms: Pseudonyms) -> Account:
    """What the ledger may not hold, for the report of the run."""
    patients = {
        pseudonyms.of(patient_id): PatientAccount(
            tuple(outcome.failed), tuple(outcome.gaps), tuple(outcome.anomalies)
        )
        for patient_id, outcome in report.patients.items()
    }
    return Account(patients, tuple(report.failed))
