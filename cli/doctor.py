"""`vault doctor`: try what a night needs, and say the fix for what fails."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import click

from cli.context import Context
from cli.text import columns, printable

if TYPE_CHECKING:
    from vault.config import Config
    from vault.doctor.check import Check

PARTS = ("computer", "rois", "database", "share", "mail")


@click.command()
@click.argument("parts", nargs=-1, type=click.Choice(PARTS), metavar="[PART]...")
@click.option(
    "--queries", is_flag=True, help="Run each statement of the query set, and show its first rows masked."
)
@click.option(
    "--patient",
    metavar="ID",
    help="Whom to ask for, of the ROIS and of its database. Default: one of the census.",
)
@click.pass_obj
def doctor(context: Context, parts: tuple[str, ...], queries: bool, patient: str | None) -> None:
    """Try everything that a night needs, and say the fix for what fails; or only PART.

    \b
    computer  disk, clock, keys
    rois      DICOM: port, census, query, and the retrieval of one object, which is not kept
    database  driver, connection, query set; with --queries, its statements
    share     whether it can be reached (`vault share check` tries writing)
    mail      the servers, and the recipients' certificates

    No mail is sent. Nothing is kept, here or there. What could name a person is shown by its shape only. Exit code
    1 says that something failed.
    """
    import hooks
    from vault.errors import ExitCode
    from vault.events import network

    config = context.config()
    patient_id = context.patient_id(patient) if patient else None
    with network(hooks.plugins(config), config):
        checks = []
        tried = _checks(
            config, set(parts or PARTS), queries=queries or patient is not None, patient_id=patient_id
        )
        for check in tried:
            checks.append(check)
            if not context.json:
                click.echo(_shown(check))
    if context.json:
        context.emit({"checks": [_as_json(check) for check in checks]})
    context.exit(ExitCode.DONE if all(check.ok for check in checks) else ExitCode.FAILED)


def _checks(config: Config, parts: set[str], *, queries: bool, patient_id: str | None) -> Iterator[Check]:
    from vault.model import PatientID

    now = datetime.now(UTC)
    if "computer" in parts:
        from vault.doctor.computer import check_computer

        yield from check_computer(config, now=now)
    if "rois" in parts:
        from vault.doctor.rois import check_rois

        today = now.astimezone(ZoneInfo(config.site.timezone)).date()
        yield from check_rois(config, today=today, patient_id=PatientID(patient_id) if patient_id else None)
    if "database" in parts:
        yield from _database(config, now, queries=queries, patient_id=patient_id)
    if "share" in parts:
        from vault.doctor.share import check_share

        yield check_share(config)
    if "mail" in parts:
        from vault.doctor.mail import check_mail

        yield from check_mail(config, now=now)


def _database(config: Config, now: datetime, *, queries: bool, patient_id: str | None) -> Iterator[Check]:
    from vault.doctor.database import check_database, check_queries
    from vault.model import PatientID

    found = list(check_database(config))
    yield from found
    if queries and all(check.ok for check in found):
        local = now.astimezone(ZoneInfo(config.site.timezone)).replace(tzinfo=None)
        yield from check_queries(config, now=local, patient_id=PatientID(patient_id) if patient_id else None)


def _shown(check: Check) -> str:
    word = "off   " if check.off else "ok    " if check.ok else "FAILED"
    lines = [f"{word}  {check.name}: {printable(check.text)}"]
    if check.fix:
        lines.append(f"        {check.fix}.")
    if check.rows:
        lines += [f"        {line}" for line in columns([check.columns, *check.rows]).splitlines()]
    return "\n".join(lines)


def _as_json(check: Check) -> dict[str, object]:
    return {
        "name": check.name,
        "ok": check.ok,
        "off": check.off,
        "text": check.text,
        "fix": check.fix,
        "columns": list(check.columns),
        "rows": [list(row) for row in check.rows],
    }
