"""What the database and the document store said about each patient of one run, kept until it is committed.

    <root>/inbox/<run>/emr/rows/<patient>.jsonl                   rows per query, and what failed; in a second line, the
                                                                  documents that were read and are held already
    <root>/inbox/<run>/emr/<patient>/documents/<key>/content      a document's bytes as received
    <root>/inbox/<run>/emr/<patient>/documents/<key>/name.json    its key and file name; written last

Ten thousand unchanged documents a night would otherwise be written to disk only to be thrown away; and most patients
have no new one, so that they need no folder: to make one costs a disk more than to keep the rows. Earlier versions kept
them in it, `<patient>/rows.jsonl`, where an inbox that one of them left behind has them still.

Every name from outside is made safe first. A document without `name.json` did not arrive. Everything is durable once
`sync` was called; what a power cut before that has torn is told from what is whole.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import TypeVar

import msgspec

from vault.digests import digest_file
from vault.errors import IntegrityError, VaultError
from vault.files import CHUNK, sync_file_system, temporary
from vault.model import Failure, PatientID, Row
from vault.names import safe_name

T = TypeVar("T")

_ROWS = "rows"
"""No patient's folder has this name: `safe_name` marks lower case."""
_EARLIER_ROWS = "rows.jsonl"

LARGEST_DOCUMENT = 1 << 30
"""Bytes of the largest document that is kept."""

LARGEST_ROWS = 256 << 20
"""Bytes of everything that the database may say about one patient."""


@dataclass(frozen=True, slots=True)
class InboxDocument:
    """One document that arrived."""

    key: str
    """The database's stable key of the document."""
    file_name: str
    """Its original name, without folders, as the source spells it: never a path of ours."""
    path: Path
    """Where its bytes are."""


class KnownDocument(msgspec.Struct, frozen=True):
    """A document that was read and found to be the one that the vault has."""

    file_name: str
    """Its name at the source, without folders."""
    oid: str
    """Its git blob id, 40 hexadecimal digits."""


class _Rows(msgspec.Struct, frozen=True):
    patient_id: str
    queries: dict[str, list[dict[str, str | None]]]
    failures: list[Failure]


class _Name(msgspec.Struct, frozen=True):
    key: str
    file_name: str
    size: int
    sha256: str


