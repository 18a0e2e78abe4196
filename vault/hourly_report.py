"""What an hourly run did, for the terminal, for `--json` and for the exit code."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from datetime import date, datetime
from pathlib import Path
from typing import Any

from vault.errors import ExitCode
from vault.model import Failure, PatientID, RunID
from vault.sync_report import Delivery


@dataclass(slots=True)
class HourOutcome:
    """What a run did for one patient."""

    old_commit: str | None = None
    new_commit: str | None = None
    """Tip of the branch `hourly`."""
    fields: int = 0
    """Deliveries of today that no run had seen before."""
    records: int = 0
    """Treatment records that came with this run."""
    findings: list[Failure] = field(default_factory=list)
    """What the database says otherwise than it did: rows of the history changed, or gone."""
    failed: list[Failure] = field(default_factory=list)

    @property
    def new(self) -> bool:
        """The run committed something."""
        return self.new_commit != self.old_commit


@dataclass(slots=True)
class HourlyReport:
    """The account of one run."""

    run: RunID
    day: date
    as_of: datetime
    """When the run began to ask: what was treated later is in the next one's report."""
    patients: dict[PatientID, HourOutcome] = field(default_factory=dict)
    """Of whom something arrived with this run."""
    treated: int = 0
    """Patients of whom a treatment of today is known."""
    overview: str | None = None
    """Commit of the department's summary that this run made."""
    folder: Path | None = None
    """Where today's PDFs lie on this computer."""
    failed: list[Failure] = field(default_factory=list)
    stopped_by: ExitCode | None = None
    """The kind of error that ended the asking before it was through."""
    integrity: bool = False
    anomalies: list[str] = field(default_factory=list)
    delivered: Delivery = field(default_factory=Delivery)
    resumed: list[HourlyReport] = field(default_factory=list)
    """Earlier runs that were interrupted and that this one finished first."""

    @property
    def exit_code(self) -> ExitCode:
        """DONE; PARTIAL when something failed but something was done; FAILED when nothing was; INTEGRITY above all."""
        if self.integrity or any(run.integrity for run in self.resumed):
            return ExitCode.INTEGRITY
        outcomes = self.patients.values()
        failed = any(outcome.failed or outcome.findings for outcome in outcomes)
        if not (failed or self.failed or self.delivered.failed or self.anomalies):
            return ExitCode.PARTIAL if any(run.exit_code for run in self.resumed) else ExitCode.DONE
        if self.failed and not any(outcome.new_commit for outcome in outcomes):
            return self.stopped_by or ExitCode.FAILED
        return ExitCode.PARTIAL

    def as_json(self) -> dict[str, Any]:
        """The report in the form that `vault hourly --json` promises."""
        return {
            "run": self.run,
            "day": self.day.isoformat(),
            "as_of": self.as_of.isoformat(),
            "treated": self.treated,
            "patients": {patient_id: _outcome(outcome) for patient_id, outcome in self.patients.items()},
            "overview": self.overview,
            "folder": str(self.folder) if self.folder else None,
            "failed": [asdict(failure) for failure in self.failed],
            "anomalies": self.anomalies,
            "delivered": asdict(self.delivered),
            "resumed": [report.as_json() for report in self.resumed],
        }


def _outcome(outcome: HourOutcome) -> dict[str, Any]:
    return {
        "commit": outcome.new_commit,
        "previous": outcome.old_commit if outcome.new else None,
        "fields": outcome.fields,
        "records": outcome.records,
        "findings": [asdict(finding) for finding in outcome.findings],
        "failed": [asdict(failure) for failure in outcome.failed],
    }
