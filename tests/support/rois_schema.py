"""Stubs of the tables that the shipped query sets ask, from published descriptions: names, and types by their look.

They prove that a statement parses, that its tables and columns are the described ones, and that its joins give one row
where there should be one. They do not prove that a ROIS has them.
"""

from __future__ import annotations

from collections.abc import Iterator

NUMBERS = """
    NoFractions PrescribedDose NumberOfFractions FractionNumber Dose_Tx Dose_Ttl Fractions Meterset Fractions_Tx
    Dose_Tx_Act Dose_Ttl_Act ItemValue
"""
FLAGS = ("WasOverridden", "PartiallyTreated")

ARIA = {
    "Patient": "PatientSer PatientId LastName FirstName DateOfBirth Sex HomePhone MobilePhone WorkPhone",
    "Address": "AddressSer AddressLine1 CityOrTownship PostalCode EMailAddress",
    "PointOfContact": "PatientSer Relationship PrimaryFlag LastName FirstName HomePhone MobilePhone AddressSer",
    "Course": "CourseSer PatientSer CourseId ClinicalStatus",
    "PlanSetup": "PlanSetupSer CourseSer PlanSetupId Status StatusDateTime StatusDate HstryDateTime HstryUserName "
    "StructureSetSer",
    "RTPlan": "RTPlanSer PlanSetupSer SeriesSer PlanUID NoFractions PrescribedDose",
    "StructureSet": "StructureSetSer StructureSetId StructureSetUID SeriesSer ImageSer",
    "Image": "ImageSer ImageId SeriesSer",
    "Slice": "SliceSer SliceUID SeriesSer",
    "Series": "SeriesSer SeriesUID SeriesModality StudySer",
    "vv_RadiationHstry": "RadiationHstrySer TreatmentRecordSer RadiationId TreatmentStartTime TreatmentEndTime "
    "TerminationStatus FractionNumber OverrideFlag PatientId CourseId PlanSetupId PlanSetupSer RTPlanSer HstryDateTime "
    "HstryUserName",
    "TreatmentRecord": "TreatmentRecordSer PatientSer SeriesSer RTPlanSer PlanUID TreatmentRecordUID ActualMachineSer",
    "Machine": "ResourceSer MachineId",
    "Prescription": "PrescriptionSer TreatmentPhaseSer PrescriptionName Technique NumberOfFractions Status "
    "HstryDateTime HstryUserName",
    "TreatmentPhase": "TreatmentPhaseSer CourseSer",
    "PrescriptionAnatomy": "PrescriptionAnatomySer PrescriptionSer AnatomyRole",
    "PrescriptionAnatomyItem": "PrescriptionAnatomySer ItemType ItemValue",
    "ScheduledActivity": "ActivityInstanceSer PatientSer ScheduledStartTime ScheduledActivityCode ObjectStatus",
    "ActivityInstance": "ActivityInstanceSer ActivitySer",
    "Activity": "ActivitySer ActivityCode",
    "vv_Activity": "LookupValue ListSelector Expression1",
}
ARIA_EMR = {
    "pt": "pt_id patient_ser",
    "visit_note": "pt_id pt_visit_id visit_note_id note_typ doc_file_loc template_name appr_tstamp appr_stkh_id "
    "revised_ind valid_entry_ind trans_log_tstamp trans_log_mtstamp",
    "note_typ": "note_typ note_typ_desc",
}
MOSAIQ = {
    "Ident": "Pat_Id1 IDA",
    "Patient": "Pat_ID1 Last_Name First_Name Birth_DtTm",
    "Admin": "Pat_ID1 Gender Pat_Home_Phone Pat_Cell_Phone",
    "Staff": "Staff_ID Last_Name",
    "Site": "SIT_ID SIT_SET_ID PCP_ID Pat_ID1 Site_Name Technique Dose_Tx Dose_Ttl Fractions Version Sanct_DtTm "
    "Edit_DtTm Edit_Id",
    "PatCPlan": "PCP_ID Course",
    "TxField": "FLD_ID SIT_Set_ID Field_Label Meterset OriginalPlanUID Version Edit_DtTm",
    "Dose_Hst": "DHS_ID Pat_ID1 SIT_ID FLD_ID Tx_DtTm Fractions_Tx Dose_Tx_Act Meterset Machine_ID_Staff_ID "
    "WasOverridden PartiallyTreated Termination_Status_Enum",
    "Schedule": "Pat_ID1 App_DtTm Location Activity SchStatus_Hist_SD Version",
    "Object": "OBJ_ID OBJ_SET_ID Pat_ID1 DocType Status_Enum Version Create_DtTm Edit_DtTm Edit_Id Sanct_DtTm Sanct_Id",
    "ObjFilenames": "OBJ_ID eSCANFilename PageNumber",
    "DCMInstance": "DCMSeries_ID SOPInstanceUID",
    "DCMSeries": "DCMSeries_ID DCMStudy_ID Modality SeriesInstanceUID",
    "DCMStudy": "DCMStudy_ID Pat_ID1",
}
"""Table to columns."""


def tables(schema: str, stub: dict[str, str]) -> Iterator[str]:
    """Statements that make the schema's tables, in PostgreSQL's words."""
    yield f"CREATE SCHEMA IF NOT EXISTS {schema}"
    for table, columns in stub.items():
        yield f"CREATE TABLE {schema}.{table} ({', '.join(f'{name} {kind(name)}' for name in columns.split())})"


def dialect() -> Iterator[str]:
    """What SQL Server has and PostgreSQL lacks of the words that the query sets use."""
    for name in ("YEAR", "MONTH"):
        yield (
            f"CREATE FUNCTION public.{name}(timestamp) RETURNS integer LANGUAGE sql IMMUTABLE "
            f"AS 'SELECT CAST(EXTRACT({name} FROM $1) AS integer)'"
        )


def kind(name: str) -> str:
    """A type for a column, by its name."""
    if name in NUMBERS.split():
        return "decimal(12,3)"
    if name in FLAGS or name in (
        "Version",
        "Status_Enum",
        "Termination_Status_Enum",
        "PageNumber",
        "DocType",
    ):
        return "integer"
    if name.endswith(
        ("Ser", "_ID", "_id", "_ID1", "_Id1", "_ser", "Location", "Sanct_Id", "Edit_Id", "appr_stkh_id")
    ):
        return "bigint"
    if name.endswith(("DateTime", "Date", "DtTm", "Time", "stamp", "DateOfBirth")):
        return "timestamp"
    return "char(16)" if name in ("Sex", "Status") else "varchar(80)"


def insert(schema: str, table: str, **values: object) -> str:
    """A statement that adds one row."""
    shown = ["NULL" if value is None else str(value) if isinstance(value, int | float) else f"'{value}'"
             for value in values.values()]  # fmt: skip
    return f"INSERT INTO {schema}.{table} ({', '.join(values)}) VALUES ({', '.join(shown)})"
