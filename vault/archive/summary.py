"""`patient.json`: who the patient is, what is planned and what was delivered, read from the normal forms.

An entry per plan and per treatment record depends on that object's normal form alone, so a night only reads
what it touched, and the same tree always has the same summary. What the ROIS's database says stands apart under
`rois` (`summary_rows`).

    dose_to_date_gy       dose per fraction of the plan (the sum of its beams' BeamDose), times what was delivered
    fractions_partial     fractions of which less than the planned MU were delivered or, where MU are not known, that
                          ended otherwise than NORMAL; the dose to date has them by their share of MU, else not at all
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Collection, Iterable, Mapping
from typing import Any

from vault.normal.lines import Line

PATH = "patient.json"

_DEMOGRAPHICS = {
    "PatientID": "patient_id",
    "PatientName": "name",
    "PatientBirthDate": "birth_date",
    "PatientSex": "sex",
}
_PLAN = {
    "RTPlanLabel": "label",
    "RTPlanDate": "date",
    "ApprovalStatus": "approval",
    "PlanIntent": "intent",
}
_RECORD = {"TreatmentDate": "date", "TreatmentTime": "time"}
_FRACTIONS = re.compile(r"FractionGroupSequence\[[^]]*\]\.NumberOfFractionsPlanned")
_PER_FRACTION = re.compile(
    r"FractionGroupSequence\[[^]]*\]\.Referenced(?:Beam|BrachyApplicationSetup)Sequence\[[^]]*\]\.(BeamDose|BeamMeterset)"
)
_RECORD_MU = re.compile(r"TreatmentSession(?:Ion)?BeamSequence\[[^]]*\]\.DeliveredPrimaryMeterset")
_RECORD_PLAN = re.compile(r"ReferencedRTPlanSequence\[[^]]*\]\.ReferencedSOPInstanceUID")
_RECORD_BEAM = re.compile(
    r"TreatmentSession(?:Ion)?BeamSequence\[.*\]\.(CurrentFractionNumber|TreatmentTerminationStatus)"
)

KEYWORDS = frozenset(
    keyword.encode()
    for keyword in (
        *_DEMOGRAPHICS,
        *_PLAN,
        *_RECORD,
        "NumberOfFractionsPlanned",
        "BeamDose",
        "BeamMeterset",
        "DeliveredPrimaryMeterset",
        "ReferencedSOPInstanceUID",
        "CurrentFractionNumber",
        "TreatmentTerminationStatus",
    )
)
"""The elements that any entry is made of; the other lines of a normal form need not be parsed."""

Summary = dict[str, Any]

WHOLE = 0.995
"""Share of the planned MU from which a fraction counts as whole: machines end within a fraction of an MU."""

COUNTS = ("fractions_delivered", "fractions_partial", "dose_to_date_gy")
"""Keys of a plan that are counted from its treatment records."""


def demographics(lines: Iterable[Line]) -> dict[str, str]:
    """Patient module values of one object (PS3.3 C.7.1.1), under the keys of patient.json."""
    found: dict[str, str] = {}
    for line in lines:
        if line.path in _DEMOGRAPHICS:
            found[_DEMOGRAPHICS[line.path]] = _unquoted(line.value)
            if len(found) == len(_DEMOGRAPHICS):
                break
    return found


def plan_entry(lines: Iterable[Line]) -> Summary:
    """What patient.json says of one RT plan (PS3.3 C.8.8.13): label, approval, fractions, and dose and MU of each."""
    entry: Summary = {}
    groups: list[int] = []
    sums = {"BeamDose": 0.0, "BeamMeterset": 0.0}
    for line in lines:
        if line.path in _PLAN:
            entry[_PLAN[line.path]] = _unquoted(line.value)
        elif line.value.isdecimal() and _FRACTIONS.fullmatch(line.path):
            groups.append(int(line.value))
        elif match := _PER_FRACTION.fullmatch(line.path):
            sums[match[1]] += number(line.value) or 0.0
    if len(groups) == 1:  # with several groups, one fraction is not like another
        for key, keyword in (("dose_per_fraction_gy", "BeamDose"), ("mu_per_fraction", "BeamMeterset")):
            if sums[keyword]:
                entry[key] = round(sums[keyword], 6)
    return {**entry, "fractions_planned": sum(groups)}


def record_entry(lines: Iterable[Line]) -> Summary:
    """What patient.json says of one treatment record: when, of which plan, which fraction, how many MU, ended how."""
    entry: Summary = {}
    fractions: set[int] = set()
    endings: set[str] = set()
    delivered: list[float] = []
    for line in lines:
        if line.path in _RECORD:
            entry[_RECORD[line.path]] = _unquoted(line.value)
        elif _RECORD_PLAN.fullmatch(line.path):
            entry["plan"] = line.value.split(" ", 1)[0]
        elif _RECORD_MU.fullmatch(line.path):
            delivered.append(number(line.value) or 0.0)
        elif match := _RECORD_BEAM.fullmatch(line.path):
            if match[1] == "CurrentFractionNumber" and line.value.isdecimal():
                fractions.add(int(line.value))
            elif match[1] == "TreatmentTerminationStatus":
                endings.add(_unquoted(line.value))
    if delivered:
        entry["mu_delivered"] = round(sum(delivered), 6)
    return {**entry, "fractions": sorted(fractions), "termination": sorted(endings)}


def compose(
    patient: Mapping[str, str], plans: Mapping[str, Summary], records: Mapping[str, Summary]
) -> bytes:
    """The bytes of patient.json. `plans` and `records` go by SOP Instance UID; counts are derived from them."""
    of_plan: dict[str, list[Summary]] = {}
    for record in records.values():
        of_plan.setdefault(record.get("plan", ""), []).append(record)
    dates = [record["date"] for record in records.values() if record.get("date")]
    return encoded(
        {
            "patient": dict(patient),
            "plans": {uid: _with_counts(plan, of_plan.get(uid, ())) for uid, plan in plans.items()},
            "treatments": dict(records),
            "last_treatment": max(dates, default=None),
        }
    )


def _with_counts(plan: Summary, records: Collection[Summary]) -> Summary:
    """A plan's entry with what its records say was delivered."""
    shares = {number: _share(number, plan, records) for record in records for number in record["fractions"]}
    own = {key: value for key, value in plan.items() if key not in COUNTS}
    counts: Summary = {
        "fractions_delivered": len(shares),
        "fractions_partial": sorted(
            number for number, share in shares.items() if share is None or share < WHOLE
        ),
    }
    if "dose_per_fraction_gy" in plan:
        counts["dose_to_date_gy"] = round(
            plan["dose_per_fraction_gy"] * sum(filter(None, shares.values())), 4
        )
    return {**own, **counts}


