"""The part of `patient.json` that the ROIS's database says, under `rois`: contacts, prescriptions, plans, what is next.

It is made from the normal forms of the rows alone, so that a night on which the database was silent has the same as
the night before. Plans come with what the treatment records say was delivered of them.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from vault.archive.summary import COUNTS, Summary, encoded, number
from vault.normal import rows
from vault.rois.sql.contract import CONTRACT, PATIENT_ID, Kind


def with_rows(data: bytes, forms: Mapping[str, bytes]) -> bytes:
    """A patient.json with what the database says: `forms` are the normal forms of its rows, by query."""
    said = json.loads(data)
    said.pop("rois", None)
    if forms:
        tables = {query: _table(query, form) for query, form in forms.items()}
        said["rois"] = _rois(said, tables)
    return encoded(said)


def _rois(said: Summary, tables: Mapping[str, list[Summary]]) -> Summary:
    demographics, prescriptions, plans, schedule = (
        tables.get(query, []) for query in ("demographics", "prescriptions", "plans", "schedule")
    )
    rois: Summary = {
        query: table for query, table in tables.items() if query not in ("demographics", "plans", "schedule")
    }
    if demographics:
        rois["demographics"] = demographics[0]
    if "plans" in tables:
        rois["plans"] = [{**plan, **_delivered(said, plan)} for plan in plans]
    rois["courses"] = _distinct([*prescriptions, *plans], "course")
    rois["diagnoses"] = _distinct(demographics, "diagnosis")
    rois["sites"] = _distinct(prescriptions, "site")
    rois["next_treatment"] = _next_treatment(said, schedule)
    return rois


def _delivered(said: Summary, plan: Summary) -> Summary:
    """What the treatment records say of the plan that a row names by its UID."""
    counted = said["plans"].get(plan.get("plan_uid"), {})
    return {key: counted[key] for key in COUNTS if key in counted}


def _next_treatment(said: Summary, schedule: Iterable[Summary]) -> str | None:
    """The first appointment after the last treatment on record; of the clock it knows nothing."""
    done = max((_moment(record) for record in said["treatments"].values()), default="")
    kept = [row for row in schedule if "cancel" not in str(row.get("status", "")).lower()]
    return min((row["starts"] for row in kept if row.get("starts", "") > done), default=None)


def _moment(record: Summary) -> str:
    """Date and time of a record (DA and TM, PS3.5 6.2) in ISO 8601; the end of the day where it has no time."""
    day, time = record.get("date", ""), record.get("time", "")
    parts = [time[:2], time[2:4], time[4:6]]
    clock = ":".join(part for part in parts if part)
    return f"{day[:4]}-{day[4:6]}-{day[6:8]}T{clock or 24}" if day else ""


def _table(query: str, form: bytes) -> list[Summary]:
    """The rows of a query, without stamps, numbers as numbers."""
    return [
        {
            column: _typed(query, column, value)
            for column, value in row.items()
            if column not in (*rows.STAMPS, PATIENT_ID)
        }
        for row in rows.parse(form).values()
    ]


def _typed(query: str, column: str, value: str) -> Any:
    declared = CONTRACT[query].column(column)
    if declared and declared.kind in (Kind.NUMBER, Kind.WHOLE):
        read = number(value)
        if read is not None:
            return int(read) if read.is_integer() else read
    return value


def _distinct(table: Iterable[Summary], column: str) -> list[str]:
    return sorted({row[column] for row in table if row.get(column)})
