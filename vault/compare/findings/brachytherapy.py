"""The words of brachytherapy plans (PS3.3 C.8.8.15): sources, application setups, channels and dwell positions."""

from __future__ import annotations

from collections.abc import Mapping

from vault.compare.findings.vocabulary import Item, Term, terms

TERMS: Mapping[str, Term] = {
    **terms(
        "sources",
        SourceIsotopeName="isotope",
        SourceSerialNumber="serial number",
        SourceType="type",
        SourceModelID="model",
        SourceManufacturer="manufacturer",
        SourceStrengthReferenceDate="reference date of the strength",
        SourceStrengthReferenceTime="reference time of the strength",
        SourceStrengthUnits="unit of the strength",
    ),
    **terms("sources", "µGy/h", "relative", ReferenceAirKermaRate="reference air kerma rate"),
    **terms("sources", "days", "relative", SourceIsotopeHalfLife="half-life"),
    **terms("sources", "", "relative", SourceStrength="strength"),
    **terms(
        "channels",
        ApplicationSetupType="type",
        ApplicationSetupName="name",
        BrachyTreatmentTechnique="brachytherapy technique",
        BrachyTreatmentType="brachytherapy type",
        SourceMovementType="source movement",
        SourceApplicatorID="applicator",
        SourceApplicatorType="applicator type",
        SourceApplicatorNumber="applicator number",
        TransferTubeNumber="transfer tube",
        NumberOfPulses="pulses",
        NumberOfBrachyApplicationSetups="number of application setups",
        ReferencedSourceNumber="source",
    ),
    **terms(
        "channels",
        "mm",
        ChannelLength="length",
        SourceApplicatorLength="applicator length",
        SourceApplicatorStepSize="step size",
        TransferTubeLength="transfer tube length",
    ),
    **terms(
        "channels", "s", "relative", ChannelTotalTime="total time", PulseRepetitionInterval="pulse interval"
    ),
    **terms("channels", "µGy", "relative", TotalReferenceAirKerma="total reference air kerma"),
    **terms(
        "dwells",
        "",
        "relative",
        CumulativeTimeWeight="cumulative time weight",
        FinalCumulativeTimeWeight="final cumulative time weight",
    ),
    **terms("dwells", "mm", ControlPointRelativePosition="dwell position in the channel"),
    **terms("dwells", "mm", "point", ControlPoint3DPosition="dwell position"),
}

_SETUP = Item(
    "application setup",
    "channels",
    named_by=("ApplicationSetupSequence", "ApplicationSetupName"),
    counted_by=frozenset({"NumberOfBrachyApplicationSetups"}),
    details=("ApplicationSetupType", "BrachyApplicationSetupDose"),
)

ITEMS: Mapping[str, Item] = {
    "SourceSequence": Item("source", "sources", details=("SourceIsotopeName", "ReferenceAirKermaRate")),
    "ApplicationSetupSequence": _SETUP,
    "ReferencedBrachyApplicationSetupSequence": _SETUP,
    "ChannelSequence": Item(
        "channel", "channels", details=("SourceApplicatorID", "ChannelLength", "ChannelTotalTime")
    ),
    "BrachyControlPointSequence": Item(
        "control point", "dwells", counted_by=frozenset({"NumberOfControlPoints"})
    ),
    "TreatmentMachineSequence": Item("machine", "machine", single=True),
}
