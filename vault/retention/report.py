"""What the plan says and what a pruning did, for the console, the digest and `--json`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any

from vault.errors import ExitCode
from vault.model import Failure, PatientID
from vault.retention.plan import Fate, Plan


@dataclass(slots=True)
class PruneReport:
    """The account of one pruning, or of what it would do."""

    plan: Plan
    names: Mapping[str, PatientID]
    """Pseudonym to patient ID."""
    gone: list[PatientID] = field(default_factory=list)
    shortened: list[PatientID] = field(default_factory=list)
    """Patients whose hourly history has fewer days."""
    removed: int = 0
    """Ciphertexts that were removed from the share."""
    waiting: int = 0
    """Ciphertexts that nothing needs any more and that are still there."""
    refused: str = ""
    """Why they are: the share is away, or lets nobody remove anything."""
    expires: datetime | None = None
    """When an object store lets go of the last of them."""
    failed: list[Failure] = field(default_factory=list)
    integrity: bool = False
    """A repository is not what it must be."""

    @property
    def announced(self) -> list[PatientID]:
        """Who goes the next night, unless somebody objects: the digest names them."""
        return [self.names[pseudonym] for pseudonym in self.plan.of(Fate.ANNOUNCED)]

    @property
    def exit_code(self) -> ExitCode:
        """INTEGRITY, PARTIAL where something failed, else DONE: that nothing may go is no failure."""
        if self.integrity:
            return ExitCode.INTEGRITY
        return ExitCode.PARTIAL if self.failed else ExitCode.DONE

    def as_json(self) -> dict[str, Any]:
        """The report as `--json` prints it."""
        return {
            "barrier": self.plan.barrier or None,
            "anomalies": list(self.plan.anomalies),
            "patients": {
                self.names[each.patient]: {
                    "fate": each.fate.value,
                    "reason": each.reason,
                    "due": each.due.isoformat() if each.due else None,
                    "hourly_days": [day.isoformat() for day in self.plan.hours.get(each.patient, ())],
                }
                for each in self.plan.decisions
            },
            "announced": self.announced,
            "gone": self.gone,
            "shortened": self.shortened,
            "share": {
                "removed": self.removed,
                "waiting": self.waiting,
                "refused": self.refused or None,
                "expires": self.expires.isoformat() if self.expires else None,
            },
            "failed": [asdict(failure) for failure in self.failed],
        }
