"""`vault init`: the first command of a new vault."""

from __future__ import annotations

from pathlib import Path

import click

from cli.context import Context


@click.command()
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False), metavar="DIR")
@click.option("--name", metavar="TEXT", help="The department's name, for the new configuration.")
@click.option(
    "--timezone", metavar="ZONE", help="Its time zone, such as Europe/Zurich. Default: this computer's."
)
@click.pass_obj
def init(context: Context, folder: Path, name: str | None, timezone: str | None) -> None:
    """Make a vault in DIR: keys, folders and a commented vault.toml.

    Never overwrites anything: run again, it completes what an interrupted run has begun.
    """
    from vault.setup import initialize, local_timezone

    done = initialize(folder, name=name, timezone=timezone or local_timezone())
    if context.json:
        context.emit(
            {
                "folder": str(done.folder),
                "made": done.made,
                "existed": done.existed,
                "recipient": done.recipient,
                "fingerprint": done.fingerprint,
            }
        )
        return
    for path in done.made:
        click.echo(f"made    {path}")
    for path in done.existed:
        click.echo(f"exists  {path}")
    click.echo(_next_steps(done.folder, done.recipient, done.fingerprint))


def _next_steps(folder: Path, recipient: str | None, fingerprint: str) -> str:
    steps = [
        f"edit {folder / 'vault.toml'}: the ROIS, the receiver, the patients",
        f"vault -c {folder / 'vault.toml'} sync",
    ]
    if recipient:
        keep = f"put a copy of {folder / 'keys'} into a safe (two places, not this computer)"
        write = f"write on the paper that goes with it: {fingerprint}, for `vault restore --fingerprint`"
        move = f"delete {folder / 'keys/identity.txt'} here: it alone opens the share, and no night needs it"
        steps = [keep, write, move, *steps]
    return "\nNext:\n" + "\n".join(f"{number}. {step}" for number, step in enumerate(steps, 1))
