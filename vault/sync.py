"""The nightly procedure, readable from top to bottom.

1. Open the network. Ask who is under treatment; find and move every object of every patient into the inbox.
2. Close the network: from here on the vault is alone with what it received.
3. Normalize, compare and commit, patient by patient; write the run into the ledger; empty the inbox.
4. Render the report, decide who goes next, compose the mail, which names them; encrypt what is new into the outbox.
5. Open the network, hand over the mail, deliver the outbox to the share, close it.
6. Prune what was announced the night before, here and on the share.

Each step reads what the step before left on disk (inbox, repositories, outbox), so a run that was killed
anywhere is finished by the next one: first what its inbox still holds, then the new night. One patient's or
one object's failure is a value in the report and stops nobody else.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from datetime import date, datetime, timedelta
from itertools import chain, islice
from pathlib import PurePosixPath
from typing import Any
from zoneinfo import ZoneInfo

import pluggy

from vault.archive.emr_paths import held_documents
from vault.archive.ledger import Ledger
from vault.archive.night import Night
from vault.archive.overview import Overview
from vault.archive.repository import PatientRepository
from vault.archive.signing import Signer
from vault.archive.stage import objects_in
from vault.charts import retrieve_charts
from vault.commit import Committed, Job, Sealing, commit_patients
from vault.compare.anomaly.counts import Tally
from vault.compare.anomaly.measures import OF_ONE, judge
from vault.config import Config
from vault.delivery import open_outbox, to_share
from vault.errors import IntegrityError, VaultError
from vault.events import network
from vault.keys import Pseudonyms, read_pseudonym_key
from vault.lock import run_lock
from vault.lost import LOST, lost
from vault.mail.night import queue_digests, tell_that_the_night_failed
from vault.model import Anomaly, Failure, ObjectKey, PatientID, PatientOutcome, RunID
from vault.normal.volatile import extended
from vault.procedure import close_what_a_crash_left_open, disk_refused, guests, new_run, tidy
from vault.progress import Progress, Silent
from vault.recipients import pinned
from vault.report.rendered import begin, page_of, render_what_is_missing
from vault.retention.prune import Pruning
from vault.rois.emr_inbox import EmrInbox
from vault.rois.inbox import Inbox, unfinished
from vault.rois.retrieve import retrieve
from vault.sync_event import account_of, event_of
from vault.sync_report import SyncReport
from vault.tonights_census import tonights_patients

RUNS_READ = 60
"""Runs of the ledger that are looked at: more than there are in a week."""

ROTATION = timedelta(days=7)
"""Images are retrieved anew at least this often, so what older runs retrieved says nothing about tonight."""


def sync(
    config: Config,
    *,
    now: datetime,
    patients: Sequence[PatientID] | None = None,
    progress: Progress | None = None,
    events: pluggy.PluginManager | None = None,
) -> SyncReport:
    """Run the night at `now` (aware) for `patients`, or for everybody under treatment.

    Raises LockedError when another run is at work, and VaultError when the vault itself is unfit (keys, disk);
    whatever concerns the ROIS, the share, a patient or an object is in the report. A night that fails as a whole is
    mailed all the same.
    """
    with run_lock(config.vault.root):
        try:
            return _Sync(config, now, progress or Silent(), events).run(patients)
        except Exception as error:
            tell_that_the_night_failed(config, now, error, events)
            raise


class _Sync:
    """The state that the steps of one run share."""

    def __init__(
        self, config: Config, now: datetime, progress: Progress, events: pluggy.PluginManager | None
    ) -> None:
        self._config = config
        self._root = config.vault.root
        self._now = now.astimezone(ZoneInfo(config.site.timezone))
        self._progress = progress
        self._events = events
        self._key = read_pseudonym_key(config.vault.pseudonym_key)
        self._pseudonyms = Pseudonyms(self._key)
        self._signer = Signer.load(config.vault.signing_key)
        self._ledger = Ledger(self._root, self._signer)
        self._outbox = open_outbox(self._root)
        self._earlier: list[dict[str, Any]] | None = None
        """The runs before this one: from them the measures know what is usual."""

    def run(self, patients: Sequence[PatientID] | None) -> SyncReport:
        report = SyncReport(new_run(self._now))
        close_what_a_crash_left_open(self._config, self._events, report.failed)
        tidy(self._root)
        for unfinished_inbox in unfinished(self._root):
            self._resume(unfinished_inbox, report)
        inbox = Inbox(self._root / "inbox" / report.run)
        self._retrieve(inbox, report, patients)
        self._commit(inbox, report)
        render_what_is_missing(self._config, report.failed)
        page = page_of(self._root, report.run)
        report.page = page if page.exists() else None
        pruning = None if patients else self._plan_pruning(report)
        report.failed.extend(queue_digests(self._config, self._now))
        overview = Overview.open(self._root)
        report.delivered = to_share(
            self._config, others=[overview] if overview else [], events=self._events, progress=self._progress
        )
        if pruning:
            self._prune(pruning, report)
        self._progress.stop()
        if self._events:
            with guests(report.failed):
                self._events.hook.run_finished(config=self._config, report=report.as_json())
        return report

    def _resume(self, inbox: Inbox, report: SyncReport) -> None:
        try:
            report.resumed.append(self._commit(inbox, SyncReport(RunID(inbox.run)), resumed=True))
        except Exception as error:  # an inbox that can't be read must not stop the nights after it
            said = str(error) if isinstance(error, VaultError) else f"an unforeseen {type(error).__name__}"
            report.failed.append(Failure(f"run {inbox.run}", f"could not be finished: {said}"))

    # 1, 2: the only time that the network is open and somebody else's bytes come in

    def _retrieve(self, inbox: Inbox, report: SyncReport, patients: Sequence[PatientID] | None) -> None:
        runs = self._earlier = self._runs(report)
        try:
            with network(self._events, self._config):
                if patients:
                    patients = list(dict.fromkeys(patients))
                else:
                    patients = tonights_patients(
                        self._config, runs, self._pseudonyms, report, self._now.date()
                    )
                retrieve_charts(
                    self._config,
                    inbox,
                    patients,
                    report,
                    now=self._now.replace(tzinfo=None),
                    held=self._held_documents,
                    progress=self._progress,
                )
                self._progress.start("Retrieving", len(patients))
                last_complete = self._last_complete(runs)
                for retrieval in retrieve(
                    self._config,
                    patients,
                    inbox,
                    held=self._held,
                    last_complete=last_complete,
                    today=self._now.date(),
                ):
                    report.patients[retrieval.patient_id] = PatientOutcome()
                    self._progress.advance()
        except VaultError as error:
            report.failed.append(Failure("retrieval", str(error)))
            report.stopped_by = error.exit_code
        except OSError as error:  # our own disk: what has arrived is committed all the same
            report.failed.append(disk_refused("retrieval", error))

    def _held(self, patient_id: PatientID) -> frozenset[ObjectKey]:
        parts = (PurePosixPath(path).parts for path in objects_in(self._tree(patient_id)))
        return frozenset(ObjectKey(part[1], part[2], part[3].removesuffix(".dcm")) for part in parts)

    def _held_documents(self, patient_id: PatientID) -> Mapping[str, str]:
        return held_documents(self._tree(patient_id).items())

    def _tree(self, patient_id: PatientID) -> Mapping[str, str]:
        """What the vault has of a patient: nothing, where that can't be read. That is said when it is committed."""
        try:
            repository = PatientRepository.open(self._root, patient_id)
            tip = repository.tip() if repository else None
            return repository.tree(tip) if repository and tip else {}
        except VaultError:
            return {}

    def _runs(self, report: SyncReport) -> list[dict[str, Any]]:
        """The last runs, newest first; none where the ledger can't be read."""
        try:
            return list(islice(self._ledger.events("runs"), RUNS_READ))
        except VaultError as error:
            report.failed.append(Failure("ledger", str(error)))
            report.integrity |= isinstance(error, IntegrityError)
            return []

    def _last_complete(self, runs: list[dict[str, Any]]) -> Callable[[PatientID], date | None]:
        """When each patient was last retrieved completely, as the ledger has it."""
        dates: dict[str, date] = {}
        for event in runs:
            started = datetime.fromisoformat(event["started"])
            if started > self._now:  # of a clock that was wrong, then or now
                continue
            if self._now - started > ROTATION:
                break
            for pseudonym, entry in event["patients"].items():
                if entry["complete"]:
                    dates.setdefault(pseudonym, started.astimezone(self._now.tzinfo).date())
        return lambda patient_id: dates.get(self._pseudonyms.of(patient_id))

    # 3: offline

    def _commit(self, inbox: Inbox, report: SyncReport, *, resumed: bool = False) -> SyncReport:
        """Commit every patient of an inbox, write the run into the ledger, then empty the inbox.

        A patient who can't be committed (a damaged repository) stays in the inbox for the next run.
        """
        charts = EmrInbox(inbox.folder)
        arrived = sorted({*inbox.patients(), *charts.patients()})
        committed = []
        tallies: dict[str, Tally] = {}
        self._progress.start("Comparing and committing", len(arrived))
        report.patients.update({patient_id: PatientOutcome() for patient_id in arrived})
        gone = lost(self._root, self._ledger, self._pseudonyms, arrived)
        held_back = [Committed(each, PatientOutcome(failed=[LOST]), integrity=True) for each in sorted(gone)]
        others = [each for each in arrived if each not in gone]
        for result in chain(
            held_back, commit_patients(self._job(inbox, report.run, resumed=resumed), others)
        ):
            report.patients[result.patient_id] = result.outcome
            report.integrity |= result.integrity
            if result.tally is not None:
                tallies[result.patient_id] = result.tally
            if result.done:
                committed.append(result.patient_id)
            with guests(report.failed):
                self._announce(result.patient_id, result.outcome)
            self._progress.advance()
        report.anomalies.extend(Anomaly("refused", "major", said) for said in inbox.refusals())
        self._measure(report, tallies)
        with suppress(OSError):  # the report lacks sentences; what a full disk costs is said elsewhere
            begin(self._root, report.run, account_of(report, self._pseudonyms))
        try:
            self._ledger.record_run(
                "runs", event_of(report, self._config, self._pseudonyms, self._now), when=self._now
            )
        except VaultError as error:  # the inbox stays, so that a later run can record what this one did
            report.failed.append(Failure("ledger", str(error)))
            report.integrity |= isinstance(error, IntegrityError)
            return report
        for patient_id in committed:
            inbox.clear(patient_id)
            charts.clear(patient_id)
        if len(committed) == len(arrived):
            inbox.remove()
        return report

    def _measure(self, report: SyncReport, tallies: Mapping[str, Tally]) -> None:
        """Say whether the night looks like an attack, and mark the patients for whom it does."""
        if self._earlier is None:
            self._earlier = self._runs(report)
        verdict = judge(tallies, self._earlier, self._config.anomalies)
        report.measures = verdict.values
        report.anomalies.extend(verdict.anomalies)
        for patient_id, measures in verdict.concerned.items():
            said = f"part of what looks like an attack: {'; '.join(OF_ONE[name] for name in measures)}"
            report.patients[PatientID(patient_id)].anomalies.append(said)

    def _job(self, inbox: Inbox, run: RunID, *, resumed: bool) -> Job:
        sealing = None
        if self._config.share:
            with suppress(VaultError):  # recipients that nobody pinned: the delivery says so
                sealing = Sealing(self._outbox.folder, pinned(self._config), self._key)
        return Job(self._night(run, resumed=resumed), inbox.folder, sealing, rules=self._config.path.parent)

    def _night(self, run: RunID, *, resumed: bool) -> Night:
        dicom = self._config.rois.dicom
        extra = [(entry.attribute, entry.reason) for entry in self._config.normal.volatile]
        return Night(
            root=self._root,
            run=run,
            when=self._now,
            retrieved_from=f"{dicom.ae_title}@{dicom.host}:{dicom.port}",
            volatile=extended(extra),
            modalities=self._config.census.modalities,
            signer=self._signer,
            author=self._config.site.name,
            allowed_signers=self._config.vault.signing_key.parent / "allowed_signers",
            timezone=self._config.site.timezone,
            documents=bool(self._config.rois.sql and self._config.rois.sql.documents),
            resumed=resumed,
        )

    # 5, 6: what was treated long ago

    def _plan_pruning(self, report: SyncReport) -> Pruning | None:
        """Decide who goes, and record who is announced, before the digest names them."""
        if self._config.retention is None:
            return None
        try:
            pruning = Pruning(self._config, report.run, self._now, self._progress, self._events)
            pruning.announce()
        except Exception as error:  # whoever stays too long is no reason to lose a night
            self._not_pruned(report, error)
            return None
        report.retention = pruning.report
        report.anomalies.extend(Anomaly("retention", "major", said) for said in pruning.plan.anomalies)
        return pruning

    def _prune(self, pruning: Pruning, report: SyncReport) -> None:
        try:
            pruning.carry_out()
        except Exception as error:  # the next night goes on where this one stopped
            self._not_pruned(report, error)

    def _not_pruned(self, report: SyncReport, error: Exception) -> None:
        report.integrity |= isinstance(error, IntegrityError)
        if isinstance(error, OSError):
            report.failed.append(disk_refused("retention", error))
        else:
            said = str(error) if isinstance(error, VaultError) else f"an unforeseen {type(error).__name__}"
            report.failed.append(Failure("retention", f"not all was done that was due: {said}"))

    def _announce(self, patient_id: PatientID, outcome: PatientOutcome) -> None:
        if self._events and outcome.new_commit != outcome.old_commit:
            self._events.hook.commit_made(
                config=self._config, patient_id=patient_id, old=outcome.old_commit, new=outcome.new_commit
            )
