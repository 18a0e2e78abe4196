"""What a run did, for the terminal, for `--json` and for the exit code."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from vault.errors import ExitCode
from vault.model import Anomaly, Failure, PatientID, PatientOutcome, RunID
from vault.retention.report import PruneReport


@dataclass(slots=True)
class Delivery:
    """What went to the share (new ciphertexts sent, those it had already, those still waiting), and what was mailed."""

    sent: int = 0
    already: int = 0
    waiting: int = 0
    mailed: int = 0
    """Letters, each one message to one recipient."""
    mail_waiting: int = 0
    mail_refused: int = 0
    """Letters that the mail server will never take, old ones included."""
    failed: list[Failure] = field(default_factory=list)
    integrity: bool = False
    """A repository is not what it must be."""


@dataclass(slots=True)
class SyncReport:
    """The account of one run. `failed` concerns the run as a whole; each patient's outcome has its own list."""

    run: RunID
    patients: dict[PatientID, PatientOutcome] = field(default_factory=dict)
    failed: list[Failure] = field(default_factory=list)
    stopped_by: ExitCode | None = None
    """The kind of error that ended the retrieval before it was through."""
    integrity: bool = False
    """Something in the archive is not what it must be."""
    not_in_census: int | None = None
    """Patients whom the vault holds and tonight's census does not name; None when the caller named the patients."""
    census: list[str] | None = None
    """Pseudonyms of the patients whom tonight's census named; None when the caller named them, or it can't be right."""
    anomalies: list[Anomaly] = field(default_factory=list)
    measures: dict[str, float] = field(default_factory=dict)
    """What the measures of anomalies came to, by name."""
    off: dict[str, str] = field(default_factory=dict)
    """Queries that the site's query set leaves out, and what is missing without each."""
    page: Path | None = None
    """Where the report of the run lies, rendered; None where it is not yet."""
    delivered: Delivery = field(default_factory=Delivery)
    retention: PruneReport | None = None
    """Who goes, who is announced and why the others stay; None where `[retention]` is left out."""
    resumed: list[SyncReport] = field(default_factory=list)
    """Earlier runs that were interrupted and that this one finished first."""

    @property
    def exit_code(self) -> ExitCode:
        """DONE; PARTIAL when something failed but something was done; FAILED when nothing was; INTEGRITY above all.

        Failures of an earlier run, finished now, count too: nobody has been told of them yet.
        """
        pruned = self.retention.exit_code if self.retention else ExitCode.DONE
        broken = self.integrity or self.delivered.integrity or pruned is ExitCode.INTEGRITY
        if broken or any(run.integrity for run in self.resumed):
            return ExitCode.INTEGRITY
        failed = [outcome for outcome in self.patients.values() if outcome.failed or outcome.anomalies]
        if not (failed or self.failed or self.delivered.failed or self.anomalies):
            resumed = any(run.exit_code for run in self.resumed)
            return ExitCode.PARTIAL if resumed or pruned else ExitCode.DONE
        if (self.failed or failed) and not any(map(_achieved, self.patients.values())):
            return self.stopped_by or ExitCode.FAILED
        return ExitCode.PARTIAL

    def as_json(self) -> dict[str, Any]:
        """The report in the form that `vault sync --json` promises."""
        return {
            "run": self.run,
            "patients": {patient_id: _outcome(outcome) for patient_id, outcome in self.patients.items()},
            "failed": [asdict(failure) for failure in self.failed],
            "anomalies": [asdict(anomaly) for anomaly in self.anomalies],
            "measures": self.measures,
            "not_in_census": self.not_in_census,
            "off": self.off,
            "report": str(self.page) if self.page else None,
            "delivered": asdict(self.delivered),
            "retention": self.retention.as_json() if self.retention else None,
            "resumed": [report.as_json() for report in self.resumed],
        }


def _achieved(outcome: PatientOutcome) -> bool:
    """Whether the run got anything of a patient, or knows that nothing was due."""
    something = outcome.new_commit != outcome.old_commit
    return something or bool(outcome.unchanged or outcome.reencoded or outcome.not_due)


def _outcome(outcome: PatientOutcome) -> dict[str, Any]:
    changed = outcome.new_commit != outcome.old_commit
    return {
        "commit": outcome.new_commit,
        "previous": outcome.old_commit if changed else None,
        **counts(outcome),
        "failed": [asdict(failure) for failure in outcome.failed],
        "gaps": [asdict(gap) for gap in outcome.gaps],
        "anomalies": outcome.anomalies,
    }


def counts(outcome: PatientOutcome) -> dict[str, int | bool]:
    """How many objects met which fate: no name, no ID, no UID."""
    return {
        "added": len(outcome.added),
        "changed": len(outcome.changed),
        "removed": len(outcome.removed),
        "unchanged": outcome.unchanged,
        "reencoded": outcome.reencoded,
        "not_due": outcome.not_due,
        "complete": outcome.complete,
    }
