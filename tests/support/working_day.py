"""The simulated department at work, its database over ODBC and its ROIS over DICOM, and a vault beside it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime, time
from pathlib import Path
from zoneinfo import ZoneInfo

import databases
import peers
from vaults import TestVault

from vault.department import database
from vault.department.nights import fraction_step, night
from vault.department.patients import Patient, Scale, roster
from vault.department.record import fraction_time
from vault.department.server import Department
from vault.hourly import hourly
from vault.hourly_report import HourlyReport
from vault.sync import sync
from vault.sync_report import SyncReport

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


@contextmanager
def working_day(tmp_path: Path, number: int = 4) -> Iterator[Working]:
    """A department of `number` patients whose ROIS holds the first night, and a vault that knows it."""
    patients = roster(number, DAY, scale=Scale(matrix=8, slices=2, control_points=3))
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
