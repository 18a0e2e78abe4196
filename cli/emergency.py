"""`vault emergency`: declare it, or end it."""

from __future__ import annotations

from datetime import UTC, datetime

import click

from cli.context import Context
from cli.history import local


@click.group()
def emergency() -> None:
    """Declare an emergency, which freezes pruning until it is ended."""


@emergency.command()
@click.option("--reason", default="", metavar="TEXT", help="Why; goes into the ledger, so no names.")
@click.pass_obj
def declare(context: Context, reason: str) -> None:
    """From now on nothing is pruned, neither here nor on the share."""
    _record(context, declared=True, reason=reason)


@emergency.command()
@click.option("--reason", default="", metavar="TEXT", help="Why; goes into the ledger, so no names.")
@click.pass_obj
def end(context: Context, reason: str) -> None:
    """The emergency is over. Pruning goes on once a night has had a good census."""
    _record(context, declared=False, reason=reason)


def _record(context: Context, *, declared: bool, reason: str) -> None:
    from vault.retention.say import emergency as record

    since, changed = record(context.config(), declared=declared, reason=reason, now=datetime.now(UTC))
    if context.json:
        context.emit({"declared": declared, "since": since and since.isoformat(), "changed": changed})
    elif declared:
        began = f"{local(context, since):%Y-%m-%d %H:%M %Z}" if since else ""
        click.echo(f"An emergency is declared since {began}: nothing is pruned." if since else "")
    else:
        click.echo("There is no emergency." if not changed else "The emergency is over.")
