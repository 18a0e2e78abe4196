from __future__ import annotations

import io
from datetime import UTC, datetime

import pydicom
from hypothesis import given
from hypothesis import strategies as st
from treatments import SOP_CLASSES

from vault.emergency import dicomdir
from vault.emergency.attributes import KEYWORDS
from vault.emergency.manifest import ExportedFile, ExportedPatient, Manifest


def object_file(modality: str = "CT", uid: str = "1.2.3.4", **attributes: str) -> ExportedFile:
    values = {
        "SOPClassUID": SOP_CLASSES[modality],
        "SOPInstanceUID": uid,
        "TransferSyntaxUID": "1.2.840.10008.1.2",
        "Modality": modality,
        "StudyInstanceUID": "1.2.3",
        "SeriesInstanceUID": f"1.2.3.{len(modality)}",
        **attributes,
    }
    values = {keyword: value for keyword, value in values.items() if value}
    return ExportedFile(f"p/{uid}.dcm", f"dicom/{modality}/1/{uid}.dcm", "00", 1, attributes=values)


def manifest_of(*files: ExportedFile, name: str = "Müller^Anna") -> Manifest:
    patient = ExportedPatient("4711", name, "p", files=list(files))
    return Manifest(datetime(2026, 11, 24, tzinfo=UTC), patients=[patient])


def records(data: bytes) -> list[pydicom.Dataset]:
    return list(pydicom.dcmread(io.BytesIO(data)).DirectoryRecordSequence)


def test_every_kind_of_radiotherapy_gets_its_record() -> None:
    kinds = [kind for kind in SOP_CLASSES if kind != "PRIVATE"]
    manifest = manifest_of(*(object_file(kind, f"1.2.3.{number}") for number, kind in enumerate(kinds)))
    found = {record.DirectoryRecordType for record in records(dicomdir.index(manifest))}
    assert found == {
        "PATIENT", "STUDY", "SERIES", "IMAGE", "REGISTRATION",
        "RT STRUCTURE SET", "RT PLAN", "RT DOSE", "RT TREAT RECORD",
    }  # fmt: skip
    assert all(file.file_id for file in manifest.patients[0].files)


def test_file_ids_are_what_media_allow() -> None:
    manifest = manifest_of(*(object_file(uid=f"1.2.{number}") for number in range(3)))
    dicomdir.index(manifest)
    ids = [file.file_id or "" for file in manifest.patients[0].files]
    assert len(set(ids)) == 3
    for file_id in ids:
        assert len(file_id.split("/")) <= 8
        assert all(len(part) <= 8 and part.isalnum() and part == part.upper() for part in file_id.split("/"))


def test_offsets_lead_from_record_to_record() -> None:
    manifest = manifest_of(object_file(uid="1.2.1"), object_file(uid="1.2.2"), object_file("RTPLAN", "1.2.5"))
    data = dicomdir.index(manifest)
    sequence = pydicom.dcmread(io.BytesIO(data))
    at = {record.seq_item_tell: record for record in sequence.DirectoryRecordSequence}
    patient = at[sequence.OffsetOfTheFirstDirectoryRecordOfTheRootDirectoryEntity]
    study = at[patient.OffsetOfReferencedLowerLevelDirectoryEntity]
    series = at[study.OffsetOfReferencedLowerLevelDirectoryEntity]
    other = at[series.OffsetOfTheNextDirectoryRecord]
    first = at[series.OffsetOfReferencedLowerLevelDirectoryEntity]
    second = at[first.OffsetOfTheNextDirectoryRecord]
    assert (first.ReferencedSOPInstanceUIDInFile, second.ReferencedSOPInstanceUIDInFile) == ("1.2.1", "1.2.2")
    assert second.OffsetOfTheNextDirectoryRecord == 0
    assert other.OffsetOfTheNextDirectoryRecord == 0
    assert at[other.OffsetOfReferencedLowerLevelDirectoryEntity].DirectoryRecordType == "RT PLAN"


def test_missing_values_are_made_up_and_names_kept() -> None:
    patient, study, series, leaf = records(dicomdir.index(manifest_of(object_file("RTPLAN"))))
    assert str(patient.PatientName) == "Müller^Anna"
    assert (study.StudyID, study.StudyDate) == ("1", "19000101")
    assert series.SeriesNumber == 1
    assert leaf.RTPlanLabel == "UNNAMED"


def test_what_it_cannot_hold_is_left_out_with_the_reason() -> None:
    files = [
        object_file("PRIVATE"),
        object_file(SOPInstanceUID=""),
        object_file(StudyInstanceUID=""),
        object_file(InstanceNumber="seven"),
        object_file(uid="1.2.99"),
    ]
    assert len(records(dicomdir.index(manifest_of(*files)))) >= 4
    assert [bool(file.left_out) for file in files] == [True, True, True, True, False]
    assert "seven" not in str(files[3].left_out)


def test_no_branch_leads_to_nothing() -> None:
    assert records(dicomdir.index(manifest_of(object_file(InstanceNumber="seven")))) == []


def test_a_value_too_long_or_against_the_rules_is_no_obstacle() -> None:
    manifest = manifest_of(
        object_file(StudyDescription="d" * 5000, SeriesNumber="1", StudyDate="yesterday", StudyID="ä" * 70)
    )
    study = records(dicomdir.index(manifest))[1]
    assert len(study.StudyDescription) == 64


def test_the_same_content_is_the_same_file() -> None:
    assert dicomdir.index(manifest_of(object_file())) == dicomdir.index(manifest_of(object_file()))


def test_an_export_without_objects_has_an_empty_one() -> None:
    assert records(dicomdir.index(manifest_of())) == []


HOSTILE = st.text(st.characters(codec=None, exclude_categories=[]), max_size=300)


@given(st.dictionaries(st.sampled_from(sorted(KEYWORDS)), HOSTILE), st.sampled_from(sorted(SOP_CLASSES)))
def test_no_value_breaks_it(values: dict[str, str], modality: str) -> None:
    plain = object_file("RTPLAN", "1.2.88")
    hostile = object_file(modality, **{**values, "SOPClassUID": SOP_CLASSES[modality]})
    manifest = manifest_of(hostile, plain, name=values.get("PatientName", ""))
    listed = [record for record in records(dicomdir.index(manifest)) if "ReferencedFileID" in record]
    assert len(listed) == sum(bool(file.file_id) for file in manifest.patients[0].files)
    assert bool(hostile.file_id) != bool(hostile.left_out)
