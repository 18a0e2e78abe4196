"""The mail of a run: what changed, worst patient first, and what its reader is asked for.

Two forms. The full one names patients and says what changed. The limited one, for a mail system that may see neither,
has pseudonyms and counts: nothing in it was written by the ROIS.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from vault.compare.groups import Group
from vault.compare.rules import SEVERITIES
from vault.mail.content import Ask, Block, Content, Entries, Entry, Facts, Light, Points, Told, Words
from vault.report import telling
from vault.report.changes import PatientChanges, RunReport

PATIENTS_TOLD = 40
"""Patients of whom a mail says what changed; the report that is attached has all."""

TOLD_EACH = 5
"""Changes that are told of one patient."""

FINDINGS_EACH = 3
"""Findings that are told of one change: the first may be the least of several that are as grave."""

FEW = 10
"""Of so many patients a mail tells as much; of more, one finding of each change and how many there are beside it."""

NAMED = 60
"""Patients named in one line."""

FAILURES_TOLD = 20


@dataclass(frozen=True, slots=True)
class Circumstances:
    """What a mail says beside the run's report."""

    full: bool
    """Whether it may name patients."""
    confirm_by: datetime | None = None
    """Until when people are asked to confirm, by the site's clocks; None where nobody is asked."""
    emergency: str = ""
    """Since when and why an emergency is in force; empty when none is."""
    attached: tuple[str, ...] = ()
    """Sentences on what is attached, or why it is not."""
    leaving: tuple[str, ...] = ()
    """Who leaves the vault with the next night; pseudonyms where it may not name patients."""


def digest(report: RunReport, about: Circumstances, ask: Ask | None) -> Content:
    """The mail of a run. `ask` is what its reader is asked for; None where nothing has to be confirmed."""
    blocks = _full(report, ask) if about.full else _limited(report, ask)
    return Content(
        subject=subject(report, about),
        site=report.site,
        title=f"The night's run of {telling.when(report)}",
        light=_light(report, ask),
        blocks=(*blocks, *_ending(report, about)),
        banner=banner(about.emergency),
    )


def subject(report: RunReport, about: Circumstances) -> str:
    """One line that a phone shows whole: how bad, how many, until when. It never names a patient."""
    counts = ", ".join(f"{number} {severity}" for severity, number in report.by_severity().items() if number)
    parts = [counts or ("no change found" if report.unknown else "nothing changed")]
    if failed := _failures(report):
        parts.append(f"{failed} failed")
    if report.changed and about.confirm_by is not None:
        asked = f"confirm by {clock(about.confirm_by, report.began)}"
    else:
        asked = _patients(report.asked) if not report.changed else ""
    alarm = "ALARM, " if telling.light(report).word == "ALARM" else ""
    return f"{prefix(about.emergency)}: {alarm}{', '.join(parts)}" + (f"; {asked}" if asked else "")


def prefix(emergency: str) -> str:
    """How every subject begins."""
    return "vault EMERGENCY" if emergency else "vault"


def banner(emergency: str) -> str:
    """What stands above every mail while an emergency is in force."""
    return (
        f"An emergency is in force {emergency}: nothing is pruned until `vault emergency end`."
        if emergency
        else ""
    )


def clock(moment: datetime, beside: datetime) -> str:
    """A time as people say it: with its day where that is another than the run's."""
    return f"{moment:%H:%M}" if moment.date() == beside.date() else f"{moment:%a %d %b, %H:%M}"


def _light(report: RunReport, ask: Ask | None) -> Light:
    found = telling.light(report)
    then = f" {ask.heading}; what to write stands below the changes." if ask else ""
    return Light(found.colour, found.word, found.sentence + then)


def _failures(report: RunReport) -> int:
    return len(report.failed) + sum(bool(patient.failed) for patient in report.patients)


# --- with names


