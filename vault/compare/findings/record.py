"""Treatment records (PS3.3 C.8.8.21 to C.8.8.26): what was delivered, and against what was specified.

A record of a day that is over is never written anew, so any change of one matters.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace

from vault.compare.findings import plan
from vault.compare.findings.quantities import figure, number, shown
from vault.compare.findings.said import Said
from vault.compare.findings.telling import tell
from vault.compare.findings.vocabulary import Item, Vocabulary, terms
from vault.model import AttributeChange

TOLERANCE = 0.05
"""MU by which delivered may differ from specified without a word: machines report to a tenth."""

_ELEMENT = re.compile(
    rb"\nTreatmentSession(?:Ion)?BeamSequence\[([^\]\n]*)\]\.([A-Za-z]+|OverrideSequence\[[^\]\n]*\]\.OverrideReason)"
    rb" [A-Z]{2} ([^\n]*)"
)

_BEAM = Item(
    "beam",
    "beams",
    named_by=("TreatmentSessionBeamSequence", "BeamName"),
    details=("CurrentFractionNumber", "DeliveredPrimaryMeterset"),
    owns=False,
)

_TERMS = {
    **{keyword: replace(term, subject="delivery") for keyword, term in plan.TERMS.items()},
    **terms("fraction", CurrentFractionNumber="fraction number"),
    **terms("fraction", NumberOfFractionsPlanned="planned fractions"),
    **terms(
        "meterset",
        "MU",
        "relative",
        SpecifiedPrimaryMeterset="specified monitor units",
        DeliveredPrimaryMeterset="delivered monitor units",
        SpecifiedMeterset="specified monitor units",
        DeliveredMeterset="delivered monitor units",
    ),
    **terms(
        "status",
        TreatmentTerminationStatus="termination status",
        TreatmentTerminationCode="termination code",
        TreatmentVerificationStatus="verification status",
    ),
    **terms("time", TreatmentDate="treatment date", TreatmentTime="treatment time"),
    **terms("time", "s", DeliveredTreatmentTime="treatment time"),
    **terms("machine", TreatmentMachineName="machine"),
}

_POINTS = frozenset({"ControlPointDeliverySequence", "IonControlPointDeliverySequence"})

_ITEMS = {
    **plan.ITEMS,
    "TreatmentSessionBeamSequence": _BEAM,
    "TreatmentSessionIonBeamSequence": replace(
        _BEAM, named_by=("TreatmentSessionIonBeamSequence", "BeamName")
    ),
    **{sequence: Item("control point", "delivery", owns=False) for sequence in _POINTS},
    "TreatmentMachineSequence": Item("machine", "machine", silent=True, owns=False),
    "ReferencedRTPlanSequence": Item("reference to plan", "plan"),
    "ReferencedFractionGroupSequence": Item("fraction group", "fraction"),
    "OverrideSequence": Item("override", "override", details=("OverrideReason",)),
    "CorrectedParameterSequence": Item("corrected parameter", "override"),
}

_RECORD = Vocabulary("record", _TERMS, _ITEMS, _POINTS, append_only=True)


def findings(attributes: Sequence[AttributeChange], old: bytes, new: bytes) -> list[Said]:
    """What changed in a treatment record that was there before."""
    return tell(_RECORD, attributes, old, new)


def of_new(form: bytes) -> Iterator[Said]:
    """What a new record says that is out of the ordinary, and what was delivered."""
    beams = beams_of(form)
    yield Said("added.record", _delivered(beams))
    for key, beam in beams.items():
        name = f"beam {shown(key)} {shown(beam['BeamName']) if beam.get('BeamName') else ''}".strip()
        yield from _out_of_the_ordinary(name, beam)


def beams_of(form: bytes) -> dict[str, dict[str, str]]:
    """What a record says of each beam, by beam number and keyword."""
    beams: dict[str, dict[str, str]] = {}
    for match in _ELEMENT.finditer(form):
        key, keyword, value = (part.decode("utf-8", "replace") for part in match.groups())
        beams.setdefault(key, {})[keyword.rpartition(".")[2]] = value
    return beams


def _delivered(beams: dict[str, dict[str, str]]) -> str:
    fractions = sorted(
        {shown(beam["CurrentFractionNumber"]) for beam in beams.values() if "CurrentFractionNumber" in beam}
    )
    given = [number(beam.get("DeliveredPrimaryMeterset")) for beam in beams.values()]
    total = sum(value for value in given if value is not None)
    said = f"new treatment record: fraction {', '.join(fractions)}" if fractions else "new treatment record"
    said += f", {len(beams)} beam{'s' if len(beams) != 1 else ''}" if beams else ""
    return f"{said}, {figure(total)} MU delivered" if beams and None not in given else said


def _out_of_the_ordinary(name: str, beam: dict[str, str]) -> Iterator[Said]:
    given, wanted = (
        number(beam.get(keyword)) for keyword in ("DeliveredPrimaryMeterset", "SpecifiedPrimaryMeterset")
    )
    ended = beam.get("TreatmentTerminationStatus", "").strip('" ')
    if given is not None and wanted is not None and abs(given - wanted) > TOLERANCE:
        how = f", ended {ended}" if ended not in {"", "NORMAL"} else ""
        text = f"{name}: {figure(given)} of {figure(wanted)} MU delivered{how}"
        yield Said("record.incomplete", text, frozenset({"DeliveredPrimaryMeterset"}))
    elif ended not in {"", "NORMAL"}:
        text = f"{name}: ended {ended}"
        yield Said("record.incomplete", text, frozenset({"TreatmentTerminationStatus"}))
    if "OverrideReason" in beam:
        text = f"{name}: delivered with an override: {shown(beam['OverrideReason'])}"
        yield Said("record.overridden", text, frozenset({"OverrideSequence"}))
