"""An hourly run's report as text: who was treated, what is new, what failed, and which page to print."""

from __future__ import annotations

from collections.abc import Iterator

from cli.sync_text import delivery_lines, failure_text, shared_failures
from cli.text import count, minute, printable
from vault.hourly_report import HourlyReport, HourOutcome


def render(report: HourlyReport) -> str:
    """The report for a person, ending with a line break."""
    return "\n".join(_lines(report)) + "\n"


def _lines(report: HourlyReport) -> Iterator[str]:
    for earlier in report.resumed:
        yield f"Finished run {earlier.run}, which had been interrupted."
        yield from _account(earlier)
    new = sum(outcome.new for outcome in report.patients.values())
    yield (
        f"Run {report.run}, as of {minute(report.as_of)}: {count(report.treated, 'patient')} treated today, "
        f"{new} with something new."
    )
    yield from _account(report)
    if report.folder:
        yield f"To print: {report.folder / 'department.pdf'}, and a page per patient beside it."
    yield from delivery_lines(report.delivered)


def _account(report: HourlyReport) -> Iterator[str]:
    shared = shared_failures(outcome.failed for outcome in report.patients.values())
    for patient_id, outcome in report.patients.items():
        own = [failure for failure in outcome.failed if failure not in shared]
        if outcome.new or own or outcome.findings:
            yield f"  {printable(patient_id)}  {_summary(outcome)}"
        yield from (f"    FAILED {failure_text(failure)}" for failure in own)
        yield from (f"    NOTICE {failure_text(finding)}" for finding in outcome.findings)
    for failure, number in shared.items():
        yield f"FAILED for {count(number, 'patient')}: {failure_text(failure)}"
    for failure in report.failed:
        yield f"FAILED {failure_text(failure)}"
    for anomaly in report.anomalies:
        yield f"NOTICE {printable(anomaly)}"


def _summary(outcome: HourOutcome) -> str:
    parts = [f"{count(outcome.fields, 'field')} delivered"] if outcome.fields else []
    parts += [count(outcome.records, "treatment record")] if outcome.records else []
    return ", ".join(parts) or ("rows changed" if outcome.new else "nothing new")
