"""The department's day: from what is committed of every patient to one summary, and to PDFs on this computer."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

from vault.archive import hours, overview
from vault.archive.blobs import Blob, Bytes
from vault.archive.hours import Hours
from vault.archive.overview import Overview
from vault.archive.repository import PatientRepository, all_repositories
from vault.errors import IntegrityError
from vault.files import private_folder, write_file
from vault.hourly_commit import Arrived, Hour, answered, coming, day_of, nightly_summary
from vault.model import Failure, Row
from vault.names import safe_name
from vault.report.build import DEMOGRAPHICS, SCHEDULE, appointments, department_day, person
from vault.report.department_pdf import department_pdf
from vault.report.treatments import Appointment, PatientDay, Person

TODAY = "today"
"""Folder of today's PDFs, below the vault's root: a copy for whoever stands before this computer."""

Known = list[tuple[PatientRepository, Hours]]
Due = dict[str, dict[str, list[dict[str, str | None]]]]
"""Patient to query to rows."""


def summarize(hour: Hour, arrived: Arrived, lost: Iterable[str] = ()) -> tuple[int, str | None]:
    """Commit the department's summary; returns how many were treated, and the commit, None when nothing is new.

    What a run had committed before it was interrupted is its commit: the ledger does not have that yet.
    Whoever can't be read, or is among those whose history was `lost`, is named in it. Raises VaultError when the
    summary's own repository or the disk fails.
    """
    known, unreadable = _repositories(hour.root)
    unreadable |= set(lost)
    treated = [(repository, held) for repository, held in known if held.has(hour.day)]
    repository = Overview.open(hour.root)
    tip = repository.tip(hours.BRANCH) if repository else None
    before = _before(repository, tip, hour.day)
    later = hours.later_run(repository, tip, hour.run) if repository and tip else None
    days, found = _days(hour, arrived, treated, late=later is not None)
    unreadable |= found
    due = (not later and _due(arrived, known, hour.day)) or before.get("due", {})
    said = {
        "treated": {repository.patient_id: held.fingerprint(hour.day) for repository, held in treated},
        "due": due,
        **({"unreadable": sorted(unreadable)} if unreadable else {}),
    }
    if said == before or not (treated or due or unreadable):
        return len(treated), tip if _made_by(repository, tip, hour.run) else None
    day = department_day(days, _scheduled(hour, known, due), hour.day, unreadable)
    pdf = department_pdf(day, hour.setting(later))
    data = (json.dumps(said, ensure_ascii=False, indent=1, sort_keys=True) + "\n").encode("utf-8", "replace")
    edits: dict[str, Blob | None] = {
        hours.path(hour.day, overview.DATA): Bytes(data),
        hours.path(hour.day, overview.PDF): Bytes(pdf),
    }
    repository = repository or Overview.create(hour.root, hour.allowed_signers)
    message = f"treatments of {hour.day}: {len(treated)} patients\n\nRun: {hour.run}\n"
    commit = repository.commit(
        edits, message, when=hour.as_of, signer=hour.signer, author=hour.config.site.name
    )
    return len(treated), commit


def _days(hour: Hour, arrived: Arrived, treated: Known, *, late: bool) -> tuple[list[PatientDay], set[str]]:
    """The day of everybody who was treated, and the IDs of those of whom it can't be read."""
    days, unreadable = [], set()
    for repository, held in treated:
        try:
            day = day_of(hour, repository, held)
        except IntegrityError:  # said where the patient is committed, and by the audit
            unreadable.add(repository.patient_id)
        else:
            days.append(replace(day, answered=late or answered(hour, arrived, repository.patient_id)))
    return days, unreadable


def _made_by(repository: Overview | None, tip: str | None, run: str) -> bool:
    return (
        repository is not None and tip is not None and repository.commit_info(tip).trailers.get("Run") == run
    )


def lay_out(hour: Hour) -> Path | None:
    """Copy the day's PDFs to `<root>/today/<date>/`, and remove those of other days; None where there is none.

    Raises OSError when the disk refuses.
    """
    top = private_folder(hour.root / TODAY)
    folder = top / hour.day.isoformat()
    for other in top.iterdir():
        if other != folder:
            shutil.rmtree(other)
    summary = Overview.open(hour.root)
    tip = summary.tip(hours.BRANCH) if summary else None
    oid = summary.tree(tip).get(hours.path(hour.day, overview.PDF)) if summary and tip else None
    pages = {overview.PDF: summary.read(oid)} if summary and oid else {}
    for repository, held in _repositories(hour.root)[0]:
        with suppress(IntegrityError):  # what an earlier hour laid out stays: it says of when it is
            if page := held.pdf(hour.day):
                pages[f"{safe_name(repository.patient_id)}.pdf"] = page
    if not pages:
        return None
    private_folder(folder)
    for name, data in pages.items():
        path = folder / name
        if not path.exists() or path.read_bytes() != data:
            write_file(path, data, replace=True)
    return folder


def _repositories(root: Path) -> tuple[Known, set[str]]:
    """Every patient's repository that can be read, with its branch `hourly`, and the IDs of the others."""
    damaged: list[Failure] = []  # said when the share is brought up to date
    known, unreadable = [], set()
    for repository in all_repositories(root, damaged):
        try:
            known.append((repository, Hours(repository)))
        except IntegrityError:
            unreadable.add(repository.patient_id)
    return known, unreadable | {failure.subject.removesuffix(".git") for failure in damaged}


def _before(repository: Overview | None, tip: str | None, day: date) -> dict[str, Any]:
    """What the last summary of the day said."""
    if repository is None or tip is None:
        return {}
    oid = repository.tree(tip).get(hours.path(day, overview.DATA))
    found = json.loads(repository.read(oid)) if oid else {}
    return found if isinstance(found, dict) else {}


def appointments_on(arrived: Arrived, patient_id: str, day: date) -> list[Row]:
    """The day's appointments of a patient, as the database answered in this run."""
    rows = (arrived.schedule.rows(patient_id) or {}).get(SCHEDULE, [])
    return [row for row in coming(rows, day) if (row.fields.get("starts") or "")[:10] == day.isoformat()]


def _due(arrived: Arrived, known: Known, day: date) -> Due:
    """The day's appointments of everybody, as the database answered now; empty where it did not."""
    due: Due = {}
    for repository, _ in known:
        if today := appointments_on(arrived, repository.patient_id, day):
            who = (arrived.due.rows(repository.patient_id) or {}).get(DEMOGRAPHICS, [])
            due[repository.patient_id] = {
                SCHEDULE: sorted((dict(row.fields) for row in today), key=str),
                DEMOGRAPHICS: [dict(row.fields) for row in who],
            }
    return due


def _scheduled(hour: Hour, known: Known, due: Due) -> Iterator[tuple[Person, Appointment]]:
    by_id = {repository.patient_id: repository for repository, _ in known}
    for patient_id, answers in due.items():
        rows = {query: [Row(query, fields) for fields in said] for query, said in answers.items()}
        summary: Mapping[str, Any] = {}
        with suppress(IntegrityError):  # the database said who it is, too
            summary = nightly_summary(by_id[patient_id]) if patient_id in by_id else {}
        who = person(patient_id, rows, summary)
        for appointment in appointments(rows[SCHEDULE], hour.day, hour.zone):
            yield who, appointment
