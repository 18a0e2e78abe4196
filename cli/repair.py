"""`vault repair`: a damaged repository, healed from the share."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import click

from cli.context import Context
from vault.errors import UsageError


@click.command()
@click.argument("patient")
@click.option("--from-share", is_flag=True, help="Bring back what the share has of it.")
@click.option(
    "--begin-anew",
    is_flag=True,
    help="Give up a history that can't be brought back: the next night begins another. The ledger keeps that.",
)
@click.option(
    "--identity",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="The age secret key from the safe. Default: [vault] identity.",
)
@click.pass_obj
def repair(context: Context, patient: str, from_share: bool, begin_anew: bool, identity: Path | None) -> None:
    """Bring PATIENT's repository back from the share where it is damaged or missing, or give it up.

    From the share, every signature and checksum is checked, and it must be what the ledger recorded last. Nothing is
    deleted: the damaged repository goes to damaged/.
    """
    if from_share == begin_anew:
        raise UsageError("Say how: --from-share, or --begin-anew where the share does not have it either.")
    if begin_anew:
        _begin_anew(context, patient)
        return
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


def _begin_anew(context: Context, patient: str) -> None:
    from zoneinfo import ZoneInfo

    from vault.repair import give_up

    config = context.config()
    patient_id = context.patient_id(patient)
    aside = give_up(config, patient_id, now=datetime.now(ZoneInfo(config.site.timezone)))
    if context.json:
        context.emit({"patient": patient_id, "aside": str(aside) if aside else None})
        return
    where = f" The damaged one is {aside}." if aside else ""
    click.echo(f"The next run begins a new history of {patient_id}.{where}")
