"""RT plans, photon and electron (PS3.3 C.8.8.9 to C.8.8.16); what ion and brachytherapy plans share with them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from vault.compare.findings import approvals, brachytherapy
from vault.compare.findings.said import Said
from vault.compare.findings.telling import tell
from vault.compare.findings.vocabulary import Item, Term, Vocabulary, terms
from vault.model import AttributeChange

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
        BrachyApplicationSetupDose="dose",
    ),
    **terms(
        "dose-reference",
        "Gy",
        "relative",
        OrganAtRiskMaximumDose="maximum dose of the organ at risk",
        DeliveryMaximumDose="maximum dose",
        DeliveryWarningDose="warning dose",
        TargetMinimumDose="minimum dose of the target",
        TargetMaximumDose="maximum dose of the target",
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
    **terms("devices", "mm", LeafPositionBoundaries="leaf boundaries"),
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
    **terms("spots", "mm", ScanSpotPositionMap="scan spot positions"),
    **terms(
        "spots",
        ScanSpotMetersetWeights="scan spot weights",
        NumberOfScanSpotPositions="number of scan spots",
        ScanningSpotSize="scan spot size",
        ScanSpotTuneID="scan spot tune",
        NumberOfPaintings="number of paintings",
    ),
    **terms("radiation", ScanMode="scan mode"),
    **terms("spots", "MU", ScanSpotMetersetsDelivered="delivered monitor units of the scan spots"),
    **terms("dose-rate", "", "relative", MetersetRate="meterset rate"),
    **terms("ion-devices", "mm", SnoutPosition="snout position"),
    **terms(
        "ion-devices",
        NumberOfRangeShifters="number of range shifters",
        NumberOfRangeModulators="number of range modulators",
        NumberOfLateralSpreadingDevices="number of lateral spreading devices",
    ),
    **terms("distances", "mm", "point", SurfaceEntryPoint="surface entry point"),
    **terms(
        "dose-reference",
        BeamDosePointDepth="depth of the dose point",
        BeamDosePointEquivalentDepth="equivalent depth of the dose point",
        BeamDosePointSSD="SSD of the dose point",
        CumulativeDoseReferenceCoefficient="cumulative dose reference coefficient",
        BeamDoseType="type of beam dose",
        AlternateBeamDose="alternate beam dose",
        AlternateBeamDoseType="type of alternate beam dose",
    ),
    **terms("blocks", NumberOfBlocks="number of blocks", NumberOfCompensators="number of compensators"),
    **terms("blocks", BlockTransmission="transmission", MaterialID="material"),
    **terms("blocks", "mm", BlockData="outline", BlockThickness="thickness"),
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
        graver={"TargetPrescriptionDose": "prescription"},
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
    "ReferencedDoseReferenceSequence": Item("dose reference", "dose-reference"),
    "IonToleranceTableSequence": Item(
        "tolerance table", "tolerance", named_by=("IonToleranceTableSequence", "ToleranceTableLabel")
    ),
    "SnoutSequence": Item("snout", "ion-devices"),
    "RangeShifterSequence": Item(
        "range shifter",
        "ion-devices",
        counted_by=frozenset({"NumberOfRangeShifters"}),
        details=("RangeShifterID",),
    ),
    "RangeShifterSettingsSequence": Item("range shifter", "ion-devices"),
    "RangeModulatorSequence": Item(
        "range modulator", "ion-devices", counted_by=frozenset({"NumberOfRangeModulators"})
    ),
    "RangeModulatorSettingsSequence": Item("range modulator", "ion-devices"),
    "LateralSpreadingDeviceSequence": Item(
        "lateral spreading device", "ion-devices", counted_by=frozenset({"NumberOfLateralSpreadingDevices"})
    ),
    "LateralSpreadingDeviceSettingsSequence": Item("lateral spreading device", "ion-devices"),
    "BlockSequence": Item(
        "block", "blocks", counted_by=frozenset({"NumberOfBlocks"}), details=("BlockName", "BlockType")
    ),
    "CompensatorSequence": Item("compensator", "blocks", counted_by=frozenset({"NumberOfCompensators"})),
    "ReferencedBolusSequence": Item("bolus", "bolus", counted_by=frozenset({"NumberOfBoli"})),
    "ApplicatorSequence": Item("applicator", "applicators", details=("ApplicatorType",)),
    "GeneralAccessorySequence": Item("accessory", "applicators"),
    "PrimaryFluenceModeSequence": Item("fluence mode", "radiation", details=("FluenceModeID",), single=True),
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

_POINTS = frozenset({"ControlPointSequence", "IonControlPointSequence", "BrachyControlPointSequence"})
_ION_BEAM = replace(_BEAM, named_by=("IonBeamSequence", "BeamName"))

_PLAN = Vocabulary("plan", {**TERMS, **brachytherapy.TERMS}, {**ITEMS, **brachytherapy.ITEMS}, _POINTS)
_ION_PLAN = replace(_PLAN, items={**_PLAN.items, "ReferencedBeamSequence": _ION_BEAM})


def findings(attributes: Sequence[AttributeChange], old: bytes, new: bytes) -> list[Said]:
    """What changed in a plan."""
    words = _ION_PLAN if b"\nIonBeamSequence[" in new else _PLAN
    return approvals.weighed(tell(_in_its_unit(words, new), attributes, old, new), attributes, "plan")


def _in_its_unit(words: Vocabulary, new: bytes) -> Vocabulary:
    """The vocabulary with the unit of energies: MV for photons, MeV/u for ions, else MeV (PS3.3 C.8.8.14, C.8.8.25)."""
    if b'.RadiationType CS "PHOTON"' in new or b".RadiationType CS" not in new:
        return words
    unit = "MeV/u" if b'.RadiationType CS "ION"' in new else "MeV"
    return replace(words, terms={**words.terms, "NominalBeamEnergy": Term("radiation", "energy", unit)})
