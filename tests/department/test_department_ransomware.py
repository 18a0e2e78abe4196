"""Thirty ordinary nights raise no anomaly; a night of ransomware raises the alarm, and says why."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path

import pytest
from wireless import Wireless

from vault.archive.ledger import Ledger
from vault.department.nights import EVENTFUL_NIGHT, Night, night
from vault.department.patients import Patient, Scale, roster
from vault.department.ransomware import encrypted, ransomware
from vault.errors import ExitCode
from vault.sync_report import SyncReport

FIRST_NIGHT = date(2026, 11, 2)
NIGHTS = 30
CORRECTED = 17
"""The night after which a patient's name is spelled otherwise in every object."""


def people() -> tuple[Patient, ...]:
    """Six patients, of whom two come later; objects are as small as they can be."""
    scale = Scale(matrix=8, slices=3, control_points=3, dose_pitch=60)
    patients = roster(6, FIRST_NIGHT, scale=scale)
    late = {4: 5, 5: 12}  # by place, the night of arrival
    return tuple(
        replace(
            patient,
            arrives=late[place],
            delivered=0,
            first_fraction=FIRST_NIGHT + timedelta(days=late[place]),
        )
        if place in late
        else patient
        for place, patient in enumerate(patients)
    )


def ordinary(patients: tuple[Patient, ...], number: int) -> Night:
    """A night without anything that nobody meant to do: the demo's tampered plan is left out."""
    events = night(patients, number, FIRST_NIGHT)
    return replace(events, steps=tuple(step for step in events.steps if step.action == "added"))


def corrected(patients: tuple[Patient, ...]) -> Iterator[object]:
    """Every object of a patient, with a corrected name."""
    patient = patients[3]
    for number in range(1, CORRECTED + 1):
        for step in ordinary(patients, number).steps:
            if step.patient_id == patient.patient_id:
                dataset = step.make()
                dataset.PatientName = f"{dataset.PatientName}-Smith"
                yield dataset


@pytest.mark.timeout(300)
def test_thirty_ordinary_nights_and_one_of_ransomware(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    patients = people()
    department = Wireless(tmp_path, patients, FIRST_NIGHT, monkeypatch)
    changed = 0
    for number in range(1, NIGHTS + 1):
        if number == CORRECTED + 1:
            department.put(corrected(patients))
        report = department.night(ordinary(patients, number))
        assert (number, report.exit_code, report.anomalies) == (number, ExitCode.DONE, [])
        assert not any(outcome.anomalies or outcome.failed for outcome in report.patients.values())
        changed += bool(report.measures["changed"])
    assert (
        changed >= 2
    )  # the eventful night and the corrected name: there was something to tell from an attack

    report = department.night(ransomware(patients, NIGHTS + 1, FIRST_NIGHT), papers=encrypted)
    assert report.exit_code is ExitCode.PARTIAL
    assert_alarm(report, len(patients))
    assert_recorded(tmp_path / "vault", report, patients)


def assert_alarm(report: SyncReport, patients: int) -> None:
    found = {anomaly.measure: anomaly for anomaly in report.anomalies}
    assert set(found) == {
        "changed",
        "unstamped",
        "withdrawn",
        "unreadable",
        "misnamed",
        "mass_edits",
    }
    assert f"Of {patients} patients out of {patients} (100 %)" in found["changed"].text
    plans = patients + 1  # one has a revision
    assert f"{plans} plans or structure sets of {patients} patients" in found["unstamped"].text
    documents = 19 // 3 + 1  # three of each patient and a weekly check
    assert f"{documents} documents of" in found["unreadable"].text
    assert f"Things of {patients} patients were edited within 2 minutes" in found["mass_edits"].text
    assert all(anomaly.look_at_first.endswith(".") for anomaly in found.values())
    assert all("looks like an attack" in outcome.anomalies[-1] for outcome in report.patients.values())


def assert_recorded(vault: Path, report: SyncReport, patients: tuple[Patient, ...]) -> None:
    event = next(Ledger(vault).events("runs"))
    assert event["measures"]["unstamped"] == report.measures["unstamped"] == len(patients) + 1
    assert [anomaly["measure"] for anomaly in event["anomalies"]] == [
        anomaly.measure for anomaly in report.anomalies
    ]
    said = str(event)
    assert not any(patient.patient_id in said or patient.name in said for patient in patients)


def test_what_the_program_leaves(tmp_path: Path) -> None:
    patients = people()
    events = ransomware(patients, EVENTFUL_NIGHT + 1, FIRST_NIGHT)
    plans = [step.make() for step in events.steps if step.action == "replaced"]
    arrived = [patient for patient in patients if patient.arrives <= EVENTFUL_NIGHT]
    assert len(plans) == len(arrived) + 1
    assert {plan.RTPlanTime for plan in plans} == {"001700"}
    assert {plan.ApprovalStatus for plan in plans} == {"UNAPPROVED"}
    uids = {
        step.make().SOPInstanceUID
        for number in (1, 2)
        for step in night(patients, number, FIRST_NIGHT).steps
        if step.modality == "RTPLAN"
    }
    assert {plan.SOPInstanceUID for plan in plans} <= uids
