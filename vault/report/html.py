"""A report as one HTML file that needs nothing else and lets nothing in.

Its policy (a Content-Security-Policy in the page itself) forbids every load and every script but the one that it
brings, by hash. Whatever it shows went through `visible`; nothing of the data is ever markup, style or script. Without
scripts everything can be read: they fold, filter and move. The same report gives the same bytes.
"""

from __future__ import annotations

import base64
import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import cache
from importlib import resources
from typing import Any

from jinja2 import Environment, FunctionLoader, StrictUndefined
from markupsafe import Markup

from vault.compare.groups import Group
from vault.compare.rules import SEVERITIES
from vault.report import telling
from vault.report.changes import PatientChanges, RunReport
from vault.report.pictures import Picture
from vault.report.visible import plain, visible

LINES_SHOWN = 40
"""Attribute lines of one change that the page holds."""

LINES_IN_ALL = 12_000
"""Attribute lines that a page holds: past them, changes only say how to see theirs. The worst come first."""

GROUPS_SHOWN = 200
"""Changes of one patient that are shown one by one, the worst of them; the rest are counted."""

GROUPS_IN_ALL = 2000
"""Changes that a page shows one by one: a browser has to draw it, and a mail to take it along."""

FINDINGS_SHOWN = 60
"""Findings of one change that are shown, the worst of them; the rest are counted."""

FINDINGS_IN_ALL = 6000

OBJECTS_LISTED = 12
"""Objects of a group that are listed by their path."""

OPENED = 30
"""Patients who are unfolded from the beginning: of more, the headlines say enough to choose by."""

TEMPLATES = "templates"


Pictures = Mapping[tuple[str, str], Sequence[Picture]]
"""The pictures of changes, by patient ID and path."""


def html(report: RunReport, pictures: Pictures | None = None) -> bytes:
    """The page, as UTF-8."""
    style, script = _asset("report.css"), _asset("report.js")
    text = (
        _environment()
        .get_template("report.html.j2")
        .render(
            report=report,
            light=telling.light(report),
            anomalies=telling.anomalies(report),
            looks=telling.looks(report),
            counts=_counts(report),
            kinds=_kinds(report),
            serious=[patient for patient in report.patients if not telling.is_quiet(patient)],
            quiet=[patient for patient in report.patients if telling.is_quiet(patient)],
            lacking=[patient for patient in report.patients if patient.gaps],
            failing=[patient for patient in report.patients if patient.failed],
            budget=_Budget(),
            pictures=pictures or {},
            policy=_policy(style, script),
            style=Markup(style),  # noqa: S704  # our own
            script=Markup(script),  # noqa: S704
        )
    )
    return text.encode("utf-8")


class _Budget:
    """How much of a page's room is left: what is worst comes first and takes it."""

    def __init__(self) -> None:
        self._lines, self._groups, self._findings = LINES_IN_ALL, GROUPS_IN_ALL, FINDINGS_IN_ALL

    def lines(self, patient: PatientChanges, group: Group) -> tuple[Sequence[str], int]:
        """The attribute lines that are shown of a group's first change, and how many are not."""
        lines = patient.lines.get(group.changes[0].path)
        if lines is None:
            return (), 0
        shown = lines.shown[: min(LINES_SHOWN, self._lines)]
        self._lines -= len(shown)
        return shown, len(lines.shown) - len(shown) + lines.more

    def groups(self, patient: PatientChanges) -> tuple[Sequence[Group], Counter[str]]:
        """The changes of a patient that are shown one by one, and how many of which severity are not."""
        groups = [group for group in patient.groups if group.severity != telling.ROUTINE]
        shown = groups[: min(GROUPS_SHOWN, self._groups)]
        self._groups -= len(shown)
        rest: Counter[str] = Counter()
        for group in groups[len(shown) :]:
            rest[group.severity or telling.CRITICAL] += len(group.changes)
        return shown, rest

    def findings(self, group: Group) -> tuple[Sequence[tuple[str, str]], Counter[str]]:
        """The findings of a change that are shown, and how many of which severity are not."""
        findings = _findings(group)
        shown = findings[: min(FINDINGS_SHOWN, self._findings)]
        self._findings -= len(shown)
        return shown, Counter(severity for severity, _ in findings[len(shown) :])


