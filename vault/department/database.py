"""The database of the simulated department: SQLite, asked through its ODBC driver as a SQL Server is.

It follows from the patients, the first night and the time: `write` makes it anew, consistent with the DICOM objects
that `nights` brings. `config/queries/demo.toml` asks it.

    DIR/rois.sqlite      the database
    DIR/documents/…      the files that its table `document` names
"""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from datetime import date, datetime, time, timedelta
from pathlib import Path

from vault.department.beams import Beam, PlanModel, original, revised
from vault.department.charts import PHYSICIAN, THERAPIST, Paper, charts
from vault.department.ct import slice_uid
from vault.department.modules import MACHINE
from vault.department.nights import EVENTFUL_NIGHT, broken_off, plan_given, revised_patient
from vault.department.patients import Patient
from vault.department.plan import DOSE_RATE
from vault.department.record import fraction_day, fraction_time, share_delivered
from vault.department.structures import structure_set_uid
from vault.files import TEMPORARY_PREFIX, private_folder, write_file

FILE = "rois.sqlite"
DOCUMENTS = "documents"

_SCHEMA = """
CREATE TABLE patient (patient_id varchar(64), name varchar(200), birth_date date, sex char(4), phone varchar(40),
    diagnosis varchar(200), priority varchar(40));
CREATE TABLE contact (patient_id varchar(64), name varchar(200), relationship varchar(40), phone varchar(40),
    mobile varchar(40), email varchar(80), address varchar(400));
CREATE TABLE prescription (prescription_key integer, patient_id varchar(64), course varchar(16), site varchar(64),
    technique varchar(32), total_dose_gy decimal(8,3), dose_per_fraction_gy decimal(8,3), fractions integer,
    status varchar(16), changed_at timestamp, changed_by varchar(64));
CREATE TABLE plan (plan_key integer, patient_id varchar(64), plan_uid varchar(64), course varchar(16), name varchar(64),
    status varchar(32), status_at timestamp, fractions integer, dose_per_fraction_gy decimal(8,3), machine varchar(32),
    changed_at timestamp, changed_by varchar(64));
CREATE TABLE dicom_object (patient_id varchar(64), sop_uid varchar(64), modality varchar(16), series_uid varchar(64));
CREATE TABLE appointment (patient_id varchar(64), starts timestamp, activity varchar(64), machine varchar(32),
    status varchar(16));
CREATE TABLE document (document_key varchar(32), patient_id varchar(64), file varchar(260), title varchar(100),
    created timestamp, approved timestamp, approved_by varchar(64), changed_at timestamp, changed_by varchar(64));
CREATE TABLE delivery (delivery_key integer, patient_id varchar(64), plan_uid varchar(64), plan varchar(64),
    course varchar(16), fraction integer, field varchar(32), planned_mu decimal(8,2), delivered_mu decimal(8,2),
    machine varchar(32), started timestamp, ended timestamp, termination varchar(16), overridden boolean,
    dose_gy decimal(8,4), record_uid varchar(64), changed_at timestamp, changed_by varchar(64));
CREATE INDEX delivery_patient ON delivery (patient_id);
CREATE INDEX delivery_started ON delivery (started);
CREATE INDEX object_patient ON dicom_object (patient_id);
"""

_COURSE = "C1"
_PLAN_READY = time(15)
"""When, on the day before a night, a plan is approved."""
_DAYS_AHEAD = 30

_Value = str | int | float | None
_Row = tuple[_Value, ...]


