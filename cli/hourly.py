"""`vault hourly`: what was treated today, kept before the next night."""

from __future__ import annotations

from datetime import UTC, datetime

import click

from cli.context import Context


@click.command()
@click.pass_obj
def hourly(context: Context) -> None:
    """Keep today's treatments: rows of the database, treatment records, and a PDF per patient and for the department.

    Finishes first what an interrupted run has left. Nothing new makes no commit. Exit code 0: all done; 3: done in
    part, what failed is listed and nothing was lost; 1: nothing could be done; 5: another run is at work, as the
    nightly one may be.
    """
    import hooks
    from vault.hourly import hourly as run_hourly

    config = context.config()
    report = run_hourly(
        config, now=datetime.now(UTC), progress=context.progress(), events=hooks.plugins(config)
    )
    if context.json:
        context.emit(report.as_json())
    else:
        from cli.hourly_text import render

        click.echo(render(report), nl=False)
    context.exit(report.exit_code)