def _counts(report: RunReport) -> list[tuple[str, int, int]]:
    """Severity, patients whose worst it is, and changes; all five, so that a zero is seen to be one."""
    patients = report.by_severity()
    changes = dict.fromkeys(SEVERITIES, 0)
    for patient in report.changed:
        for severity, number in patient.by_severity().items():
            changes[severity] += number
    return [(severity, patients[severity], changes[severity]) for severity in SEVERITIES]


def _kinds(report: RunReport) -> list[str]:
    """What can be filtered by: the modalities that occur."""
    return sorted({telling.kind_name(change) for patient in report.changed for change in patient.changes})


def _kinds_of(patient: PatientChanges) -> str:
    return " ".join(sorted({telling.kind_name(change) for change in patient.changes}))


def _routine(patient: PatientChanges) -> list[Group]:
    return [group for group in patient.groups if group.severity == telling.ROUTINE]


def _findings(group: Group) -> list[tuple[str, str]]:
    """Severity and text of what is said of a group, but for what its heading says already."""
    head = telling.told(group)
    return [
        (one.severity, one.text)
        for one in group.findings
        if one.text != head or one.severity != group.severity
    ]


def _data(png: bytes) -> Markup:
    """A picture as an address that needs no network."""
    return Markup("data:image/png;base64,{}").format(base64.b64encode(png).decode("ascii"))


def _policy(style: str, script: str) -> Markup:
    """What the page may load: nothing but the style and script that it brings, and pictures that are in it."""
    return (
        Markup(
            "default-src 'none'; style-src '{}'; script-src '{}'; img-src data:; base-uri 'none'; form-action 'none'"
        )
        .format(_hash(style), _hash(script))
        .replace("&#39;", "'")
    )


def _hash(text: str) -> Markup:
    return Markup(f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}")  # noqa: S704


@cache
def _asset(name: str) -> str:
    return resources.files("vault.report").joinpath(TEMPLATES, name).read_text("utf-8")


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=FunctionLoader(_asset),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_finalized,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "attribute": plain,
        "commands": _commands,
        "data": _data,
        "identity": telling.identity,
        "kinds": _kinds_of,
        "moment": telling.moment,
        "name": _name,
        "path": lambda group: group.changes[0].path,
        "routine": _routine,
        "severities": _severities,
        "short": telling.short,
    }
    environment.globals |= {
        "KIND": telling.KIND,
        "LOOKS": telling.LOOKS,
        "MEANING": telling.MEANING,
        "OBJECTS_LISTED": OBJECTS_LISTED,
        "OPENED": OPENED,
        "telling": telling,
        "plural": _plural,
    }
    return environment


def _finalized(value: Any) -> Any:
    """What every expression of the template goes through."""
    return visible(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def _commands(sentence: str) -> Markup:
    """A sentence whose commands stand between backticks, as a terminal's reader knows them."""
    pieces = enumerate(sentence.split("`"))
    return Markup("").join(
        Markup("<code>{}</code>").format(visible(piece)) if number % 2 else visible(piece)
        for number, piece in pieces
    )


def _name(patient: PatientChanges) -> Markup:
    """A patient's name and ID, kept from turning what stands around them."""
    parts = [f"<bdi>{visible(text, 120)}</bdi>" for text in (patient.name, telling.who(patient)) if text]
    return Markup(" · ".join(parts))  # noqa: S704  # of what is visible


def _severities(counts: Counter[str]) -> str:
    return ", ".join(f"{number} {severity}" for severity, number in counts.items())


def _plural(number: int, one: str, many: str = "") -> str:
    return f"{number} {one if number == 1 else many or f'{one}s'}"
