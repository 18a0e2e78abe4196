"""The modules that all objects share (PS3.3 C.7): patient, study, series, equipment, and the file around them."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date
from functools import lru_cache
from io import BytesIO

from pydicom.datadict import tag_for_keyword
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.multival import MultiValue
from pydicom.sequence import Sequence
from pydicom.uid import UID, ExplicitVRLittleEndian
from pydicom.valuerep import DSfloat

from vault.department.patients import Patient

MACHINE = "SIMBEAM_1"
"""The treatment machine of the simulated department."""

INSTITUTION = "Simulated Department"
MANUFACTURER = "Simulated Systems"
_IMPLEMENTATION = "2.25.211236985164028384730513790384905873310"


def day(value: date) -> str:
    """A DICOM date (DA)."""
    return value.strftime("%Y%m%d")


def decimal(value: float) -> str:
    """A decimal string (DS) of at most two decimals, without a needless zero or sign."""
    text = f"{value:.2f}".rstrip("0").rstrip(".")
    return "0" if text == "-0" else text


class Decimals(MultiValue[DSfloat]):
    """A multi-valued DS whose values are known to be good: `item` takes it as it is."""


def decimals(values: Iterable[float]) -> Decimals:
    """Decimal strings for a multi-valued DS."""
    return Decimals(_same, map(_number, values))


def _same(value: DSfloat) -> DSfloat:
    return value


@lru_cache(maxsize=1 << 16)
def _number(value: float) -> DSfloat:
    """Leaves and contours repeat the same few thousand numbers, which pydicom is slow to check."""
    return DSfloat(decimal(value))


def items(*datasets: Dataset) -> Sequence:
    """A sequence of these items."""
    return Sequence(datasets)


def item(**elements: object) -> Dataset:
    """A sequence item with these elements, by keyword."""
    dataset = Dataset()
    for keyword, value in elements.items():
        if isinstance(value, Decimals):
            dataset.add(DataElement(tag_for_keyword(keyword) or 0, "DS", value, already_converted=True))
        else:
            setattr(dataset, keyword, value)
    return dataset


def reference(sop_class_uid: str, sop_uid: str, **more: object) -> Dataset:
    """An item of a SOP instance reference macro (PS3.3 table 10-11)."""
    return item(ReferencedSOPClassUID=sop_class_uid, ReferencedSOPInstanceUID=sop_uid, **more)


def new_object(
    patient: Patient,
    *,
    sop_class_uid: str,
    sop_uid: str,
    modality: str,
    series: str,
    when: date,
    time: str,
) -> FileDataset:
    """Return an object with everything that it shares with the others of its patient.

    `series` is a word that the series UID follows from; `when` and `time` date the series and the instance.
    """
    dataset = FileDataset(BytesIO(), {}, file_meta=_file_meta(sop_class_uid, sop_uid), preamble=bytes(128))
    dataset.SpecificCharacterSet = patient.charset
    dataset.InstanceCreationDate = day(when)
    dataset.InstanceCreationTime = time
    dataset.SOPClassUID = sop_class_uid
    dataset.SOPInstanceUID = sop_uid
    dataset.StudyDate = day(patient.planned_on)
    dataset.StudyTime = "081500"
    dataset.SeriesDate = day(when)
    dataset.SeriesTime = time
    dataset.AccessionNumber = ""
    dataset.Modality = modality
    dataset.Manufacturer = MANUFACTURER
    dataset.InstitutionName = INSTITUTION
    dataset.ReferringPhysicianName = ""
    dataset.StationName = "SIM01"
    dataset.StudyDescription = f"Radiotherapy {patient.site.name}"
    dataset.SeriesDescription = series.split("/", maxsplit=1)[0]
    dataset.OperatorsName = "Demo^Therapist"
    dataset.ManufacturerModelName = "Simulator"
    dataset.PatientName = patient.name
    dataset.PatientID = patient.patient_id
    dataset.PatientBirthDate = day(patient.birth_date)
    dataset.PatientSex = patient.sex
    dataset.DeviceSerialNumber = "0001"
    dataset.SoftwareVersions = "1.0"
    dataset.StudyInstanceUID = patient.uid("study")
    dataset.SeriesInstanceUID = patient.uid("series", series)
    dataset.StudyID = f"{patient.number}"
    return dataset


def frame_of_reference(patient: Patient, dataset: Dataset) -> None:
    """Add the frame of reference module (PS3.3 C.7.4.1), one for all of a patient."""
    dataset.FrameOfReferenceUID = patient.uid("frame of reference")
    dataset.PositionReferenceIndicator = ""


def approve(dataset: Dataset, when: date, time: str) -> None:
    """Add the approval module (PS3.3 C.8.8.16)."""
    dataset.ApprovalStatus = "APPROVED"
    dataset.ReviewDate = day(when)
    dataset.ReviewTime = time
    dataset.ReviewerName = "Demo^Physician"


def part10(dataset: FileDataset) -> bytes:
    """The object as a Part 10 file, the same bytes for the same object."""
    buffer = BytesIO()
    dataset.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


def _file_meta(sop_class_uid: str, sop_uid: str) -> FileMetaDataset:
    meta = FileMetaDataset()
    meta.FileMetaInformationVersion = b"\x00\x01"
    meta.MediaStorageSOPClassUID = UID(sop_class_uid)
    meta.MediaStorageSOPInstanceUID = UID(sop_uid)
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.ImplementationClassUID = UID(_IMPLEMENTATION)
    meta.ImplementationVersionName = "SIMDEPT_1"
    return meta
