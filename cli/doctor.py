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
    from vault.doctor import Check


@click.command()
@click.option(
    "--queries", is_flag=True, help="Run each statement of the query set, and show its first rows masked."
)
@click.option(
    "--patient", metavar="ID", help="Whom statements about one patient ask for. Default: one of the census."
)
@click.pass_obj
def doctor(context: Context, queries: bool, patient: str | None) -> None:
    """Try the mail servers and the database of the ROIS: driver, connection, query set and, with --queries, statements.

    No mail is sent. Nothing is written, here or there. What could name a person is shown by its shape only. Exit code
    1 says that something failed.
    """
    import hooks
    from vault.errors import ExitCode
    from vault.events import network

    config = context.config()
    patient_id = context.patient_id(patient) if patient else None
    with network(hooks.plugins(config), config):
        checks = []
        for check in _checks(config, queries=queries or patient is not None, patient_id=patient_id):
            checks.append(check)
            if not context.json:
                click.echo(_shown(check))
    if context.json:
        context.emit({"checks": [_as_json(check) for check in checks]})
    context.exit(ExitCode.DONE if all(check.ok for check in checks) else ExitCode.FAILED)


def _checks(config: Config, *, queries: bool, patient_id: str | None) -> Iterator[Check]:
    from vault.doctor import check_database, check_queries
    from vault.doctor_mail import check_mail
    from vault.model import PatientID

    found = list(check_database(config))
    yield from found
    if queries and all(check.ok for check in found):
        now = datetime.now(ZoneInfo(config.site.timezone)).replace(tzinfo=None)
        yield from check_queries(config, now=now, patient_id=PatientID(patient_id) if patient_id else None)
    yield from check_mail(config, now=datetime.now(UTC))


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
