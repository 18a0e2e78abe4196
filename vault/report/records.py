"""A treatment record's normal form as history rows: one row per beam (PS3.3 C.8.8.21, and C.8.8.26 for ions).

What the database says and what the machine's own records say come in one form, so that each can stand in for the
other, and be held against it.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable

from vault.model import Row
from vault.normal.lines import Line

_TOP = {
    "SOPInstanceUID": "record_uid",
    "PatientID": "patient_id",
    "TreatmentDate": "date",
    "TreatmentTime": "time",
}
_PLAN = re.compile(r"ReferencedRTPlanSequence(?:\[[^]]*\])?\.ReferencedSOPInstanceUID")
_MACHINE = re.compile(r"TreatmentMachineSequence(?:\[[^]]*\])?\.TreatmentMachineName")
_BEAM = re.compile(
    r"TreatmentSession(?:Ion)?BeamSequence(?:\[(?P<beam>(?:\"(?:\\.|[^\"\\])*\"|[^]])*)\])?\.(?P<name>[A-Za-z]+)"
)
_OVERRIDE = re.compile(r"TreatmentSession(?:Ion)?BeamSequence(?:\[(?P<beam>[^]]*)\])?\..*OverrideSequence.*")
_COLUMNS = {
    "BeamName": "field",
    "CurrentFractionNumber": "fraction",
    "SpecifiedPrimaryMeterset": "planned_mu",
    "DeliveredPrimaryMeterset": "delivered_mu",
    "TreatmentTerminationStatus": "termination",
}


def rows_of_record(lines: Iterable[Line]) -> list[Row]:
    """The history rows that one treatment record comes to; none for what is no record of a treatment."""
    common: dict[str, str] = {}
    beams: dict[str, dict[str, str]] = defaultdict(dict)
    for line in lines:
        if column := _TOP.get(line.path):
            common[column] = _text(line.value)
        elif _PLAN.fullmatch(line.path):
            common["plan_uid"] = line.value.split(" ", 1)[0]
        elif _MACHINE.fullmatch(line.path):
            common["machine"] = _text(line.value)
        elif match := _BEAM.fullmatch(line.path):
            if column := _COLUMNS.get(match["name"]):
                beams[match["beam"] or ""][column] = _text(line.value)
            elif match["name"] == "ReferencedBeamNumber":
                beams[match["beam"] or ""].setdefault("number", _text(line.value))
        elif match := _OVERRIDE.fullmatch(line.path):
            beams[match["beam"] or ""]["override"] = "yes"
    return [_row(common, number, beam) for number, beam in sorted(beams.items()) if beam]


def _row(common: dict[str, str], number: str, beam: dict[str, str]) -> Row:
    fields: dict[str, str | None] = {
        "patient_id": common.get("patient_id", ""),
        "history_key": f"{common.get('record_uid', '')}/{number}",
        "plan_uid": common.get("plan_uid", ""),
        "plan": "",
        "fraction": beam.get("fraction"),
        "field": beam.get("field") or f"beam {beam.get('number') or number or '1'}",
        "planned_mu": beam.get("planned_mu"),
        "delivered_mu": beam.get("delivered_mu"),
        "machine": common.get("machine"),
        "started": _iso(common.get("date", ""), common.get("time", "")),
        "termination": beam.get("termination"),
        "override": beam.get("override", "no"),
        "record_uid": common.get("record_uid", ""),
    }
    return Row("history", fields)


def _iso(date: str, time: str) -> str | None:
    """`20261124` and `081500.5` as `2026-11-24T08:15:00`; None where there is no date."""
    if not re.fullmatch(r"\d{8}", date, re.ASCII):
        return None
    day = f"{date[:4]}-{date[4:6]}-{date[6:]}"
    digits = re.match(r"\d{2,6}", time, re.ASCII)
    clock = digits[0].ljust(6, "0") if digits else ""
    return f"{day}T{clock[:2]}:{clock[2:4]}:{clock[4:6]}" if clock else day


def _text(value: str) -> str:
    return value[1:-1] if len(value) >= 2 and value[0] == value[-1] == '"' else value
