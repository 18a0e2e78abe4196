"""Reports for a test, made by hand: every text of them can be hostile."""

from __future__ import annotations

from datetime import UTC, datetime

from vault.compare.groups import grouped
from vault.model import Anomaly, AttributeChange, Change, Failure, Finding
from vault.report.changes import Census, Lines, PatientChanges, RunReport

HOSTILE = "\"'><script>alert(1)</script>\u202egnp.exe\0\x1b[31m{{ 7 * 7 }}"
BEGAN = datetime(2026, 11, 25, 2, tzinfo=UTC)


def patient(number: int, severity: str, text: str = "", kind: str = "changed") -> PatientChanges:
    """A patient whose every text is `text`, where there is one."""
    path = f"dicom/RTPLAN/1/{number}.dcm"
    attribute = AttributeChange(text or "A", text or "A", "(0,0)", "LO", text or "1", text or "2")
    findings = (Finding(severity, text or "leaves 1 → 2"), Finding("minor", text or "label"))
    change = Change(path, kind, text or "RTPLAN", text or "PROSTATE", severity, (attribute,), findings)
    return PatientChanges(
        patient_id=text or f"P-{number:03}",
        pseudonym=f"{number:016x}",
        name=text or f"Demo, Anna {number}",
        old="0" * 40,
        new="1" * 40,
        changes=(change,),
        failed=(Failure(text, text),) if text else (),
        gaps=(Failure(text, text),) if text else (),
        anomalies=(Anomaly(text, "major", text, text),) if text else (),
        birth_date=text,
        groups=tuple(grouped([change])),
        lines={path: Lines((text or "A: 1 → 2",) * 3, 5)},
    )


def report(*patients: PatientChanges, text: str = "") -> RunReport:
    return RunReport(
        run="20261125T020000Z-0001",
        began=BEGAN,
        site=text or "Site",
        ledger_head="a" * 40,
        patients=patients,
        unchanged=2,
        anomalies=(Anomaly(text, "critical", text, text),) if text else (),
        failed=(Failure(text, text),) if text else (),
        census=Census(9, (text,)) if text else Census(9),
        finished=(text,) if text else (),
    )
