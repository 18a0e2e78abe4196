"""At night: what the hourly runs saw of a patient's day, held against the treatment records that have arrived."""

from __future__ import annotations

from datetime import date, datetime
from zoneinfo import ZoneInfo

from vault.archive.hours import Hours
from vault.archive.repository import PatientRepository
from vault.hourly_commit import nightly_summary
from vault.model import Failure
from vault.normal.lines import parse
from vault.report.build import HISTORY, treated_on
from vault.report.check import unmatched
from vault.report.records import rows_of_record

RECORDS = "dicom/RTRECORD/"


def unmatched_of(repository: PatientRepository, day: date, zone: ZoneInfo) -> list[Failure]:
    """What of `day` does not agree between branch `hourly` and the records on `main`; see `vault.report.check`.

    Nothing where the hourly runs did not see the day or had no database to ask, or where the ROIS has no treatment
    records of the patient at all, as some have not. Raises VaultError when the repository can't be read.
    """
    held = Hours(repository)
    tip = repository.tip()
    if tip is None or not held.has(day) or HISTORY not in held.rows(day):
        return []
    tree = repository.tree(tip)
    if not any(path.startswith(RECORDS) for path in tree):
        return []
    of_day = {
        uid
        for uid, record in (nightly_summary(repository).get("treatments") or {}).items()
        if record.get("date") == f"{day:%Y%m%d}"
    }
    records = []
    for path, oid in tree.items():
        if path.startswith(RECORDS) and path.endswith(".txt") and path[:-4].rpartition("/")[2] in of_day:
            records += rows_of_record(parse(repository.read(oid).splitlines(keepends=True)))
    rows = [row for row in held.rows(day).get(HISTORY, ()) if treated_on(row, zone) == day]
    return unmatched(
        rows,
        [row for row in records if treated_on(row, zone) == day],
        zone=zone,
        seen_until=_seen_until(repository, day, zone),
    )


def _seen_until(repository: PatientRepository, day: date, zone: ZoneInfo) -> datetime | None:
    """When the last run that committed something of the day had looked."""
    for commit in repository.log("hourly"):
        looked = commit.when.astimezone(zone)
        if looked.date() == day:
            return looked.replace(tzinfo=None)
    return None
