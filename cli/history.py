"""What `log`, `diff` and `show` have in common: find the patient, name commits, print long texts."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from datetime import datetime
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import click

from cli.context import Context
from cli.text import minute, printable

if TYPE_CHECKING:
    from vault.archive.history import CommitInfo
    from vault.archive.repository import PatientRepository

SHORT = 10
"""Digits of a commit id that are shown to people."""


def patient_history(context: Context, patient: str) -> tuple[PatientRepository, str]:
    """Return a patient's repository and the last commit in it; raises UsageError when the vault has none."""
    from vault.archive.repository import PatientRepository, no_such_patient

    root = context.config().vault.root
    repository = PatientRepository.open(root, context.patient_id(patient))
    tip = repository.tip() if repository else None
    if repository is None or tip is None:
        raise no_such_patient(root, patient)
    return repository, tip


def local(context: Context, when: datetime) -> datetime:
    """A commit's time in the site's time zone."""
    return when.astimezone(ZoneInfo(context.config().site.timezone))


def named(context: Context, commit: CommitInfo) -> str:
    """A commit in one line: short id, time at the site, subject."""
    return f"{commit.oid[:SHORT]}  {minute(local(context, commit.when))}  {printable(commit.subject)}"


def colours() -> bool:
    """Whether to write colours: only to a terminal, and not where `NO_COLOR` or a dumb terminal says no."""
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def page(lines: Iterable[str]) -> None:
    """Print lines as they come: through the user's pager on a terminal, else straight to standard output."""
    text = (f"{line}\n" for line in lines)
    if sys.stdout.isatty():
        os.environ.setdefault(
            "LESS", "FRX"
        )  # as git does: colours shown, and no pager for what fits the screen
        click.echo_via_pager(text, color=colours())
    else:
        for line in text:
            click.echo(line, nl=False)
