"""Copies of patients' data beside the archive: today's PDFs, rendered reports, letters. What goes, goes there too."""

from __future__ import annotations

import shutil
from collections.abc import Collection, Iterable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

from vault.archive.ledger import Ledger
from vault.files import sync_folder
from vault.names import safe_name
from vault.procedure import began

TODAY = "today"
REPORTS = "reports"
LETTERS = ("mail/outbox", "mail/refused")


def remove_copies(
    root: Path, ledger: Ledger, gone: Iterable[tuple[str, str]], now: datetime, window: timedelta
) -> None:
    """Remove whatever shows one of those who are `gone` (pseudonym and patient ID), and what is older than `window`.

    A report can be made again as long as its patients are there. Raises OSError when the disk
    refuses, VaultError when the ledger can't be read.
    """
    gone = list(gone)
    _remove_today(root / TODAY, {f"{safe_name(patient_id)}.pdf" for _, patient_id in gone}, now.date())
    pseudonyms = {pseudonym for pseudonym, _ in gone}
    for folder in _children(root / REPORTS):
        run = ledger.get("runs", folder.name)
        shows = bool(pseudonyms) and (run is None or bool(pseudonyms & run["patients"].keys()))
        if _older(folder.name, now - window) or shows:
            _remove(folder)
    repositories = {f"{safe_name(patient_id)}.git" for _, patient_id in gone}
    for folder in _children(root / "damaged"):  # of `vault repair`: RUN-NAME.git, and a run has one hyphen
        if _older(folder.name, now - window) or folder.name.split("-", 2)[-1] in repositories:
            _remove(folder)
    for name in LETTERS:  # older than the window, nobody waits for them any more
        for path in _children(root / name):
            if path.is_file() and datetime.fromtimestamp(path.stat().st_mtime, UTC) < now - window:
                path.unlink()
    for folder in (root / TODAY, root / REPORTS, *(root / name for name in LETTERS)):
        if folder.is_dir():
            sync_folder(folder)


def _remove_today(folder: Path, names: Collection[str], today: date) -> None:
    """Remove the days before yesterday, and the pages of those who are gone with the summaries that name them."""
    for day in _children(folder):
        if day.name < (today - timedelta(days=1)).isoformat() or any((day / name).exists() for name in names):
            _remove(day)


def _remove(path: Path) -> None:
    """Remove a folder, or the file that somebody left where only folders should be."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink()


def _older(run: str, limit: datetime) -> bool:
    try:
        return began(run) < limit
    except ValueError:  # somebody else's folder
        return False


def _children(folder: Path) -> list[Path]:
    return sorted(path for path in folder.glob("[!.]*")) if folder.is_dir() else []
