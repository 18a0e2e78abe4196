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
    return _top_level(lines, _DEMOGRAPHICS)


def plan_entry(lines: Iterable[Line]) -> Summary:
    """What patient.json says of one RT plan: label, date, approval, intent, fractions planned."""
    lines = list(lines)
    entry: Summary = _top_level(lines, _PLAN)
    planned = [line.value for line in lines if _FRACTIONS.fullmatch(line.path)]
    entry["fractions_planned"] = sum(int(value) for value in planned if value.isdecimal())
    return entry


def record_entry(lines: Iterable[Line]) -> Summary:
    """What patient.json says of one treatment record: when, of which plan, which fraction, ended how."""
    lines = list(lines)
    entry: Summary = _top_level(lines, _RECORD)
    fractions: set[int] = set()
    endings: set[str] = set()
    for line in lines:
        if _RECORD_PLAN.fullmatch(line.path):
            entry["plan"] = line.value.split(" ", 1)[0]
        elif match := _RECORD_BEAM.fullmatch(line.path):
            if match[1] == "CurrentFractionNumber" and line.value.isdecimal():
                fractions.add(int(line.value))
            elif match[1] == "TreatmentTerminationStatus":
                endings.add(_unquoted(line.value))
    entry["fractions"] = sorted(fractions)
    entry["termination"] = sorted(endings)
    return entry


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


def _top_level(lines: Iterable[Line], wanted: Mapping[str, str]) -> dict[str, str]:
    return {wanted[line.path]: _unquoted(line.value) for line in lines if line.path in wanted}


def _unquoted(value: str) -> str:
    return value[1:-1] if len(value) >= 2 and value[0] == value[-1] == '"' else value
