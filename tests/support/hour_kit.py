"""A small department for the hourly run: a ROIS with treatment records, its database, and a vault that asks both."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import peers
from databases import sqlite_connection
from vaults import TestVault

from vault.archive.hours import Hours
from vault.archive.repository import PatientRepository
from vault.department.beams import original
from vault.department.patients import Patient, Scale, roster
from vault.department.plan import plan_object
from vault.department.record import fraction_day, record_object
from vault.department.server import Department
from vault.hourly import hourly
from vault.hourly_report import HourlyReport
from vault.model import Row
from vault.rois.sql.contract import CONTRACT
from vault.sync import sync
from vault.sync_report import SyncReport

DAY = date(2026, 11, 25)
ZONE = ZoneInfo("Europe/Berlin")
QUERIES = ("last_treatment", "schedule", "plans", "history", "demographics")
PATIENTS = roster(3, DAY, scale=Scale(matrix=8, slices=2, control_points=3))


def at(hour: int, minute: int = 0) -> datetime:
    """A time of the day."""
    return datetime(DAY.year, DAY.month, DAY.day, hour, minute, tzinfo=ZONE)


class Emr:
    """The database of a ROIS: one table for each query, with the columns of its contract."""

    def __init__(self, path: Path, *, without: Iterable[str] = ()) -> None:
        self.path = path
        self.queries = path.with_suffix(".toml")
        self._database = sqlite3.connect(path)
        self._database.execute("PRAGMA synchronous = OFF")
        names = [name for name in QUERIES if name not in without]
        statements = []
        for name in names:
            columns = ", ".join(column.name for column in CONTRACT[name].columns)
            self.run(f"CREATE TABLE {name} ({columns})")
            where = "WHERE patient_id = :patient_id" if CONTRACT[name].per_patient else ""
            if name == "history":
                where += " AND started >= :since AND started < :until"
            statements.append(f'{name} = "SELECT {columns} FROM {name} {where}"')
        self.queries.write_text("[queries]\n" + "\n".join(statements) + "\n")
        self.queries.chmod(0o600)

    @property
    def toml(self) -> str:
        """`[rois.sql]` of vault.toml."""
        return f"""
[rois.sql]
connection = "{sqlite_connection(self.path)}"
queries = "{self.queries}"
retries = 0
timeout = "10s"
"""

    def run(self, statement: str, values: Iterable[Any] = ()) -> None:
        """Change the database."""
        self._database.execute(statement, tuple(values))
        self._database.commit()

    def add(self, rows: Iterable[Row]) -> None:
        """Insert rows."""
        for row in rows:
            names = ", ".join(f'"{name}"' for name in row.fields)
            marks = ", ".join("?" for _ in row.fields)
            self.run(f"INSERT INTO {row.query} ({names}) VALUES ({marks})", row.fields.values())
            if row.query == "history":
                values = (row.fields["patient_id"], row.fields["started"])
                self.run("INSERT INTO last_treatment (patient_id, last_treatment) VALUES (?, ?)", values)


def treated(patient: Patient, fraction: int, when: datetime, **changes: str | None) -> list[Row]:
    """The history rows of a fraction; `changes` are columns of its last field."""
    plan = original(patient)
    rows = []
    for number, beam in enumerate(plan.beams):
        started = when.replace(tzinfo=None) + timedelta(minutes=2 * number)
        fields = {
            "patient_id": patient.patient_id,
            "history_key": f"{patient.number}-{fraction}-{number}",
            "plan_uid": plan.uid,
            "plan": plan.label,
            "course": "C1",
            "fraction": str(fraction),
            "field": beam.name,
            "planned_mu": str(beam.meterset),
            "delivered_mu": str(beam.meterset),
            "machine": "SIMBEAM_1",
            "started": started.isoformat(" "),
            "ended": (started + timedelta(seconds=70)).isoformat(" "),
            "termination": "NORMAL",
            "override": "0",
            "record_uid": patient.uid("record", fraction),
        }
        rows.append(Row("history", fields))
    rows[-1] = Row("history", {**rows[-1].fields, **changes})
    return rows


def known(patient: Patient) -> list[Row]:
    """Plan, person and tomorrow's appointment of a patient."""
    plan = original(patient)
    of_plan = {
        "patient_id": patient.patient_id,
        "plan_key": plan.uid,
        "plan_uid": plan.uid,
        "course": "C1",
        "plan": plan.label,
        "status": "TreatApproval",
        "fractions_planned": str(patient.site.fractions),
        "dose_per_fraction_gy": str(patient.site.dose_per_fraction),
    }
    who = {
        "patient_id": patient.patient_id,
        "name": str(patient.name),
        "birth_date": patient.birth_date.isoformat(),
        "sex": patient.sex,
        "phone": "030 12345",
    }
    dates = [
        {
            "patient_id": patient.patient_id,
            "starts": datetime(DAY.year, DAY.month, DAY.day + days, 8, 10).isoformat(" "),
            "activity": "Daily treatment",
            "machine": "SIMBEAM_1",
            "status": "Open",
        }
        for days in (0, 1)
    ]
    return [Row("plans", of_plan), Row("demographics", who), *(Row("schedule", item) for item in dates)]


