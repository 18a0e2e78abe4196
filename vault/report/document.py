"""A report for programs: the JSON document of `vault report --json`. Keys are added, never renamed."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from vault.model import Change
from vault.report import telling
from vault.report.changes import Lines, PatientChanges, RunReport


def document(report: RunReport) -> dict[str, Any]:
    """The document; docs/operations.md says what is in it."""
    return {
        "run": report.run,
        "began": report.began.isoformat(),
        "site": report.site,
        "ledger_head": report.ledger_head,
        "light": asdict(telling.light(report)),
        "asked": report.asked,
        "unchanged": report.unchanged,
        "counts": report.by_severity(),
        "census": asdict(report.census) if report.census else None,
        "finished": list(report.finished),
        "anomalies": [asdict(each) for each in report.anomalies],
        "failed": [asdict(failure) for failure in report.failed],
        "patients": [_patient(patient) for patient in report.patients],
    }


def _patient(patient: PatientChanges) -> dict[str, Any]:
    return {
        "patient": patient.patient_id,
        "pseudonym": patient.pseudonym,
        "name": patient.name,
        "birth_date": patient.birth_date,
        "old": patient.old,
        "new": patient.new,
        "severity": patient.severity,
        "routine": patient.routine,
        "complete": patient.complete,
        "objects": dict(patient.counts),
        "failed": [asdict(failure) for failure in patient.failed],
        "gaps": [asdict(gap) for gap in patient.gaps],
        "anomalies": [asdict(each) for each in patient.anomalies],
        "changes": [_change(change, patient.lines.get(change.path)) for change in patient.changes],
    }


def _change(change: Change, lines: Lines | None) -> dict[str, Any]:
    return {
        "path": change.path,
        "kind": change.kind,
        "modality": change.modality,
        "title": change.title,
        "severity": change.severity,
        "findings": [asdict(finding) for finding in change.findings],
        "attributes": list(lines.shown) if lines else [],
        "more_attributes": lines.more if lines else 0,
    }