def _share(number: int, plan: Summary, records: Collection[Summary]) -> float | None:
    """How much of a fraction was delivered, in one session or several; None where that can't be told."""
    sessions = [record for record in records if number in record["fractions"]]
    planned = plan.get("mu_per_fraction")
    alone = all(record["fractions"] == [number] and "mu_delivered" in record for record in sessions)
    if planned and alone:
        share = sum(record["mu_delivered"] for record in sessions) / planned
        return 1.0 if share >= WHOLE else share
    return 1.0 if all(set(record["termination"]) <= {"NORMAL"} for record in sessions) else None


def encoded(said: Summary) -> bytes:
    """The bytes of a patient.json: keys sorted, so that the same content is the same file."""
    return (json.dumps(said, ensure_ascii=False, indent=1, sort_keys=True) + "\n").encode(
        "utf-8", "backslashreplace"
    )


def number(value: str) -> float | None:
    """A finite number; None for anything else that stands in its place."""
    try:
        read = float(value)
    except ValueError:
        return None
    return read if math.isfinite(read) else None


def parse(data: bytes) -> tuple[dict[str, Summary], dict[str, Summary]]:
    """Plans and records of a patient.json that `compose` wrote."""
    summary = json.loads(data)
    return summary["plans"], summary["treatments"]


def _unquoted(value: str) -> str:
    return value[1:-1] if len(value) >= 2 and value[0] == value[-1] == '"' else value