def _full(report: RunReport, ask: Ask | None) -> Iterator[Block]:
    if odd := telling.anomalies(report):
        lines = (
            f"{telling.whom(patients)}{each.text}"
            + (f" What to do first: {each.look_at_first}" if each.look_at_first else "")
            for patients, each in odd
        )
        yield Points("This looks as if nobody meant it", _first(list(lines), FAILURES_TOLD), "red")
    yield from _glance(report)
    serious = [patient for patient in report.changed if not patient.routine]
    if serious:
        more, most = len(serious) - PATIENTS_TOLD, FINDINGS_EACH if len(serious) <= FEW else 1
        yield Entries(
            "Look at these, worst first",
            tuple(_entry(patient, most) for patient in serious[:PATIENTS_TOLD]),
            f"… and {more} more patients: see the report." if more > 0 else "",
        )
    if routine := [patient for patient in report.changed if patient.routine]:
        yield Points(
            f"Nothing but routine: {_patients(len(routine))}",
            _first([telling.identity(patient) for patient in routine], NAMED),
        )
    yield from _asked(ask)
    failed = [telling.failure_text(failure) for failure in report.failed]
    failed += [
        f"{telling.identity(patient)}: {telling.failure_text(failure)}"
        for patient in report.patients
        for failure in patient.failed
    ]
    if failed:
        yield Points("This failed", _first(failed, FAILURES_TOLD), "amber")
    lacking = [
        f"{telling.identity(patient)}: {telling.failure_text(gap)}"
        for patient in report.patients
        for gap in patient.gaps
    ]
    if lacking:
        yield Points("This should be in the vault and is not", _first(lacking, FAILURES_TOLD))
    if report.census and report.census.gone:
        yield Points("No longer under treatment, by the census", _first(list(report.census.gone), NAMED))


def _entry(patient: PatientChanges, most: int) -> Entry:
    born = f", born {patient.birth_date}" if patient.birth_date else ""
    beside = f"{telling.who(patient)}{born}" if patient.name else born.removeprefix(", ")
    grave = [group for group in patient.groups if group.severity != telling.ROUTINE]
    told = [Told(patient.severity or SEVERITIES[0], telling.headline(patient))] if patient.is_new else []
    if patient.is_new:  # what came with a new patient is all new: only what is grave for its own sake is told
        grave = [group for group in grave if group.severity in {telling.CRITICAL, telling.MAJOR, None}]
    told += (line for group in grave[:TOLD_EACH] for line in _told(group, most))
    routine = 0 if patient.is_new else sum(group.severity == telling.ROUTINE for group in patient.groups)
    more = _rest(grave[TOLD_EACH:], routine)
    return Entry(
        patient.severity or SEVERITIES[0], patient.name or telling.who(patient), beside, tuple(told), more
    )


def _told(group: Group, most: int) -> Iterator[Told]:
    """What is said of a group, at most so many of its gravest findings; what is left out is counted."""
    severity, subject = group.severity or SEVERITIES[0], telling.subject(group)
    findings = group.findings if not group.text or len(group.attributes) != 1 else ()  # else it says the same
    grave = [one for one in findings if one.severity == severity][:most] or findings[:1]
    said = [one.text for one in grave]
    if group.text or not findings:
        said.insert(0, telling.told(group))
    if rest := Counter(one.severity for one in findings[len(grave) :]):
        number = f"finding{'s' if rest.total() > 1 else ''} more"
        said[-1] += f"; and {' and '.join(_by_severity(rest))} {number}"
    yield from (Told(severity, f"{subject}: {text}") for text in said)


def _by_severity(counts: Counter[str]) -> list[str]:
    return [f"{counts[severity]} {severity}" for severity in SEVERITIES if counts[severity]]


def _rest(grave: Sequence[Group], routine: int) -> str:
    """What is not told of a patient here."""
    severities = ", ".join(_by_severity(Counter(group.severity or SEVERITIES[0] for group in grave)))
    parts = [f"{_things(len(grave))} more: {severities}"] if grave else []
    parts += [f"{_things(routine)} of routine"] if routine else []
    return f"and {'; and '.join(parts)}" if parts else ""


# --- without


