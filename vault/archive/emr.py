"""From the EMR's inbox to what is committed: documents and database rows that are new, changed, re-encoded, gone.

It is staged beside the DICOM objects of the same night, and by the same rules: a document is what its key says,
wherever it lies; only a query that was answered may say that one is gone; what it lists and the store did not give is
*not retrieved*, which is never *removed*.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path, PurePosixPath

from vault.archive import summary, summary_rows
from vault.archive.blobs import Blob, Bytes, File, hash_file
from vault.archive.emr_paths import (
    FILED,
    database_path,
    document_folder,
    file_name,
    record_path,
)
from vault.archive.stage import OpenBlob, Staged, Tree
from vault.errors import VaultError
from vault.files import CHUNK
from vault.model import Failure, Row
from vault.names import safe_name
from vault.normal import document, rows
from vault.rois.documents import not_retrieved
from vault.rois.emr_inbox import EmrInbox, InboxDocument, KnownDocument

IN_MEMORY = 256 << 10
"""Bytes of a normal form that waits in memory for the commit; a longer one waits on disk."""


@dataclass(frozen=True, slots=True)
class Anomaly:
    """Something that looks as if nobody meant it. `subject` says where, without naming the patient."""

    subject: str
    text: str


UNSTAMPED = "changed while the database's stamp of its last change did not: find out who changed it, and how"


def stage_emr(
    staged: Staged,
    base: Tree,
    open_blob: OpenBlob,
    folder: Path,
    patient_id: str,
    workspace: Path,
    *,
    today: date,
    documents: bool = True,
    stale: bool = False,
) -> list[Anomaly]:
    """Add what the EMR said of one patient to `staged`, the night's DICOM objects: edits, account and `patient.json`.

    `base` is the tree before the night and `open_blob` opens its blobs; `folder` is the run's inbox; long normal
    forms wait in `workspace` for the commit. `today` is the run's own day: an appointment that a schedule no longer
    shows because it is over is no change. Without `documents`, no store of them is configured. With `stale`, a later
    run has committed since: what is held is neither overwritten nor removed. To be called for every patient, whether
    or not the database was asked, since `patient.json` is put together here. Raises OSError when our own disk fails.
    """
    night = _Night(staged, base, open_blob, workspace, today.isoformat(), stale)
    inbox = EmrInbox(folder)
    try:
        answered = inbox.rows(patient_id)
        staged.outcome.failed.extend(inbox.failures(patient_id))
        if answered is not None:
            night.stage_rows(answered)
            if documents and "documents" in answered:
                arrived: dict[str, InboxDocument | KnownDocument] = {**inbox.known(patient_id)}
                arrived |= {item.key: item for item in inbox.documents(patient_id)}
                night.stage_documents(answered["documents"], arrived)
    except VaultError as error:  # the inbox is damaged; the DICOM objects are not
        staged.outcome.failed.append(Failure("database and documents", str(error)))
    night.finish()
    return night.anomalies


class _Night:
    """The state of one patient's staging."""

    def __init__(
        self, staged: Staged, base: Tree, open_blob: OpenBlob, workspace: Path, today: str, stale: bool
    ) -> None:
        self.anomalies: list[Anomaly] = []
        self._staged = staged
        self._outcome = staged.outcome
        self._base = base
        self._open_blob = open_blob
        self._workspace = workspace
        self._today = today
        self._stale = stale
        self._forms = 0
        self._restamped: dict[str, Blob] = {}
        """Normal forms in which only stamps moved, or the days of a schedule: no reason for a commit, but kept with
        one that is made anyway."""
        self._said: dict[str, bytes] = {}
        """Tonight's `database/` files."""
        self._held = {folder: path for path in base if (folder := document_folder(path))}

    # the database

    def stage_rows(self, answered: Mapping[str, Sequence[Row]]) -> None:
        """Account for the queries that were answered; one that failed leaves its file alone."""
        for query in FILED:
            if query not in answered:
                continue
            path, form = database_path(query), rows.normal_form(query, answered[query])
            if path not in self._base:
                self._outcome.added.append(path)
            else:
                old = self._read(path)
                if self._says_the_same(query, old, form):
                    self._same(path, old, form)
                    continue
                if self._stale:
                    self._fail(query, _LATER)
                    continue
                self._outcome.changed.append(path)
                for name in rows.changed_without_stamp(old, form):
                    self.anomalies.append(Anomaly(name, UNSTAMPED))
            self._said[query] = form
            self._staged.edits[path] = self._blob(form)

    def _says_the_same(self, query: str, old: bytes, form: bytes) -> bool:
        if rows.without_stamps(old) == rows.without_stamps(form):
            return True
        return query == "schedule" and rows.moved_on(old, form, self._today)

    # documents

    def stage_documents(
        self, listed: Sequence[Row], arrived: Mapping[str, InboxDocument | KnownDocument]
    ) -> None:
        """Account for every document that the database lists, and for those that it no longer does."""
        failed = {failure.subject for failure in self._outcome.failed}
        present: set[str] = set()
        missing: list[str] = []
        for row in listed:
            key = row.fields.get("document_key") or ""
            folder = safe_name(key)
            if folder in present:
                self._fail(
                    f"document {key}", "its key stands in two rows; the first was taken. Correct the query."
                )
                continue
            present.add(folder)
            try:
                if (
                    not self._stage_document(folder, row, arrived.get(key))
                    and f"document {key}" not in failed
                ):
                    missing.append(key)
            except VaultError as error:
                self._fail(f"document {key}", str(error))
        self._say_missing(missing)
        if not self._stale:
            for folder, path in self._held.items():
                if folder not in present:
                    self._outcome.removed.append(path)
                    self._staged.edits[path] = self._staged.edits[record_path(folder)] = None

    def _say_missing(self, keys: Sequence[str]) -> None:
        """Say what the fetch did not get to, in one line: a store that is away would fill pages."""
        if len(keys) == 1:
            self._outcome.failed.append(not_retrieved(keys[0], _NOT_GIVEN))
        elif keys:
            self._fail("documents", f"{len(keys)} not retrieved: {_NOT_GIVEN}")

    def _stage_document(self, folder: str, row: Row, arrived: InboxDocument | KnownDocument | None) -> bool:
        """Stage one document; False where it was not retrieved."""
        held = self._held.get(folder)
        if isinstance(arrived, InboxDocument):
            file = hash_file(arrived.path)
            same = held is not None and self._base[held] == file.oid
        elif arrived is not None and held is not None and self._base[held] == arrived.oid:
            file, same = None, True
        else:  # or noted as one that the vault no longer has
            return False
        record = record_path(folder)
        if held is None or record not in self._base:
            if file is None:
                return False
            path = held or f"documents/{folder}/{file_name(arrived.file_name)}"
            self._outcome.added.append(path)
            self._put(path, file, record, document.normal_form(file.path, row))
            return True
        old = self._read(record)
        content = document.content_of(old) if file is None or same else document.content(file.path)
        form = document.head(row) + content
        if form == old or rows.without_stamps(old) == rows.without_stamps(form):
            self._same(record, old, form, reencoded=not same)
        elif self._stale:
            self._fail(f"document {row.fields.get('document_key')}", _LATER)
        else:
            self._revise(held, record, old, form, row, None if same else file, arrived.file_name)
        return True

    def _revise(
        self, held: str, record: str, old: bytes, form: bytes, row: Row, file: File | None, name: str
    ) -> None:
        """Stage a document whose row or content differs; `file` is its new content, None where that is the same."""
        path = str(PurePosixPath(held).with_name(file_name(name))) if file else held
        self._outcome.changed.append(path)
        if path != held:
            self._staged.edits[held] = None
        self._put(path, file, record, form)
        stamps = [line.encode() for line in rows.stamps("", row.fields)]
        if row.fields.get("changed_at") and all(line in old.splitlines() for line in stamps):
            self.anomalies.append(Anomaly(path, UNSTAMPED))

    def _put(self, path: str, file: File | None, record: str, form: bytes) -> None:
        if file is not None:
            self._staged.edits[path] = file
        self._staged.edits[record] = self._blob(form)

    # both

    def finish(self) -> None:
        """Where anything is committed tonight: the stamps that moved, and `patient.json` with what the rows say."""
        edits = self._staged.edits
        if not edits:
            return
        for path, blob in self._restamped.items():
            edits.setdefault(path, blob)
        made = edits.get(summary.PATH)
        if isinstance(made, Bytes):
            data = made.data
        else:
            data = self._read(summary.PATH) if summary.PATH in self._base else summary.compose({}, {}, {})
        said = {
            query: self._read(database_path(query)) for query in FILED if database_path(query) in self._base
        }
        told = Bytes(summary_rows.with_rows(data, {**said, **self._said}))
        if self._base.get(summary.PATH) == told.oid:
            edits.pop(summary.PATH, None)
        else:
            edits[summary.PATH] = told

    def _same(self, path: str, old: bytes, form: bytes, *, reencoded: bool = False) -> None:
        if old != form and not self._stale:
            self._restamped[path] = self._blob(form)
        if reencoded or old != form:
            self._outcome.reencoded += 1
        else:
            self._outcome.unchanged += 1

    def _blob(self, form: bytes) -> Blob:
        if len(form) <= IN_MEMORY:
            return Bytes(form)
        self._forms += 1
        self._workspace.mkdir(mode=0o700, exist_ok=True)
        path = self._workspace / f"emr-{self._forms:07}.txt"
        path.write_bytes(form)
        return hash_file(path)

    def _read(self, path: str) -> bytes:
        with self._open_blob(self._base[path]) as stream:
            return b"".join(iter(lambda: stream.read(CHUNK), b""))

    def _fail(self, subject: str, reason: str) -> None:
        self._outcome.failed.append(Failure(subject, reason))


_NOT_GIVEN = "listed by the database, but the fetch did not get there; the next run fetches them."
_LATER = (
    "came in a run that was interrupted, and a later run has committed another version since: that is kept"
)
