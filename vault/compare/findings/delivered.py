"""A new treatment record against its plan, and against the records before it."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from vault.compare.findings.quantities import figure, number, shown
from vault.compare.findings.record import TOLERANCE, beams_of
from vault.compare.findings.said import Said

_PLAN = re.compile(rb"\nReferencedRTPlanSequence\[[^\]\n]*\]\.ReferencedSOPInstanceUID UI ([^ \n]+)")
_PLANNED = re.compile(
    rb"\nFractionGroupSequence\[[^\]\n]*\]\.ReferencedBeamSequence\[([^\]\n]*)\]\.BeamMeterset [A-Z]{2} ([^\n]+)"
)
_BEAM = re.compile(rb"\n(?:Ion)?BeamSequence\[([^\]\n]*)\]\.BeamNumber ")

_PREDECESSOR = re.compile(rb"\nReferencedRTPlanSequence\[([^\]\n]*)\]\.RTPlanRelationship CS \"PREDECESSOR\"")

Summary = Mapping[str, Any]


def plan_of(form: bytes) -> str:
    """The UID of the plan that a record is of; empty where it names none."""
    match = _PLAN.search(form)
    return match[1].decode("ascii", "replace") if match else ""


def predecessors_of(plan: bytes) -> list[str]:
    """The UIDs of the plans that a plan says it replaces."""
    return [uid.decode("ascii", "replace") for uid in _PREDECESSOR.findall(plan)]


def against_plan(form: bytes, plan: bytes) -> Iterator[Said]:
    """What a record specifies otherwise than its plan does: monitor units, and beams that the plan does not have."""
    planned = {
        key.decode("utf-8", "replace"): number(value.decode("ascii", "replace"))
        for key, value in _PLANNED.findall(plan)
    }
    known = {key.decode("utf-8", "replace") for key in _BEAM.findall(plan)}
    for key, beam in beams_of(form).items():
        name = f"beam {shown(key)} {shown(beam['BeamName']) if beam.get('BeamName') else ''}".strip()
        if known and key not in known:
            yield Said("record.off-plan", f"{name}: its plan has no such beam")
            continue
        wanted = number(beam.get("SpecifiedPrimaryMeterset"))
        if wanted is None:
            wanted = number(beam.get("DeliveredPrimaryMeterset"))
        meant = planned.get(key)
        if wanted is not None and meant and abs(wanted - meant) > TOLERANCE:
            text = f"{name}: {figure(wanted)} MU were to be delivered, its plan has {figure(meant)} MU"
            yield Said("record.off-plan", text, frozenset({"SpecifiedPrimaryMeterset"}))


def in_sequence(
    uid: str,
    treatments: Mapping[str, Summary],
    plans: Mapping[str, Summary],
    replaced: Collection[str] = (),
) -> Iterator[Said]:
    """What is odd about a new record's fraction: beyond the plan, after a gap, or of another day's fraction.

    `treatments` and `plans` are those of patient.json, the new record's own entry among them; `replaced` are the plans
    that its plan replaces, whose fractions came before.
    """
    own = treatments.get(uid)
    if own is None or not own.get("plan"):
        return
    same_plan = {key: one for key, one in treatments.items() if one.get("plan") == own["plan"]}
    planned = plans.get(own["plan"], {}).get("fractions_planned") or 0
    course = {own["plan"], *replaced}
    given = {
        fraction for one in treatments.values() if one.get("plan") in course for fraction in one["fractions"]
    }
    for fraction in own["fractions"]:
        if 0 < planned < fraction:
            yield Said("record.sequence", f"fraction {fraction} of {planned} planned")
        if fraction > 1 and fraction - 1 not in given:
            earlier = max((one for one in given if one < fraction), default=0)
            which = (
                f"fraction {fraction - 1} has"
                if earlier == fraction - 2
                else (f"fractions {earlier + 1} to {fraction - 1} have")
            )
            yield Said("record.sequence", f"fraction {fraction}, but {which} no treatment record")
        days = {
            one["date"]
            for key, one in same_plan.items()
            if key != uid and fraction in one["fractions"] and set(one["termination"]) <= {"NORMAL"}
            and one.get("date")
        }  # fmt: skip
        if others := sorted(days - {own.get("date")}):
            on = ", ".join(f"{day[:4]}-{day[4:6]}-{day[6:]}" for day in others)
            yield Said("record.sequence", f"fraction {fraction} has a record of another day, too: {on}")
