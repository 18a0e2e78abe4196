"""`vault log`: a patient's history."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from itertools import islice
from typing import TYPE_CHECKING, Any

import click

from cli.context import Context
from cli.history import SHORT, colours, local, page, patient_history
from cli.text import minute, printable

if TYPE_CHECKING:
    from vault.archive.history import CommitInfo
    from vault.archive.repository import PatientRepository

_SIGNS = {"added": "+", "changed": "~", "removed": "-"}


@click.command()
@click.argument("patient")
@click.option("-n", "--number", type=click.IntRange(min=1), help="So many commits at most.")
@click.pass_obj
def log(context: Context, patient: str, number: int | None) -> None:
    """Show the commits of PATIENT, newest first, with how many objects each added (+), changed (~), removed (-)."""
    repository, _ = patient_history(context, patient)
    commits = islice(repository.log("main"), number)
    if context.json:
        entries = [_entry(context, repository, commit) for commit in commits]
        context.emit({"patient": repository.patient_id, "commits": entries})
    else:
        page(_line(context, repository, commit) for commit in commits)


def _line(context: Context, repository: PatientRepository, commit: CommitInfo) -> str:
    counts = _counts(repository, commit)
    told = " ".join(f"{_SIGNS[kind]}{number}" for kind, number in counts.items() if number)
    short = commit.oid[:SHORT]
    marked = f"\x1b[33m{short}\x1b[0m" if colours() else short
    return f"{marked}  {minute(local(context, commit.when))}  {told:12}  {printable(commit.subject)}"


def _entry(context: Context, repository: PatientRepository, commit: CommitInfo) -> dict[str, Any]:
    return {
        "commit": commit.oid,
        "parent": commit.parent,
        "when": local(context, commit.when).isoformat(),
        "subject": commit.subject,
        "run": commit.trailers.get("Run"),
        **_counts(repository, commit),
    }


def _counts(repository: PatientRepository, commit: CommitInfo) -> dict[str, int]:
    """How many objects a commit added, changed and removed."""
    counts = Counter(_kinds(repository, commit))
    return {kind: counts[kind] for kind in _SIGNS}


def _kinds(repository: PatientRepository, commit: CommitInfo) -> Iterator[str]:
    for path, old, new in repository.changed_paths(commit.parent, commit.oid):
        if path.endswith(".dcm"):
            yield "added" if old is None else "removed" if new is None else "changed"
