"""`vault hold`: keep a patient."""

from __future__ import annotations

from datetime import UTC, datetime

import click

from cli.context import Context


@click.command()
@click.argument("patient")
@click.option("--release", is_flag=True, help="The patient may go again, once announced.")
@click.option("--reason", default="", metavar="TEXT", help="Why; goes into the ledger, so no names.")
@click.pass_obj
def hold(context: Context, patient: str, release: bool, reason: str) -> None:
    """Keep PATIENT and the hourly history whatever retention says, until it is released."""
    from vault.retention.say import hold as record

    config = context.config()
    patient_id = context.patient_id(patient)
    changed = record(config, patient_id, held=not release, reason=reason, now=datetime.now(UTC))
    if context.json:
        context.emit({"patient": patient_id, "held": not release, "changed": changed})
    else:
        state = "may go again once announced" if release else "is held: nothing of this patient goes"
        click.echo(f"{patient_id} {state}{'' if changed else ', as before'}.")
