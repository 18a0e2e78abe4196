"""`vault prune`: who goes, and why the others stay."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from cli.context import Context
from cli.text import columns, count, printable

if TYPE_CHECKING:
    from vault.retention.report import PruneReport


@click.command()
@click.option("--dry-run", is_flag=True, help="Only say what would go; changes nothing.")
@click.pass_obj
def prune(context: Context, dry_run: bool) -> None:
    """Let go who is no longer treated, and what the hourly runs kept: from here and from the share.

    The night does this by itself where vault.toml has [retention]. Only who was named in the digest of an earlier night
    goes. Exit code 0 also where nothing may go: the reason is printed.
    """
    import hooks
    from vault.retention.prune import prune as run

    config = context.config()
    report = run(
        config,
        now=datetime.now(UTC),
        dry_run=dry_run,
        progress=context.progress(),
        events=hooks.plugins(config),
    )
    if context.json:
        context.emit({"dry_run": dry_run, **report.as_json()})
    else:
        click.echo("\n".join(_text(report, dry_run)))
    context.exit(report.exit_code)


def _text(report: PruneReport, dry_run: bool) -> Iterator[str]:
    made = report.plan
    if made.barrier:
        yield f"Nothing goes: {made.barrier}."
    rows = [
        (
            printable(report.names[each.patient]),
            each.fate.value,
            f"{each.due:%Y-%m-%d}" if each.due else "",
            each.reason,
        )
        for each in made.decisions
    ]
    yield columns([("Patient", "", "Due", "Why"), *rows]) if rows else "There is no patient."
    days = sum(len(days) for days in made.hours.values())
    if days:
        verb = "would go" if dry_run else "go"
        yield f"Of the hourly history, {count(days, 'day')} of {count(len(made.hours), 'patient')} {verb}."
    yield from (f"NOTICE {anomaly}" for anomaly in made.anomalies)
    if not dry_run:
        yield from done_lines(report)


def done_lines(report: PruneReport) -> Iterator[str]:
    """What a pruning did, here and on the share."""
    if report.gone or report.shortened:
        yield (
            f"Gone: {count(len(report.gone), 'patient')}; the hourly history of "
            f"{count(len(report.shortened), 'patient')} is shorter."
        )
    if report.removed:
        yield f"Share: {count(report.removed, 'ciphertext')} removed."
    if report.waiting:
        yield (
            f"NOTICE {count(report.waiting, 'ciphertext')} that nothing needs any more "
            f"{'is' if report.waiting == 1 else 'are'} still on the share: {printable(report.refused)}"
        )
    for failure in report.failed:
        yield f"FAILED {printable(failure.subject)}: {printable(failure.reason)}"
