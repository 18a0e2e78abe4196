"""A report as lines for a terminal or a mail: the same order and words as the page's, nothing that commands either."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from vault.compare.groups import Group
from vault.compare.values import printable
from vault.model import Failure
from vault.report import telling
from vault.report.changes import PatientChanges, RunReport

FINDINGS = 12
"""Findings of one change that are told."""

FAILURES = 20
"""Failures, or gaps, of one patient that are told."""

LONGEST = 400
"""Characters of one line."""

LONGEST_LIST = 2400
"""Characters of a line that names many patients: their IDs have 64 at most."""

_COLOURS = {
    "critical": "31",
    "major": "33",
    "minor": "36",
    "administrative": "0",
    "routine": "32",
    "red": "1;31",
    "amber": "1;33",
    "green": "1;32",
}


def text(report: RunReport, *, colour: bool = False) -> str:
    """The report, ending with a line break; `colour` writes ANSI colours."""
    return "\n".join(lines(report, colour=colour)) + "\n"


def lines(report: RunReport, *, colour: bool = False) -> Iterator[str]:
    """Yield the lines of a report, without line ends."""
    shown = telling.light(report)
    what = f"run {report.run}" if report.run else "two commits"
    yield _line(f"{report.site}, {telling.when(report)}: what changed ({what})")
    yield f"{_coloured(shown.word, shown.colour, colour)}  {_line(shown.sentence)}"
    if asked := telling.answers(report):
        yield _line(asked)
    yield from _figures(report)
    yield from _alarms(report, colour)
    yield from _section("Could not be done:", _failures(report.failed, 2))
    quiet = [patient for patient in report.patients if _is_quiet(patient)]
    for patient in report.patients:
        if not _is_quiet(patient):
            yield ""
            yield from _patient(patient, colour)
    if quiet:
        yield ""
        yield f"Nothing but routine: {_number(len(quiet), 'patient')}"
        yield from (_line(f"  {telling.identity(one)}: {_routine(one)}") for one in quiet)
    if report.ledger_head:
        yield ""
        yield f"Ledger {report.ledger_head}"


def _figures(report: RunReport) -> Iterator[str]:
    if not report.run:
        return
    counts = ", ".join(f"{number} {severity}" for severity, number in report.by_severity().items())
    unknown = (
        f"; {report.unknown} of whom nobody knows what changed, since something failed"
        if report.unknown
        else ""
    )
    yield (
        f"{_number(report.asked, 'patient')} asked for, by the worst of each: {counts}; "
        f"{report.nothing_new} with nothing new{unknown}"
    )
    if report.census:
        gone = f"; {telling.gone(report.census)}" if report.census.gone else ""
        yield _line(f"{report.census.named} named by the census{gone}", LONGEST_LIST)
    for run in report.finished:
        yield _line(f"Finished first: run {run}, which was interrupted; `vault report {run}` tells it")


def _alarms(report: RunReport, colour: bool) -> Iterator[str]:
    said: list[str] = []
    for patients, each in telling.anomalies(report):
        said.append(f"  {_severity(each.severity, colour)} {_line(telling.whom(patients) + each.text)}")
        if each.look_at_first:
            said.append(f"      look at first: {_line(each.look_at_first)}")
    yield from _section("What looks as if nobody meant it:", said)


def _section(title: str, said: Sequence[str]) -> Iterator[str]:
    if said:
        yield ""
        yield title
        yield from said


def _is_quiet(patient: PatientChanges) -> bool:
    return telling.is_quiet(patient) and not patient.gaps


def _routine(patient: PatientChanges) -> str:
    return telling.contents(patient.groups)


def _patient(patient: PatientChanges, colour: bool) -> Iterator[str]:
    born = f", born {patient.birth_date}" if patient.birth_date else ""
    new = ", new in the vault" if patient.is_new else ""
    yield f"{_severity(telling.badge(patient), colour)}  {_line(telling.identity(patient) + born + new)}"
    for each in patient.anomalies[:FAILURES]:
        yield f"    as if nobody meant it: {_line(f'{each.text} {each.look_at_first}'.rstrip())}"
    if len(patient.anomalies) > FAILURES:
        yield f"    and {len(patient.anomalies) - FAILURES} more that look as if nobody meant them"
    yield from _failures(patient.failed, 4, "could not be done: ")
    yield from _failures(patient.gaps, 4, "missing: ")
    routine = [group for group in patient.groups if group.severity == telling.ROUTINE]
    for group in patient.groups:
        if group.severity != telling.ROUTINE:
            yield from _group(group, colour)
    if routine:
        yield f"    {_severity(telling.ROUTINE, colour)} {_line(telling.contents(routine))}"


def _group(group: Group, colour: bool) -> Iterator[str]:
    kind = telling.KIND.get(group.kind, group.kind)
    yield f"    {_severity(group.severity or telling.CRITICAL, colour)} {_line(telling.subject(group))}  {kind}"
    if group.text or not group.findings:
        yield f"        {_line(telling.told(group))}"
    yield from (f"        {_line(one.text)}" for one in group.findings[:FINDINGS])
    if rest := Counter(one.severity for one in group.findings[FINDINGS:]):
        severities = ", ".join(f"{number} {printable(severity)}" for severity, number in rest.items())
        yield f"        and {_number(rest.total(), 'finding')} more: {severities}"


def _failures(failures: Sequence[Failure], indent: int, before: str = "") -> list[str]:
    said = [
        f"{' ' * indent}{before}{_line(telling.failure_text(failure))}" for failure in failures[:FAILURES]
    ]
    more = len(failures) - FAILURES
    return [*said, f"{' ' * indent}and {more} more"] if more > 0 else said


def _line(text: str, longest: int = LONGEST) -> str:
    """One line that shows what is in `text`; cut where it is absurdly long, which it then says."""
    shown = printable(text[:longest])
    return shown if len(text) <= longest else f"{shown}… {len(text) - longest} more characters"


def _severity(severity: str, colour: bool) -> str:
    return _coloured(printable(severity), severity, colour)


def _coloured(text: str, name: str, colour: bool) -> str:
    return f"\x1b[{_COLOURS.get(name, '0')}m{text}\x1b[0m" if colour else text


def _number(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
