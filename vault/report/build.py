"""From rows of the database and of treatment records to the model of the day.

Rows keep the contract of the queries `history`, `plans`, `demographics` and `schedule`. What a site's database does
not say is filled in from `patient.json`, which the nights wrote: plans, fractions and demographics of DICOM objects.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from decimal import Decimal, InvalidOperation
from typing import Any
from zoneinfo import ZoneInfo

from vault.model import Row
from vault.report.treatments import (
    Appointment,
    Course,
    Delivery,
    DepartmentDay,
    NotSeen,
    PatientDay,
    Person,
    Session,
    Waiting,
)

Rows = Mapping[str, Sequence[Row]]
"""Name of a query to its rows, of one patient."""

Summary = Mapping[str, Any]
"""A patient.json."""

HISTORY = "history"
PLANS = "plans"
DEMOGRAPHICS = "demographics"
SCHEDULE = "schedule"

GREATEST, LEAST = Decimal("1e9"), Decimal("1e-6")
"""Between these, in Gy or monitor units, lies every amount that is worth a number."""

IDLE = frozenset({"RETIRED", "REJECTED", "COMPLETED", "UNAPPROVED", "REVIEWED"})
"""Status of a plan that is not printed unless something of it was given."""


@dataclass(frozen=True, slots=True)
class Sources:
    """Everything that is known of one patient on one day."""

    patient_id: str
    rows: Rows
    records: Sequence[Row] = ()
    """History rows that today's treatment records come to (`vault.report.records`)."""
    summary: Summary | None = None
    """patient.json of the last night."""


def patient_day(sources: Sources, day: date, zone: ZoneInfo) -> PatientDay:
    """The model of one patient's day. Times with an offset are shown in `zone`; others are local already."""
    summary = sources.summary or {}
    courses = _courses(sources, summary, day, zone)
    shown = [
        course for course in courses if course.sessions or course.status.strip().upper() not in IDLE | {""}
    ]
    shown.sort(key=lambda course: (not course.on(day), course.course, course.plan, course.plan_uid))
    return PatientDay(
        person=person(sources.patient_id, sources.rows, summary),
        day=day,
        courses=tuple(shown),
        appointments=tuple(appointments(sources.rows.get(SCHEDULE, ()), day, zone)),
    )


def department_day(
    patients: Iterable[PatientDay],
    scheduled: Iterable[tuple[Person, Appointment]],
    day: date,
    unreadable: Iterable[str] = (),
) -> DepartmentDay:
    """The department's day; of `scheduled`, who was not treated and is due that day is waiting.

    `unreadable` are the IDs of those whose history can't be read.
    """
    treated = sorted(
        (patient for patient in patients if patient.treated),
        key=lambda patient: (patient.person.name.casefold(), patient.person.patient_id),
    )
    seen = {patient.person.patient_id for patient in treated}
    waiting = [
        Waiting(who, appointment)
        for who, appointment in scheduled
        if who.patient_id not in seen and appointment.starts.date() == day
    ]
    waiting.sort(
        key=lambda item: (item.appointment.starts, item.person.patient_id, item.appointment.activity)
    )
    return DepartmentDay(day, tuple(treated), tuple(waiting), tuple(sorted(unreadable)))


def appointments(rows: Iterable[Row], day: date, zone: ZoneInfo) -> list[Appointment]:
    """What the schedule holds from `day` on, by time."""
    found = {
        Appointment(starts, _text(row, "activity"), _text(row, "machine"), _text(row, "status"))
        for row in rows
        if (starts := local_time(row.fields.get("starts"), zone)) and starts.date() >= day
    }
    return sorted(found, key=lambda item: (item.starts, item.activity, item.machine, item.status))


def treated_on(row: Row, zone: ZoneInfo) -> date | None:
    """The local day of a history row; None where its time can't be read."""
    started = local_time(row.fields.get("started"), zone)
    return started.date() if started else None


