"""A working day of the simulated department, hour by hour: its database over ODBC, its ROIS over DICOM."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, time
from pathlib import Path
from zoneinfo import ZoneInfo

import databases
import peers
import pypdfium2
import pytest
from vaults import TestVault

from vault.archive.hours import Hours
from vault.archive.repository import PatientRepository, all_repositories
from vault.archive.stage import objects_in
from vault.department import database
from vault.department.nights import fraction_step, night
from vault.department.patients import Patient, Scale, roster
from vault.department.record import fraction_time
from vault.department.server import Department
from vault.hourly import hourly
from vault.hourly_check import unmatched_of
from vault.hourly_report import HourlyReport
from vault.report.treatments import Course
from vault.sync import sync
from vault.sync_report import SyncReport

pytestmark = [
    pytest.mark.system,
    pytest.mark.skipif(bool(databases.missing_sqlite()), reason=databases.missing_sqlite() or "there"),
]

DAY = date(2026, 11, 25)
ZONE = ZoneInfo("Europe/Berlin")
QUERIES = Path(__file__).parents[2] / "config/queries/demo.toml"


@dataclass
class Working:
    """The department on its first working day."""

    folder: Path
    department: Department
    patients: tuple[Patient, ...]
    vault: TestVault

    def at(self, clock: time) -> datetime:
        """Let everything happen up to a time of the day."""
        now = datetime.combine(DAY, clock)
        database.write(self.folder, self.patients, DAY, now)
        given = [(patient, patient.fraction(2)) for patient in self.patients]
        self.department.put(
            fraction_step(self.patients, patient, fraction).make()
            for patient, fraction in given
            if fraction and fraction_time(patient, fraction) <= clock
        )
        return now.replace(tzinfo=ZONE)

    def hour(self, clock: time) -> HourlyReport:
        return hourly(self.vault.config, now=self.at(clock))

    def night(self, clock: time) -> SyncReport:
        return sync(self.vault.config, now=self.at(clock))


@pytest.fixture
def working(tmp_path: Path) -> Iterator[Working]:
    patients = roster(4, DAY, scale=Scale(matrix=8, slices=2, control_points=3))
    receiver = peers.free_port()
    folder = tmp_path / "department"
    with Department(folder / "dicom", destinations={"VAULT": ("127.0.0.1", receiver)}) as department:
        department.put(step.make() for step in night(patients, 1, DAY).steps)
        department.receiver_port = receiver  # type: ignore[attr-defined]
        department.host = "127.0.0.1"  # type: ignore[attr-defined]
        sql = f"""
[rois.sql]
connection = "{databases.sqlite_connection(folder / database.FILE)}"
queries = "{QUERIES}"
documents = "{folder / database.DOCUMENTS}"
"""
        ids = [patient.patient_id for patient in patients]
        vault = TestVault(tmp_path / "vault", department, ids, extra=sql)  # type: ignore[arg-type]
        yield Working(folder, department, patients, vault)


def text(document: bytes) -> str:
    pdf = pypdfium2.PdfDocument(io.BytesIO(document))
    return " ".join(page.get_textpage().get_text_bounded() for page in pdf)


def test_a_day_from_night_to_night(working: Working) -> None:
    assert working.night(time(2)).exit_code == 0
    times = sorted(
        fraction_time(patient, fraction) for patient in working.patients if (fraction := patient.fraction(2))
    )
    early = working.hour(times[0])
    assert early.exit_code == 0
    assert early.treated == times.count(times[0])
    assert early.folder
    said = text((early.folder / "department.pdf").read_bytes())
    assert "Due today, no treatment seen" in said
    whole = working.hour(time(19))
    assert whole.exit_code == 0
    assert whole.treated == len(times)
    said = text((early.folder / "department.pdf").read_bytes())
    assert "Due today, no treatment seen" not in said
    assert "PARTIAL" in said  # the first patient's fraction was broken off
    tips = {repository.patient_id: repository.tip("hourly") for repository in kept(working)}
    for patient in working.patients:
        page = text((early.folder / f"{patient.patient_id}.pdf").read_bytes())
        assert patient.name.replace("^", ", ") in page
        assert f"Fraction {patient.fraction(2)} of {patient.site.fractions}" in page
        assert "in the vault" in page
    after = working.night(time(23))
    assert after.exit_code == 0
    for repository in kept(working):
        records = [path for path in after.patients[repository.patient_id].added if "RTRECORD" in path]
        assert len(records) == 1
        names = [Path(path).name for path in objects_in(repository.tree(repository.tip()))]
        assert len(names) == len(set(names))
        assert unmatched_of(repository, DAY, ZONE) == []
        assert Hours(repository).tip == tips[repository.patient_id]


def kept(working: Working) -> list[PatientRepository]:
    return list(all_repositories(working.vault.config.vault.root))


def test_dose_to_date_is_what_was_delivered(working: Working) -> None:
    from vault.hourly_commit import Hour, day_of

    working.hour(time(19))
    hour = Hour(working.vault.config, None, datetime.combine(DAY, time(19), ZONE), None)  # type: ignore[arg-type]
    for patient, repository in zip(working.patients, kept(working), strict=True):
        ((course, session),) = day_of(hour, repository, Hours(repository)).treated
        assert isinstance(course, Course)
        assert course.dose
        whole = patient.site.dose_per_fraction * (patient.fraction(2) or 0)
        if session.partial:
            assert whole - patient.site.dose_per_fraction < float(course.dose.gray) < whole
        else:
            assert float(course.dose.gray) == pytest.approx(whole, abs=0.01)
            assert course.given == patient.fraction(2)
