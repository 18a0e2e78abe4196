"""The treatment plan: a PlanModel as an RT Plan (PS3.3 A.20), approved for treatment."""

from __future__ import annotations

from datetime import date, timedelta

from pydicom.dataset import Dataset, FileDataset
from pydicom.uid import RTPlanStorage, RTStructureSetStorage

from vault.department.beams import BOUNDARIES, LEAVES, Beam, PlanModel
from vault.department.modules import (
    INSTITUTION,
    MACHINE,
    MANUFACTURER,
    approve,
    day,
    decimal,
    decimals,
    frame_of_reference,
    item,
    items,
    new_object,
    reference,
)
from vault.department.structures import structure_set_uid

DOSE_RATE = "600"
"""Monitor units a minute."""

SOURCE_AXIS_DISTANCE = "1000"


def planned_on(plan: PlanModel, revised_on: date | None = None) -> date:
    """The day of the plan: four days after the scan, or the day of the revision."""
    return revised_on or plan.patient.planned_on + timedelta(days=4)


def plan_object(plan: PlanModel, revised_on: date | None = None) -> FileDataset:
    """Return the plan as DICOM. A revision, made on `revised_on`, refers to its predecessor."""
    patient = plan.patient
    when = planned_on(plan, revised_on)
    dataset = new_object(
        patient,
        sop_class_uid=RTPlanStorage,
        sop_uid=plan.uid,
        modality="RTPLAN",
        series="Plans",
        when=when,
        time="160500",
    )
    frame_of_reference(patient, dataset)
    dataset.SeriesNumber = "3"
    dataset.InstanceNumber = str(plan.revision + 1)
    dataset.RTPlanLabel = plan.label
    dataset.RTPlanName = plan.label
    dataset.RTPlanDate = day(when)
    dataset.RTPlanTime = "160500"
    dataset.PlanIntent = "CURATIVE"
    dataset.RTPlanGeometry = "PATIENT"
    dataset.PrescriptionDescription = (
        f"{patient.site.fractions} x {decimal(patient.site.dose_per_fraction)} Gy to PTV, 95 % covers 95 %"
    )
    dataset.DoseReferenceSequence = items(_dose_reference(plan))
    dataset.ToleranceTableSequence = items(_tolerance_table())
    dataset.PatientSetupSequence = items(
        item(PatientPosition="HFS", PatientSetupNumber="1", SetupTechnique="ISOCENTRIC")
    )
    dataset.FractionGroupSequence = items(_fraction_group(plan))
    dataset.BeamSequence = items(*(_beam(plan, beam) for beam in plan.beams))
    dataset.ReferencedStructureSetSequence = items(
        reference(RTStructureSetStorage, structure_set_uid(patient))
    )
    if plan.revision:
        predecessor = patient.uid("plan", plan.revision - 1)
        dataset.ReferencedRTPlanSequence = items(
            reference(RTPlanStorage, predecessor, RTPlanRelationship="PREDECESSOR")
        )
    approve(dataset, when, "173000")
    return dataset


def _dose_reference(plan: PlanModel) -> Dataset:
    site = plan.patient.site
    total = site.dose_per_fraction * site.fractions
    return item(
        DoseReferenceNumber="1",
        DoseReferenceUID=plan.patient.uid("dose reference"),
        DoseReferenceStructureType="SITE",
        DoseReferenceDescription="PTV",
        DoseReferenceType="TARGET",
        DeliveryMaximumDose=decimal(total * 1.1),
        TargetPrescriptionDose=decimal(total),
    )


def _tolerance_table() -> Dataset:
    limits = (("ASYMX", "2"), ("ASYMY", "2"), ("MLCX", "2"))
    return item(
        ToleranceTableNumber="1",
        ToleranceTableLabel="T1",
        GantryAngleTolerance="0.5",
        BeamLimitingDeviceAngleTolerance="0.5",
        BeamLimitingDeviceToleranceSequence=items(
            *(
                item(RTBeamLimitingDeviceType=kind, BeamLimitingDevicePositionTolerance=limit)
                for kind, limit in limits
            )
        ),
        PatientSupportAngleTolerance="0.5",
        TableTopVerticalPositionTolerance="20",
        TableTopLongitudinalPositionTolerance="20",
        TableTopLateralPositionTolerance="20",
    )


