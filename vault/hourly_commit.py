"""One patient's hour: from the inbox to a signed commit on branch `hourly`, and the day as a model for the reports."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from vault.archive import hours, summary
from vault.archive.blobs import Blob, Bytes, hash_file
from vault.archive.forms import Forms
from vault.archive.hours import Hours, Rows
from vault.archive.repository import PatientRepository
from vault.archive.signing import Signer
from vault.config import Config
from vault.errors import VaultError
from vault.files import private_folder
from vault.hourly_report import HourOutcome
from vault.model import Failure, PatientID, Row, RunID
from vault.normal.lines import parse
from vault.normal.rows import STAMPS
from vault.normal.volatile import VolatileTable, extended
from vault.report.build import DEMOGRAPHICS, HISTORY, PLANS, SCHEDULE, Sources, patient_day, treated_on
from vault.report.patient_pdf import Setting, patient_pdf
from vault.report.records import rows_of_record
from vault.report.treatments import PatientDay
from vault.rois.emr_inbox import EmrInbox
from vault.rois.inbox import Inbox

LARGEST_ROWS = 32 << 20
"""Bytes of one patient's rows; a long treatment takes 100 kB."""

QUERIES = (HISTORY, PLANS, DEMOGRAPHICS, SCHEDULE)
"""What is kept of the database's answers."""


@dataclass(frozen=True, slots=True)
class Hour:
    """What all patients of one run share."""

    config: Config
    run: RunID
    as_of: datetime
    """When the run began, in the site's zone."""
    signer: Signer

    @property
    def root(self) -> Path:
        """The vault's folder."""
        return self.config.vault.root

    @property
    def day(self) -> date:
        """The day that the run is about."""
        return self.as_of.date()

    @property
    def zone(self) -> ZoneInfo:
        """The site's."""
        return ZoneInfo(self.config.site.timezone)

    def setting(self, later: datetime | None = None) -> Setting:
        """What the reports say of the run; `later` is when a later one asked, if what it saw is in them."""
        as_of = later.astimezone(self.zone) if later else self.as_of
        return Setting(self.config.site.name, as_of, self.config.report.paper)

    @property
    def allowed_signers(self) -> Path:
        """Beside the signing key."""
        return self.config.vault.signing_key.parent / "allowed_signers"

    @property
    def volatile(self) -> VolatileTable:
        """What the normal form leaves out."""
        extra = [(entry.attribute, entry.reason) for entry in self.config.normal.volatile]
        return extended(extra)


@dataclass(frozen=True, slots=True)
class Arrived:
    """The inbox of one hourly run: `<root>/hourly/<run>`."""

    folder: Path

    @property
    def objects(self) -> Inbox:
        """Treatment records."""
        return Inbox(self.folder)

    @property
    def rows(self) -> EmrInbox:
        """What the database says of whoever was treated."""
        return EmrInbox(self.folder)

    @property
    def schedule(self) -> EmrInbox:
        """What the schedule says of everybody."""
        return EmrInbox(self.folder / "schedule")

    @property
    def due(self) -> EmrInbox:
        """Who they are that are due today and were not treated yet."""
        return EmrInbox(self.folder / "due")

    def patients(self) -> list[PatientID]:
        """Everyone of whom rows or records are here, sorted."""
        return sorted({*self.objects.patients(), *self.rows.patients()})


def commit_hour(hour: Hour, arrived: Arrived, patient_id: PatientID) -> HourOutcome | None:
    """Commit what arrived of one patient; None where no treatment of the day is known.

    1. What the database did not answer this time stays as an earlier run of the day had it. Where a later run has
       committed since (this one was interrupted), what that one saw stays.
    2. Records get their normal form. Those of another day are left to the night.
    3. Nothing new: no commit. Else one commit with rows, records and the report made of both; the branch moves last.

    Raises VaultError when the repository or the disk fails.
    """
    repository = PatientRepository.open(hour.root, patient_id)
    held = Hours(repository)
    outcome = HourOutcome(held.tip, held.tip)
    outcome.failed.extend(arrived.rows.failures(patient_id))
    later = hours.later_run(repository, held.tip, hour.run) if repository and held.tip else None
    rows = held.rows(hour.day) if later else _rows(hour, held, arrived, patient_id)
    with tempfile.TemporaryDirectory(dir=private_folder(hour.root / "work")) as workspace:
        records, of_records = _records(hour, arrived, patient_id, Path(workspace), outcome)
        edits: dict[str, Blob | None] = {
            name: blob for name, blob in records.items() if held.tree.get(name) != blob.oid
        }
        outcome.records = sum(name.endswith(".dcm") for name in edits)
        of_records += [row for lines in held.records(hour.day) for row in rows_of_record(lines)]
        if not _treated(hour, rows, of_records):
            return outcome if outcome.failed or held.has(hour.day) else None
        _compare(hour, held, rows, outcome)
        data = hours.encode(rows)
        if len(data) > LARGEST_ROWS:
            raise VaultError(
                "The database's rows are more than can be right; `vault doctor --queries` tries them."
            )
        if any(rows.values()) and held.tree.get(hours.path(hour.day, hours.ROWS)) != Bytes(data).oid:
            edits[hours.path(hour.day, hours.ROWS)] = Bytes(data)
            edits[hours.path(hour.day, hours.TEXT)] = Bytes(hours.text(rows))
        if edits:
            repository = repository or PatientRepository.create(hour.root, patient_id, hour.allowed_signers)
            sources = Sources(patient_id, rows, _once(of_records), nightly_summary(repository))
            day = patient_day(sources, hour.day, hour.zone)
            told = later is not None or answered(hour, arrived, patient_id)
            page = patient_pdf(replace(day, answered=told), hour.setting(later))
            edits[hours.path(hour.day, hours.PDF)] = Bytes(page)
            outcome.new_commit = repository.commit(
                parent=held.tip,
                edits=edits,
                message=_message(hour, outcome),
                when=hour.as_of,
                signer=hour.signer,
                branch=hours.BRANCH,
                author=hour.config.site.name,
            )
    return outcome


