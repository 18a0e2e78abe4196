"""`patient.json`: who the patient is, what is planned and what was delivered, read from the normal forms.

An entry per plan and per treatment record depends on that object's normal form alone, so a night only reads
what it touched, and the same tree always has the same summary.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
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
_RECORD_PLAN = re.compile(r"ReferencedRTPlanSequence\[[^]]*\]\.ReferencedSOPInstanceUID")
_RECORD_BEAM = re.compile(
    r"TreatmentSession(?:Ion)?BeamSequence\[.*\]\.(CurrentFractionNumber|TreatmentTerminationStatus)"
)

Summary = dict[str, Any]


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
    """What patient.json says of one RT plan: label, date, approval, intent, fractions planned."""
    entry: Summary = {}
    planned = 0
    for line in lines:
        if line.path in _PLAN:
            entry[_PLAN[line.path]] = _unquoted(line.value)
        elif line.value.isdecimal() and _FRACTIONS.fullmatch(line.path):
            planned += int(line.value)
    return {**entry, "fractions_planned": planned}


def record_entry(lines: Iterable[Line]) -> Summary:
    """What patient.json says of one treatment record: when, of which plan, which fraction, ended how."""
    entry: Summary = {}
    fractions: set[int] = set()
    endings: set[str] = set()
    for line in lines:
        if line.path in _RECORD:
            entry[_RECORD[line.path]] = _unquoted(line.value)
        elif _RECORD_PLAN.fullmatch(line.path):
            entry["plan"] = line.value.split(" ", 1)[0]
        elif match := _RECORD_BEAM.fullmatch(line.path):
            if match[1] == "CurrentFractionNumber" and line.value.isdecimal():
                fractions.add(int(line.value))
            elif match[1] == "TreatmentTerminationStatus":
                endings.add(_unquoted(line.value))
    return {**entry, "fractions": sorted(fractions), "termination": sorted(endings)}


def compose(
    patient: Mapping[str, str], plans: Mapping[str, Summary], records: Mapping[str, Summary]
) -> bytes:
    """The bytes of patient.json. `plans` and `records` go by SOP Instance UID; counts are derived from them."""
    delivered: dict[str, set[int]] = {}
    for record in records.values():
        delivered.setdefault(record.get("plan", ""), set()).update(record["fractions"])
    counted = {
        uid: {
            **{key: value for key, value in plan.items() if key != "fractions_delivered"},
            "fractions_delivered": len(delivered.get(uid, ())),
        }
        for uid, plan in plans.items()
    }
    dates = [record["date"] for record in records.values() if record.get("date")]
    summary = {
        "patient": dict(patient),
        "plans": counted,
        "treatments": dict(records),
        "last_treatment": max(dates, default=None),
    }
    return (json.dumps(summary, ensure_ascii=False, indent=1, sort_keys=True) + "\n").encode()


def parse(data: bytes) -> tuple[dict[str, Summary], dict[str, Summary]]:
    """Plans and records of a patient.json that `compose` wrote."""
    summary = json.loads(data)
    return summary["plans"], summary["treatments"]


def _unquoted(value: str) -> str:
    return value[1:-1] if len(value) >= 2 and value[0] == value[-1] == '"' else value
