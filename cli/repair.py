"""`vault repair`: a damaged repository, healed from the share."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import click

from cli.context import Context
from vault.errors import UsageError


@click.command()
@click.argument("patient")
@click.option(
    "--from-share", is_flag=True, required=True, help="The share is where it comes from; there is no other."
)
@click.option(
    "--identity",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="The age secret key from the safe. Default: [vault] identity.",
)
@click.pass_obj
def repair(context: Context, patient: str, from_share: bool, identity: Path | None) -> None:  # noqa: ARG001
    """Bring PATIENT's repository back from the share where it is damaged or missing.

    Every signature and checksum is checked, and it must be what the ledger recorded last. Nothing is deleted: the
    damaged repository goes to damaged/.
    """
    import hooks
    from cli.restore import read_identities
    from vault.repair import repair as run

    config = context.config()
    patient_id = context.patient_id(patient)
    key = identity or config.vault.identity
    if key is None:
        raise UsageError("Name the age secret key from the safe: --identity FILE.")
    with context.progress() as progress:
        result = run(
            config,
            patient_id,
            read_identities(key),
            now=datetime.now(UTC),
            progress=progress,
            events=hooks.plugins(config),
        )
    if context.json:
        context.emit({"patient": patient_id, **result.as_json()})
    elif not result.healed:
        click.echo(f"Nothing is wrong with the repository of {patient_id}.")
    else:
        aside = f" The damaged one is {result.aside}." if result.aside else ""
        click.echo(f"The repository of {patient_id} is healed: it is what the ledger recorded last.{aside}")
