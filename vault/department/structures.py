"""The structure set: closed planar contours of every organ on the slices of the planning CT (PS3.3 A.19)."""

from __future__ import annotations

from datetime import timedelta

import numpy as np
from pydicom.dataset import Dataset, FileDataset
from pydicom.uid import CTImageStorage, RTStructureSetStorage

from vault.department.anatomy import Organ
from vault.department.ct import slice_uid
from vault.department.modules import (
    approve,
    day,
    decimals,
    frame_of_reference,
    item,
    items,
    new_object,
    reference,
)
from vault.department.patients import Patient

_POINTS = 48
"""Corners of a contour."""


def structure_set_uid(patient: Patient) -> str:
    """SOP Instance UID of the patient's structure set."""
    return patient.uid("structure set")


def structure_set(patient: Patient) -> FileDataset:
    """Return the structure set with BODY, PTV and the organs at risk."""
    drawn = patient.planned_on + timedelta(days=2)
    dataset = new_object(
        patient,
        sop_class_uid=RTStructureSetStorage,
        sop_uid=structure_set_uid(patient),
        modality="RTSTRUCT",
        series="Structures",
        when=drawn,
        time="141500",
    )
    frame_of_reference(patient, dataset)
    dataset.SeriesNumber = "2"
    dataset.InstanceNumber = "1"
    dataset.StructureSetLabel = "CT_1"
    dataset.StructureSetName = "CT_1"
    dataset.StructureSetDate = day(drawn)
    dataset.StructureSetTime = "141500"
    dataset.ReferencedFrameOfReferenceSequence = items(_images(patient))
    organs = list(enumerate(patient.site.organs, start=1))
    dataset.StructureSetROISequence = items(*(_roi(patient, number, organ) for number, organ in organs))
    dataset.ROIContourSequence = items(*(_contours(patient, number, organ) for number, organ in organs))
    dataset.RTROIObservationsSequence = items(
        *(
            item(
                ObservationNumber=str(number),
                ReferencedROINumber=str(number),
                RTROIInterpretedType=organ.interpreted_type,
                ROIInterpreter="",
            )
            for number, organ in organs
        )
    )
    approve(dataset, drawn + timedelta(days=1), "101500")
    return dataset


def _images(patient: Patient) -> Dataset:
    """The referenced study, series and slices."""
    slices = [reference(CTImageStorage, slice_uid(patient, index)) for index in range(patient.scale.slices)]
    series = item(SeriesInstanceUID=patient.uid("series", "Planning CT"), ContourImageSequence=items(*slices))
    study = reference(
        "1.2.840.10008.3.1.2.3.1",  # Detached Study Management, retired but what PS3.3 C.8.8.5 still wants here
        patient.uid("study"),
        RTReferencedSeriesSequence=items(series),
    )
    return item(FrameOfReferenceUID=patient.uid("frame of reference"), RTReferencedStudySequence=items(study))


def _roi(patient: Patient, number: int, organ: Organ) -> Dataset:
    return item(
        ROINumber=str(number),
        ReferencedFrameOfReferenceUID=patient.uid("frame of reference"),
        ROIName=organ.name,
        ROIGenerationAlgorithm="MANUAL",
    )


def _contours(patient: Patient, number: int, organ: Organ) -> Dataset:
    contours = [
        _contour(patient, organ, index)
        for index in range(patient.scale.slices)
        if organ.scale(patient.scale.z(index)) > 0.05  # a contour of a few mm² is noise to everybody
    ]
    return item(
        ROIDisplayColor=[str(part) for part in organ.colour],
        ReferencedROINumber=str(number),
        ContourSequence=items(*contours),
    )


def _contour(patient: Patient, organ: Organ, index: int) -> Dataset:
    z = patient.scale.z(index)
    angles = np.linspace(0.0, 2 * np.pi, _POINTS, endpoint=False)
    points = np.empty((_POINTS, 3))
    points[:, 0] = organ.centre[0] + organ.radii[0] * organ.scale(z) * np.cos(angles)
    points[:, 1] = organ.centre[1] + organ.radii[1] * organ.scale(z) * np.sin(angles)
    points[:, 2] = z
    return item(
        ContourImageSequence=items(reference(CTImageStorage, slice_uid(patient, index))),
        ContourGeometricType="CLOSED_PLANAR",
        NumberOfContourPoints=str(_POINTS),
        ContourData=decimals(points.ravel()),
    )
