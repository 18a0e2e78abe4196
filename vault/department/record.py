"""Treatment records: what the machine says it delivered, one object for a fraction (PS3.3 A.29)."""

from __future__ import annotations

from datetime import date, time, timedelta

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
from vault.department.patients import Patient
from vault.department.plan import DOSE_RATE, SOURCE_AXIS_DISTANCE, jaws


def fraction_day(plan: PlanModel, fraction: int) -> date:
    """The day on which a fraction (counted from 1) was given: one a day."""
    return plan.patient.first_fraction + timedelta(days=fraction - 1)


BROKEN_OFF = 0.6
"""The share of its monitor units at which the machine broke off the last beam of a fraction."""


def fraction_time(patient: Patient, fraction: int) -> time:
    """When, on its day, a fraction began."""
    minutes = 8 * 60 + patient.number * 15 + fraction * 7 % 11
    return time(minutes // 60 % 24, minutes % 60)


def share_delivered(plan: PlanModel, beam: Beam, *, broken_off: bool) -> float:
    """The share of a beam's monitor units that was delivered."""
    return BROKEN_OFF if broken_off and beam is plan.beams[-1] else 1.0


def record_object(plan: PlanModel, fraction: int, *, broken_off: bool = False) -> FileDataset:
    """Return the RT Beams Treatment Record of a fraction: its beams as `plan` says, in full unless `broken_off`."""
    patient = plan.patient
    when = fraction_day(plan, fraction)
    clock = f"{fraction_time(patient, fraction):%H%M%S}"
    dataset = new_object(
        patient,
        sop_class_uid=RTBeamsTreatmentRecordStorage,
        sop_uid=patient.uid("record", fraction),
        modality="RTRECORD",
        series="Treatment records",
        when=when,
        time=clock,
    )
    # one series holds the records of many days, so it has no date of its own
    dataset.SeriesDate = dataset.SeriesTime = ""
    dataset.SeriesNumber = "5"
    dataset.InstanceNumber = str(fraction)
    dataset.TreatmentDate = day(when)
    dataset.TreatmentTime = clock
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
        *(
            _session_beam(
                plan, beam, fraction, when, clock, share_delivered(plan, beam, broken_off=broken_off)
            )
            for beam in plan.beams
        )
    )
    return dataset


def _session_beam(
    plan: PlanModel, beam: Beam, fraction: int, when: date, clock: str, share: float
) -> Dataset:
    count = len(beam.gantry)
    points = [_delivery(plan, beam, index, when, clock, share) for index in range(count)]
    return item(
        CurrentFractionNumber=str(fraction),
        TreatmentDeliveryType="TREATMENT",
        TreatmentTerminationStatus="NORMAL" if share == 1 else "MACHINE",
        TreatmentVerificationStatus="VERIFIED",
        SpecifiedPrimaryMeterset=decimal(beam.meterset),
        DeliveredPrimaryMeterset=decimal(beam.meterset * share),
        DeliveredTreatmentTime=decimal(beam.meterset * share / float(DOSE_RATE) * 60),
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


def _delivery(plan: PlanModel, beam: Beam, index: int, when: date, clock: str, share: float) -> Dataset:
    meterset = beam.weights[index] * beam.meterset
    last = index == len(beam.gantry) - 1
    dataset = item(
        ReferencedControlPointIndex=str(index),
        TreatmentControlPointDate=day(when),
        TreatmentControlPointTime=clock,
        SpecifiedMeterset=decimal(meterset),
        DeliveredMeterset=decimal(min(meterset, share * beam.meterset)),
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
