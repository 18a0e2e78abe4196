"""RT plans, photon and electron (PS3.3 C.8.8.9 to C.8.8.16); what ion and brachytherapy plans share with them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from vault.compare.findings.said import Said
from vault.compare.findings.telling import tell
from vault.compare.findings.vocabulary import Item, Term, Vocabulary, terms
from vault.model import AttributeChange

STEPS = ("", "UNAPPROVED", "APPROVED")
"""Approval goes forward along these; any other change of it withdraws something."""

_BEAM = Item(
    "beam",
    "beams",
    named_by=("BeamSequence", "BeamName"),
    counted_by=frozenset({"NumberOfBeams"}),
    owns=False,
    details=("RadiationType", "NominalBeamEnergy", "BeamMeterset", "GantryAngle", "TreatmentMachineName"),
)

TERMS: Mapping[str, Term] = {
    **terms(
        "prescription",
        "Gy",
        "relative",
        TargetPrescriptionDose="prescribed dose",
        BeamDose="beam dose",
        BrachyApplicationSetupDose="application setup dose",
    ),
    **terms("fractions", "", "relative", NumberOfFractionsPlanned="planned fractions"),
    **terms("meterset", "MU", "relative", BeamMeterset="monitor units"),
    **terms(
        "meterset-weights",
        CumulativeMetersetWeight="cumulative meterset weight",
        FinalCumulativeMetersetWeight="final cumulative meterset weight",
    ),
    **terms("meterset", PrimaryDosimeterUnit="dosimeter unit"),
    **terms("machine", TreatmentMachineName="machine"),
    **terms(
        "radiation",
        RadiationType="radiation",
        FluenceMode="fluence mode",
        FluenceModeID="fluence mode ID",
        NominalBeamEnergyUnit="energy unit",
        TreatmentDeliveryType="delivery type",
        BeamType="beam type",
    ),
    "NominalBeamEnergy": Term("radiation", "energy", "MV"),
    **terms("dose-rate", "MU/min", "relative", DoseRateSet="dose rate"),
    **terms(
        "angles",
        "°",
        "angle",
        GantryAngle="gantry angle",
        GantryPitchAngle="gantry pitch angle",
        BeamLimitingDeviceAngle="collimator angle",
        PatientSupportAngle="couch angle",
        TableTopPitchAngle="table top pitch angle",
        TableTopRollAngle="table top roll angle",
        TableTopEccentricAngle="table top eccentric angle",
    ),
    **terms(
        "angles",
        GantryRotationDirection="gantry rotation",
        GantryPitchRotationDirection="gantry pitch rotation",
        BeamLimitingDeviceRotationDirection="collimator rotation",
        PatientSupportRotationDirection="couch rotation",
        TableTopPitchRotationDirection="table top pitch rotation",
        TableTopRollRotationDirection="table top roll rotation",
        TableTopEccentricRotationDirection="table top eccentric rotation",
    ),
    "LeafJawPositions": Term("leaves", "positions", "mm", "leaves"),
    "IsocenterPosition": Term("isocentre", "isocentre", "mm", "point"),
    **terms(
        "couch",
        "mm",
        TableTopVerticalPosition="couch vertical position",
        TableTopLongitudinalPosition="couch longitudinal position",
        TableTopLateralPosition="couch lateral position",
    ),
    **terms("distances", "mm", SourceToSurfaceDistance="SSD", SourceAxisDistance="SAD"),
    **terms("patient-position", PatientPosition="patient position"),
    **terms(
        "label",
        RTPlanLabel="plan label",
        RTPlanName="plan name",
        RTPlanDescription="plan description",
        RTPlanDate="plan date",
        RTPlanTime="plan time",
        BeamName="beam name",
        BeamDescription="beam description",
    ),
    **terms(
        "intent",
        PlanIntent="plan intent",
        RTPlanGeometry="plan geometry",
        TreatmentProtocols="treatment protocols",
        TreatmentSites="treatment sites",
        PrescriptionDescription="prescription description",
    ),
    **terms("approval", ApprovalStatus="approval"),
    **terms("review", ReviewDate="review date", ReviewTime="review time", ReviewerName="reviewer"),
    **terms("wedges", "°", "angle", WedgeAngle="wedge angle", WedgeOrientation="wedge orientation"),
    **terms(
        "wedges",
        WedgeID="wedge ID",
        WedgeType="wedge type",
        WedgePosition="wedge position",
        WedgeFactor="wedge factor",
        NumberOfWedges="number of wedges",
    ),
    **terms("blocks", NumberOfBlocks="number of blocks", NumberOfCompensators="number of compensators"),
    **terms("bolus", NumberOfBoli="number of boli"),
    **terms("applicators", ApplicatorID="applicator", ApplicatorType="applicator type"),
    **terms("setup", ReferencedPatientSetupNumber="patient setup number"),
    **terms("tolerance", ReferencedToleranceTableNumber="tolerance table"),
    **terms("control-points", NumberOfControlPoints="number of control points"),
    **terms("beams", NumberOfBeams="number of beams"),
    **terms(
        "dose-reference",
        "mm",
        "point",
        DoseReferencePointCoordinates="dose reference point",
        BeamDoseSpecificationPoint="dose specification point",
    ),
}

ITEMS: Mapping[str, Item] = {
    "BeamSequence": _BEAM,
    "IonBeamSequence": replace(_BEAM, named_by=("IonBeamSequence", "BeamName")),
    "ReferencedBeamSequence": _BEAM,
    "FractionGroupSequence": Item(
        "fraction group", "fractions", silent=True, owns=False, details=("NumberOfFractionsPlanned",)
    ),
    "DoseReferenceSequence": Item(
        "dose reference",
        "dose-reference",
        named_by=("DoseReferenceSequence", "DoseReferenceDescription"),
        details=("TargetPrescriptionDose",),
    ),
    "ControlPointSequence": Item(
        "control point", "control-points", counted_by=frozenset({"NumberOfControlPoints"}), owns=False
    ),
    "IonControlPointSequence": Item(
        "control point", "control-points", counted_by=frozenset({"NumberOfControlPoints"}), owns=False
    ),
    "BeamLimitingDevicePositionSequence": Item("beam limiting device", "leaves", silent=True),
    "BeamLimitingDeviceSequence": Item("beam limiting device", "devices"),
    "WedgeSequence": Item(
        "wedge",
        "wedges",
        counted_by=frozenset({"NumberOfWedges"}),
        details=("WedgeID", "WedgeType", "WedgeAngle", "WedgeOrientation"),
    ),
    "WedgePositionSequence": Item("wedge", "wedges", details=("WedgePosition",)),
    "BlockSequence": Item(
        "block", "blocks", counted_by=frozenset({"NumberOfBlocks"}), details=("BlockName", "BlockType")
    ),
    "CompensatorSequence": Item("compensator", "blocks", counted_by=frozenset({"NumberOfCompensators"})),
    "ReferencedBolusSequence": Item("bolus", "bolus", counted_by=frozenset({"NumberOfBoli"})),
    "ApplicatorSequence": Item("applicator", "applicators", details=("ApplicatorType",)),
    "GeneralAccessorySequence": Item("accessory", "applicators"),
    "PrimaryFluenceModeSequence": Item("fluence mode", "radiation", details=("FluenceModeID",)),
    "PatientSetupSequence": Item("patient setup", "setup", details=("PatientPosition",)),
    "ToleranceTableSequence": Item(
        "tolerance table", "tolerance", named_by=("ToleranceTableSequence", "ToleranceTableLabel")
    ),
    "BeamLimitingDeviceToleranceSequence": Item("tolerance of", "tolerance"),
    "ReferencedStructureSetSequence": Item("reference to structure set", "references"),
    "ReferencedRTPlanSequence": Item("reference to plan", "references", details=("RTPlanRelationship",)),
    "ReferencedDoseSequence": Item("reference to dose", "references"),
    "PlannedVerificationImageSequence": Item("verification image", "verification-images"),
    "ReferencedReferenceImageSequence": Item("reference image", "verification-images"),
}

_PLAN = Vocabulary("plan", TERMS, ITEMS, frozenset({"ControlPointSequence", "IonControlPointSequence"}))


def findings(attributes: Sequence[AttributeChange], old: bytes, new: bytes) -> list[Said]:
    """What changed in a plan."""
    forward = any(one.path == "ApprovalStatus" and is_forward(one.old, one.new) for one in attributes)
    said = tell(_in_its_unit(new), attributes, old, new)
    return [
        replace(one, subject="plan.approval-given") if forward and one.subject == "plan.approval" else one
        for one in said
    ]


def is_forward(old: str | None, new: str | None) -> bool:
    """Whether an approval status took a step that it takes in the course of planning."""
    before, after = ((value or "").strip('" ') for value in (old, new))
    return before in STEPS and after in STEPS and STEPS.index(before) < STEPS.index(after)


def _in_its_unit(new: bytes) -> Vocabulary:
    """The vocabulary, with energies in MeV where no beam is of photons (PS3.3 C.8.8.14: MV for photons)."""
    if b'.RadiationType CS "PHOTON"' in new or b".RadiationType CS" not in new:
        return _PLAN
    return replace(_PLAN, terms={**TERMS, "NominalBeamEnergy": Term("radiation", "energy", "MeV")})
