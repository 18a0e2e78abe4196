"""Reports of nights for the tests of mail: with everything that a mail may have to say, or nothing."""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

from vault.compare.groups import grouped
from vault.model import Change, Failure, Finding
from vault.report.changes import Anomaly, Census, PatientChanges, RunReport

BEGAN = datetime(2026, 11, 24, 2, 0, tzinfo=ZoneInfo("Europe/Berlin"))
RUN = "20261124T010000Z-3f9c"
HEAD = "5d1c0f7a9b3e4d2c8f6a1b0e9d7c5b3a1f2e4d6c"

NAME = "Zyxwmarker, Ångström"
PATIENT_ID = "ID-MARKER-77123"
MARKED = ("Zyxwmarker", "Ångström", PATIENT_ID, "PLANMARKER", "DOCMARKER", "1.2.840.99.MARKER")
"""What only the full mail may hold."""


def change(
    severity: str, text: str, *, kind: str = "changed", modality: str = "RTPLAN", title: str = "PLANMARKER_1A"
) -> Change:
    path = f"dicom/{modality}/1.2.840.99.MARKER/1.2.{abs(hash((severity, text, title))) % 10**8}.dcm"
    return Change(path, kind, modality, title, severity, (), (Finding(severity, text),))


def patient(
    number: int,
    *changes: Change,
    name: str = "",
    patient_id: str = "",
    old: str | None = "a" * 40,
    **more: object,
) -> PatientChanges:
    return PatientChanges(
        patient_id=patient_id or f"{PATIENT_ID}-{number}",
        pseudonym=f"{number:016x}",
        name=name or f"{NAME} {number}",
        old=old,
        new=f"{number + 1:040x}",
        changes=changes,
        groups=tuple(grouped(changes)),
        **more,  # type: ignore[arg-type]
    )


def eventful() -> RunReport:
    """A night with something of everything."""
    worst = patient(
        1,
        change("critical", "prescribed dose of PTV 60 Gy → 66 Gy"),
        change("critical", "beam 2 (LAO): 112.4 MU → 187.9 MU, gantry 40° → 45°"),
        change("major", "approval APPROVED → UNAPPROVED, by nobody that the plan names"),
        change("minor", "ROI Bladder: volume 182.1 → 190.4 cm³", modality="RTSTRUCT", title="PLANMARKER_SS"),
        name=f"{NAME} with a very long name that goes on, Maximiliane-Theresia",
        birth_date="1951-03-09",
        anomalies=(
            Anomaly(
                "approvals",
                "major",
                "three approvals withdrawn at one time stamp",
                "the plan's approval history",
            ),
        ),
    )
    second = patient(2, change("critical", "machine TRUEBEAM1 → TRUEBEAM2"), birth_date="1960-12-31")
    third = patient(
        3,
        change("major", "isocentre moved 4.2 mm"),
        failed=(Failure("RTDOSE 1.2.840.99.MARKER", "never arrived"),),
    )
    fresh = patient(4, change("minor", "new plan", kind="added"), old=None)
    routine = [
        patient(
            number,
            change("routine", "fraction 6 given", kind="added", modality="RTRECORD", title="treatment"),
        )
        for number in range(10, 24)
    ]
    lacking = patient(30, gaps=(Failure("document DOCMARKER.docx", "the share did not give it"),))
    return RunReport(
        run=RUN,
        began=BEGAN,
        site="Radiation Oncology <&> Hospital",
        ledger_head=HEAD,
        patients=(worst, second, third, fresh, *routine, lacking),
        unchanged=31,
        failed=(Failure("share", "the share /mnt/share was away"),),
        census=Census(49, (f"{PATIENT_ID}-99",)),
        vault="0.1.0",
    )


def quiet() -> RunReport:
    """A night in which nothing changed."""
    return RunReport(RUN, BEGAN, "Radiation Oncology", HEAD, (), unchanged=49)
