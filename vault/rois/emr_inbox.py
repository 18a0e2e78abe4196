"""What the database and the document store said about each patient of one run, kept durably until it is committed.

    <root>/inbox/<run>/emr/<patient>/rows.json                    rows per query, and what failed
    <root>/inbox/<run>/emr/<patient>/documents/<key>/content      a document's bytes as received
    <root>/inbox/<run>/emr/<patient>/documents/<key>/name.json    its key and file name; written last

Every name from outside is made safe first. A document without `name.json` did not arrive.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import msgspec

from vault.errors import IntegrityError, VaultError
from vault.files import CHUNK, new_file, private_folder, write_file
from vault.model import Failure, PatientID, Row
from vault.names import safe_name

T = TypeVar("T")

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


class _Rows(msgspec.Struct, frozen=True):
    patient_id: str
    queries: dict[str, list[dict[str, str | None]]]
    failures: list[Failure]


class _Name(msgspec.Struct, frozen=True):
    key: str
    file_name: str


class EmrInbox:
    """The EMR half of one run's inbox; `folder` = `<root>/inbox/<run>`. Made when the first thing is put there."""

    def __init__(self, folder: Path, *, largest_document: int = LARGEST_DOCUMENT) -> None:
        self._folder = folder / "emr"
        self._largest = largest_document

    def patients(self) -> list[PatientID]:
        """Everyone of whom rows are here, sorted."""
        return sorted(PatientID(_read_rows(path).patient_id) for path in self._folder.glob("*/rows.json"))

    def write_rows(
        self, patient_id: str, rows: Mapping[str, Sequence[Row]], failures: Iterable[Failure] = ()
    ) -> None:
        """Keep, durably, what the database said about a patient; the last call counts.

        `rows` has an entry per query that was answered, be it empty. Raises VaultError when it is too much.
        """
        queries = {query: [dict(row.fields) for row in answered] for query, answered in rows.items()}
        data = msgspec.json.encode(_Rows(patient_id, queries, list(failures)))
        if len(data) > LARGEST_ROWS:
            raise VaultError(
                f"The database's rows about one patient are more than {LARGEST_ROWS >> 20} MiB, which can't be right: "
                "check the query set with `vault doctor --queries`."
            )
        private_folder(self._patient(patient_id))
        write_file(self._patient(patient_id) / "rows.json", data, replace=True)

    def rows(self, patient_id: str) -> dict[str, list[Row]] | None:
        """What the database said: query to rows. A query that failed is absent; None when nobody asked."""
        path = self._patient(patient_id) / "rows.json"
        if not path.exists():
            return None
        found = _read_rows(path).queries
        return {query: [Row(query, fields) for fields in answered] for query, answered in found.items()}

    def failures(self, patient_id: str) -> list[Failure]:
        """What the database could not be asked about this patient, and why."""
        path = self._patient(patient_id) / "rows.json"
        return _read_rows(path).failures if path.exists() else []

    def put_document(
        self, patient_id: str, document_key: str, file_name: str, source: Iterable[bytes]
    ) -> None:
        """Keep a document's bytes, durably, as they come; replaces what an interrupted run left of it.

        Raises VaultError when it is larger than the vault keeps, and passes on what `source` raises; either way
        nothing of it stays.
        """
        folder = private_folder(self._document(patient_id, document_key))
        (folder / "name.json").unlink(missing_ok=True)
        size = 0
        with new_file(folder / "content", replace=True) as file:
            for chunk in source:
                size += len(chunk)
                if size > self._largest:
                    raise VaultError(
                        f"A document is larger than the {self._largest >> 20} MiB that the vault keeps: left out."
                    )
                file.write(chunk)
        name = msgspec.json.encode(_Name(document_key, file_name))
        write_file(folder / "name.json", name, replace=True)

    def documents(self, patient_id: str) -> Iterator[InboxDocument]:
        """The documents that arrived of one patient, in the order of their folders' names."""
        for path in sorted((self._patient(patient_id) / "documents").glob("*/name.json")):
            name = _decoded(path, _Name)
            yield InboxDocument(name.key, name.file_name, path.with_name("content"))

    def clear(self, patient_id: str) -> None:
        """Forget one patient."""
        if self._patient(patient_id).is_dir():
            shutil.rmtree(self._patient(patient_id))

    def _patient(self, patient_id: str) -> Path:
        return self._folder / safe_name(patient_id)

    def _document(self, patient_id: str, key: str) -> Path:
        return self._patient(patient_id) / "documents" / safe_name(key)


def chunks(path: Path) -> Iterator[bytes]:
    """The bytes of a file in pieces, as `EmrInbox.put_document` takes them. Raises OSError."""
    with path.open("rb") as file:
        while piece := file.read(CHUNK):
            yield piece


def _read_rows(path: Path) -> _Rows:
    return _decoded(path, _Rows)


def _decoded(path: Path, kind: type[T]) -> T:
    try:
        return msgspec.json.decode(path.read_bytes(), type=kind)
    except msgspec.DecodeError:
        raise IntegrityError(
            f"{path} in the inbox is not what was written there: the disk or somebody changed it. Check the disk, "
            "remove the file, and run `vault sync` again."
        ) from None
