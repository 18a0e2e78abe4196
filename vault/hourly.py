"""The hourly procedure, readable from top to bottom: what was treated today, kept before the next night.

1. Open the network. Ask the database who was treated today, and for their histories, plans and appointments; ask for
   today's treatment records, and retrieve those that the vault lacks.
2. Close the network: from here on the vault is alone with what it received.
3. Commit to branch `hourly` of each patient: rows, records, and a PDF that needs no other file.
4. Commit the department's summary to `overview.git`.
5. Encrypt what is new into the outbox; open the network, deliver it, close it.

Each step reads what the step before left on disk, so a run that was killed anywhere is finished by the next one.
Nothing new is no commit. A nightly run at work keeps the lock, and this run away.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import date, datetime, time, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pluggy

from vault import __version__
from vault.archive import hours
from vault.archive.hours import Hours
from vault.archive.ledger import Ledger
from vault.archive.overview import Overview
from vault.archive.repository import PatientRepository, all_repositories
from vault.archive.signing import Signer
from vault.config import Config
from vault.delivery import to_share
from vault.errors import DatabaseError, IntegrityError, VaultError
from vault.events import network
from vault.hourly_commit import Arrived, Hour, commit_hour
from vault.hourly_report import HourlyReport, HourOutcome
from vault.hourly_summary import appointments_on, lay_out, summarize
from vault.keys import Pseudonyms
from vault.lock import run_lock
from vault.lost import LOST, lost
from vault.model import Failure, PatientID, RunID
from vault.names import safe_name
from vault.procedure import began, close_what_a_crash_left_open, disk_refused, guests, new_run, tidy
from vault.progress import Progress, Silent
from vault.report.build import DEMOGRAPHICS, HISTORY, PLANS, SCHEDULE
from vault.rois.census import census
from vault.rois.emr_inbox import EmrInbox
from vault.rois.retrieve import retrieve_these
from vault.rois.sql.fetch import fetch, treated_since
from vault.rois.today import records_of
from vault.rois.uids import unfit_patient_id

LOOK_BACK = timedelta(days=180)
"""How far back a patient's history is asked for: longer than a course takes, for the dose to date."""

MOST_TREATED = 5_000
"""Patients of one day; the largest departments treat some hundreds."""

INBOX = "hourly"
"""Folder of the hourly runs' inboxes, below the vault's root."""

OF_PATIENTS = (HISTORY, PLANS, DEMOGRAPHICS)
"""What is asked about whoever was treated."""


def hourly(
    config: Config,
    *,
    now: datetime,
    progress: Progress | None = None,
    events: pluggy.PluginManager | None = None,
) -> HourlyReport:
    """Run the hour at `now` (aware).

    Raises LockedError when another run is at work, and VaultError when the vault itself is unfit (keys, disk);
    whatever concerns the ROIS, the share or a patient is in the report.
    """
    with run_lock(config.vault.root):
        return _Hourly(config, now, progress or Silent(), events).run()


