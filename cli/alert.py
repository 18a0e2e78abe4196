"""`vault alert`: read the answers, send the alarms that are due."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from cli.context import Context
from cli.text import count, printable_lines

if TYPE_CHECKING:
    from vault.alert import AlertReport


@click.command()
@click.pass_obj
def alert(context: Context) -> None:
    """Read the answers to the night's mail, and alarm whoever has to answer: a timer runs this every ten minutes.

    Before the deadline it reads answers while any is missing; from the deadline on it sends an alarm in each
    `[verification] alert_every`. It alarms at once when somebody rejected, when a run found what looks like an attack,
    and when no night came. Exit code 3: something could not be read or sent, and waits for the next call.
    """
    import hooks
    from vault.alert import alert as run_alert

    config = context.config()
    report = run_alert(config, now=datetime.now(UTC), events=hooks.plugins(config))
    if context.json:
        context.emit(report.as_json())
    else:
        click.echo(printable_lines(render(report)), nl=False)
    context.exit(report.exit_code)


def render(report: AlertReport) -> str:
    """The report for a person, ending with a line break. It names no patient, since it may end in a journal."""
    return "\n".join(_lines(report)) + "\n"


def _lines(report: AlertReport) -> Iterator[str]:
    if polled := report.polled:
        yield f"{count(polled.read, 'message')} read, {count(len(polled.verdicts), 'verdict')}."
        for verdict in polled.verdicts:
            yield f"  {verdict.verdict.recipient} {verdict.verdict.answer.value.upper()} run {verdict.run}"
        yield from (f"  no verdict: {reason}" for reason in polled.refused)
        yield from (f"NOTICE {notice}" for notice in polled.notices)
        if polled.moved:
            yield f"{count(len(polled.moved), 'patient')} confirmed: refs/vault/verified has moved."
    if report.clock_jumped:
        yield "NOTICE The clock went back since something was recorded: no deadline can be trusted."
    yield from (f"{alarm.subject}" for alarm in report.alarms)
    for run in report.waiting:
        yield f"Run {run} waits for verdicts."
    if not report.waiting and not report.alarms:
        yield "No run waits for a verdict."
    if report.mailed or report.unmailed:
        yield f"{count(report.mailed, 'mail')} sent, {report.unmailed} waiting."
    for failure in [*report.failed, *(report.polled.failed if report.polled else ())]:
        yield f"FAILED {failure.subject}: {failure.reason}"
