"""The simulated department's database says what its DICOM objects say, through the code path of a real one."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime, timedelta
from functools import cache
from io import BytesIO
from pathlib import Path
from zipfile import ZipFile

import databases
import pytest
from pydicom.dataset import FileDataset
from sql_kit import configuration

from vault.config import Config
from vault.department.database import DOCUMENTS, connection_string, write
from vault.department.nights import fraction_step, night
from vault.department.papers import docx, pdf, rtf
from vault.department.patients import Patient, cast
from vault.model import PatientID, Row
from vault.rois.emr_inbox import EmrInbox
from vault.rois.sql.census import census
from vault.rois.sql.fetch import fetch, treated_since

LONG_AGO = datetime(1900, 1, 1)
QUERIES = Path(__file__).parents[2] / "config" / "queries" / "demo.toml"

pytestmark = [
    pytest.mark.system,
    pytest.mark.skipif(bool(databases.missing_sqlite()), reason=databases.missing_sqlite()),
]


@pytest.fixture(scope="module")
def people(first_night: date, patients: tuple[Patient, ...]) -> tuple[Patient, ...]:
    return cast(4, first_night, scale=patients[0].scale)


class Nights:
    """The database as it is at some time, and what a run then puts into the inbox."""

    def __init__(self, folder: Path, people: tuple[Patient, ...], first_night: date) -> None:
        self.folder = folder
        self.people = people
        self.first_night = first_night

    @property
    def config(self) -> Config:
        return configuration(self.folder, connection_string(self.folder), QUERIES)

    def at(self, number: int, hour: int = 2) -> datetime:
        return datetime.combine(self.first_night + timedelta(days=number - 1), datetime.min.time()).replace(
            hour=hour
        )

    def rows(self, now: datetime) -> Mapping[PatientID, dict[str, list[Row]]]:
        write(self.folder, self.people, self.first_night, now)
        inbox = EmrInbox(self.folder / "inbox" / "run")
        ids = [patient.patient_id for patient in self.people]
        done = fetch(self.config, inbox, ids, since=LONG_AGO, until=now)
        assert (done.failures, done.off) == ((), {})
        assert [inbox.failures(patient_id) for patient_id in ids] == [[]] * len(ids)
        return {patient_id: inbox.rows(patient_id) or {} for patient_id in ids}


@pytest.fixture
def nights(tmp_path: Path, people: tuple[Patient, ...], first_night: date) -> Nights:
    return Nights(tmp_path, people, first_night)


@cache
def held(people: tuple[Patient, ...], first_night: date, number: int) -> dict[str, FileDataset]:
    """The DICOM objects of all nights up to one."""
    steps = [step for each in range(1, number + 1) for step in night(people, each, first_night).steps]
    return {each.SOPInstanceUID: each for each in (step.make() for step in steps)}


@pytest.mark.parametrize("number", [1, 2, 3])
def test_expected_objects_are_those_of_the_nights(nights: Nights, number: int) -> None:
    objects = held(nights.people, nights.first_night, number)
    expected = {
        (patient, row.fields["sop_uid"], row.fields["modality"], row.fields["series_uid"])
        for patient, rows in nights.rows(nights.at(number)).items()
        for row in rows["expected_objects"]
    }
    found = {
        (each.PatientID, each.SOPInstanceUID, each.Modality, each.SeriesInstanceUID)
        for each in objects.values()
    }
    assert expected == found


def test_deliveries_are_what_the_treatment_records_say(nights: Nights) -> None:
    records = {
        uid: each
        for uid, each in held(nights.people, nights.first_night, 3).items()
        if each.Modality == "RTRECORD"
    }
    said = [row.fields for rows in nights.rows(nights.at(3)).values() for row in rows["history"]]
    assert {row["record_uid"] for row in said} == set(records)
    assert len({row["history_key"] for row in said}) == len(said)
    for row in said:
        record = records[str(row["record_uid"])]
        (beam,) = [beam for beam in record.TreatmentSessionBeamSequence if beam.BeamName == row["field"]]
        assert row["plan_uid"] == record.ReferencedRTPlanSequence[0].ReferencedSOPInstanceUID
        assert row["fraction"] == str(beam.CurrentFractionNumber)
        assert float(row["delivered_mu"] or 0) == pytest.approx(
            float(beam.DeliveredPrimaryMeterset), abs=0.01
        )
        assert float(row["planned_mu"] or 0) == pytest.approx(float(beam.SpecifiedPrimaryMeterset), abs=0.01)
        assert row["termination"] == beam.TreatmentTerminationStatus
        assert (row["started"] or "")[:10].replace("-", "") == record.TreatmentDate
        assert row["override"] == "no"


def test_one_fraction_is_broken_off_and_only_one(nights: Nights) -> None:
    rows = nights.rows(nights.at(3))
    (partial,) = [
        row.fields
        for each in rows.values()
        for row in each["history"]
        if row.fields["termination"] != "NORMAL"
    ]
    first = nights.people[0]
    assert (partial["patient_id"], partial["fraction"]) == (first.patient_id, str(first.fraction(2)))
    assert float(partial["delivered_mu"] or 0) == pytest.approx(
        0.6 * float(partial["planned_mu"] or 0), abs=0.01
    )


def test_one_patient_finishes_and_one_starts(nights: Nights) -> None:
    finishing, starting = nights.people[-2:]
    first, second, third = (nights.rows(nights.at(number)) for number in (1, 2, 3))

    def last(rows: Mapping[PatientID, dict[str, list[Row]]], patient: Patient) -> str | None:
        history = rows[patient.patient_id]["history"]
        return history[-1].fields["fraction"] if history else None

    planned = finishing.site.fractions
    assert [last(rows, finishing) for rows in (first, second, third)] == [
        str(planned - 1),
        str(planned),
        str(planned),
    ]
    assert [last(rows, starting) for rows in (first, second, third)] == [None, None, "1"]
    assert first[starting.patient_id]["plans"] == []
    assert [row.fields["status"] for row in second[starting.patient_id]["plans"]] == ["TreatApproval"]
    assert second[finishing.patient_id]["schedule"] == []


def test_the_census_has_everybody_under_treatment(nights: Nights) -> None:
    ids = [patient.patient_id for patient in nights.people]
    for number, expected in ((1, ids[:-1]), (2, ids)):
        write(nights.folder, nights.people, nights.first_night, nights.at(number))
        assert census(nights.config, now=nights.at(number)) == expected


def test_the_newest_fraction_is_there_within_the_hour(nights: Nights) -> None:
    before, after = nights.at(2, hour=7), nights.at(2, hour=12)
    write(nights.folder, nights.people, nights.first_night, before)
    assert treated_since(nights.config, nights.at(2, hour=0), before) == {}
    write(nights.folder, nights.people, nights.first_night, after)
    treated = treated_since(nights.config, nights.at(2, hour=0), after)
    assert set(treated) == {patient.patient_id for patient in nights.people if patient.fraction(3)}
    patient = nights.people[1]
    record = fraction_step(nights.people, patient, patient.fraction(3) or 0).make()
    assert treated[patient.patient_id].replace("-", "").startswith(record.TreatmentDate)


def test_documents_appear_move_and_are_saved_again(nights: Nights) -> None:
    first, second = nights.rows(nights.at(1)), None
    before = {path: (nights.folder / DOCUMENTS / path).read_bytes() for path in files(nights, first)}
    second = nights.rows(nights.at(2))
    after = {path: (nights.folder / DOCUMENTS / path).read_bytes() for path in files(nights, second)}
    assert {path.relative_to(nights.folder / DOCUMENTS).as_posix() for path in
            (nights.folder / DOCUMENTS).rglob("*.*")} == set(after)  # fmt: skip
    one, two, three = (nights.people[index].patient_id for index in range(3))
    assert keys(second, one) - keys(first, one) == {"1-weekly-check"}
    moved = set(before) - set(after)
    assert [path.rpartition("/")[2] for path in moved] == ["00003_setup.docx"]
    assert keys(first, three) == keys(second, three)
    changed = [path for path in before.keys() & after.keys() if before[path] != after[path]]
    assert [path.rpartition("/")[2] for path in changed] == ["00002_consent.pdf"]
    assert stamp(first, two, "2-consent") < stamp(second, two, "2-consent")


def files(nights: Nights, rows: Mapping[PatientID, dict[str, list[Row]]]) -> set[str]:
    return {
        (row.fields["file"] or "").replace("\\", "/") for each in rows.values() for row in each["documents"]
    }


def keys(rows: Mapping[PatientID, dict[str, list[Row]]], patient_id: PatientID) -> set[str]:
    return {row.fields["document_key"] or "" for row in rows[patient_id]["documents"]}


def stamp(rows: Mapping[PatientID, dict[str, list[Row]]], patient_id: PatientID, key: str) -> str:
    (found,) = [row for row in rows[patient_id]["documents"] if row.fields["document_key"] == key]
    return found.fields["changed_at"] or ""


def test_the_papers_are_real_files() -> None:
    when = date(2026, 11, 25)
    lines = ["One (1) line \\ and", "für Zürich", "Ωμέγα 😀"]
    assert pdf("Title", lines, when) == pdf("Title", lines, when)
    assert pdf("Title", lines, when) != pdf("Title", lines, when + timedelta(days=1))
    assert pdf("Title", lines, when).startswith(b"%PDF-1.4")
    with ZipFile(BytesIO(docx("Title", lines))) as archive:
        assert archive.testzip() is None
        assert "für Zürich" in archive.read("word/document.xml").decode()
    assert b"\\u937?" in rtf("Title", lines)
    assert b"\\u-10179?" in rtf("Title", lines)


def test_a_pdf_can_be_read() -> None:
    pdfium = pytest.importorskip("pypdfium2")
    document = pdfium.PdfDocument(pdf("Title", ["One (1) line \\ and", "für Zürich"], date(2026, 11, 25)))
    said = document[0].get_textpage().get_text_bounded()
    assert said.split("\r\n") == ["Title", "One (1) line \\ and", "für Zürich"]
