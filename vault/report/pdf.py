"""A report on paper: what the page says, in its order, for those who sign or file it. Same report, same bytes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from vault.compare.groups import Group
from vault.model import Failure
from vault.report import telling
from vault.report.changes import PatientChanges, RunReport
from vault.report.pictures import Picture
from vault.report.sheet import Column, Frame, Line, Paper, Sheet

FINDINGS = 12
"""Findings of one change that are printed."""

ATTRIBUTES = 6
"""Attribute lines of one critical or major change that are printed."""

PICTURES = 2
"""Pictures of one change that are printed."""

FAILURES = 20
"""Failures, or gaps, of one patient that are printed."""

_LOOKS = (Column("Severity", 30), Column("Who, and when", 112), Column("Patients", 40, "R"))
_ROUTINE = (Column("Patient", 100), Column("ID", 82))
_NAMED = 12  # patients of one severity that the table names


def pdf(
    report: RunReport,
    pictures: Mapping[tuple[str, str], Sequence[Picture]] | None = None,
    *,
    paper: Paper = "a4",
) -> bytes:
    """The document."""
    what = "What changed in the night" if report.run else "What changed between two commits"
    one = next(iter(report.patients), None)
    sheet = Sheet(
        Frame(
            site=report.site,
            title=what,
            subject=f"Run {report.run}" if report.run else one.name if one else "",
            number=telling.who(one) if one and not report.run else "",
            as_of=f"{report.began:%Y-%m-%d %H:%M %Z}",
            footer="Holds patients' data. Helps a person to look; does not check a plan.",
            paper=paper,
        )
    )
    _summary(sheet, report)
    for patient in report.patients:
        if not telling.is_quiet(patient):
            _patient(sheet, patient, pictures or {})
    _quiet(sheet, [patient for patient in report.patients if telling.is_quiet(patient)])
    _missing(sheet, [patient for patient in report.patients if patient.gaps])
    if report.ledger_head:
        sheet.space(3)
        sheet.note(f"Ledger {report.ledger_head}. A ledger that does not extend this commit was rewritten.")
    return sheet.finish()


def _summary(sheet: Sheet, report: RunReport) -> None:
    light = telling.light(report)
    sheet.line(light.word, size=20, bold=True)
    sheet.note(light.sentence, size=11)
    if asked := telling.answers(report):
        sheet.note(asked, size=9)
    sheet.space(2)
    if report.run:
        sheet.facts(_figures(report), columns=5, size=12)
        sheet.space(2)
    _anomalies(sheet, report)
    looks = telling.looks(report)
    failing = [patient for patient in report.patients if patient.failed]
    if looks or failing:
        sheet.heading("Who must look at what", keep=14)
        sheet.table(
            _LOOKS,
            [
                Line(
                    (severity, telling.LOOKS[severity], _names(patients)),
                    bold=severity == telling.CRITICAL,
                    marked=severity in (telling.CRITICAL, telling.MAJOR),
                    below=_headlines(sheet, severity, patients),
                )
                for severity, patients in looks
            ]
            + ([Line(("failed", telling.FAILED, _names(failing)), marked=True)] if failing else []),
        )
        sheet.space(3)
    if report.failed:
        sheet.heading("What could not be done", keep=10)
        _failures(sheet, report.failed, 2)
    if report.census and report.census.gone:
        sheet.note(f"No longer in the census: {', '.join(report.census.gone)}", size=8.5)
    for run in report.finished:
        sheet.note(f"Finished first: run {run}, which was interrupted and has a report of its own.", size=8.5)


def _figures(report: RunReport) -> list[tuple[str, str]]:
    figures = [
        ("Patients asked for", str(report.asked)),
        ("With something new", str(len(report.changed))),
        ("Nothing new", str(report.nothing_new)),
        *([("Not known, since something failed", str(report.unknown))] if report.unknown else []),
    ]
    if report.census:
        figures.append(("Named by the census", str(report.census.named)))
    return [*figures, ("With failures", str(sum(bool(patient.failed) for patient in report.patients)))]


def _anomalies(sheet: Sheet, report: RunReport) -> None:
    found = telling.anomalies(report)
    if not found:
        return
    sheet.heading("What looks as if nobody meant it", keep=12)
    for patients, each in found:
        sheet.note(f"{each.severity.upper()}  {telling.whom(patients)}{each.text}", size=9, bold=True)
        if each.look_at_first:
            sheet.note(f"Look at first: {each.look_at_first}", size=9, indent=4)
    sheet.space(3)


def _names(patients: Sequence[PatientChanges]) -> str:
    return f"{len(patients)} patient{'' if len(patients) == 1 else 's'}"


def _headlines(sheet: Sheet, severity: str, patients: Sequence[PatientChanges]) -> list[str]:
    """The patients of a severity that has to be looked at, each with what is the matter."""
    if severity not in (telling.CRITICAL, telling.MAJOR):
        return []
    said = [f"{telling.identity(patient)}: {telling.headline(patient)}" for patient in patients[:_NAMED]]
    if len(patients) > _NAMED:
        said.append(f"and {len(patients) - _NAMED} more, below")
    return [part for one in said for part in sheet.wrapped(one, 3)]


def _patient(
    sheet: Sheet, patient: PatientChanges, pictures: Mapping[tuple[str, str], Sequence[Picture]]
) -> None:
    sheet.space(2)
    severity = telling.badge(patient).upper()
    born = f"born {patient.birth_date}" if patient.birth_date else ""
    new = "new in the vault" if patient.is_new else ""
    sheet.heading(f"{severity}  {telling.identity(patient)}", ", ".join(filter(None, (born, new))), keep=20)
    sheet.running = f"{telling.identity(patient)}, continued"
    _failures(sheet, patient.failed, 2)
    for each in patient.anomalies:
        sheet.note(f"{each.severity}: {each.text}", size=9, bold=True, indent=2)
    for group in patient.groups:
        if group.severity != telling.ROUTINE:
            _group(sheet, patient, group, pictures.get((patient.patient_id, group.changes[0].path), ()))
    rest = [group for group in patient.groups if group.severity == telling.ROUTINE]
    if rest:
        sheet.note(f"routine: {telling.contents(rest)}", size=8.5, indent=2)
    if patient.old and patient.new and patient.old != patient.new:
        sheet.note(f"All of it: {telling.diff_command(patient)}", indent=2)
    sheet.running = ""


def _group(sheet: Sheet, patient: PatientChanges, group: Group, pictures: Sequence[Picture]) -> None:
    kind = telling.KIND.get(group.kind, group.kind)
    severity = group.severity or telling.CRITICAL
    sheet.need(14)
    sheet.space(1)
    sheet.note(f"{severity}: {telling.subject(group)}, {kind}", size=9.5, bold=True, indent=2)
    for text in _findings(group):
        sheet.note(text, size=8.5, indent=6)
    if severity in (telling.CRITICAL, telling.MAJOR):
        lines = patient.lines.get(group.changes[0].path)
        shown = lines.shown[:ATTRIBUTES] if lines else ()
        for text in shown:
            sheet.note(text, size=7, indent=10)
        if lines and (more := len(lines.shown) - len(shown) + lines.more):
            sheet.note(f"and {more} more attribute line{'' if more == 1 else 's'}", size=7, indent=10)
    for picture in pictures[:PICTURES]:
        if picture.drawn:
            sheet.picture(picture.png)
        sheet.note(f"{picture.title}. {picture.caption}", indent=6)


def _findings(group: Group) -> Iterator[str]:
    said = [f"{one.severity}: {one.text}" for one in group.findings] or [telling.told(group)]
    if group.text:
        said = [group.text, *said]
    yield from said[:FINDINGS]
    if len(said) > FINDINGS:
        yield f"and {len(said) - FINDINGS} more"


def _quiet(sheet: Sheet, patients: Sequence[PatientChanges]) -> None:
    changed = [patient for patient in patients if patient.changes]
    if not changed:
        return
    sheet.space(3)
    sheet.heading("Nothing but routine", f"{len(changed)} patients", keep=14)
    lines = [
        Line(
            (patient.name or "Name unknown", telling.who(patient)),
            below=sheet.wrapped(telling.contents(patient.groups), 4),
        )
        for patient in changed
    ]
    sheet.table(_ROUTINE, lines, size=8.5)


def _missing(sheet: Sheet, patients: Sequence[PatientChanges]) -> None:
    if not patients:
        return
    sheet.space(3)
    sheet.heading("What should be in the vault and is not", f"{len(patients)} patients", keep=14)
    for patient in patients:
        sheet.note(telling.identity(patient), size=9, bold=True)
        _failures(sheet, patient.gaps, 4)


def _failures(sheet: Sheet, failures: Sequence[Failure], indent: float) -> None:
    for failure in failures[:FAILURES]:
        sheet.note(telling.failure_text(failure), size=8.5, indent=indent)
    if len(failures) > FAILURES:
        sheet.note(f"and {len(failures) - FAILURES} more", size=8.5, indent=indent)
