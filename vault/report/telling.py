"""How a report is put into words: the same on the page, on paper, in the mail and on the terminal."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import chain
from typing import Literal

from vault.compare.groups import Group
from vault.compare.rules import SEVERITIES
from vault.model import Anomaly, Change, Failure
from vault.report.changes import Census, PatientChanges, RunReport
from vault.report.words import long_day

CRITICAL, MAJOR, MINOR, ADMINISTRATIVE, ROUTINE = SEVERITIES

Colour = Literal["red", "amber", "green"]

SHORT = 10
"""Digits of a commit id that are shown to people."""

NAMED = 6
"""Patients who are named where the same is said of many."""

GONE_NAMED = 30
"""Patients who are named of those whom the census dropped."""

MEANING = {
    CRITICAL: "could harm the patient at the next fraction",
    MAJOR: "changes what is planned, or who vouches for it",
    MINOR: "worth a glance",
    ADMINISTRATIVE: "about papers, not about treatment",
    ROUTINE: "what every ordinary night brings",
}

LOOKS = {
    CRITICAL: "A physicist, now: before the patient's next fraction",
    MAJOR: "A physicist or a dosimetrist, before the day begins",
    MINOR: "Whoever confirms: a glance",
    ADMINISTRATIVE: "Whoever confirms: a glance; nothing of it concerns treatment",
    ROUTINE: "Nobody needs to look closer",
}
"""Who must look, by the worst that a patient has."""

FAILED = "Whoever runs the vault, today: what was not retrieved was not compared"
"""Who must look after what failed."""

KIND = {"changed": "changed", "revised": "revised", "removed": "gone", "added": "new"}

NOUNS = {
    "RTPLAN": ("plan", "plans"),
    "RTSTRUCT": ("structure set", "structure sets"),
    "RTDOSE": ("dose", "doses"),
    "RTRECORD": ("treatment record", "treatment records"),
    "RTIMAGE": ("RT image", "RT images"),
    "REG": ("registration", "registrations"),
    "CT": ("CT image", "CT images"),
    "MR": ("MR image", "MR images"),
    "PT": ("PET image", "PET images"),
    "document": ("document", "documents"),
    "database": ("database", "answers of the database"),
    "patient.json": ("patient summary", "patient summaries"),
}
"""What people call an object, one and several, by its modality or, for what is no object, by where it lies."""


@dataclass(frozen=True, slots=True)
class Light:
    """A night at a glance. The word says the same as the colour."""

    colour: Colour
    word: str
    sentence: str


def light(report: RunReport) -> Light:
    """Red where somebody must look before the next fraction, amber where this morning, else green."""
    found = next(_lights(report))
    lacking = sum(bool(patient.gaps) for patient in report.patients)
    if found.colour != "green" or not lacking:
        return found
    missing = f"Of {_patients(lacking)}, something that should be in the vault is missing."
    return replace(found, sentence=f"{found.sentence} {missing}")


def _lights(report: RunReport) -> Iterator[Light]:
    """What could be said, the gravest first."""
    counts = report.by_severity()
    odd = anomalies(report)
    if any(each.severity == CRITICAL for _, each in odd):
        yield Light(
            "red",
            "ALARM",
            "This looks as if somebody meddled: find out before any patient concerned is treated.",
        )
    if number := counts[CRITICAL]:
        who = _patients(number)
        yield Light("red", "STOP AND LOOK", f"Critical changes for {who}: look before the next fraction.")
    if number := counts[MAJOR]:
        who = _patients(number)
        yield Light("amber", "LOOK", f"Major changes for {who}: understand them before the day begins.")
    if odd or report.failed or any(patient.failed for patient in report.patients):
        yield Light("amber", "LOOK", f"No critical or major change was found, but {_trouble(report)}.")
    if counts[MINOR] or counts[ADMINISTRATIVE]:
        yield Light("green", "NOTHING SERIOUS", "No critical and no major change.")
    if report.changed:
        yield Light("green", "ROUTINE", "Nothing but what every ordinary night brings.")
    yield Light("green", "NOTHING CHANGED", "No patient has anything new.")


def _trouble(report: RunReport) -> str:
    """Why a report that found nothing grave does not say that nothing grave happened."""
    number = sum(bool(patient.failed) for patient in report.patients)
    if not number:
        return "not everything went as it should"
    return f"{number} of {_patients(report.asked)} could not be compared, or not wholly"


def anomalies(report: RunReport) -> list[tuple[Sequence[PatientChanges], Anomaly]]:
    """Every anomaly, worst first, with the patients of whom it is said: none where it is of the whole run."""
    found: dict[Anomaly, list[PatientChanges]] = {}
    for patient in report.patients:
        for each in patient.anomalies:
            found.setdefault(each, []).append(patient)
    told: list[tuple[Sequence[PatientChanges], Anomaly]] = [((), each) for each in report.anomalies]
    told += [(patients, each) for each, patients in found.items()]
    return sorted(told, key=lambda entry: _rank(entry[1].severity))


def whom(patients: Sequence[PatientChanges]) -> str:
    """Whom something is said of, in front of it: `Demo, Anna (A), Demo, Bea (B) and 12 more: `."""
    if not patients:
        return ""
    more = f" and {len(patients) - NAMED} more" if len(patients) > NAMED else ""
    return f"{'; '.join(map(identity, patients[:NAMED]))}{more}: "


def gone(census: Census) -> str:
    """Whom the census dropped: `2 no longer: A, B`; how many is said first, since not all may be named."""
    more = len(census.gone) - GONE_NAMED
    named = ", ".join(census.gone[:GONE_NAMED]) + (f" and {more} more" if more > 0 else "")
    return f"{len(census.gone)} no longer: {named}"


def answers(report: RunReport) -> str:
    """What readers are asked to do; empty where nobody is."""
    if report.answers is None:
        return ""
    number = report.answers.required
    people = "One person has" if number == 1 else f"{number} different people have"
    by = f"{report.answers.deadline:%H:%M}"
    if report.began.time() >= report.answers.deadline:
        by += f" on {long_day(report.began.date() + timedelta(days=1))}"
    return (
        f"{people} to confirm this by {by}, or dispute it: answer the mail, or at the "
        f"console `vault verify accept {report.run} --as NAME`."
    )


def _rank(severity: str) -> int:
    return SEVERITIES.index(severity) if severity in SEVERITIES else 0


def looks(report: RunReport) -> list[tuple[str, Sequence[PatientChanges]]]:
    """Who must be looked at, by worst severity; only those that occur."""
    grouped = ((severity, of_severity(report, severity)) for severity in SEVERITIES)
    return [(severity, patients) for severity, patients in grouped if patients]


def badge(patient: PatientChanges) -> str:
    """The word that stands before a patient: the worst severity, or why there is none."""
    if patient.severity or not (patient.failed or patient.anomalies):
        return patient.severity or "missing"
    if patient.failed:
        return "failed"
    return min((each.severity for each in patient.anomalies), key=_rank)


def is_quiet(patient: PatientChanges) -> bool:
    """Whether one line tells all of a patient's changes."""
    return not patient.failed and not patient.anomalies and (patient.routine or not patient.changes)