def write(
    folder: Path,
    patients: Sequence[Patient],
    first_night: date,
    now: datetime,
    *,
    papers: Iterable[Paper] | None = None,
) -> None:
    """Make the database and the documents in `folder` as they are at `now` (local, without zone).

    `papers` are the documents; without it those that exist at `now`, as they were written. The database is replaced
    in one step; whoever is reading the old one goes on reading it. Files that no row names any more are removed
    afterwards.
    """
    private_folder(folder)
    draft = folder / f"{TEMPORARY_PREFIX}{FILE}"
    draft.unlink(missing_ok=True)
    papers = list(charts(patients, first_night, now) if papers is None else papers)
    for paper in papers:
        target = folder / DOCUMENTS / paper.file
        private_folder(target.parent)
        write_file(target, paper.content, replace=True)
    with closing(sqlite3.connect(draft)) as connection:
        connection.executescript(_SCHEMA)
        for table, rows in _tables(patients, first_night, now).items():
            _insert(connection, table, rows)
        _insert(
            connection,
            "document",
            (
                (
                    paper.key,
                    paper.patient.patient_id,
                    paper.file.replace("/", "\\"),  # as a database beside Windows servers has it
                    paper.title,
                    _stamp(paper.created),
                    _stamp(paper.approved) if paper.approved else None,
                    PHYSICIAN if paper.approved else None,
                    _stamp(paper.changed),
                    paper.changed_by,
                )
                for paper in papers
            ),
        )
        connection.commit()
    draft.chmod(0o600)
    draft.replace(folder / FILE)
    _tidy(folder / DOCUMENTS, {paper.file for paper in papers})


def driver() -> Path | None:
    """SQLite's ODBC driver, where Debian puts it on any architecture; None when it is not installed."""
    return next(iter(sorted(Path("/usr/lib").glob("*/odbc/libsqlite3odbc.so"))), None)


def connection_string(folder: Path) -> str:
    """The ODBC connection of the database in `folder`."""
    return f"DRIVER={driver() or '{SQLite3}'};DATABASE={folder.absolute() / FILE};Timeout=5000"


def _insert(connection: sqlite3.Connection, table: str, rows: Iterable[_Row]) -> None:
    for row in rows:
        marks = ", ".join("?" * len(row))
        connection.execute(f"INSERT INTO {table} VALUES ({marks})", row)  # noqa: S608  # the names are ours


def _tidy(folder: Path, wanted: set[str]) -> None:
    """Remove files and folders that are no longer of any use."""
    for path in sorted(folder.rglob("*"), reverse=True):
        if path.is_file() and path.relative_to(folder).as_posix() not in wanted:
            path.unlink()
        elif path.is_dir() and not any(path.iterdir()):
            shutil.rmtree(path)


def _tables(patients: Sequence[Patient], first_night: date, now: datetime) -> dict[str, list[_Row]]:
    here = [patient for patient in patients if _ready(patient, first_night) <= now]
    return {
        "patient": [_person(patient) for patient in here],
        "contact": [_relative(patient) for patient in here],
        "prescription": [_prescription(patient) for patient in here],
        "plan": [row for patient in here for row in _plans(patients, patient, first_night, now)],
        "dicom_object": [row for patient in here for row in _objects(patients, patient, first_night, now)],
        "appointment": [row for patient in here for row in _appointments(patient, now)],
        "delivery": [row for patient in here for row in _deliveries(patients, patient, now)],
    }


def _ready(patient: Patient, first_night: date) -> datetime:
    """When the patient's plan was approved."""
    if patient.arrives == 1:
        return datetime.combine(patient.planned_on + timedelta(days=5), _PLAN_READY)
    return datetime.combine(first_night + timedelta(days=patient.arrives - 2), _PLAN_READY)


def _person(patient: Patient) -> _Row:
    return (
        patient.patient_id,
        patient.name.replace("^", ", "),
        patient.birth_date.isoformat(),
        f"{patient.sex}   ",  # a blank-padded column, as databases have them
        f"+41 44 555 {patient.number:04d}",
        f"Malignant neoplasm: {patient.site.name}",
        "1" if patient.site.fractions > 30 else "2",
    )


def _relative(patient: Patient) -> _Row:
    return (
        patient.patient_id,
        f"{patient.name.partition('^')[0]}, Robin",
        "partner",
        None,
        f"+41 79 555 {patient.number:04d}",
        f"robin{patient.number}@example.org",
        f"Example Street {patient.number}\n8000 Example",
    )


def _prescription(patient: Patient) -> _Row:
    site = patient.site
    when = datetime.combine(patient.planned_on, time(10))
    total = round(site.fractions * site.dose_per_fraction, 3)
    return (
        patient.number, patient.patient_id, _COURSE, site.name, site.technique, total, site.dose_per_fraction,
        site.fractions, "Approved", _stamp(when), PHYSICIAN,
    )  # fmt: skip