class Day:
    """A department in `folder`, its vault, and what happens there hour by hour."""

    def __init__(self, department: Department, vault: TestVault, emr: Emr | None) -> None:
        self.department = department
        self.vault = vault
        self.emr = emr

    def treat(
        self, patient: Patient, hour: int, minute: int = 0, *, record: bool = True, **changes: Any
    ) -> None:
        """Today's fraction of a patient: rows, and the machine's record."""
        fraction = (DAY - patient.first_fraction).days + 1
        assert fraction_day(original(patient), fraction) == DAY
        if self.emr:
            self.emr.add(treated(patient, fraction, at(hour, minute), **changes))
        if record:
            self.department.put([record_object(original(patient), fraction)])

    def hour(self, now: datetime, **options: Any) -> HourlyReport:
        """Run the hour."""
        return hourly(self.vault.config, now=now, **options)

    def night(self, now: datetime) -> SyncReport:
        """Run a night."""
        return sync(self.vault.config, now=now)

    def kept(self, patient: Patient) -> tuple[PatientRepository, Hours]:
        """What the vault has of a patient's hours."""
        repository = PatientRepository.open(self.vault.config.vault.root, patient.patient_id)
        assert repository
        return repository, Hours(repository)


@contextmanager
def day(
    folder: Path,
    *,
    sql: bool = True,
    without: Iterable[str] = (),
    extra: str = "",
    retrieve: str = "get",
) -> Iterator[Day]:
    """A department whose patients were treated up to yesterday."""
    receiver = peers.free_port()
    with Department(folder / "rois", destinations={"VAULT": ("127.0.0.1", receiver)}) as department:
        department.receiver_port = receiver  # type: ignore[attr-defined]
        department.host = "127.0.0.1"  # type: ignore[attr-defined]
        emr = Emr(folder / "emr.sqlite", without=without) if sql else None
        for patient in PATIENTS:
            plan = original(patient)
            fractions = range(1, patient.delivered + 1)
            recorded = fractions[-1:] if sql else fractions  # to be quick: the database has them all
            department.put([plan_object(plan), *(record_object(plan, fraction) for fraction in recorded)])
            if emr:
                emr.add(row for row in known(patient) if row.query not in without)
                for fraction in fractions:
                    when = datetime.combine(fraction_day(plan, fraction), at(8, 10).time())
                    emr.add(treated(patient, fraction, when))
        ids = [patient.patient_id for patient in PATIENTS]
        vault = TestVault(
            folder / "vault",
            department,  # type: ignore[arg-type]
            ids,
            retrieve=retrieve,
            extra=(emr.toml if emr else "") + extra,
        )
        yield Day(department, vault, emr)
