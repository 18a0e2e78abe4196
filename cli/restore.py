"""`vault restore`: everything back from the share and an identity alone."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cli.context import Context
from vault.errors import ConfigError

if TYPE_CHECKING:
    from vault.restore import Report
    from vault.restore_repository import Restored
    from vault.share.envelope import Identities


@click.command()
@click.option("--from", "url", required=True, metavar="URL", help="The share, as `[share] url` names it.")
@click.option(
    "--identity",
    required=True,
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="The age secret key from the safe; any one that the share is encrypted to.",
)
@click.option(
    "--to",
    required=True,
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="A new or empty folder; or that of a restore that was cut off, which goes on.",
)
@click.option("--patient", metavar="ID", help="This patient's repository alone.")
@click.option(
    "--signers",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="An allowed-signers file from the safe. Without it, the share's own counts.",
)
@click.option(
    "--fingerprint",
    metavar="SHA256:…",
    help="The signing key's fingerprint, from the paper in the safe: no other vault's word counts.",
)
@click.option("--user", metavar="NAME", help="Account (smb://) or access key (s3://) of the share.")
@click.option(
    "--password-file",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Its password, in the first line.",
)
@click.option("--endpoint", metavar="URL", help="The object store (s3://), where it is not Amazon's.")
@click.option("--region", metavar="NAME", help="Its region.")
@click.pass_obj
def restore(
    context: Context,
    /,
    url: str,
    identity: Path,
    to: Path,
    patient: str | None,
    signers: Path | None,
    fingerprint: str | None,
    **access: Any,
) -> None:
    """Rebuild every repository from the share, with the commit ids that it had. Needs no vault.toml.

    Every signature and every SHA256SUMS is checked. Cut off anywhere, the same command goes on from there; one
    damaged file costs its patient and nobody else.

    \b
    vault restore --from file:///mnt/share/vault --identity recovery.txt --to /srv/vault
    vault restore --from smb://nas/backup/vault --user vault --password-file pw --identity recovery.txt --to /srv/vault
    """
    from vault.config.section import read_secret
    from vault.restore import restore as run_restore
    from vault.restore_manifest import Trust
    from vault.share.backend import Access, open_share

    password = read_secret(access.pop("password_file"), "--password-file")
    share = open_share(
        str(Path(url).absolute()) if "://" not in url else url, Access(password=password, **access)
    )
    patient_id = context.patient_id(patient) if patient is not None else None
    with context.progress() as progress:
        report = run_restore(
            share,
            read_identities(identity),
            to,
            patient_id=patient_id,
            trust=Trust(signers, fingerprint),
            progress=progress,
        )
    if context.json:
        context.emit(report.as_json())
    else:
        click.echo("\n".join(_lines(report)))
    context.exit(report.exit_code)


def read_identities(path: Path) -> Identities:
    """Read an age identity file that the command line names. Raises ConfigError."""
    from vault.share.envelope import parse_identities

    try:
        with path.open("rb") as file:
            text = file.read(1 << 16).decode()
    except OSError as error:
        raise ConfigError(f"--identity: {path} can't be read: {error.strerror}.") from None
    except UnicodeDecodeError:
        raise ConfigError(f"--identity: {path} is not an age identity file.") from None
    return parse_identities(text)


def _lines(report: Report) -> Iterator[str]:
    from cli.text import printable

    for one in report.repositories:
        yield printable(f"{_name(one)}: {_what(one)}")
        for failure in one.failed:
            yield printable(f"  {': '.join(filter(None, (failure.subject, failure.reason)))}")
    for failure in report.failed:
        yield printable(f"NOT AS IT SHOULD BE: {': '.join(filter(None, (failure.subject, failure.reason)))}")
    done = [one for one in report.repositories if not one.failed]
    number = f"{len(done)} of {len(report.repositories)} repositories"
    yield f"{number} are in {report.folder}, as of event {report.generation} of the ledger"
    if report.signers:
        yield (
            "signed by " + ", ".join(report.signers) + ": compare that with what is written down in the safe"
        )
    yield from (f"{at}. {step}" for at, step in enumerate(report.todo, 1))


def _name(one: Restored) -> str:
    return f"patient {one.patient_id}" if one.patient_id is not None else one.path.removesuffix(".git")


def _what(one: Restored) -> str:
    if one.failed:
        return "NOT RESTORED"
    if one.existed:
        return "there already"
    return f"{one.commits} commits, {one.fetched} objects, {one.size / 1e6:.1f} MB"
