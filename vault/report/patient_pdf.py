"""A patient's day as a PDF that needs no other file: what was given today, and where every plan stands."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from vault.report import words
from vault.report.sheet import Column, Frame, Line, Paper, Sheet
from vault.report.treatments import Course, PatientDay, Person, Session

EARLIER = 12
"""Earlier fractions of a plan that are listed; the figures above them count all."""

_FIELDS = (
    Column("Time", 12),
    Column("Field", 32),
    Column("Machine", 25),
    Column("Planned MU", 21, "R"),
    Column("Delivered MU", 23, "R"),
    Column("Difference", 19, "R"),
    Column("Remarks", 50),
)
_EARLIER = (
    Column("Date", 20),
    Column("Time", 18),
    Column("Fraction", 14, "R"),
    Column("Fields", 10, "R"),
    Column("Planned MU", 18, "R"),
    Column("Delivered MU", 19, "R"),
    Column("Machine", 26),
    Column("Remarks", 50),
)


@dataclass(frozen=True, slots=True)
class Setting:
    """What all reports of a run share."""

    site: str
    as_of: datetime
    """When the run asked; aware, in the site's zone."""
    paper: Paper = "a4"


def patient_pdf(patient: PatientDay, setting: Setting) -> bytes:
    """The document; the same bytes for the same patient and setting."""
    person = patient.person
    sheet = Sheet(
        Frame(
            site=setting.site,
            title=f"Radiotherapy treatments of {words.long_day(patient.day)}",
            subject=person.name or "Name unknown",
            number=person.patient_id,
            as_of=as_of(setting),
            footer=footer(setting),
            paper=setting.paper,
        )
    )
    sheet.line(person.name or "Name unknown", size=17, bold=True)
    sheet.space(0.8)
    sheet.facts(_identity(person), columns=4)
    sheet.space(2)
    if not patient.answered:
        sheet.note(
            "The database said nothing of this patient at this hour: what is here is from treatment records, and from "
            "what the database said earlier. Treatments since then may be missing.",
            size=9,
            bold=True,
        )
        sheet.space(2)
    treated = patient.treated
    if not treated:
        sheet.line("No treatment was seen on this day.", size=10, bold=True)
        sheet.space(2)
    for course, session in treated:
        _session(sheet, patient, course, session)
    for course in patient.courses:
        _earlier(sheet, patient, course)
    _others(sheet, patient)
    _appointments(sheet, patient)
    return sheet.finish()


def as_of(setting: Setting) -> str:
    """`As of 2026-11-25 15:00 CET`."""
    return f"As of {setting.as_of:%Y-%m-%d %H:%M %Z}"


def footer(setting: Setting) -> str:
    """What every page says of its limits."""
    return f"{as_of(setting)}. What was treated later is not in here. Not a medical record; check before treating."


def _identity(person: Person) -> list[tuple[str, str]]:
    return [
        ("Patient ID", person.patient_id),
        ("Born", person.birth_date),
        ("Sex", person.sex),
        ("Telephone", person.phone),
        ("Diagnosis", person.diagnosis),
        ("Priority", person.priority),
    ]


def plan_title(course: Course) -> str:
    """`PROSTATE_1A (C1)`: the plan, and the course where there is one."""
    name = course.plan or "Plan without a name"
    return f"{name} ({course.course})" if course.course else name


def _session(sheet: Sheet, patient: PatientDay, course: Course, session: Session) -> None:
    remarks = words.remarks(course, session)
    title = f"Fraction {words.fraction(course, session)}: {plan_title(course)}"
    sheet.heading(title, ", ".join(remarks), keep=34)
    sheet.facts(
        [
            ("Time", words.span(session)),
            ("Machine", ", ".join(session.machines) or words.NOTHING),
            ("Fractions given in full", words.given(course)),
            ("Dose to date", words.dose_to_date(course)),
            ("Prescribed per fraction", _gray(course)),
            ("Partial fractions open", str(course.partly_given) if course.partly_given else ""),
            ("Plan status", course.status),
            ("Next appointment", _next(patient)),
            ("Treatment record", "in the vault" if session.recorded else "not in the vault yet"),
        ],
        columns=4,
        size=9,
    )
    sheet.space(0.5)
    sheet.table(_FIELDS, _fields(session))
    if course.unseen:
        sheet.note(
            f"{course.unseen} earlier fraction{'s' * (course.unseen > 1)} of this plan did not show in any source: "
            "the dose to date lacks them.",
            bold=True,
        )
    sheet.space(3.5)