def _fraction_group(plan: PlanModel) -> Dataset:
    site = plan.patient.site
    total = sum(beam.meterset for beam in plan.beams)
    beams = [
        item(
            ReferencedBeamNumber=str(beam.number),
            BeamMeterset=decimal(beam.meterset),
            BeamDose=decimal(site.dose_per_fraction * beam.meterset / total),
        )
        for beam in plan.beams
    ]
    return item(
        FractionGroupNumber="1",
        NumberOfFractionsPlanned=str(site.fractions),
        NumberOfBeams=str(len(beams)),
        NumberOfBrachyApplicationSetups="0",
        ReferencedBeamSequence=items(*beams),
        ReferencedDoseReferenceSequence=items(item(ReferencedDoseReferenceNumber="1")),
    )


def _beam(plan: PlanModel, beam: Beam) -> Dataset:
    return item(
        Manufacturer=MANUFACTURER,
        InstitutionName=INSTITUTION,
        ManufacturerModelName="SimBeam",
        DeviceSerialNumber="0001",
        TreatmentMachineName=MACHINE,
        PrimaryDosimeterUnit="MU",
        SourceAxisDistance=SOURCE_AXIS_DISTANCE,
        BeamLimitingDeviceSequence=items(
            item(RTBeamLimitingDeviceType="ASYMX", NumberOfLeafJawPairs="1"),
            item(RTBeamLimitingDeviceType="ASYMY", NumberOfLeafJawPairs="1"),
            item(
                RTBeamLimitingDeviceType="MLCX",
                NumberOfLeafJawPairs=str(LEAVES),
                LeafPositionBoundaries=decimals(BOUNDARIES),
            ),
        ),
        BeamNumber=str(beam.number),
        BeamName=beam.name,
        BeamDescription=f"{plan.patient.site.technique} {plan.patient.site.energy}X",
        BeamType="DYNAMIC",
        RadiationType="PHOTON",
        TreatmentDeliveryType="TREATMENT",
        NumberOfWedges="0",
        NumberOfCompensators="0",
        NumberOfBoli="0",
        NumberOfBlocks="0",
        FinalCumulativeMetersetWeight="1",
        NumberOfControlPoints=str(len(beam.gantry)),
        ReferencedPatientSetupNumber="1",
        ReferencedToleranceTableNumber="1",
        ControlPointSequence=items(*(_control_point(plan, beam, index) for index in range(len(beam.gantry)))),
    )


def _control_point(plan: PlanModel, beam: Beam, index: int) -> Dataset:
    last = len(beam.gantry) - 1
    dataset = item(ControlPointIndex=str(index), CumulativeMetersetWeight=f"{beam.weights[index]:.6g}")
    devices = [item(RTBeamLimitingDeviceType="MLCX", LeafJawPositions=decimals(beam.leaves[index]))]
    if index == 0:
        devices[:0] = jaws(beam)
        dataset.NominalBeamEnergy = str(plan.patient.site.energy)
        dataset.DoseRateSet = DOSE_RATE
        for keyword, value in _fixed(plan, beam).items():
            setattr(dataset, keyword, value)
    if index == 0 or beam.arc != "NONE":
        dataset.GantryAngle = decimal(beam.gantry[index])
        dataset.GantryRotationDirection = "NONE" if index == last else beam.arc
    dataset.BeamLimitingDevicePositionSequence = items(*devices)
    return dataset


def jaws(beam: Beam) -> list[Dataset]:
    """The jaws' items of a Beam Limiting Device Position Sequence."""
    return [
        item(RTBeamLimitingDeviceType="ASYMX", LeafJawPositions=decimals(beam.jaws_x)),
        item(RTBeamLimitingDeviceType="ASYMY", LeafJawPositions=decimals(beam.jaws_y)),
    ]


def _fixed(plan: PlanModel, beam: Beam) -> dict[str, object]:
    """What the first control point says for all: collimator, couch and isocentre."""
    return {
        "BeamLimitingDeviceAngle": decimal(beam.collimator),
        "BeamLimitingDeviceRotationDirection": "NONE",
        "PatientSupportAngle": "0",
        "PatientSupportRotationDirection": "NONE",
        "TableTopEccentricAngle": "0",
        "TableTopEccentricRotationDirection": "NONE",
        "TableTopVerticalPosition": "-120",
        "TableTopLongitudinalPosition": "1050",
        "TableTopLateralPosition": "0",
        "IsocenterPosition": decimals(plan.patient.site.ptv.centre),
        "SourceToSurfaceDistance": "900",
        "TableTopPitchAngle": 0.0,
        "TableTopPitchRotationDirection": "NONE",
        "TableTopRollAngle": 0.0,
        "TableTopRollRotationDirection": "NONE",
    }
