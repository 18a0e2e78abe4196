"""The reports of the last nights, rendered: for whoever reads them on this computer, and for the mail to take along.

    <root>/reports/<run>/report.html    the page
    <root>/reports/<run>/report.pdf     the same on paper
    <root>/reports/<run>/account.json   what failed, in sentences (`accounts`)

Only the newest few are kept, since a patient's data has to go when the patient goes; `vault report RUN` makes any
again from ledger and repositories, as long as they hold what it is of.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

from vault.config import Config
from vault.errors import UsageError, VaultError
from vault.files import private_folder, write_file
from vault.model import Failure
from vault.report.accounts import FOLDER, Account, folder_of, keep_account

KEPT = 3
"""Nights whose reports stay on this computer."""

PAGE = "report.html"
PAPER = "report.pdf"


def page_of(root: Path, run: str) -> Path:
    """Where the page of a run lies, while it is kept."""
    return folder_of(root, run) / PAGE


def begin(root: Path, run: str, account: Account) -> None:
    """Keep what a run says, and have its report rendered, anew where a part of the run had one. Raises OSError."""
    keep_account(root, run, account)
    page_of(root, run).unlink(missing_ok=True)


def render(config: Config, run: str) -> Path:
    """Render the report of a run that the ledger has, durably; returns the page's path.

    The page comes last: a folder without one is a report that is not finished. Raises what `run_report` does.
    """
    from vault.report.changes import run_report  # noqa: PLC0415  # what the command line does not need
    from vault.report.html import html  # noqa: PLC0415  # nor a night that changed nothing
    from vault.report.illustrations import illustrations  # noqa: PLC0415
    from vault.report.pdf import pdf  # noqa: PLC0415

    report = run_report(config, run)
    pictures = illustrations(config, report)
    folder = private_folder(folder_of(config.vault.root, report.run))
    if report.patients or report.failed or report.anomalies:
        write_file(folder / PAPER, pdf(report, pictures, paper=config.report.paper), replace=True)
    write_file(folder / PAGE, html(report, pictures), replace=True)
    return folder / PAGE


def render_what_is_missing(config: Config, failed: list[Failure]) -> None:
    """Render every run that left its account and has no page: this one, those that it finished, one that was killed.

    First remove what is older than the newest few. What can't be rendered is noted in `failed` and stops nothing:
    ledger and repositories have it all.
    """
    root = config.vault.root
    remove_old(root)
    for name in _unfinished(root):
        try:
            render(config, name)
        except UsageError:  # killed before the ledger had it: the run that finishes it comes by again
            continue
        except VaultError as error:
            failed.append(Failure("report", f"it could not be rendered: {error}"))
        except OSError as error:
            why = error.strerror or type(error).__name__
            failed.append(
                Failure("report", f"it could not be written ({why}); `vault report` makes it again")
            )
        except Exception as error:  # a defect of ours must not stop what the night is for
            failed.append(
                Failure("report", f"it could not be rendered: an unforeseen {type(error).__name__}")
            )


def _unfinished(root: Path) -> Iterator[str]:
    for folder in _folders(root):
        if not (folder / PAGE).exists():
            yield folder.name


def remove_old(root: Path, kept: int = KEPT) -> None:
    """Remove all reports but the newest."""
    for folder in _folders(root)[:-kept] if kept else _folders(root):
        shutil.rmtree(folder, ignore_errors=True)


def _folders(root: Path) -> list[Path]:
    """Folders of runs, oldest first: their names begin with the time."""
    try:
        return sorted(path for path in (root / FOLDER).iterdir() if path.is_dir() and not path.is_symlink())
    except FileNotFoundError:
        return []