class _Hourly:
    """The state that the steps of one run share."""

    def __init__(
        self, config: Config, now: datetime, progress: Progress, events: pluggy.PluginManager | None
    ) -> None:
        self._config = config
        self._root = config.vault.root
        self._zone = ZoneInfo(config.site.timezone)
        self._now = now.astimezone(self._zone)
        self._progress = progress
        self._events = events
        self._pseudonyms = Pseudonyms.load(config.vault.pseudonym_key)
        self._signer = Signer.load(config.vault.signing_key)
        self._ledger = Ledger(self._root, self._signer)

    def run(self) -> HourlyReport:
        run = new_run(self._now)
        report = self._report(run, self._now)
        close_what_a_crash_left_open(self._config, self._events, report.failed)
        tidy(self._root)
        for folder in sorted(path for path in (self._root / INBOX).glob("*") if path.is_dir()):
            self._resume(folder, report)
        arrived = Arrived(self._root / INBOX / run)
        self._fetch(arrived, report)
        self._commit(arrived, report)
        self._share(report)
        self._progress.stop()
        if self._events:
            with guests(report.failed):
                self._events.hook.run_finished(config=self._config, report=report.as_json())
        return report

    def _report(self, run: RunID, as_of: datetime) -> HourlyReport:
        return HourlyReport(run, as_of.date(), as_of)

    def _resume(self, folder: Path, report: HourlyReport) -> None:
        """Commit what an interrupted run had received."""
        try:
            earlier = self._report(RunID(folder.name), began(folder.name).astimezone(self._zone))
            report.resumed.append(self._commit(Arrived(folder), earlier))
        except Exception as error:  # an inbox that can't be read must not stop the hours after it
            said = str(error) if isinstance(error, VaultError) else f"an unforeseen {type(error).__name__}"
            report.failed.append(Failure(f"run {folder.name}", f"could not be finished: {said}"))

    # 1, 2: the only time that the network is open and somebody else's bytes come in

    def _fetch(self, arrived: Arrived, report: HourlyReport) -> None:
        try:
            with network(self._events, self._config):
                treated = self._ask_database(arrived, report) if self._config.rois.sql else None
                self._fetch_records(arrived, report, treated)
        except VaultError as error:
            report.failed.append(Failure("network", str(error)))
            report.stopped_by = error.exit_code
        except OSError as error:  # our own disk: what has arrived is committed all the same
            report.failed.append(disk_refused("retrieval", error))

    def _ask_database(self, arrived: Arrived, report: HourlyReport) -> list[PatientID] | None:
        """Ask who was treated today, and about them; returns them, or None when the database can't say."""
        midnight = datetime.combine(report.day, time.min)
        evening = datetime.combine(report.day, time(23, 59, 59))  # of today: a query set counts days from it
        try:
            held = self._held()
            treated = sorted(
                patient_id
                for patient_id in treated_since(self._config, midnight, evening)
                if not unfit_patient_id(patient_id)
            )
            if len(treated) > MOST_TREATED:
                raise DatabaseError(
                    f"The database names {len(treated)} patients as treated today, which can't be right: "
                    "`vault doctor --queries` tries its statements."
                )
            self._ask(arrived.rows, treated, midnight - LOOK_BACK, evening, OF_PATIENTS, report)
            everybody = list(dict.fromkeys([*treated, *held]))
            self._ask(arrived.schedule, everybody, midnight, evening, (SCHEDULE,), report)
            due = [patient_id for patient_id in everybody if appointments_on(arrived, patient_id, report.day)]
            not_yet = sorted(set(due) - set(treated))
            self._ask(arrived.due, not_yet, midnight, evening, (DEMOGRAPHICS,), report)
        except VaultError as error:
            report.failed.append(Failure("database", str(error)))
            report.stopped_by = error.exit_code
            return None
        return treated

    def _ask(
        self,
        inbox: EmrInbox,
        patients: Sequence[PatientID],
        since: datetime,
        until: datetime,
        queries: Sequence[str],
        report: HourlyReport,
    ) -> None:
        if patients:
            fetched = fetch(
                self._config,
                inbox,
                patients,
                since=since,
                until=until,
                queries=queries,
                progress=self._progress,
            )
            inbox.sync()
            report.failed.extend(fetched.failures)

    def _fetch_records(
        self, arrived: Arrived, report: HourlyReport, treated: Sequence[PatientID] | None
    ) -> None:
        """Retrieve today's treatment records that the vault lacks."""
        try:
            if treated is None:
                treated = self._everybody(report)
            self._progress.start("Looking for treatment records", None)
            found = records_of(self._config, report.day, treated)
            wanted = {}
            for patient_id, records in found.of.items():
                lacking = self._lacking(patient_id, report.day)
                if todo := [item for item in records if lacking(item.key.sop_uid)]:
                    wanted[patient_id] = todo
            for patient_id, failure in found.failed.items():
                report.patients.setdefault(patient_id, HourOutcome()).failed.append(failure)
            if not wanted:
                return
            self._progress.start("Retrieving treatment records", len(wanted))
            for retrieval in retrieve_these(self._config, wanted, arrived.objects):
                failed = report.patients.setdefault(retrieval.patient_id, HourOutcome()).failed
                failed.extend(retrieval.failures)
                if retrieval.missing:
                    failed.append(
                        Failure(
                            "RTRECORD",
                            f"{len(retrieval.missing)} of today found but not retrieved; the next run asks again",
                        )
                    )
                self._progress.advance()
        except VaultError as error:
            report.failed.append(Failure("treatment records", str(error)))
            report.stopped_by = report.stopped_by or error.exit_code

    def _lacking(self, patient_id: PatientID, day: date) -> Callable[[str], bool]:
        """Whether the vault lacks a record: neither an earlier hour nor a night has it."""
        try:
            repository = PatientRepository.open(self._root, patient_id)
            tip = repository.tip() if repository else None
            tree = repository.tree(tip) if repository and tip else {}
            nights = {path.rpartition("/")[2] for path in tree if path.startswith("dicom/RTRECORD/")}
            kept = Hours(repository).tree
        except VaultError:  # said when the patient is committed; retrieving it again errs on the safe side
            return lambda _: True
        return lambda uid: hours.record_path(day, uid) not in kept and f"{safe_name(uid)}.dcm" not in nights

    def _everybody(self, report: HourlyReport) -> list[PatientID]:
        """Whose records are looked for where no database says who was treated."""
        if self._config.rois.sql is None:
            return census(self._config, today=report.day, refused=report.failed)
        listed = [PatientID(text) for text in self._config.census.patients]
        return list(dict.fromkeys([*listed, *self._held()]))

    def _held(self) -> list[PatientID]:
        damaged: list[Failure] = []  # said when the share is brought up to date
        return [PatientID(repository.patient_id) for repository in all_repositories(self._root, damaged)]

    # 3, 4: offline

    def _commit(self, arrived: Arrived, report: HourlyReport) -> HourlyReport:
        """Commit every patient of an inbox, then the department's summary; record the run, and empty the inbox.

        A patient who can't be committed stays in the inbox for the next run.
        """
        hour = Hour(self._config, report.run, report.as_of, self._signer)
        patients = arrived.patients()
        self._progress.start("Committing", len(patients))
        gone = lost(self._root, self._ledger, self._pseudonyms, patients)
        for each in gone:
            report.patients.setdefault(each, HourOutcome()).failed.append(LOST)
            report.integrity = True
        done = [
            each
            for each in patients
            if each not in gone and self._commit_patient(hour, arrived, each, report)
        ]
        report.anomalies.extend(arrived.objects.refusals())
        try:
            report.treated, report.overview = summarize(hour, arrived, gone)
            report.folder = lay_out(hour)
            self._ledger.record_run("hourly", self._event(report), when=self._now)
        except VaultError as error:  # the inbox stays, so that a later run can do what this one could not
            report.failed.append(Failure("summary", str(error)))
            report.integrity |= isinstance(error, IntegrityError)
            return report
        except OSError as error:
            report.failed.append(Failure("summary", error.strerror or type(error).__name__))
            return report
        for patient_id in done:
            arrived.objects.clear(patient_id)
            arrived.rows.clear(patient_id)
        if len(done) == len(patients):
            arrived.objects.remove()
        return report

    def _commit_patient(
        self, hour: Hour, arrived: Arrived, patient_id: PatientID, report: HourlyReport
    ) -> bool:
        """Commit one patient, whose failure stops nobody else; whether nothing is left to do."""
        failed = report.patients.pop(patient_id, HourOutcome()).failed
        outcome: HourOutcome | None = None
        said = ""
        try:
            outcome = commit_hour(hour, arrived, patient_id)
        except OSError as error:  # without its path, which may name the patient
            said = error.strerror or type(error).__name__
        except VaultError as error:
            said = str(error)
            report.integrity |= isinstance(error, IntegrityError)
        except Exception as error:  # a defect of ours that one patient's data met must not stop the others
            said = f"an unforeseen {type(error).__name__}"
        if said:
            failed.append(Failure("", f"could not be committed: {said}"))
        if outcome is not None or failed:
            outcome = outcome or HourOutcome()
            outcome.failed.extend(failed)
            report.patients[patient_id] = outcome
            if self._events and outcome.new:
                with guests(report.failed):
                    self._events.hook.commit_made(
                        config=self._config,
                        patient_id=patient_id,
                        old=outcome.old_commit,
                        new=outcome.new_commit,
                    )
        self._progress.advance()
        return not said

    def _event(self, report: HourlyReport) -> dict[str, Any]:
        """The run as the ledger keeps it: no name, no ID, no UID."""
        patients = {
            self._pseudonyms.of(patient_id): {
                "old_commit": outcome.old_commit,
                "new_commit": outcome.new_commit,
                "fields": outcome.fields,
                "records": outcome.records,
                "findings": len(outcome.findings),
                "failed": len(outcome.failed),
            }
            for patient_id, outcome in report.patients.items()
        }
        return {
            "run": report.run,
            "procedure": "hourly",
            "vault": __version__,
            "started": report.as_of.isoformat(),
            "patients": patients,
            "treated": report.treated,
            "overview": report.overview,
            "anomalies": report.anomalies,
            "failed": len(report.failed),
        }

    # 5: to the share

    def _share(self, report: HourlyReport) -> None:
        summary = Overview.open(self._root)
        report.delivered = to_share(
            self._config, others=[summary] if summary else [], events=self._events, progress=self._progress
        )
        report.integrity |= report.delivered.integrity