def _plans(patients: Sequence[Patient], patient: Patient, first_night: date, now: datetime) -> Iterator[_Row]:
    approved = _ready(patient, first_night)
    when = _revised_at(first_night)
    superseded = patient is revised_patient(patients) and now >= when
    plan = original(patient)
    if superseded:
        yield _plan(plan, "Retired", when)
        yield _plan(revised(plan), "TreatApproval", when)
    else:
        yield _plan(plan, "TreatApproval", approved)


def _revised_at(first_night: date) -> datetime:
    return datetime.combine(first_night + timedelta(days=EVENTFUL_NIGHT - 2), time(17))


def _plan(plan: PlanModel, status: str, when: datetime) -> _Row:
    patient, site = plan.patient, plan.patient.site
    key = patient.number * 10 + plan.revision
    return (
        key, patient.patient_id, plan.uid, _COURSE, plan.label, status, _stamp(when), site.fractions,
        site.dose_per_fraction, MACHINE, _stamp(when), PHYSICIAN,
    )  # fmt: skip


def _objects(
    patients: Sequence[Patient], patient: Patient, first_night: date, now: datetime
) -> Iterator[_Row]:
    """What the ROIS holds, as the nights bring it: plans and images with their approval, records when given."""

    def row(sop_uid: str, modality: str, series: str) -> _Row:
        return (patient.patient_id, sop_uid, modality, patient.uid("series", series))

    plans = [original(patient)]
    if patient is revised_patient(patients) and now >= _revised_at(first_night):
        plans.append(revised(plans[0]))
    for index in range(patient.scale.slices):
        yield row(slice_uid(patient, index), "CT", "Planning CT")
    yield row(structure_set_uid(patient), "RTSTRUCT", "Structures")
    for plan in plans:
        yield row(plan.uid, "RTPLAN", "Plans")
        yield row(patient.uid("dose", plan.revision), "RTDOSE", "Doses")
    for fraction in _given(patient, now):
        yield row(patient.uid("record", fraction), "RTRECORD", "Treatment records")


def _given(patient: Patient, now: datetime) -> Iterator[int]:
    """The fractions that have begun by `now`."""
    for fraction in range(1, patient.site.fractions + 1):
        if _begins(patient, fraction) > now:
            return
        yield fraction


def _begins(patient: Patient, fraction: int) -> datetime:
    return datetime.combine(fraction_day(original(patient), fraction), fraction_time(patient, fraction))


def _deliveries(patients: Sequence[Patient], patient: Patient, now: datetime) -> Iterator[_Row]:
    """A row for each field of each fraction."""
    for fraction in _given(patient, now):
        plan = plan_given(patients, patient, fraction)
        began = _begins(patient, fraction)
        for beam in plan.beams:
            share = share_delivered(plan, beam, broken_off=broken_off(patients, patient, fraction))
            seconds = round(beam.meterset * share / float(DOSE_RATE) * 60)
            ended = began + timedelta(seconds=seconds)
            yield _delivery(plan, beam, fraction, share, began, ended)
            began = ended + timedelta(seconds=40)


def _delivery(
    plan: PlanModel, beam: Beam, fraction: int, share: float, began: datetime, ended: datetime
) -> _Row:
    patient = plan.patient
    part = beam.meterset / sum(each.meterset for each in plan.beams)
    key = patient.number * 10_000 + fraction * 10 + beam.number
    return (
        key, patient.patient_id, plan.uid, plan.label, _COURSE, fraction, beam.name, beam.meterset,
        round(beam.meterset * share, 2), MACHINE, _stamp(began), _stamp(ended),
        "NORMAL" if share == 1 else "MACHINE", False,
        round(patient.site.dose_per_fraction * part * share, 4), patient.uid("record", fraction),
        _stamp(ended), THERAPIST,
    )  # fmt: skip


def _appointments(patient: Patient, now: datetime) -> Iterator[_Row]:
    """The fractions of the last and the next weeks."""
    for fraction in range(1, patient.site.fractions + 1):
        begins = _begins(patient, fraction)
        if abs(begins - now) <= timedelta(days=_DAYS_AHEAD):
            status = "Completed" if begins <= now else "Open"
            yield (patient.patient_id, _stamp(begins), f"Treatment {fraction}", MACHINE, status)


def _stamp(when: datetime) -> str:
    return when.isoformat(sep=" ", timespec="milliseconds")
