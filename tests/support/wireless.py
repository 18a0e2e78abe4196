"""A simulated department whose nights reach the vault without a wire: everything after the network is real.

`vault.sync` runs as it does at night; only what would speak DICOM and ODBC is replaced: the ROIS's objects are put
into the inbox as the receiver does, and its database is read by sqlite3 with the statements of the demo's query set.
"""

from __future__ import annotations

import sqlite3
import tomllib
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from vault.config import Config, load
from vault.department import database
from vault.department.charts import Paper, charts
from vault.department.modules import part10
from vault.department.nights import Night
from vault.department.patients import Patient
from vault.dicom.header import Header, read_header
from vault.files import private_folder
from vault.model import FoundObject, ObjectKey, Retrieval, Row
from vault.rois.document_folder import FolderStore
from vault.rois.documents import fetch_all
from vault.rois.emr_inbox import EmrInbox
from vault.rois.inbox import Inbox
from vault.setup import initialize
from vault.sync import sync
from vault.sync_report import SyncReport

QUERIES = Path(__file__).parents[2] / "config" / "queries" / "demo.toml"
ASKED = ("demographics", "prescriptions", "plans", "documents")


class Wireless:
    """The department and its vault, side by side in `folder`."""

    def __init__(
        self,
        folder: Path,
        patients: tuple[Patient, ...],
        first_night: date,
        monkeypatch: pytest.MonkeyPatch,
        extra: str = "",
    ) -> None:
        self.folder, self.patients, self.first_night = folder, patients, first_night
        self.charts = folder / "charts"
        initialize(folder / "vault", name="Test department", timezone="UTC")
        toml = folder / "vault" / "vault.toml"
        ids = ", ".join(f'"{patient.patient_id}"' for patient in patients)
        toml.write_text(
            toml.read_text().replace("patients = []", f"patients = [{ids}]")
            + f"""
[rois.sql]
connection = "DRIVER=none"
queries = "queries/demo.toml"
documents = "{self.charts / database.DOCUMENTS}"
{extra}"""
        )
        self.config: Config = load(toml)
        self._objects: dict[tuple[str, ObjectKey], tuple[Header, bytes]] = {}
        self._due: set[tuple[str, ObjectKey]] = set()
        monkeypatch.setattr("os.fsync", lambda _descriptor: None)  # no power cut is tested here
        monkeypatch.setattr("vault.files._LIBC", SimpleNamespace(syncfs=lambda _descriptor: 0))
        monkeypatch.setattr("vault.sync.retrieve", self._retrieve)
        monkeypatch.setattr("vault.sync.retrieve_charts", self._retrieve_charts)

    def put(self, objects: Iterable[Any]) -> None:
        """Let the ROIS hold objects, in the place of those that have their UIDs."""
        for dataset in objects:
            data = part10(dataset)
            path = private_folder(self.folder / "draft") / "object.dcm"
            path.write_bytes(data)
            header = read_header(path)
            self._objects[header.patient_id, header.key] = (header, data)
            self._due.add((header.patient_id, header.key))

    def night(
        self,
        events: Night,
        *,
        papers: Callable[[Iterable[Paper]], Iterable[Paper]] | None = None,
    ) -> SyncReport:
        """Let a night happen, and run the vault's."""
        self.put(step.make() for step in events.steps)
        now = datetime.combine(self.first_night, datetime.min.time()) + timedelta(
            days=events.number - 1, hours=2
        )
        written = charts(self.patients, self.first_night, now)
        database.write(
            self.charts, self.patients, self.first_night, now, papers=papers(written) if papers else written
        )
        return sync(self.config, now=now.replace(tzinfo=UTC))

    def _retrieve(self, config: Config, patients: Any, inbox: Inbox, **_: Any) -> Iterator[Retrieval]:
        for patient_id in patients:
            mine = {key: entry for (owner, key), entry in self._objects.items() if owner == patient_id}
            due = {key for owner, key in self._due if owner == patient_id}
            for key in due:
                header, data = mine[key]
                spooled = inbox.spool() / "object.dcm"
                spooled.write_bytes(data)
                inbox.file(spooled, header)
            self._due -= {(patient_id, key) for key in due}
            found = tuple(
                FoundObject(header.study_uid, key, header.sop_class_uid) for key, (header, _) in mine.items()
            )
            retrieval = Retrieval(patient_id, found, not_due=frozenset(mine.keys() - due))
            inbox.record(retrieval)
            yield retrieval

    def _retrieve_charts(self, config: Config, inbox: Inbox, patients: Any, *_: Any, **kept: Any) -> None:
        statements = tomllib.loads(QUERIES.read_text())["queries"]
        emr = EmrInbox(inbox.folder)
        with closing(sqlite3.connect(self.charts / database.FILE)) as connection:
            connection.row_factory = sqlite3.Row
            for patient_id in patients:
                answers = {
                    query: [
                        Row(query, {column: _text(row[column]) for column in row.keys()})  # noqa: SIM118
                        for row in connection.execute(statements[query], {"patient_id": patient_id})
                    ]
                    for query in ASKED
                }
                emr.write_rows(patient_id, answers)
        store = FolderStore(str(self.charts / database.DOCUMENTS))
        assert fetch_all(store, emr, patients, kept["held"]) == []


def _text(value: Any) -> str | None:
    return None if value is None else str(value)
