"""A night of the simulated department with its database and documents: everything in one commit, every gap said."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import datetime, time, timedelta
from pathlib import Path

import databases
import pytest
from working_day import DAY, ZONE, Working, working_day

from vault.archive.repository import PatientRepository
from vault.department import database
from vault.sync import sync
from vault.sync_report import SyncReport

pytestmark = [
    pytest.mark.system,
    pytest.mark.skipif(bool(databases.missing_sqlite()), reason=databases.missing_sqlite() or "there"),
]


@pytest.fixture
def working(tmp_path: Path) -> Iterator[Working]:
    with working_day(tmp_path) as working:
        yield working


def repository(working: Working, number: int = 0) -> PatientRepository:
    found = PatientRepository.open(working.vault.config.vault.root, working.patients[number].patient_id)
    assert found
    return found


def change(working: Working, statement: str, *values: object) -> None:
    with closing(sqlite3.connect(working.folder / database.FILE)) as connection:
        connection.execute(statement, values)
        connection.commit()


def again(working: Working) -> SyncReport:
    """The night after, without anything that the department would write by itself."""
    return sync(working.vault.config, now=datetime.combine(DAY + timedelta(days=1), time(2), ZONE))


def test_a_night_commits_objects_rows_and_documents_together(working: Working) -> None:
    report = working.night(time(2))
    assert report.exit_code == 0
    for number in range(len(working.patients)):
        held = repository(working, number)
        (commit,) = held.log()
        tree = held.tree(commit.oid)
        kinds = {path.partition("/")[0] for path in tree}
        assert {"dicom", "documents", "database", "patient.json", "SHA256SUMS"} <= kinds
    assert all(not outcome.gaps and not outcome.anomalies for outcome in report.patients.values())
    tips = [repository(working, number).tip() for number in range(len(working.patients))]
    second = working.night(time(3))
    assert second.exit_code == 0
    assert [repository(working, number).tip() for number in range(len(working.patients))] == tips


def test_a_database_that_is_away_costs_no_object_and_removes_nothing(working: Working) -> None:
    working.night(time(2))
    tree = repository(working).tree(repository(working).tip())
    (working.folder / database.FILE).unlink()
    (working.folder / database.FILE).mkdir()
    report = again(working)
    assert report.exit_code == 3
    assert "database" in {failure.subject for failure in report.failed}
    assert all(not outcome.removed for outcome in report.patients.values())
    assert repository(working).tree(repository(working).tip()) == tree


def test_what_the_database_names_and_nobody_has_is_listed_with_its_reason(working: Working) -> None:
    working.night(time(2))
    patient = working.patients[0].patient_id
    values = (patient, "1.2.3.4.5", "RTPLAN", "1.2.3.4")
    change(
        working,
        "INSERT INTO dicom_object (patient_id, sop_uid, modality, series_uid) VALUES (?, ?, ?, ?)",
        *values,
    )
    report = again(working)
    (gap,) = report.patients[patient].gaps
    assert "1.2.3.4.5" in gap.subject
    assert "C-FIND does not list it" in gap.reason


def test_a_census_that_collapsed_is_an_anomaly_and_drops_nobody(tmp_path: Path) -> None:
    with working_day(tmp_path, 6) as working:
        text = working.vault.toml.read_text()
        working.vault.toml.write_text(text.replace('source = "list"', 'source = "sql"'))
        first = working.night(time(2))
        assert first.census
        assert len(first.census) == len(working.patients)
        kept = working.patients[0].patient_id
        for table in ("delivery", "appointment", "plan"):
            change(working, f"DELETE FROM {table} WHERE patient_id <> ?", kept)
        later = datetime.combine(DAY + timedelta(days=90), time(2), ZONE)  # nobody was treated lately
        for night in range(2):  # the second is not measured by the first
            report = sync(working.vault.config, now=later + timedelta(days=night))
            assert report.exit_code == 3
            assert report.census is None
            assert set(report.patients) == {patient.patient_id for patient in working.patients}
            assert any("are no longer in it" in anomaly.text for anomaly in report.anomalies)
            assert all(not outcome.removed for outcome in report.patients.values())
