"""A run's report as text: what changed, patient by patient, then what failed and what to do."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

from cli.prune import done_lines
from cli.text import printable
from vault.archive.message import kind_of
from vault.model import Failure, PatientOutcome
from vault.sync_report import Delivery, SyncReport

GAPS_SHOWN = 5
"""Missing objects of one patient that are listed one by one."""

SAID_ONCE = 3
"""Patients with the very same failure, from which on it is printed once for all of them."""


def render(report: SyncReport) -> str:
    """The report for a person, ending with a line break."""
    return "\n".join(_lines(report)) + "\n"


def _lines(report: SyncReport) -> Iterator[str]:
    for earlier in report.resumed:
        yield f"Finished run {earlier.run}, which had been interrupted."
        yield from _account(earlier)
    changed = sum(_has_changed(outcome) for outcome in report.patients.values())
    yield f"Run {report.run}: {_count(len(report.patients), 'patient')}, {changed} with something new."
    yield from _account(report)
    if report.not_in_census:
        yield f"{_count(report.not_in_census, 'patient')} of the vault not in tonight's census: kept as they are."
    if report.page:
        yield f"Report: {report.page}"
    yield from delivery_lines(report.delivered)
    yield from _retention(report)


def _retention(report: SyncReport) -> Iterator[str]:
    """Who has gone, and who goes next; why nothing goes is for `vault prune --dry-run`."""
    if report.retention is None:
        return
    if report.retention.announced:
        names = printable(", ".join(report.retention.announced))
        yield f"Goes the next night, no longer treated: {names}. `vault hold PATIENT` keeps one."
    yield from done_lines(report.retention)


def _account(report: SyncReport) -> Iterator[str]:
    for anomaly in report.anomalies:  # first: nobody reads two hundred patients to find the alarm
        word = "ALARM" if anomaly.severity == "critical" else "NOTICE"
        yield f"{word} {printable(f'{anomaly.text} {anomaly.look_at_first}'.rstrip())}"
    shared = shared_failures(outcome.failed for outcome in report.patients.values())
    everywhere = shared_failures(outcome.gaps for outcome in report.patients.values())
    for patient_id, outcome in report.patients.items():
        own = [failure for failure in outcome.failed if failure not in shared]
        missing = [gap for gap in outcome.gaps if gap not in everywhere]
        if _has_changed(outcome) or own or missing or outcome.anomalies:
            yield f"  {printable(patient_id)}  {_summary(outcome)}"
        yield from (f"    FAILED {failure_text(failure)}" for failure in own)
        yield from (f"    NOTICE {printable(anomaly)}" for anomaly in outcome.anomalies)
        yield from _missing(missing)
    for failure, number in shared.items():
        yield f"FAILED for {_count(number, 'patient')}: {failure_text(failure)}"
    for gap, number in everywhere.items():
        yield f"MISSING for {_count(number, 'patient')}: {failure_text(gap)}"
    for failure in report.failed:
        yield f"FAILED {failure_text(failure)}"


def _missing(gaps: Sequence[Failure]) -> Iterator[str]:
    """The gaps of one patient; where they are many, the rest is in `--json`."""
    yield from (f"    MISSING {failure_text(gap)}" for gap in gaps[:GAPS_SHOWN])
    if len(gaps) > GAPS_SHOWN:
        yield f"    MISSING {len(gaps) - GAPS_SHOWN} more; `vault --json sync` lists them all"


def shared_failures(failed: Iterable[Iterable[Failure]]) -> dict[Failure, int]:
    """Failures that many patients have in common, said once: two hundred equal lines hide the one that differs."""
    counts = Counter(failure for of_patient in failed for failure in of_patient)
    return {failure: number for failure, number in counts.items() if number >= SAID_ONCE}


def _summary(outcome: PatientOutcome) -> str:
    parts = [
        f"{kind}: {_modalities(paths)}"
        for kind, paths in (
            ("added", outcome.added),
            ("CHANGED", outcome.changed),
            ("REMOVED", outcome.removed),
        )
        if paths
    ]
    parts += [
        f"{number} {kind}"
        for kind, number in (
            ("unchanged", outcome.unchanged),
            ("re-encoded", outcome.reencoded),
            ("not due", outcome.not_due),
        )
        if number
    ]
    return "; ".join(parts) or "nothing retrieved"


def _modalities(paths: list[str]) -> str:
    counts = Counter(map(kind_of, paths))
    return ", ".join(f"{number} {kind}" for kind, number in sorted(counts.items()))


def delivery_lines(delivered: Delivery) -> Iterator[str]:
    """What went to the share, and what did not."""
    if delivered.sent or delivered.waiting:
        waiting = f", {delivered.waiting} waiting for the next run" if delivered.waiting else ""
        yield f"Share: {_count(delivered.sent, 'ciphertext')} delivered{waiting}."
    if delivered.mailed or delivered.mail_waiting:
        waiting = f", {delivered.mail_waiting} waiting for the next run" if delivered.mail_waiting else ""
        yield f"Mail: {_count(delivered.mailed, 'letter')} sent{waiting}."
    for failure in delivered.failed:
        yield f"FAILED {failure_text(failure)}"


def failure_text(failure: Failure) -> str:
    """A failure on one line."""
    said = f"{failure.subject}: {failure.reason}" if failure.subject else failure.reason
    return printable(said)


def _has_changed(outcome: PatientOutcome) -> bool:
    return bool(outcome.added or outcome.changed or outcome.removed)


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
