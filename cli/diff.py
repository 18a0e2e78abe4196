"""`vault diff`: what changed for a patient."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from cli.context import Context
from cli.history import colours, named, page, patient_history
from cli.report import FILE, write
from vault.errors import ExitCode

if TYPE_CHECKING:
    from vault.archive.repository import PatientRepository


@click.command()
@click.argument("patient")
@click.argument("old", required=False)
@click.argument("new", required=False, default="latest")
@click.option("--exit-code", is_flag=True, help="End with 1 if there are differences.")
@click.option(
    "--attributes/--no-attributes",
    "attributes",
    default=None,
    help="Every attribute that differs, or none. Default: the first 40 of each object.",
)
@click.option(
    "--html", "html_file", type=FILE, metavar="FILE", help="Write a page, which needs nothing else."
)
@click.option("--pdf", "pdf_file", type=FILE, metavar="FILE", help="Write the same for paper.")
@click.pass_obj
def diff(
    context: Context,
    patient: str,
    old: str | None,
    new: str,
    exit_code: bool,
    attributes: bool | None,
    html_file: Path | None,
    pdf_file: Path | None,
) -> None:
    """Show what changed for PATIENT from OLD to NEW, the most severe first.

    Severities come from the rules that ship with the vault, and from a file rules.toml beside the configuration.

    NEW is the latest commit unless given, OLD the one before NEW. Both may be a commit id, `latest`, `verified`,
    `latest~2`, or a day as YYYY-MM-DD.
    """
    from vault.compare.diff import compare
    from vault.compare.document import document
    from vault.compare.rules import load
    from vault.compare.text import ATTRIBUTES, render
    from vault.normal.volatile import extended

    repository, _ = patient_history(context, patient)
    after = repository.resolve(new)
    before = repository.resolve(old) if old else repository.commit_info(after).parent
    volatile = extended((entry.attribute, entry.reason) for entry in context.config().normal.volatile)
    changes = compare(repository, before, after, volatile, load(context.config().path.parent))
    if html_file or pdf_file:
        from vault.report.changes import diff_report

        write(context, diff_report(context.config(), repository, before, after), html_file, pdf_file)
    if context.json:
        context.emit(document(repository.patient_id, before, after, changes))
    elif not (html_file or pdf_file):
        limit = {None: ATTRIBUTES, True: None, False: 0}[attributes]
        lines = render(changes, attributes=limit, colour=colours())
        page([*_head(context, repository, before, after), *lines])
    if changes and exit_code:
        context.exit(ExitCode.FAILED)


def _head(context: Context, repository: PatientRepository, old: str | None, new: str) -> Iterator[str]:
    yield f"from  {named(context, repository.commit_info(old)) if old else 'nothing: the first commit'}"
    yield f"to    {named(context, repository.commit_info(new))}"
    yield ""