def day_of(hour: Hour, repository: PatientRepository, held: Hours) -> PatientDay:
    """A patient's day from what is committed."""
    of_records = [row for lines in held.records(hour.day) for row in rows_of_record(lines)]
    sources = Sources(
        repository.patient_id, held.rows(hour.day), _once(of_records), nightly_summary(repository)
    )
    return patient_day(sources, hour.day, hour.zone)


def answered(hour: Hour, arrived: Arrived, patient_id: str) -> bool:
    """Whether the database told a patient's history in this run; yes where there is no database to tell it."""
    return hour.config.rois.sql is None or HISTORY in (arrived.rows.rows(patient_id) or {})


def nightly_summary(repository: PatientRepository) -> Mapping[str, Any]:
    """patient.json of the last night; empty before the first, and where it can't be read."""
    tip = repository.tip()
    oid = repository.tree(tip).get(summary.PATH) if tip else None
    if oid is None:
        return {}
    found = json.loads(repository.read(oid))
    return found if isinstance(found, dict) else {}


def coming(rows: Iterable[Row], day: date) -> list[Row]:
    """The appointments from `day` on."""
    return [row for row in rows if (row.fields.get("starts") or "")[:10] >= day.isoformat()]


def _rows(hour: Hour, held: Hours, arrived: Arrived, patient_id: PatientID) -> dict[str, list[Row]]:
    answered = dict(arrived.rows.rows(patient_id) or {})
    planned = (arrived.schedule.rows(patient_id) or {}).get(SCHEDULE)
    if planned is not None:
        answered[SCHEDULE] = coming(planned, hour.day)
    before = held.rows(hour.day)
    return {
        query: list(answered.get(query, before.get(query, [])))
        for query in QUERIES
        if query in answered or query in before
    }


def _records(
    hour: Hour, arrived: Arrived, patient_id: PatientID, workspace: Path, outcome: HourOutcome
) -> tuple[dict[str, Blob], list[Row]]:
    """The day's records that arrived, as files of the tree, and the rows that they come to."""
    files: dict[str, Blob] = {}
    rows: list[Row] = []
    forms = Forms(workspace, hour.volatile)
    for item in arrived.objects.objects(patient_id, outcome.failed):
        form = forms.of(item.path)
        with form.open() as lines:
            found = rows_of_record(parse(lines))
        if not any(treated_on(row, hour.zone) == hour.day for row in found):
            continue
        path = hours.record_path(hour.day, item.key.sop_uid)
        files[path] = hash_file(item.path)
        files[path.removesuffix(".dcm") + ".txt"] = form
        rows += found
    return files, rows


def _treated(hour: Hour, rows: Rows, of_records: Sequence[Row]) -> bool:
    return any(treated_on(row, hour.zone) == hour.day for row in [*rows.get(HISTORY, ()), *of_records])


def _compare(hour: Hour, held: Hours, rows: Rows, outcome: HourOutcome) -> None:
    """Count what is new of today, and say what the database now tells otherwise than it did."""
    days = [day for day in held.days() if day <= hour.day]
    before = {_key(row): row for row in held.rows(days[-1]).get(HISTORY, ())} if days else {}
    now = {_key(row): row for row in rows.get(HISTORY, ())}
    outcome.fields = sum(
        treated_on(row, hour.zone) == hour.day for key, row in now.items() if key not in before
    )
    oldest = min((row.fields.get("started") or "" for row in now.values()), default="")
    for key, row in before.items():
        what = f"field {row.fields.get('field')} of fraction {row.fields.get('fraction')}"
        if key not in now and (row.fields.get("started") or "") >= oldest:
            outcome.findings.append(
                Failure(
                    what, "the database no longer has this treatment, which an earlier run saw: find out why"
                )
            )
        elif key in now and _said(row) != _said(now[key]) and treated_on(row, hour.zone) != hour.day:
            outcome.findings.append(
                Failure(
                    what, "the database changed this treatment of an earlier day: see `git log -p hourly`"
                )
            )


def _key(row: Row) -> str:
    return row.fields.get("history_key") or ""


def _said(row: Row) -> dict[str, str | None]:
    return {column: value for column, value in row.fields.items() if column not in STAMPS}


def _once(rows: Iterable[Row]) -> list[Row]:
    """Each row once: a record may be in the inbox and in the tree."""
    return list({_key(row): row for row in rows}.values())


def _message(hour: Hour, outcome: HourOutcome) -> str:
    parts = [f"{outcome.fields} fields new"] if outcome.fields else []
    parts += [f"{outcome.records} RTRECORD"] if outcome.records else []
    dicom = hour.config.rois.dicom
    return "\n".join(
        [
            f"treatments of {hour.day}: {', '.join(parts) or 'rows changed'}",
            "",
            f"Run: {hour.run}",
            f"Retrieved-From: {dicom.ae_title}@{dicom.host}:{dicom.port}",
            f"Normal-Form: {hour.volatile.label}",
            "",
        ]
    )
