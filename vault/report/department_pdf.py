"""The department's day as one PDF: everybody who was treated, with fields and monitor units, and who is still due."""

from __future__ import annotations

from vault.report import words
from vault.report.patient_pdf import Setting, as_of, footer, plan_title
from vault.report.sheet import Column, Frame, Line, Sheet
from vault.report.treatments import Course, DepartmentDay, FieldTotal, PatientDay, Session

_TREATED = (
    Column("Patient", 48),
    Column("ID", 24),
    Column("Born", 21),
    Column("Plan", 39),
    Column("Fraction", 17, "R"),
    Column("MU given / planned", 32, "R"),
    Column("Machine", 22),
    Column("Time", 23),
    Column("Dose to date", 29, "R"),
    Column("Next", 21),
)
_DUE = (
    Column("Due", 14),
    Column("Patient", 60),
    Column("ID", 30),
    Column("Born", 20),
    Column("Telephone", 34),
    Column("Activity", 50),
    Column("Machine", 30),
    Column("Status", 30),
)
_ATTENTION = (
    Column("What", 60),
    Column("Patient", 56),
    Column("ID", 30),
    Column("Plan, fraction", 64),
    Column("Time", 22),
    Column("Machine", 30),
)


SILENT = "DATABASE SILENT"

LONGEST_FIELD = 32
"""Characters of a field's name: one that is absurdly long must not hide those behind it."""

LONGEST_ID = 64
"""Characters of a patient's ID in a sentence, as many as DICOM allows."""

MOST_NAMED = 20
"""Patients that a sentence names; the others are counted."""


def department_pdf(day: DepartmentDay, setting: Setting) -> bytes:
    """The document; the same bytes for the same day and setting."""
    sheet = Sheet(
        Frame(
            site=setting.site,
            title=f"Radiotherapy treatments of {words.long_day(day.day)}",
            subject="All patients treated",
            as_of=as_of(setting),
            footer=footer(setting),
            paper=setting.paper,
            landscape=True,
        )
    )
    sheet.line(f"Treatments of {words.long_day(day.day)}", size=17, bold=True)
    sheet.space(1)
    sheet.facts(_figures(day), columns=6, size=13)
    sheet.space(2)
    _unreadable(sheet, day)
    _silent(sheet, day)
    _attention(sheet, day)
    _treated(sheet, day)
    _due(sheet, day)
    return sheet.finish()


def _sessions(day: DepartmentDay) -> list[tuple[PatientDay, Course, Session]]:
    return [(patient, course, session) for patient in day.patients for course, session in patient.treated]


def _figures(day: DepartmentDay) -> list[tuple[str, str]]:
    sessions = [session for _, _, session in _sessions(day)]
    machines = {machine for session in sessions for machine in session.machines}
    return [
        ("Patients treated", str(len(day.patients))),
        ("Fractions", str(len(sessions))),
        ("Partial", str(sum(session.partial for session in sessions))),
        ("With overrides", str(sum(session.override for session in sessions))),
        ("Machines", str(len(machines))),
        ("Due, not seen treated", str(len(day.waiting))),
    ]


def _unreadable(sheet: Sheet, day: DepartmentDay) -> None:
    """Who is missing here, whom nobody would miss otherwise."""
    if lacking := len(day.unreadable):
        named = ", ".join(patient_id[:LONGEST_ID] for patient_id in day.unreadable[:MOST_NAMED])
        more = f" and {lacking - MOST_NAMED} more" if lacking > MOST_NAMED else ""
        sheet.note(
            f"The history of {lacking} patient{'s' if lacking > 1 else ''} can't be read on the vault's computer. "
            f"Whether they were treated today is not on this page: {named}{more}.",
            size=9,
            bold=True,
        )
        sheet.space(2)


def _silent(sheet: Sheet, day: DepartmentDay) -> None:
    """Of whom the page is older than it says."""
    if silent := sum(not patient.answered for patient in day.patients):
        sheet.note(
            f"The database said nothing at this hour of {silent} of these patients, marked {SILENT}: what is here of "
            "them is from treatment records, and from what it said earlier. Treatments since then, of others too, may "
            "be missing.",
            size=9,
            bold=True,
        )
        sheet.space(2)


def _attention(sheet: Sheet, day: DepartmentDay) -> None:
    lines = []
    for patient, course, session in _sessions(day):
        remarks = words.remarks(course, session)
        if remarks:
            cells = (
                ", ".join(remarks),
                _name(patient),
                patient.person.patient_id,
                f"{plan_title(course)}, {words.fraction(course, session)}",
                words.span(session),
                ", ".join(session.machines),
            )
            lines.append(Line(cells, bold=True, marked=True))
    if lines:
        sheet.heading("Needs attention", keep=14)
        sheet.table(_ATTENTION, lines)
        sheet.space(4)


def _treated(sheet: Sheet, day: DepartmentDay) -> None:
    sheet.heading("Treated", "by name", keep=16)
    if not day.patients:
        sheet.line("Nobody, as far as the ROIS says.", size=10)
        return
    lines = [_line(sheet, *entry) for entry in _sessions(day)]
    sheet.table(_TREATED, lines)
    sheet.space(4)


def _line(sheet: Sheet, patient: PatientDay, course: Course, session: Session) -> Line:
    remarks = words.remarks(course, session) + ([] if patient.answered else [SILENT])
    fields = "; ".join(
        [*(_field(field) for field in session.fields)]
        + [f"{item.field} NOT SEEN SO FAR of {words.amount(item.planned_mu)}" for item in session.not_seen]
    )
    said = f"{', '.join(remarks)}. Fields: {fields}" if remarks else f"Fields: {fields}"
    coming = patient.next
    return Line(
        (
            _name(patient),
            patient.person.patient_id,
            patient.person.birth_date,
            plan_title(course),
            words.fraction(course, session),
            f"{words.amount(session.delivered_mu)} / {words.amount(session.planned_mu)}",
            ", ".join(session.machines),
            words.span(session),
            words.dose_to_date(course),
            f"{coming.starts:%m-%d %H:%M}" if coming else words.NOTHING,
        ),
        bold=bool(remarks),
        marked=bool(remarks),
        below=sheet.wrapped(said, 4),
    )


def _field(field: FieldTotal) -> str:
    given = f"{words.amount(field.delivered_mu)} / {words.amount(field.planned_mu)} MU"
    extra = [f"in {len(field.deliveries)} parts"] if len(field.deliveries) > 1 else []
    extra += ["PARTIAL"] if field.partial else []
    extra += ["OVERRIDE"] if any(item.override for item in field.deliveries) else []
    return " ".join([field.field[:LONGEST_FIELD], given, *extra])


def _due(sheet: Sheet, day: DepartmentDay) -> None:
    if not day.waiting:
        return
    sheet.heading("Due today, no treatment seen", "treated since, cancelled, or still to come", keep=14)
    lines = []
    for item in day.waiting:
        who, when = item.person, item.appointment
        name = who.name or "Name unknown"
        cells = (
            words.clock(when.starts),
            name,
            who.patient_id,
            who.birth_date,
            who.phone,
            when.activity,
            when.machine,
            when.status,
        )
        lines.append(Line(cells))
    sheet.table(_DUE, lines)


def _name(patient: PatientDay) -> str:
    return patient.person.name or "Name unknown"
