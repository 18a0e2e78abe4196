"""The night's charts: what the database says of every patient, and the documents that it names, into the inbox."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta

from vault.config import Config
from vault.errors import VaultError
from vault.model import Failure, PatientID
from vault.progress import Progress
from vault.rois.documents import fetch_all, open_store
from vault.rois.emr_inbox import EmrInbox
from vault.rois.inbox import Inbox
from vault.sync_report import SyncReport

OF_THE_NIGHT = (
    "contacts",
    "demographics",
    "documents",
    "expected_objects",
    "plans",
    "prescriptions",
    "schedule",
)
"""What is asked at night; the treatment history is the hourly runs' part."""

LOOK_BACK = timedelta(days=180)
"""For statements of a site that ask by time: longer than a course takes."""

Held = Callable[[PatientID], Mapping[str, str]]
"""The git blob id of each document that the vault has of a patient, by the `safe_name` of its key."""


def retrieve_charts(
    config: Config,
    inbox: Inbox,
    patients: Sequence[PatientID],
    report: SyncReport,
    *,
    now: datetime,
    held: Held,
    progress: Progress,
) -> None:
    """Ask the database about `patients`, and fetch what changed of their documents. `now` is local, without a zone.

    A database or a store that is away is a failure of the run: the images and plans are retrieved all the same.
    """
    sql = config.rois.sql
    if sql is None:
        return
    from vault.rois.sql.fetch import fetch  # noqa: PLC0415  # pyodbc, for those who have a database

    charts = EmrInbox(inbox.folder)
    try:
        fetched = fetch(
            config,
            charts,
            patients,
            since=now - LOOK_BACK,
            until=now,
            queries=OF_THE_NIGHT,
            progress=progress,
        )
        report.failed.extend(fetched.failures)
        report.off.update(fetched.off)
        if sql.documents:
            progress.start("Fetching documents", len(patients))
            store = open_store(sql.documents, sql.documents_user, sql.documents_password(), sql.timeout)
            report.failed.extend(fetch_all(store, charts, patients, held, progress))
    except VaultError as error:
        report.failed.append(Failure("database", str(error)))
    except OSError as error:
        why = error.strerror or type(error).__name__
        report.failed.append(Failure("database", f"{why}: what it said could not be kept"))
    finally:
        _keep(charts, report)


def _keep(charts: EmrInbox, report: SyncReport) -> None:
    try:
        charts.sync()
    except OSError as error:
        why = error.strerror or type(error).__name__
        report.failed.append(Failure("database", f"{why}: what it said is not durable"))
