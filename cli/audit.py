"""`vault audit`: whether what the vault holds is what it must be."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from cli.context import Context
from cli.text import count, printable

if TYPE_CHECKING:
    from vault.audit.findings import AuditReport

_HEAD = re.compile(r"[0-9a-fA-F]{12,40}")


@click.command()
@click.option(
    "--full", is_flag=True, help="Read everything now; what is on the share, too, where the identity is here."
)
@click.option("--witness", metavar="HEAD", help="The ledger's head from a mail: the ledger must extend it.")
@click.option(
    "--minutes",
    type=click.FloatRange(0, 1440),
    default=10,
    show_default=True,
    help="Time for whole reads without --full.",
)
@click.option(
    "--mail",
    is_flag=True,
    help="Alarm all recipients when something is not what it must be; `vault alert` sends it.",
)
@click.pass_obj
def audit(context: Context, full: bool, witness: str | None, minutes: float, mail: bool) -> None:
    """Check histories, signatures, checksums, the ledger and the share; change nothing.

    Every time the structure of all, and a seventh of the contents, so that a week of nights reads everything. Exit code
    4: something is not what it must be; 3: something should be looked at; each finding says what to do.
    """
    import hooks
    from vault.audit.audit import audit as run
    from vault.errors import UsageError

    config, now = context.config(), datetime.now(UTC)
    if mail and config.mail is None:
        raise UsageError(f"--mail: {config.path} has no [mail], so nobody can be told.")
    if witness and not _HEAD.fullmatch(witness):
        raise UsageError("--witness takes the ledger's head as a mail gives it: 12 to 40 hexadecimal digits.")
    report = run(
        config,
        now=now,
        full=full,
        witness=witness,
        budget=minutes * 60,
        progress=context.progress(),
        events=hooks.plugins(config),
    )
    if mail and report.integrity:
        from vault.mail.post import queue_audit_found

        queue_audit_found(config, now, report.wrong)
    if context.json:
        context.emit(report.as_json())
    else:
        click.echo("\n".join(_text(report)))
    context.exit(report.exit_code)


def _text(report: AuditReport) -> Iterator[str]:
    for finding in sorted(report.findings):
        yield f"{finding.level.upper()} {printable(finding.subject)}: {printable(finding.text)}"
        if finding.remedy:
            yield f"    {printable(finding.remedy)}"
    unread = "" if report.read == report.due else f" of {report.due} that were due: give it more --minutes"
    yield (
        f"Checked {count(report.repositories, 'history', 'histories')} and {count(report.events, 'event')} of the "
        f"ledger; read {report.read} completely{unread}."
    )
    if report.on_share is not None:
        opened = f", {report.opened} opened and compared" if report.opened else ""
        more = (
            f"; {count(report.superfluous, 'other')} there that nothing here needs"
            if report.superfluous
            else ""
        )
        yield f"Share: {count(report.on_share, 'file')} looked for{opened}{more}."
    if report.head:
        yield f"Ledger head: {report.head}"
    if not report.findings:
        yield "All is as it must be."
