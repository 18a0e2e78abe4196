"""`vault sync`: the night."""

from __future__ import annotations

from datetime import UTC, datetime

import click

from cli.context import Context


@click.command()
@click.option(
    "--patient",
    "patients",
    multiple=True,
    metavar="ID",
    help="Only this patient; may be given several times.",
)
@click.pass_obj
def sync(context: Context, patients: tuple[str, ...]) -> None:
    """Retrieve, compare, commit, encrypt and deliver what is new.

    Finishes first what an interrupted run has left. Exit code 0: all done; 3: done in part, what failed is
    listed and nothing was lost; 1: nothing could be done; 5: another run is at work.
    """
    import hooks
    from vault.sync import sync as run_sync

    config = context.config()
    report = run_sync(
        config,
        now=datetime.now(UTC),
        patients=[context.patient_id(patient) for patient in patients] or None,
        progress=context.progress(),
        events=hooks.plugins(config),
    )
    if context.json:
        context.emit(report.as_json())
    else:
        from cli.sync_text import render

        click.echo(render(report), nl=False)
    context.exit(report.exit_code)