def of_severity(report: RunReport, severity: str) -> list[PatientChanges]:
    """The patients whose worst change has a severity, most urgent first."""
    return [patient for patient in report.changed if patient.severity == severity]


def when(report: RunReport) -> str:
    """`Wednesday, 25 November 2026, 02:00 CET`."""
    return moment(report.began)


def moment(time: datetime) -> str:
    """A time with its zone, in words."""
    return f"{long_day(time.date())}, {time:%H:%M %Z}".rstrip()


def headline(patient: PatientChanges) -> str:
    """The one thing to know of a patient."""
    if not patient.groups:
        said = [*(failure.reason for failure in patient.failed), *(each.text for each in patient.anomalies)]
        return said[0] if said else "something is missing, nothing changed"
    if patient.is_new:
        return f"new in the vault: {contents(patient.groups)}"
    first = patient.groups[0]
    alike = len(first.attributes) > 1 and first.findings  # then its text names what comes first in the object
    worst = first.findings[0].text if alike else told(first)
    more = (
        sum(map(_as_grave_as_any, (group for group in patient.groups if group.severity == first.severity)))
        - 1
    )
    return f"{subject(first)}: {worst}" + (f"; and {more} more as grave" if more > 0 else "")


def _as_grave_as_any(group: Group) -> int:
    """How much is said of a group that is as grave as the group."""
    return max(1, sum(finding.severity == group.severity for finding in group.findings))