def person(patient_id: str, rows: Rows, summary: Summary) -> Person:
    """Who the patient is: what the database says, now or in the last night, else what DICOM says."""
    of_dicom = summary.get("patient") or {}
    row = next(iter(rows.get(DEMOGRAPHICS, ())), None)
    at_night = (summary.get("rois") or {}).get(DEMOGRAPHICS) or {}
    fields = dict(row.fields) if row else {column: str(said) for column, said in at_night.items()}
    return Person(
        patient_id,
        readable_name(fields.get("name") or str(of_dicom.get("name") or "")),
        birth_date=_iso_date(fields.get("birth_date") or str(of_dicom.get("birth_date") or "")),
        sex=fields.get("sex") or str(of_dicom.get("sex") or ""),
        phone=fields.get("phone") or "",
        diagnosis=fields.get("diagnosis") or "",
        priority=fields.get("priority") or "",
    )


def readable_name(text: str) -> str:
    """A name as people write it: `Demo^Anna` is `Demo, Anna`; the groups of PS3.5 6.2.1 follow in brackets."""
    groups = [_name_group(group) for group in text.split("=")]
    first, *others = [group for group in groups if group] or [""]
    return f"{first} ({', '.join(others)})" if others else first


def _name_group(group: str) -> str:
    family, *rest = [part.strip() for part in group.split("^")]
    given = " ".join(part for part in rest if part)
    return f"{family}, {given}" if family and given else family or given


def _courses(sources: Sources, summary: Summary, day: date, zone: ZoneInfo) -> list[Course]:
    """Every plan that any source knows."""
    history = list(sources.rows.get(HISTORY, ()))
    in_database = {_session_key(row, zone) for row in history}
    history += [row for row in sources.records if _session_key(row, zone) not in in_database]
    recorded = {_session_key(row, zone) for row in sources.records}
    uids = {_text(row, "record_uid") for row in sources.records}
    by_plan: dict[str, list[Row]] = defaultdict(list)
    for row in history:
        by_plan[_plan_key(row)].append(row)
    plans = {_plan_key(row): row for row in sources.rows.get(PLANS, ())}
    of_dicom = {str(uid): plan for uid, plan in (summary.get("plans") or {}).items()}
    courses = []
    for key in dict.fromkeys((*by_plan, *plans)):
        course = _course(key, by_plan[key], plans.get(key), of_dicom.get(key, {}))
        sessions = _sessions(by_plan[key], zone, recorded, uids)
        known = {session.fraction for session in sessions}
        earlier = [
            session for session in _of_records(key, summary, before=day) if session.fraction not in known
        ]
        ordered = sorted(
            [*earlier, *sessions],
            key=lambda session: (session.day, session.started or datetime.min, session.fraction or 0),
        )
        courses.append(replace(course, sessions=tuple(_with_not_seen(ordered))))
    return courses


def _course(key: str, history: Sequence[Row], plan: Row | None, of_dicom: Mapping[str, Any]) -> Course:
    """A plan without its sessions."""
    fields: Mapping[str, str | None] = plan.fields if plan else {}
    latest = history[-1] if history else None
    planned = _whole(fields.get("fractions_planned")) or of_dicom.get("fractions_planned") or None
    name = fields.get("plan") or (latest and _text(latest, "plan")) or of_dicom.get("label") or ""
    return Course(
        plan_uid=fields.get("plan_uid") or (_text(latest, "plan_uid") if latest else key),
        plan=str(name),
        course=fields.get("course") or (_text(latest, "course") if latest else ""),
        status=fields.get("status") or "",
        fractions_planned=planned if isinstance(planned, int) else None,
        dose_per_fraction=number(fields.get("dose_per_fraction_gy"))
        or number(str(of_dicom.get("dose_per_fraction_gy") or "")),
        sessions=(),
    )


def _sessions(
    history: Sequence[Row], zone: ZoneInfo, recorded: Collection[object], uids: Collection[str]
) -> list[Session]:
    grouped: dict[tuple[date, int | None], list[Row]] = defaultdict(list)
    for row in history:
        day = treated_on(row, zone)
        if day:
            grouped[day, _whole(row.fields.get("fraction"))].append(row)
    sessions = []
    for (day, fraction), rows in grouped.items():
        rows.sort(key=lambda row: (_text(row, "started"), _text(row, "field"), _text(row, "history_key")))
        here = any(_session_key(row, zone) in recorded or _text(row, "record_uid") in uids for row in rows)
        sessions.append(
            Session(
                day, fraction, tuple(_delivery(row, zone) for row in rows), recorded=bool(recorded) and here
            )
        )
    return sessions


