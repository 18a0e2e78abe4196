"""The planning CT: one slice at a time, so that a large series needs no memory."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import FileDataset
from pydicom.uid import CTImageStorage

from vault.department.anatomy import Floats
from vault.department.modules import day, decimal, decimals, frame_of_reference, new_object
from vault.department.patients import Patient

_AIR = -1000
_INTERCEPT = -1024


def slice_uid(patient: Patient, index: int) -> str:
    """SOP Instance UID of the slice `index` (0-based)."""
    return patient.uid("ct", index)


def ct_slice(patient: Patient, index: int) -> FileDataset:
    """Return one CT slice (PS3.3 A.3) of the phantom."""
    scale = patient.scale
    dataset = new_object(
        patient,
        sop_class_uid=CTImageStorage,
        sop_uid=slice_uid(patient, index),
        modality="CT",
        series="Planning CT",
        when=patient.planned_on,
        time="083000",
    )
    frame_of_reference(patient, dataset)
    dataset.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
    dataset.AcquisitionDate = dataset.ContentDate = day(patient.planned_on)
    dataset.AcquisitionTime = dataset.ContentTime = "083000"
    dataset.BodyPartExamined = patient.site.body_part
    if patient.site.laterality:
        dataset.Laterality = patient.site.laterality
    dataset.PatientPosition = "HFS"
    dataset.SliceThickness = decimal(scale.thickness)
    dataset.KVP = "120"
    dataset.DataCollectionDiameter = "500"
    dataset.ReconstructionDiameter = decimal(scale.field_of_view)
    dataset.GantryDetectorTilt = "0"
    dataset.TableHeight = "150"
    dataset.RotationDirection = "CW"
    dataset.ExposureTime = "800"
    dataset.XRayTubeCurrent = "220"
    dataset.ConvolutionKernel = "STANDARD"
    dataset.SeriesNumber = "1"
    dataset.AcquisitionNumber = "1"
    dataset.InstanceNumber = str(index + 1)
    corner = -scale.field_of_view / 2 + scale.pixel / 2
    dataset.ImagePositionPatient = decimals((corner, corner, scale.z(index)))
    dataset.ImageOrientationPatient = ["1", "0", "0", "0", "1", "0"]
    dataset.SliceLocation = decimal(scale.z(index))
    dataset.SamplesPerPixel = 1
    dataset.PhotometricInterpretation = "MONOCHROME2"
    dataset.Rows = dataset.Columns = scale.matrix
    dataset.PixelSpacing = decimals((scale.pixel, scale.pixel))
    dataset.BitsAllocated = 16
    dataset.BitsStored = 12
    dataset.HighBit = 11
    dataset.PixelRepresentation = 0
    dataset.WindowCenter = "40"
    dataset.WindowWidth = "400"
    dataset.RescaleIntercept = str(_INTERCEPT)
    dataset.RescaleSlope = "1"
    dataset.RescaleType = "HU"
    dataset.PixelData = (_hounsfield(patient, index) - _INTERCEPT).astype("<u2").tobytes()
    return dataset


def _hounsfield(patient: Patient, index: int) -> NDArray[np.int32]:
    """The slice in Hounsfield units: the organs painted one over the other, and noise."""
    scale = patient.scale
    axis: Floats = (np.arange(scale.matrix, dtype=np.float64) + 0.5) * scale.pixel - scale.field_of_view / 2
    x, y = axis[np.newaxis, :], axis[:, np.newaxis]
    image = np.full((scale.matrix, scale.matrix), _AIR, dtype=np.int32)
    body, ptv, *risks = patient.site.organs
    for organ in (body, *reversed(risks), ptv):
        image[organ.inside(x, y, scale.z(index))] = organ.hounsfield
    noise = np.random.default_rng(patient.number_of("ct", index)).normal(0.0, 8.0, image.shape)
    return np.asarray(np.clip(image + np.rint(noise).astype(np.int32), _INTERCEPT, 3071))
