"""The query sets for ARIA and MOSAIQ against stubs of their tables on PostgreSQL: each statement parses, names columns
that are described, keeps its contract, and gives one row where there is one thing.

No test here can prove that a ROIS has these tables, that SQL Server takes the statements, or what they return there.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime
from pathlib import Path

import databases
import pytest
import sqlglot
from rois_schema import ARIA, ARIA_EMR, MOSAIQ, dialect, insert, tables
from sql_kit import configuration

from vault.model import PatientID, Row
from vault.rois.emr_inbox import EmrInbox
from vault.rois.sql.census import census
from vault.rois.sql.contract import CONTRACT
from vault.rois.sql.fetch import fetch, treated_since
from vault.rois.sql.queries import load, shipped

pytestmark = pytest.mark.system

NOW = datetime(2026, 11, 25, 2, 0)
LONG_AGO = datetime(1900, 1, 1)
ONE = PatientID("ID-1")


@pytest.fixture(scope="module")
def server() -> Iterator[databases.Postgres]:
    if missing := databases.missing_postgres():
        pytest.skip(missing)
    with databases.postgres() as running:
        running.run(*dialect())
        yield running


def query_file(folder: Path, name: str, **names: str) -> Path:
    """A shipped set as a site adapts it: with its own names of databases."""
    text = shipped(name)
    for key, value in names.items():
        old = next(line for line in text.splitlines() if line.startswith(f"{key} = "))
        text = text.replace(old, f'{key} = "{value}"', 1)
    path = folder / name
    path.write_text(text, "utf-8")
    return path


def aria_rows(rt: str, emr: str) -> Iterator[str]:
    def row(table: str, **values: object) -> str:
        return insert(emr if table in ARIA_EMR else rt, table, **values)

    for number, identity in ((1, "ID-1"), (2, "ID-2"), (3, "ID-3"), (4, "ID-4"), (9, "$phantom")):
        yield row("Patient", PatientSer=number, PatientId=identity, LastName="Müller", FirstName="Ωμέγα",
                  DateOfBirth="1950-03-01", Sex="Female", HomePhone="044", MobilePhone=None)  # fmt: skip
        yield row("Course", CourseSer=number, PatientSer=number, CourseId="C1")
    for number, status, when in ((1, "TreatApproval", "2026-10-01"), (3, "PlanApproval", "2026-11-20"),
                                 (4, "Unapproved", "2026-11-20")):  # fmt: skip
        yield row("PlanSetup", PlanSetupSer=number, CourseSer=number, PlanSetupId="Prostate", Status=status,
                  StatusDate=when, HstryDateTime=when, HstryUserName="mp", StructureSetSer=number)  # fmt: skip
        yield row("RTPlan", RTPlanSer=number, PlanSetupSer=number, SeriesSer=10 + number, PlanUID=f"1.2.{number}.1",
                  NoFractions=28, PrescribedDose=2.5)  # fmt: skip
        yield row("StructureSet", StructureSetSer=number, StructureSetUID=f"1.2.{number}.2", SeriesSer=20 + number,
                  ImageSer=number)  # fmt: skip
        yield row("Image", ImageSer=number, SeriesSer=30 + number)
        yield row("Series", SeriesSer=30 + number, SeriesUID=f"1.2.{number}.30", SeriesModality="CT")
        for part in (1, 2):
            yield row(
                "Slice",
                SliceSer=number * 10 + part,
                SliceUID=f"1.2.{number}.30.{part}",
                SeriesSer=30 + number,
            )
    for number, patient, when in ((1, "ID-1", "2026-11-24 09:00:00"), (2, "ID-1", "2026-11-24 09:04:00"),
                                  (3, "$phantom", "2026-11-24 09:00:00"),
                                  (4, "ID-4", "2026-09-01 09:00:00")):  # fmt: skip
        yield row("vv_RadiationHstry", RadiationHstrySer=number, TreatmentRecordSer=1, RadiationId=f"{number} ARC",
                  TreatmentStartTime=when, TreatmentEndTime=when, TerminationStatus="NORMAL", FractionNumber=5,
                  OverrideFlag="1" if number == 2 else "0", PatientId=patient, CourseId="C1", PlanSetupId="Prostate",
                  PlanSetupSer=1, RTPlanSer=1, HstryDateTime=when, HstryUserName="rtt")  # fmt: skip
    yield row("TreatmentRecord", TreatmentRecordSer=1, PatientSer=1, SeriesSer=41, RTPlanSer=1, PlanUID="1.2.1.1",
              TreatmentRecordUID="1.2.1.4", ActualMachineSer=1)  # fmt: skip
    yield row("Machine", ResourceSer=1, MachineId="TrueBeam1")
    yield row("Prescription", PrescriptionSer=1, TreatmentPhaseSer=1, PrescriptionName="Prostate", Technique="VMAT",
              NumberOfFractions=28, Status="Approved", HstryDateTime="2026-10-01", HstryUserName="md")  # fmt: skip
    yield row("TreatmentPhase", TreatmentPhaseSer=1, CourseSer=1)
    yield row("PrescriptionAnatomy", PrescriptionAnatomySer=1, PrescriptionSer=1, AnatomyRole="2")
    for item, value in (("TOTAL DOSE", 70), ("DOSE PER FRACTION", 2.5), ("VOLUME", 3)):
        yield row("PrescriptionAnatomyItem", PrescriptionAnatomySer=1, ItemType=item, ItemValue=value)
    for number, patient, status in ((1, 2, "Active"), (2, 4, "Deleted")):
        yield row("ScheduledActivity", ActivityInstanceSer=number, PatientSer=patient, ObjectStatus=status,
                  ScheduledStartTime="2026-11-26 10:00:00", ScheduledActivityCode="Open")  # fmt: skip
        yield row("ActivityInstance", ActivityInstanceSer=number, ActivitySer=1)
    yield row("Activity", ActivitySer=1, ActivityCode="TX")
    yield row("vv_Activity", LookupValue="TX", ListSelector="ACTIVITY", Expression1="Daily Treatment")
    yield row("PointOfContact", PatientSer=1, Relationship="wife", PrimaryFlag="1", LastName="M", FirstName="A",
              HomePhone="1", MobilePhone="2", AddressSer=None)  # fmt: skip
    yield row("pt", pt_id=7, patient_ser=1)
    yield row("note_typ", note_typ=1, note_typ_desc="Consent")
    for number, revised, valid in ((1, "N", "Y"), (2, "Y", "Y"), (3, "N", "N"), (4, "N", "Y")):
        entered = "2016-05-01" if number == 4 else "2026-08-03"
        yield row("visit_note", pt_id=7, pt_visit_id=1, visit_note_id=number, note_typ=1,
                  doc_file_loc=f"a{number}.docx", appr_tstamp="2026-08-03", appr_stkh_id=5,
                  revised_ind=revised, valid_entry_ind=valid, trans_log_tstamp=entered,
                  trans_log_mtstamp="2026-11-03")  # fmt: skip


def fields(rows: list[Row], *names: str) -> list[tuple[str | None, ...]]:
    return [tuple(row.fields[name] for name in names) for row in rows]


@pytest.mark.parametrize(("rt", "emr"), [("varian", "varian"), ("variansystem", "varianenm")])
def test_aria_with_one_database_and_with_two(
    server: databases.Postgres, tmp_path: Path, rt: str, emr: str
) -> None:
    server.run(*tables(rt, ARIA), *tables(emr, ARIA_EMR), *aria_rows(rt, emr))
    config = configuration(
        tmp_path,
        server.connection,
        query_file(tmp_path, "aria.toml", rt=rt, emr=emr),
        password=databases.PASSWORD,
    )
    # ID-1 was treated, ID-2 is scheduled, ID-3 approved and not started; ID-4 was last treated in September
    assert census(config, now=NOW) == ["ID-1", "ID-2", "ID-3"]
    kept = {PatientID("ID-4"): date(2026, 11, 1), PatientID("ID-5"): None}
    assert census(config, now=NOW, held=kept) == ["ID-1", "ID-2", "ID-3", "ID-4"]
    assert treated_since(config, datetime(2026, 11, 24), NOW) == {ONE: "2026-11-24T09:04:00"}

    inbox = EmrInbox(tmp_path / "inbox")
    done = fetch(config, inbox, [ONE, PatientID("ID-2")], since=LONG_AGO, until=NOW)
    assert (done.off, done.failures, inbox.failures(ONE)) == ({}, (), [])
    rows = inbox.rows(ONE)
    assert rows is not None
    assert fields(rows["prescriptions"], "site", "total_dose_gy", "dose_per_fraction_gy", "fractions") == [
        ("Prostate", "70", "2.5", "28")
    ]
    assert fields(rows["plans"], "plan_uid", "status", "fractions_planned") == [
        ("1.2.1.1", "TreatApproval", "28")
    ]
    assert fields(rows["history"], "field", "fraction", "machine", "override", "record_uid") == [
        ("1 ARC", "5", "TrueBeam1", "no", "1.2.1.4"),
        ("2 ARC", "5", "TrueBeam1", "yes", "1.2.1.4"),
    ]
    assert sorted(fields(rows["documents"], "document_key", "file")) == [
        ("7-1-1", "2026Q3\\a1.docx"),
        ("7-1-2", "2026Q4\\a2.docx"),  # revised: moved to the quarter of its revision
        ("7-1-4", "a4.docx"),  # from before the quarters
    ]
    assert sorted(fields(rows["expected_objects"], "modality", "sop_uid")) == [
        ("CT", "1.2.1.30.1"),
        ("CT", "1.2.1.30.2"),
        ("RTPLAN", "1.2.1.1"),
        ("RTRECORD", "1.2.1.4"),
        ("RTSTRUCT", "1.2.1.2"),
    ]
    assert fields(rows["demographics"], "name", "birth_date", "sex", "phone") == [
        ("Müller, Ωμέγα", "1950-03-01", "Female", "044")
    ]
    assert fields(rows["contacts"], "name", "relationship") == [("M, A", "wife")]
    assert fields((inbox.rows("ID-2") or {})["schedule"], "activity", "status") == [
        ("Daily Treatment", "Open")
    ]


def mosaiq_rows(db: str) -> Iterator[str]:
    for number, identity in ((1, "ID-1"), (2, "ID-2"), (3, "ID-3"), (9, "$phantom")):
        yield insert(db, "Ident", Pat_Id1=number, IDA=f"{identity}        ")
        yield insert(
            db, "Patient", Pat_ID1=number, Last_Name="Müller   ", First_Name="A", Birth_DtTm="1950-03-01"
        )
    for number, version, approved in ((1, 0, "2026-10-01"), (1, 1, None), (3, 0, "2026-11-20")):
        yield insert(db, "Site", SIT_ID=number * 10 + version, SIT_SET_ID=number, PCP_ID=1, Pat_ID1=number,
                     Site_Name="Prostate", Technique="VMAT", Dose_Tx=250, Dose_Ttl=7000, Fractions=28,
                     Version=version, Sanct_DtTm=approved, Edit_DtTm="2026-10-01", Edit_Id=4)  # fmt: skip
    yield insert(db, "PatCPlan", PCP_ID=1, Course=1)
    yield insert(db, "Staff", Staff_ID=5, Last_Name="LINAC 1")
    for number in (1, 2):
        yield insert(db, "TxField", FLD_ID=number, SIT_Set_ID=1, Field_Label=f"F{number}", Meterset=100.5, Version=0,
                     OriginalPlanUID="1.2.1.1", Edit_DtTm="2026-10-01")  # fmt: skip
        yield insert(db, "Dose_Hst", DHS_ID=number, Pat_ID1=1, SIT_ID=10, FLD_ID=number, Fractions_Tx=5, Meterset=60.3,
                     Tx_DtTm=f"2026-11-24 09:0{number}:00", Dose_Tx_Act=250, Machine_ID_Staff_ID=5, WasOverridden=0,
                     PartiallyTreated=number - 1, Termination_Status_Enum=1)  # fmt: skip
    yield insert(db, "Schedule", Pat_ID1=2, App_DtTm="2026-11-26 10:00:00", Location=5, Activity="TX",
                 SchStatus_Hist_SD=None, Version=0)  # fmt: skip
    yield insert(db, "Schedule", Pat_ID1=9, App_DtTm="2026-11-26 10:00:00", Location=5, Activity="QA",
                 SchStatus_Hist_SD=None, Version=0)  # fmt: skip
    for number, status, version in ((1, 5, 0), (2, 1, 0), (3, 5, 1)):
        yield insert(db, "Object", OBJ_ID=number, OBJ_SET_ID=number, Pat_ID1=1, DocType=3, Status_Enum=status,
                     Version=version, Create_DtTm="2026-10-01", Edit_DtTm="2026-10-02", Edit_Id=4)  # fmt: skip
        yield insert(db, "ObjFilenames", OBJ_ID=number, eSCANFilename=f"{number}.pdf", PageNumber=1)
    yield insert(db, "DCMStudy", DCMStudy_ID=1, Pat_ID1=1)
    yield insert(db, "DCMSeries", DCMSeries_ID=1, DCMStudy_ID=1, Modality="RTPLAN", SeriesInstanceUID="1.2.1")
    yield insert(db, "DCMInstance", DCMSeries_ID=1, SOPInstanceUID="1.2.1.1")


def test_mosaiq(server: databases.Postgres, tmp_path: Path) -> None:
    server.run(*tables("mosaiq", MOSAIQ), *mosaiq_rows("mosaiq"))
    config = configuration(
        tmp_path,
        server.connection,
        query_file(tmp_path, "mosaiq.toml", db="mosaiq"),
        password=databases.PASSWORD,
    )
    assert census(config, now=NOW) == ["ID-1", "ID-2", "ID-3"]
    assert treated_since(config, datetime(2026, 11, 24), NOW) == {ONE: "2026-11-24T09:02:00"}
    inbox = EmrInbox(tmp_path / "inbox")
    # PostgreSQL compares varchar with its blanks, SQL Server without: here the number is asked for as it stands there
    server.run("UPDATE mosaiq.Ident SET IDA = TRIM(IDA)")
    done = fetch(config, inbox, [ONE], since=LONG_AGO, until=NOW)
    assert set(done.off) == {"contacts"}
    assert (done.failures, inbox.failures(ONE)) == ((), [])
    rows = inbox.rows(ONE)
    assert rows is not None
    assert fields(rows["prescriptions"], "site", "total_dose_gy", "dose_per_fraction_gy", "status") == [
        ("Prostate", "70", "2.5", "approved")
    ]
    assert fields(rows["plans"], "plan_key", "plan_uid", "fractions_planned") == [
        ("1-1.2.1.1", "1.2.1.1", "28")
    ]
    assert fields(
        rows["history"], "field", "planned_mu", "delivered_mu", "termination", "override", "machine"
    ) == [
        ("F1", "100.5", "60.3", "1", "no", "LINAC 1"),
        ("F2", "100.5", "60.3", "PARTIAL", "no", "LINAC 1"),
    ]
    assert fields(rows["documents"], "document_key", "file") == [("1-1", "1.pdf")]
    assert fields(rows["expected_objects"], "modality", "sop_uid") == [("RTPLAN", "1.2.1.1")]
    assert fields(rows["demographics"], "name", "birth_date") == [("Müller   , A", "1950-03-01")]


@pytest.mark.parametrize("name", ["aria.toml", "mosaiq.toml", "demo.toml"])
def test_every_statement_that_ships_says_what_it_assumes(name: str, tmp_path: Path) -> None:
    path = query_file(tmp_path, name)
    assert set(load(path).statements) <= set(CONTRACT)
    for statement in load(
        path
    ).statements.values():  # a parser's opinion of the dialect, for want of a server
        assert sqlglot.parse_one(statement.text, read="tsql").find(sqlglot.exp.Select)
    if name != "demo.toml":
        assert path.read_text("utf-8").count("# Assumes") >= 8
