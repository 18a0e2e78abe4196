"""The planned dose: a smooth distribution around the target on its own grid (PS3.3 A.18)."""

from __future__ import annotations

from datetime import date

import numpy as np
from pydicom.dataset import FileDataset
from pydicom.uid import RTDoseStorage, RTPlanStorage

from vault.department.anatomy import Floats
from vault.department.beams import PlanModel
from vault.department.modules import decimal, decimals, frame_of_reference, items, new_object, reference
from vault.department.plan import planned_on

_MARGIN = 20.0
"""How far the grid reaches beyond the target, in mm."""

_MAXIMUM = 1.05
"""Dose in the middle of the target against the prescription."""


def dose_object(plan: PlanModel, revised_on: date | None = None) -> FileDataset:
    """Return the dose of a plan in Gy, summed over all fractions."""
    patient, pitch = plan.patient, plan.patient.scale.dose_pitch
    dataset = new_object(
        patient,
        sop_class_uid=RTDoseStorage,
        sop_uid=patient.uid("dose", plan.revision),
        modality="RTDOSE",
        series="Doses",
        when=planned_on(plan, revised_on),
        time="161000",
    )
    frame_of_reference(patient, dataset)
    x, y, z = (_axis(plan, axis) for axis in range(3))
    dose = _dose(plan, x, y, z)
    scaling = float(f"{dose.max() / 65535:.8e}")
    dataset.SeriesNumber = "4"
    dataset.InstanceNumber = str(plan.revision + 1)
    dataset.ImagePositionPatient = decimals((x[0], y[0], z[0]))
    dataset.ImageOrientationPatient = ["1", "0", "0", "0", "1", "0"]
    dataset.SliceThickness = decimal(pitch)
    dataset.SamplesPerPixel = 1
    dataset.PhotometricInterpretation = "MONOCHROME2"
    dataset.NumberOfFrames = str(len(z))
    dataset.FrameIncrementPointer = 0x3004000C  # Grid Frame Offset Vector
    dataset.Rows = len(y)
    dataset.Columns = len(x)
    dataset.PixelSpacing = decimals((pitch, pitch))
    dataset.BitsAllocated = dataset.BitsStored = 16
    dataset.HighBit = 15
    dataset.PixelRepresentation = 0
    dataset.DoseUnits = "GY"
    dataset.DoseType = "PHYSICAL"
    dataset.DoseSummationType = "PLAN"
    dataset.GridFrameOffsetVector = decimals(z - z[0])
    dataset.DoseGridScaling = f"{scaling:.8e}"
    dataset.TissueHeterogeneityCorrection = "IMAGE"
    dataset.ReferencedRTPlanSequence = items(reference(RTPlanStorage, plan.uid))
    dataset.PixelData = np.minimum(np.rint(dose / scaling), 65535).astype("<u2").tobytes()
    return dataset


def _axis(plan: PlanModel, axis: int) -> Floats:
    """The grid's points along an axis: the target and a margin."""
    ptv, pitch = plan.patient.site.ptv, plan.patient.scale.dose_pitch
    half = np.ceil((ptv.radii[axis] + _MARGIN) / pitch) * pitch
    return np.asarray(ptv.centre[axis] + np.arange(-half, half + pitch / 2, pitch))


def _dose(plan: PlanModel, x: Floats, y: Floats, z: Floats) -> Floats:
    """Dose in Gy by z, y, x: near the prescription in the target, falling off outside as a Gaussian.

    It follows the monitor units, so that the dose of a revised plan differs as its beams do.
    """
    site = plan.patient.site
    distance = np.sqrt(
        ((x[None, None, :] - site.ptv.centre[0]) / site.ptv.radii[0]) ** 2
        + ((y[None, :, None] - site.ptv.centre[1]) / site.ptv.radii[1]) ** 2
        + ((z[:, None, None] - site.ptv.centre[2]) / site.ptv.radii[2]) ** 2
    )
    inside = _MAXIMUM - 0.05 * distance**2
    outside = np.exp(-((np.maximum(distance, 1.0) - 1.0) ** 2) / 0.5)
    meterset = sum(beam.meterset for beam in plan.beams) / sum(site.meterset)
    total = site.dose_per_fraction * site.fractions * meterset
    return np.asarray(total * np.where(distance <= 1.0, inside, outside))