def subject(group: Group) -> str:
    """What a group is of: `plan PROSTATE`, `12 CT images`."""
    change = group.changes[0]
    one, many = nouns(change)
    if len(group.changes) > 1:
        return f"{len(group.changes)} {many}" if _alike(group) else f"{len(group.changes)} objects"
    return _named(one, change.title)


def _named(noun: str, title: str) -> str:
    """`plan PROSTATE`, `treatment record 2026-11-24, fraction 6`, `database: plans`."""
    if noun == "database":
        return f"{noun}: {title}"
    if noun.startswith("treatment "):
        title = title.removeprefix("treatment ")
    return f"{noun} {title}".rstrip() if title != noun else noun


def told(group: Group) -> str:
    """The worst that is said of a group, in a sentence; how it changed where nothing is said."""
    if group.text:
        return group.text
    if group.findings:
        return group.findings[0].text
    return KIND.get(group.kind, group.kind)


def nouns(change: Change) -> tuple[str, str]:
    """What the object of a change is called, one and several."""
    if change.modality:
        return NOUNS.get(change.modality, (f"{change.modality} object", f"{change.modality} objects"))
    folder, _, _ = change.path.partition("/")
    name = {"documents": "document"}.get(folder, folder)
    return NOUNS.get(name, ("file", "files"))


def kind_name(change: Change) -> str:
    """What a change is filed under, for filters: its modality, else `document`, `database`, `other`."""
    if change.modality:
        return change.modality
    if change.path.startswith("documents/"):
        return "document"
    return "database" if change.path.startswith("database/") else "other"


def contents(groups: Iterable[Group]) -> str:
    """Many groups in one line: `new: treatment record (treatment 2026-11-25, fraction 13), 2 documents`."""
    counts: dict[str, dict[tuple[str, str], list[Change]]] = {}
    for change in chain.from_iterable(group.changes for group in groups):
        counts.setdefault(change.kind, {}).setdefault(nouns(change), []).append(change)
    return "; ".join(f"{KIND.get(kind, kind)}: {', '.join(_counted(each))}" for kind, each in counts.items())


def _counted(found: dict[tuple[str, str], list[Change]]) -> Iterator[str]:
    for (one, many), changes in found.items():
        if len(changes) > 1:
            yield f"{len(changes)} {many}"
        else:
            yield _named(one, changes[0].title)


def _alike(group: Group) -> bool:
    return len({nouns(change) for change in group.changes}) == 1


def failure_text(failure: Failure) -> str:
    """A failure in one sentence."""
    return f"{failure.subject}: {failure.reason}" if failure.subject else failure.reason


def identity(patient: PatientChanges) -> str:
    """How a patient is named where there is one line: name and ID."""
    return f"{patient.name} ({who(patient)})" if patient.name else who(patient)


def who(patient: PatientChanges) -> str:
    """The patient's ID, or what stands for it."""
    return patient.patient_id or f"pseudonym {patient.pseudonym}"


def short(commit: str | None) -> str:
    """A commit's id as people read it."""
    return commit[:SHORT] if commit else "nothing"


def _patients(number: int) -> str:
    return "1 patient" if number == 1 else f"{number} patients"


def diff_command(patient: PatientChanges) -> str:
    """The command that shows everything of a comparison, for any shell and whatever the ID is."""
    named = shlex.quote(who(patient))
    if patient.old is None:
        return f"vault log -- {named}" if named.startswith("-") else f"vault log {named}"
    commits = f"{short(patient.old)} {short(patient.new)}"
    if named.startswith("-"):  # no option, though it looks like one
        return f"vault diff --attributes -- {named} {commits}"
    return f"vault diff {named} {commits} --attributes"