def _fields(session: Session) -> list[Line]:
    wholes = {field.field: field for field in session.fields}
    lines = []
    for delivery in session.deliveries:
        remarks = words.delivery_remarks(delivery, wholes[delivery.field])
        loud = any(remark.isupper() for remark in remarks)
        lines.append(
            Line(
                (
                    words.clock(delivery.started),
                    delivery.field,
                    delivery.machine or words.NOTHING,
                    words.amount(delivery.planned_mu),
                    words.amount(delivery.delivered_mu),
                    words.difference(delivery.planned_mu, delivery.delivered_mu),
                    ", ".join(remarks),
                ),
                bold=loud,
                marked=loud,
                below=(f"Ended: {delivery.termination}",) if delivery.terminated else (),
            )
        )
    for missing in session.not_seen:
        cells = (
            "",
            missing.field,
            "",
            words.amount(missing.planned_mu),
            words.NOTHING,
            "",
            "NOT SEEN SO FAR",
        )
        lines.append(Line(cells, bold=True, marked=True))
    if len(session.fields) + len(session.not_seen) > 1:
        lines.append(
            Line(
                (
                    "",
                    "Sum",
                    "",
                    words.amount(session.planned_mu),
                    words.amount(session.delivered_mu),
                    words.difference(session.planned_mu, session.delivered_mu),
                    "",
                ),
                rule=False,
            )
        )
    return lines


def _earlier(sheet: Sheet, patient: PatientDay, course: Course) -> None:
    """Earlier fractions of a plan that was treated today."""
    earlier = [session for session in course.sessions if session.day < patient.day]
    if not course.on(patient.day) or not earlier:
        return
    shown = earlier[-EARLIER:]
    left_out = "" if len(shown) == len(earlier) else f"the last {len(shown)} of {len(earlier)}"
    sheet.heading(f"Earlier fractions: {plan_title(course)}", left_out, size=9.5, keep=14)
    sheet.table(_EARLIER, [_earlier_line(course, session) for session in reversed(shown)], size=8)
    sheet.space(3.5)


def _earlier_line(course: Course, session: Session) -> Line:
    remarks = words.remarks(course, session)
    return Line(
        (
            session.day.isoformat(),
            words.span(session),
            words.NOTHING if session.fraction is None else str(session.fraction),
            str(len(session.fields) or words.NOTHING),
            words.amount(session.planned_mu),
            words.amount(session.delivered_mu),
            ", ".join(session.machines) or words.NOTHING,
            ", ".join(remarks),
        ),
        bold=bool(remarks),
        marked=bool(remarks),
    )


def _others(sheet: Sheet, patient: PatientDay) -> None:
    """Plans that were not treated today."""
    others = [course for course in patient.courses if not course.on(patient.day)]
    if not others:
        return
    columns = (
        Column("Plan", 42),
        Column("Status", 26),
        Column("Given", 16, "R"),
        Column("Dose to date", 30, "R"),
        Column("Last treated", 22),
        Column("", 44),
    )
    sheet.heading("Plans not treated today", size=9.5, keep=14)
    lines = []
    for course in others:
        to_mind = [f"{course.partly_given} PARTIAL, OPEN"] if course.partly_given else []
        to_mind += [f"+{course.unnumbered} WITHOUT A NUMBER"] if course.unnumbered else []
        given = f"{course.given} of {course.fractions_planned or '?'}"
        last = course.last.day.isoformat() if course.last else "not begun"
        dose = words.dose_to_date(course) if course.sessions else words.NOTHING
        cells = (plan_title(course), course.status, given, dose, last, ", ".join(to_mind))
        lines.append(Line(cells, marked=bool(to_mind)))
    sheet.table(columns, lines)
    sheet.space(3.5)


def _appointments(sheet: Sheet, patient: PatientDay) -> None:
    coming = [item for item in patient.appointments if not patient.next or item.starts >= patient.next.starts]
    if not coming or patient.next is None:
        return
    columns = (Column("When", 32), Column("What", 70), Column("Machine", 40), Column("Status", 40))
    sheet.heading("Appointments", size=9.5, keep=14)
    lines = [
        Line((f"{item.starts:%Y-%m-%d %H:%M}", item.activity, item.machine, item.status))
        for item in coming[:8]
    ]
    sheet.table(columns, lines)


def _next(patient: PatientDay) -> str:
    return words.short_time(patient.next.starts, patient.day) if patient.next else "none known"


def _gray(course: Course) -> str:
    return f"{words.dose(course.dose_per_fraction)} Gy" if course.dose_per_fraction is not None else ""
