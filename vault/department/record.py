"""Treatment records: what the machine says it delivered, one object for a fraction (PS3.3 A.29)."""

from __future__ import annotations

from datetime import date, timedelta

import numpy as np
from pydicom.dataset import Dataset, FileDataset
from pydicom.uid import RTBeamsTreatmentRecordStorage, RTPlanStorage

from vault.department.beams import Beam, PlanModel
from vault.department.modules import (
    INSTITUTION,
    MACHINE,
    MANUFACTURER,
    day,
    decimal,
    decimals,
    item,
    items,
    new_object,
    reference,
)
from vault.department.plan import DOSE_RATE, SOURCE_AXIS_DISTANCE, jaws


def fraction_day(plan: PlanModel, fraction: int) -> date:
    """The day on which a fraction (counted from 1) was given: one a day."""
    return plan.patient.first_fraction + timedelta(days=fraction - 1)


def record_object(plan: PlanModel, fraction: int) -> FileDataset:
    """Return the RT Beams Treatment Record of a fraction, all beams delivered in full as `plan` says."""
    patient = plan.patient
    when = fraction_day(plan, fraction)
    minutes = 8 * 60 + patient.number * 15 + fraction * 7 % 11
    time = f"{minutes // 60:02d}{minutes % 60:02d}00"
    dataset = new_object(
        patient,
        sop_class_uid=RTBeamsTreatmentRecordStorage,
        sop_uid=patient.uid("record", fraction),
        modality="RTRECORD",
        series="Treatment records",
        when=when,
        time=time,
    )
    # one series holds the records of many days, so it has no date of its own
    dataset.SeriesDate = dataset.SeriesTime = ""
    dataset.SeriesNumber = "5"
    dataset.InstanceNumber = str(fraction)
    dataset.TreatmentDate = day(when)
    dataset.TreatmentTime = time
    dataset.ReferencedRTPlanSequence = items(reference(RTPlanStorage, plan.uid))
    dataset.PrimaryDosimeterUnit = "MU"
    dataset.TreatmentMachineSequence = items(
        item(
            TreatmentMachineName=MACHINE,
            Manufacturer=MANUFACTURER,
            InstitutionName=INSTITUTION,
            ManufacturerModelName="SimBeam",
            DeviceSerialNumber="0001",
        )
    )
    dataset.ReferencedFractionGroupNumber = "1"
    dataset.NumberOfFractionsPlanned = str(patient.site.fractions)
    dataset.TreatmentSessionBeamSequence = items(
        *(_session_beam(plan, beam, fraction, when, time) for beam in plan.beams)
    )
    return dataset


def _session_beam(plan: PlanModel, beam: Beam, fraction: int, when: date, time: str) -> Dataset:
    count = len(beam.gantry)
    points = [_delivery(plan, beam, index, when, time) for index in range(count)]
    return item(
        CurrentFractionNumber=str(fraction),
        TreatmentDeliveryType="TREATMENT",
        TreatmentTerminationStatus="NORMAL",
        TreatmentVerificationStatus="VERIFIED",
        SpecifiedPrimaryMeterset=decimal(beam.meterset),
        DeliveredPrimaryMeterset=decimal(beam.meterset),
        DeliveredTreatmentTime=decimal(beam.meterset / float(DOSE_RATE) * 60),
        ReferencedBeamNumber=str(beam.number),
        BeamName=beam.name,
        BeamType="DYNAMIC",
        RadiationType="PHOTON",
        SourceAxisDistance=SOURCE_AXIS_DISTANCE,
        NumberOfWedges="0",
        NumberOfCompensators="0",
        NumberOfBoli="0",
        NumberOfBlocks="0",
        NumberOfControlPoints=str(count),
        ReferencedPatientSetupNumber="1",
        BeamLimitingDeviceLeafPairsSequence=items(
            item(RTBeamLimitingDeviceType="ASYMX", NumberOfLeafJawPairs="1"),
            item(RTBeamLimitingDeviceType="ASYMY", NumberOfLeafJawPairs="1"),
            item(RTBeamLimitingDeviceType="MLCX", NumberOfLeafJawPairs="60"),
        ),
        ControlPointDeliverySequence=items(*points),
    )


def _delivery(plan: PlanModel, beam: Beam, index: int, when: date, time: str) -> Dataset:
    meterset = decimal(beam.weights[index] * beam.meterset)
    last = index == len(beam.gantry) - 1
    dataset = item(
        ReferencedControlPointIndex=str(index),
        TreatmentControlPointDate=day(when),
        TreatmentControlPointTime=time,
        SpecifiedMeterset=meterset,
        DeliveredMeterset=meterset,
        DoseRateSet=DOSE_RATE,
        DoseRateDelivered=DOSE_RATE,
        GantryAngle=decimal(beam.gantry[index]),
        GantryRotationDirection="NONE" if last else beam.arc,
    )
    devices = [item(RTBeamLimitingDeviceType="MLCX", LeafJawPositions=decimals(beam.leaves[index]))]
    if index == 0:
        devices[:0] = jaws(beam)
        dataset.NominalBeamEnergy = str(plan.patient.site.energy)
        dataset.NominalBeamEnergyUnit = "MV"
        dataset.BeamLimitingDeviceAngle = decimal(beam.collimator)
        dataset.BeamLimitingDeviceRotationDirection = "NONE"
        dataset.PatientSupportAngle = "0"
        dataset.PatientSupportRotationDirection = "NONE"
        dataset.TableTopEccentricAngle = "0"
        dataset.TableTopEccentricRotationDirection = "NONE"
        for keyword, value in zip(_COUCH, _couch(plan, when), strict=True):
            setattr(dataset, keyword, decimal(value))
    dataset.BeamLimitingDevicePositionSequence = items(*devices)
    return dataset


_COUCH = ("TableTopVerticalPosition", "TableTopLongitudinalPosition", "TableTopLateralPosition")


def _couch(plan: PlanModel, when: date) -> list[float]:
    """Where the couch was that day: the plan's position and a shift of a few mm."""
    shift = np.random.default_rng(plan.patient.number_of("couch", when)).normal(0.0, 1.5, 3)
    return [float(value) for value in np.array((-120.0, 1050.0, 0.0)) + shift]