def _of_records(plan_uid: str, summary: Summary, before: date) -> list[Session]:
    """Earlier sessions of a plan as patient.json counts them: when, which fraction, ended how."""
    grouped: dict[tuple[date, int], bool] = {}
    for record in (summary.get("treatments") or {}).values():
        when = _dicom_date(str(record.get("date") or ""))
        if record.get("plan") != plan_uid or when is None or when >= before:
            continue
        early = any(str(ending).upper() != "NORMAL" for ending in record.get("termination") or ())
        for fraction in record.get("fractions") or ():
            grouped[when, fraction] = grouped.get((when, fraction), False) or early
    return [
        Session(when, fraction, (), ended_early=early, recorded=True)
        for (when, fraction), early in grouped.items()
    ]


def _with_not_seen(sessions: Iterable[Session]) -> Iterable[Session]:
    """Say of each session which fields of the whole one before it lacks.

    What a fraction is resumed with is compared together with what had been given of it.
    """
    whole: Mapping[str, Decimal | None] = {}
    given: dict[int | None, dict[str, Decimal | None]] = defaultdict(dict)
    for session in sessions:
        fields = {field.field: field.planned_mu for field in session.fields}
        if not fields:
            yield session
            continue
        before = given[session.fraction] if session.fraction is not None else {}
        missing = [name for name in whole if name not in fields and name not in before]
        if missing:
            yield replace(session, not_seen=tuple(NotSeen(name, whole[name]) for name in missing))
        else:
            whole = {**before, **fields}
            yield session
        before.update(fields)


def _delivery(row: Row, zone: ZoneInfo) -> Delivery:
    return Delivery(
        field=_text(row, "field"),
        planned_mu=number(row.fields.get("planned_mu")),
        delivered_mu=number(row.fields.get("delivered_mu")),
        machine=_text(row, "machine"),
        started=local_time(row.fields.get("started"), zone),
        ended=local_time(row.fields.get("ended"), zone),
        termination=_text(row, "termination"),
        override=_text(row, "override") not in ("", "no", "0"),
        dose_gy=number(row.fields.get("dose_gy")),
        record_uid=_text(row, "record_uid"),
    )


def _plan_key(row: Row) -> str:
    """What plans and their history have in common: the UID, else the name within the course."""
    return _text(row, "plan_uid") or f"{_text(row, 'course')}/{_text(row, 'plan')}"


def _session_key(row: Row, zone: ZoneInfo) -> tuple[str, str, date | None]:
    return _text(row, "plan_uid"), _text(row, "fraction"), treated_on(row, zone)


def _text(row: Row, column: str) -> str:
    return row.fields.get(column) or ""


def number(text: str | None) -> Decimal | None:
    """A decimal; None for what is none, or is no amount of anything; nought for what no machine could measure."""
    try:
        value = Decimal(text) if text else None
    except InvalidOperation:
        return None
    if value is None or not value.is_finite() or not abs(value) < GREATEST:
        return None
    return value if abs(value) > LEAST else Decimal(0)


def _whole(text: str | None) -> int | None:
    return int(text) if text and len(text) < 10 and text.isascii() and text.isdecimal() else None


def local_time(text: str | None, zone: ZoneInfo) -> datetime | None:
    """A time in `zone`, without it; a date alone is its midnight, None what can't be read, or no calendar has there."""
    try:
        when = datetime.fromisoformat(text) if text else None
        return when if when is None or when.tzinfo is None else when.astimezone(zone).replace(tzinfo=None)
    except (ValueError, OverflowError):
        return None


def _dicom_date(text: str) -> date | None:
    try:
        return datetime.strptime(text, "%Y%m%d").date() if len(text) == 8 else date.fromisoformat(text)
    except ValueError:
        return None


def _iso_date(text: str) -> str:
    found = _dicom_date(text)
    return found.isoformat() if found else text