class EmrInbox:
    """The EMR half of one run's inbox; `folder` = `<root>/inbox/<run>`. Made when the first thing is put there."""

    def __init__(self, folder: Path, *, largest_document: int = LARGEST_DOCUMENT) -> None:
        self._folder = folder / "emr"
        self._largest = largest_document

    def patients(self) -> list[PatientID]:
        """Everyone of whom rows are here, sorted."""
        paths = chain(self._folder.glob(f"{_ROWS}/*.jsonl"), self._folder.glob(f"*/{_EARLIER_ROWS}"))
        found = (_read_rows(path) for path in paths)
        return sorted(PatientID(rows.patient_id) for rows in found if rows)

    def sync(self) -> None:
        """Make durable what was put here. Raises OSError."""
        if self._folder.is_dir():
            sync_file_system(self._folder)

    def write_rows(
        self, patient_id: str, rows: Mapping[str, Sequence[Row]], failures: Iterable[Failure] = ()
    ) -> None:
        """Keep what the database said about a patient; the last call counts, and forgets what was noted as known.

        `rows` has an entry per query that was answered, be it empty. Raises VaultError when it is too much.
        """
        queries = {query: [dict(row.fields) for row in answered] for query, answered in rows.items()}
        data = msgspec.json.encode(_Rows(patient_id, queries, list(failures)))
        if len(data) > LARGEST_ROWS:
            raise VaultError(
                f"The database's rows about one patient are more than {LARGEST_ROWS >> 20} MiB, which can't be right: "
                "check the query set with `vault doctor --queries`."
            )
        _keep(self._folder / _ROWS / f"{safe_name(patient_id)}.jsonl", data)

    def rows(self, patient_id: str) -> dict[str, list[Row]] | None:
        """What the database said: query to rows. A query that failed is absent; None when nobody asked.

        Raises VaultError when it was torn by a power cut, or damaged since.
        """
        path = self._rows_file(patient_id)
        if not path.exists():
            return None
        found = _read_rows(path)
        if found is None:
            raise VaultError(
                "what the database said is not whole in the inbox, after a power cut or on a damaged disk; the next "
                "run asks again"
            )
        return {
            query: [Row(query, fields) for fields in answered] for query, answered in found.queries.items()
        }

    def failures(self, patient_id: str) -> list[Failure]:
        """What the database could not be asked about this patient, and why."""
        found = _read_rows(self._rows_file(patient_id))
        return found.failures if found else []

    def note_known(self, patient_id: str, documents: Mapping[str, KnownDocument]) -> None:
        """Note, behind a patient's rows, which documents are known, by key. Raises OSError, also without rows."""
        if documents:
            path = self._rows_file(patient_id)
            with os.fdopen(os.open(path, os.O_WRONLY | os.O_APPEND | os.O_NOFOLLOW), "ab") as file:
                file.write(b"\n" + msgspec.json.encode(dict(documents)))

    def known(self, patient_id: str) -> dict[str, KnownDocument]:
        """What was noted of a patient; nothing where half of it is there, so that the next run retrieves it."""
        try:
            noted = self._rows_file(patient_id).read_bytes().partition(b"\n")[2]
            return msgspec.json.decode(noted, type=dict[str, KnownDocument])
        except (FileNotFoundError, msgspec.DecodeError):
            return {}

    def put_document(
        self, patient_id: str, document_key: str, file_name: str, source: Iterable[bytes]
    ) -> None:
        """Keep a document's bytes as they come; replaces what an interrupted run left of it.

        Raises VaultError when it is larger than the vault keeps, and passes on what `source` raises; either way
        nothing of it stays.
        """
        folder = _folder(self._document(patient_id, document_key))
        (folder / "name.json").unlink(missing_ok=True)
        size, digest = 0, hashlib.sha256()
        with temporary(folder) as (unfinished, file):
            for chunk in source:
                size += len(chunk)
                if size > self._largest:
                    raise VaultError(
                        f"A document is larger than the {self._largest >> 20} MiB that the vault keeps: left out."
                    )
                file.write(chunk)
                digest.update(chunk)
            file.flush()
            unfinished.replace(folder / "content")
        name = _Name(document_key, file_name, size, digest.hexdigest())
        _keep(folder / "name.json", msgspec.json.encode(name))

    def documents(self, patient_id: str) -> Iterator[InboxDocument]:
        """The documents that arrived of one patient, in the order of their folders' names."""
        for path in sorted((self._patient(patient_id) / "documents").glob("*/name.json")):
            name = _decoded(path, _Name)
            content = path.with_name("content")
            if name and _is(content, name):
                yield InboxDocument(name.key, name.file_name, content)

    def clear(self, patient_id: str) -> None:
        """Forget one patient."""
        self._rows_file(patient_id).unlink(missing_ok=True)
        if self._patient(patient_id).is_dir():
            shutil.rmtree(self._patient(patient_id))

    def _rows_file(self, patient_id: str) -> Path:
        path = self._folder / _ROWS / f"{safe_name(patient_id)}.jsonl"
        earlier = self._patient(patient_id) / _EARLIER_ROWS
        return path if path.exists() or not earlier.exists() else earlier

    def _patient(self, patient_id: str) -> Path:
        return self._folder / safe_name(patient_id)

    def _document(self, patient_id: str, key: str) -> Path:
        return self._patient(patient_id) / "documents" / safe_name(key)


def chunks(path: Path) -> Iterator[bytes]:
    """The bytes of a file in pieces, as `EmrInbox.put_document` takes them. Raises OSError."""
    with path.open("rb") as file:
        while piece := file.read(CHUNK):
            yield piece


def _folder(path: Path) -> Path:
    """Make a folder and its parents, 0700; durable when all is."""
    missing = [folder for folder in (path, *path.parents) if not folder.is_dir()]
    for folder in reversed(missing):
        folder.mkdir(mode=0o700, exist_ok=True)
    return path


def _keep(path: Path, data: bytes) -> None:
    with temporary(_folder(path.parent)) as (unfinished, file):
        file.write(data)
        file.flush()
        unfinished.replace(path)


def _is(path: Path, name: _Name) -> bool:
    """Whether a document is what was put there; what a power cut has torn is not."""
    try:
        digest = digest_file(path)
    except (OSError, IntegrityError):
        return False
    return (digest.size, digest.sha256) == (name.size, name.sha256)


def _read_rows(path: Path) -> _Rows | None:
    return _decoded(path, _Rows)


def _decoded(path: Path, kind: type[T]) -> T | None:
    """What the first line of a file says; None where there is none, or it is not whole."""
    try:
        return msgspec.json.decode(path.read_bytes().partition(b"\n")[0], type=kind)
    except (FileNotFoundError, msgspec.DecodeError):
        return None