def _limited(report: RunReport, ask: Ask | None) -> Iterator[Block]:
    odd = [each.text for each in report.anomalies]
    odd += [
        f"{_pseudonym(patient)}: {_things(len(patient.anomalies))}; the report says what."
        for patient in report.patients
        if patient.anomalies and not patient.changes  # who changed is listed below
    ]
    if odd:
        yield Points("This looks as if nobody meant it", _first(odd, FAILURES_TOLD), "red")
    yield from _glance(report)
    serious = [patient for patient in report.changed if not patient.routine]
    if serious:
        more = len(serious) - PATIENTS_TOLD
        yield Entries(
            "Look at these, worst first",
            tuple(_counted(patient) for patient in serious[:PATIENTS_TOLD]),
            f"… and {more} more patients: see the report." if more > 0 else "",
        )
    if routine := [patient for patient in report.changed if patient.routine]:
        yield Points(
            f"Nothing but routine: {_patients(len(routine))}",
            _first([_pseudonym(patient) for patient in routine], NAMED),
        )
    yield from _asked(ask)
    if failed := _failures(report):
        what = f"{_things(failed)} failed; `vault report {report.run}` at the vault says what."
        yield Points("Not everything went as it should", (what,), "amber")
    if gaps := sum(len(patient.gaps) for patient in report.patients):
        yield Points("This should be in the vault and is not", (f"{_things(gaps)}; the report says what.",))
    if report.census and report.census.gone:
        yield Words(f"No longer under treatment, by the census: {_patients(len(report.census.gone))}.")


def _counted(patient: PatientChanges) -> Entry:
    told = [
        Told(severity, f"{number} changes" if number > 1 else "1 change")
        for severity, number in patient.by_severity().items()
    ]
    more = []
    if patient.anomalies:
        more.append(f"{_things(len(patient.anomalies))} as if nobody meant it")
    if patient.failed:
        more.append(f"{_things(len(patient.failed))} failed")
    if patient.is_new:
        more.append("new in the vault")
    return Entry(patient.severity or SEVERITIES[0], _pseudonym(patient), "", tuple(told), "; ".join(more))


def _pseudonym(patient: PatientChanges) -> str:
    return f"Patient {patient.pseudonym}"


# --- both


def _asked(ask: Ask | None) -> Iterator[Block]:
    if ask is not None:
        yield ask


def _glance(report: RunReport) -> Iterator[Block]:
    rows = [
        (severity, f"{_patients(number)}: {telling.MEANING[severity]}")
        for severity, number in report.by_severity().items()
        if number
    ]
    if rows:
        yield Facts("How many, by the worst of each", tuple(rows))


def _ending(report: RunReport, about: Circumstances) -> Iterator[Block]:
    if about.leaving:
        yield Points(
            "These leave the vault with the next night; `vault hold PATIENT` keeps them",
            _first(about.leaving, NAMED),
        )
    for sentence in about.attached:
        yield Words(sentence)
    unknown = f", {report.unknown} not known" if report.unknown else ""
    rows = [
        ("Run", report.run),
        ("Patients", f"{report.asked} asked for, {len(report.changed)} with changes{unknown}"),
        ("Ledger", report.ledger_head or "no entry"),
    ]
    if report.finished:
        rows.append(("Also finished", ", ".join(report.finished)))
    yield Facts("For the record", tuple(rows))
    yield Words(
        "Keep this mail: the ledger's number above proves later that nobody rewrote what was recorded until now. "
        "A mail like this comes after each run, also when nothing changed. If one does not come, something is wrong "
        "with the vault or with the mail: `vault status` says which.",
        quiet=True,
    )


def _first(lines: Sequence[str], most: int) -> tuple[str, ...]:
    """The first of many lines, and how many there are beside them."""
    rest = len(lines) - most
    return (*lines[:most], f"… and {rest} more: see the report.") if rest > 0 else tuple(lines)


def _patients(number: int) -> str:
    return "1 patient" if number == 1 else f"{number} patients"


def _things(number: int) -> str:
    return "one thing" if number == 1 else f"{number} things"
