"""Treatment records of one day, from the simulated department: found by their own date, retrieved and nothing else."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, timedelta
from pathlib import Path

import peers
import pytest
from rois_kit import configuration

from vault.config import Config
from vault.department.beams import original
from vault.department.ct import ct_slice
from vault.department.patients import Patient, Scale, roster
from vault.department.plan import plan_object
from vault.department.record import fraction_day, record_object
from vault.department.server import Department, Faults
from vault.errors import PeerError
from vault.rois.inbox import Inbox
from vault.rois.retrieve import retrieve_these
from vault.rois.today import records_of

NIGHT = date(2026, 11, 25)
PATIENTS = roster(3, NIGHT, scale=Scale(matrix=8, slices=2, control_points=3))
FIRST, SECOND, THIRD = (patient.patient_id for patient in PATIENTS)


def today(patient: Patient) -> date:
    return fraction_day(original(patient), patient.delivered)


@contextmanager
def department(
    folder: Path, *, relational: bool = False, faults: Faults | None = None
) -> Iterator[tuple[Department, Config]]:
    receiver = peers.free_port()
    with Department(
        folder / "rois", destinations={"VAULT": ("127.0.0.1", receiver)}, faults=faults
    ) as served:
        for patient in PATIENTS[:2]:
            plan = original(patient)
            served.put([ct_slice(patient, 0), plan_object(plan)])
            served.put(record_object(plan, fraction) for fraction in range(1, patient.delivered + 1))
        retrieve = 'retries = 1\ntimeout = "10s"\nbackoff = "0s"' + "\nrelational = true" * relational
        yield served, configuration(folder, port=served.port, receiver_port=receiver, retrieve=retrieve)


@pytest.mark.parametrize("relational", [False, True])
def test_the_records_of_the_day_are_found_and_no_others(tmp_path: Path, relational: bool) -> None:
    day = today(PATIENTS[0])
    assert day == today(PATIENTS[1]) == NIGHT - timedelta(days=1)
    with department(tmp_path, relational=relational) as (_, config):
        found = records_of(config, day, [FIRST, SECOND, THIRD])
        assert {patient: [item.key.sop_uid for item in records] for patient, records in found.of.items()} == {
            patient.patient_id: [patient.uid("record", patient.delivered)] for patient in PATIENTS[:2]
        }
        assert not found.failed
        assert not records_of(config, day + timedelta(days=1), [FIRST, SECOND]).of


def test_just_these_records_are_retrieved(tmp_path: Path) -> None:
    with department(tmp_path) as (_, config):
        wanted = records_of(config, today(PATIENTS[0]), [FIRST, SECOND]).of
        inbox = Inbox(tmp_path / "hourly" / "run")
        outcomes = list(retrieve_these(config, wanted, inbox, sleep=lambda _: None))
        assert not any(outcome.missing or outcome.failures for outcome in outcomes)
        for patient in PATIENTS[:2]:
            arrived = [item.key.sop_uid for item in inbox.objects(patient.patient_id)]
            assert arrived == [patient.uid("record", patient.delivered)]


def test_a_record_that_does_not_come_is_missing(tmp_path: Path) -> None:
    with department(tmp_path) as (served, config):
        wanted = records_of(config, today(PATIENTS[0]), [FIRST]).of
        served.faults = Faults(skip={wanted[FIRST][0].key.sop_uid})
        inbox = Inbox(tmp_path / "hourly" / "run")
        (outcome,) = retrieve_these(config, wanted, inbox, sleep=lambda _: None)
        assert outcome.missing == tuple(wanted[FIRST])
        assert outcome.found is None


def test_a_rois_that_is_away_is_said_at_once(tmp_path: Path) -> None:
    with department(tmp_path) as (_, config):
        pass
    with pytest.raises(PeerError):
        records_of(config, NIGHT, [FIRST])


def test_a_patient_id_that_matches_everybody_is_not_asked_for(tmp_path: Path) -> None:
    with department(tmp_path) as (_, config):
        assert not records_of(config, today(PATIENTS[0]), ["*", ""]).of  # type: ignore[list-item]
