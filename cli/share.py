"""`vault share check`: is the site's own share fit, and how fast is it."""

from __future__ import annotations

import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from cli.context import Context
from cli.text import printable
from vault.errors import UsageError

if TYPE_CHECKING:
    from vault.share.check import Check


@click.command()
@click.argument("action", type=click.Choice(["check"]), metavar="check", expose_value=False)
@click.pass_obj
def share(context: Context) -> None:
    """Prove on the site's own share what the vault relies on, measure it, and remove what was written.

    Exit code 1 says that a property does not hold; each comes with the fix.
    """
    import hooks
    from vault.delivery import open_outbox
    from vault.errors import ExitCode
    from vault.events import network
    from vault.files import private_folder
    from vault.share.backend import share_of
    from vault.share.check import check

    config = context.config()
    if config.share is None:
        raise UsageError(f"{config.path} has no [share]: nothing leaves this computer.")
    place = share_of(config.share)
    outbox = open_outbox(config.vault.root)
    found: list[Check] = []
    with (
        tempfile.TemporaryDirectory(dir=private_folder(config.vault.root / "work")) as scratch,
        network(hooks.plugins(config), config),
    ):
        for one in check(place, Path(scratch), first=not outbox.has_begun(place.place)):
            found.append(one)
            if not context.json:
                click.echo(_shown(one))
    ok = all(one.ok for one in found)
    if context.json:
        context.emit({"share": place.place, "ok": ok, "checks": [asdict(one) for one in found]})
    context.exit(ExitCode.DONE if ok else ExitCode.FAILED)


def _shown(check: Check) -> str:
    lines = [f"{'ok    ' if check.ok else 'FAILED'}  {check.name}: {printable(check.text)}"]
    if check.fix:
        lines.append(f"        {printable(check.fix)}")
    return "\n".join(lines)
