"""`vault report`: what a run changed."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from cli.context import Context
from cli.text import printable

if TYPE_CHECKING:
    from vault.report.changes import RunReport

FILE = click.Path(dir_okay=False, path_type=Path)


@click.command()
@click.argument("run", required=False)
@click.option("--html", "page", type=FILE, metavar="FILE", help="Write the page, which needs nothing else.")
@click.option("--pdf", "paper", type=FILE, metavar="FILE", help="Write the same for paper.")
@click.pass_obj
def report(context: Context, run: str | None, page: Path | None, paper: Path | None) -> None:
    """Show what a RUN changed, the gravest first, and who must look at what.

    RUN is the last nightly run unless given: its name, the beginning of one, or `latest`. The report is made from the
    ledger and the repositories; what a run said of failures is kept for the newest three. Exit code 0, whatever
    changed: `vault diff --exit-code` says whether something did.
    """
    from vault.report.changes import run_report

    found = run_report(context.config(), run)
    written = write(context, found, page, paper)
    if context.json:
        from vault.report.document import document

        context.emit(document(found))
    elif not written:
        from cli.history import colours
        from cli.history import page as paged
        from vault.report.text import lines

        paged(lines(found, colour=colours()))


def write(context: Context, found: RunReport, page: Path | None, paper: Path | None) -> bool:
    """Write the files that were asked for, private and whole, and say so. Returns whether there were any."""
    if not (page or paper):
        return False
    from vault.errors import UsageError
    from vault.files import write_file
    from vault.report.illustrations import illustrations

    for path in filter(None, (page, paper)):
        if not path.absolute().parent.is_dir():
            raise UsageError(f"There is no folder {path.parent} to write {path.name} into: make it first.")
    pictures = illustrations(context.config(), found)
    if page:
        from vault.report.html import html

        write_file(page.absolute(), html(found, pictures), replace=True)
    if paper:
        from vault.report.pdf import pdf

        size = context.config().report.paper
        write_file(paper.absolute(), pdf(found, pictures, paper=size), replace=True)
    if not context.json:
        for path in filter(None, (page, paper)):
            click.echo(f"Written: {printable(str(path))}")
    return True
