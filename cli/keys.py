"""`vault keys`: who can open the share, one more who can, everything encrypted anew."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from cli.context import Context
from cli.text import printable
from vault.errors import UsageError

if TYPE_CHECKING:
    from vault.config import Config


@click.command()
@click.argument("action", type=click.Choice(["list", "pin", "add-recipient", "rekey"]))
@click.argument("recipient", required=False, metavar="[AGE1…]")
@click.option(
    "--identity",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="For rekey: the secret key from the safe.",
)
@click.pass_obj
def keys(context: Context, action: str, recipient: str | None, identity: Path | None) -> None:
    """Look after the keys.

    \b
    list               who can open the share, and whether that is what was pinned
    pin                accept the recipients that vault.toml names now
    add-recipient KEY  add a public key to vault.toml, for what is encrypted from now on
    rekey              encrypt everything on the share anew, to the recipients of now

    What was copied from the share before a rekey opens with the old keys for ever.
    """
    if (recipient is not None) != (action == "add-recipient"):
        raise UsageError("Only add-recipient takes a public key (age1…), and it needs one.")
    config = context.config()
    if action == "add-recipient" and recipient:
        _add(context, config, recipient)
    elif action == "pin":
        _pin(context, config)
    elif action == "rekey":
        _rekey(context, config, identity)
    else:
        _list(context, config)


def _list(context: Context, config: Config) -> None:
    from vault.keycare import look

    found = look(config)
    if context.json:
        context.emit(asdict(found))
        return
    for key in found.recipients:
        known = found.pinned is None or key in found.pinned
        click.echo(f"recipient  {key}{'' if known else '  NOT PINNED: nothing is encrypted'}")
    for key in found.pinned or ():
        if key not in found.recipients:
            click.echo(f"pinned     {key}  NOT IN vault.toml: nothing is encrypted")
    click.echo(f"signs      {found.signing_key}")
    click.echo(f"           {found.fingerprint}  (for the paper in the safe)")
    if found.identity_here:
        click.echo(
            "keys/identity.txt opens the whole share and lies on this computer: put it into two safes, delete it here"
        )


def _pin(context: Context, config: Config) -> None:
    from vault.recipients import pin

    pin(config, config.vault.recipients)
    if context.json:
        context.emit({"pinned": list(config.vault.recipients)})
    else:
        click.echo("\n".join(f"pinned  {key}" for key in config.vault.recipients))


def _add(context: Context, config: Config, recipient: str) -> None:
    from vault.keycare import add_recipient

    add_recipient(config, recipient)
    if context.json:
        context.emit({"added": recipient})
    else:
        click.echo(
            f"added   {recipient}\nIt opens what is encrypted from now on; `vault keys rekey` makes it open the rest."
        )


def _rekey(context: Context, config: Config, identity: Path | None) -> None:
    import hooks
    from cli.restore import read_identities
    from vault.errors import ExitCode
    from vault.events import network
    from vault.keycare import rekey

    if identity is None:
        raise UsageError("rekey needs --identity FILE: a secret key that opens what is on the share.")
    identities = read_identities(identity)
    with context.progress() as progress, network(hooks.plugins(config), config):
        result = rekey(config, identities, progress)
    if context.json:
        context.emit(asdict(result))
    else:
        click.echo(
            f"{result.done + result.before} of {result.total} files on the share are encrypted to the recipients of now"
        )
        for failure in result.failed:
            click.echo(printable(f"FAILED {failure.subject}: {failure.reason}"))
    context.exit(ExitCode.PARTIAL if result.failed else ExitCode.DONE)
