"""Documents of the EMR: the file of each row, from a folder or an SMB share, into the inbox of the run.

The rows' file names come from a database that may be hostile tonight: a name is taken apart here, and what would
lead out of the documents' root, or to something that is no file, is refused before anything is opened. A document is
known by its key, never by its path: a revised one lies elsewhere.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import AbstractContextManager
from typing import Protocol, TypeVar

from vault.digests import blob_hash
from vault.errors import UsageError, VaultError
from vault.model import Failure, PatientID, Row
from vault.names import safe_name
from vault.progress import Progress, Silent
from vault.rois.emr_inbox import EmrInbox, KnownDocument

T = TypeVar("T")

ATTEMPTS = 2
"""How often a file is read that changes meanwhile, or whose connection is lost."""

LONGEST_NAME = 4096
"""Characters of a row's file name."""

_SEPARATORS = re.compile(r"[\\/]+")
_DEVICE = re.compile(r"(?:con|prn|aux|nul|conin\$|conout\$|com[0-9¹²³]|lpt[0-9¹²³])(?:\..*)?", re.IGNORECASE)
_FORBIDDEN = re.compile(r'[\x00-\x1f\x7f:*?"<>|\ud800-\udfff]')


class DocumentError(VaultError):
    """One document can't be fetched; the message says why and what to do, and names neither file nor patient."""


class ChangedWhileReadError(DocumentError):
    """Somebody wrote to the document while it was read."""


class DocumentsAwayError(VaultError):
    """The documents' store as a whole can't be used now: no other document would fare better."""


class DocumentsRefusedError(DocumentsAwayError):
    """The store refuses the account; asking again might lock it."""


class DocumentFile(Protocol):
    """One open document."""

    size: int
    """Bytes, when it was opened."""

    def chunks(self) -> Iterator[bytes]:
        """Yield the bytes from the start. Raises ChangedWhileReadError where they were not those of one moment."""


class DocumentStore(Protocol):
    """Where documents lie, below one root that nothing leads out of."""

    AT_ONCE: int
    """Documents that threads may have open at the same time."""

    def open(self, file: str) -> AbstractContextManager[DocumentFile]:
        """Open the document that a row calls `file`. Raises DocumentError, or DocumentsAwayError."""

    def close(self) -> None:
        """Let go of what connects to the store."""


def open_store(
    place: str, user: str | None = None, password: str | None = None, timeout: float = 60.0
) -> DocumentStore:
    """The store at `place`, an absolute path or `smb://server[:port]/share/folder`, without touching it yet.

    `timeout` is in seconds without a sign of life. Raises UsageError for another kind of place.
    """
    if place.startswith("smb://"):
        from vault.rois.document_share import ShareStore  # noqa: PLC0415 - smbprotocol takes half a second

        return ShareStore.at(place, user, password, timeout)
    if place.startswith("/"):
        from vault.rois.document_folder import FolderStore  # noqa: PLC0415 - it knows this module

        return FolderStore(place)
    raise UsageError(
        f"[rois.sql] documents {place!r} is neither a folder's absolute path nor smb://server/share/folder."
    )


def names_of(file: str) -> tuple[str, ...]:
    """The folders and the name of a row's `file`, as every server would read them.

    Raises DocumentError for what leads out of the root or names no file: an absolute path, a drive or a server, `..`,
    a name that Windows takes for another one (`..␠`, `NUL`, `a:b`), wildcards and control characters.
    """
    if not file.strip() or len(file) > LONGEST_NAME:
        raise DocumentError("its row names no file, or an endless one; correct the query or the row.")
    names = _SEPARATORS.split(file.strip())
    while names and names[-1] == "":
        names.pop()
    if not names or not all(map(_is_harmless, names)):
        raise DocumentError(
            "its row names a file outside the documents' root, or none that can be; if the query is right, find out "
            "who wrote that into the database."
        )
    return tuple(names)


def _is_harmless(name: str) -> bool:
    return bool(
        name
        and name.strip(". ")  # `..`, and what Windows reads as that
        and name == name.rstrip(". ")
        and not _FORBIDDEN.search(name)
        and not _DEVICE.fullmatch(name)
    )


def fetch_all(
    store: DocumentStore,
    inbox: EmrInbox,
    patients: Iterable[PatientID],
    held: Callable[[PatientID], Mapping[str, str]],
    progress: Progress | None = None,
) -> list[Failure]:
    """Fetch the documents of `patients` that the rows in `inbox` list; call it once the rows are there.

    What concerns one patient goes to `inbox.failures`; what is returned concerns the run: a store that is gone. `held`
    gives, for a patient, the git blob id of each document that the vault has, by `safe_name` of its key.
    """
    report = progress or Silent()
    failed: list[Failure] = []
    pool = ThreadPoolExecutor(store.AT_ONCE)

    def do(step: Callable[[], None]) -> None:
        try:
            step()
        except DocumentsAwayError:
            raise
        except VaultError as error:  # what the inbox has of this patient is damaged; the others' is not
            failed.append(Failure("documents", str(error)))

    try:
        begun: _Fetching | None = None
        for patient_id in patients:
            fetching = _Fetching(store, inbox, patient_id)
            do(lambda: fetching.begin(held, pool))  # noqa: B023  # called at once
            if begun:  # the next one's documents are read while this one's are accounted for
                do(begun.finish)
                report.advance()
            begun = fetching
        if begun:
            do(begun.finish)
            report.advance()
    except DocumentsAwayError as error:
        failed.append(Failure("documents", str(error)))
    finally:
        pool.shutdown(cancel_futures=True)
        store.close()
    return failed


class _Fetching:
    """One patient's documents on their way.

    What failed goes to the rows in the inbox, each with its remedy. What is the same as what the vault has is noted
    there, and not kept once more.
    """

    def __init__(self, store: DocumentStore, inbox: EmrInbox, patient_id: PatientID) -> None:
        self._store = store
        self._inbox = inbox
        self._patient_id = patient_id
        self._rows: Mapping[str, Sequence[Row]] = {}
        self._coming: dict[str, Future[KnownDocument | Failure | None]] = {}

    def begin(self, held: Callable[[PatientID], Mapping[str, str]], pool: Executor) -> None:
        """Hand the documents that the rows list to `pool`. Raises VaultError when inbox or vault can't be read."""
        self._rows = self._inbox.rows(self._patient_id) or {}
        files = dict[str, str]()
        for row in self._rows.get("documents", ()):  # of a key that stands in two rows, the first
            files.setdefault(row.fields.get("document_key") or "", row.fields.get("file") or "")
        has = held(self._patient_id)
        for key, file in files.items():
            self._coming[key] = pool.submit(self._fetch, key, file, has.get(safe_name(key)))

    def finish(self) -> None:
        """Wait for the documents and account for them.

        Raises DocumentsAwayError when the store is gone: what was fetched until then stays.
        """
        failures: list[Failure] = []
        same: dict[str, KnownDocument] = {}
        try:
            for key, coming in self._coming.items():
                found = coming.result()
                if isinstance(found, Failure):
                    failures.append(found)
                elif found:
                    same[key] = found
        finally:
            if failures:
                before = self._inbox.failures(self._patient_id)
                self._inbox.write_rows(self._patient_id, self._rows, [*before, *failures])
            self._inbox.note_known(self._patient_id, same)

    def _fetch(self, key: str, file: str, held: str | None) -> KnownDocument | Failure | None:
        try:
            return _fetch(self._store, self._inbox, self._patient_id, key, file, held)
        except DocumentsAwayError:
            raise
        except VaultError as error:
            return not_retrieved(key, str(error))


def not_retrieved(key: str, why: str) -> Failure:
    """The failure of one document, which says nothing about the patient."""
    return Failure(f"document {key}", f"not retrieved: {why}")


def _fetch(
    store: DocumentStore, inbox: EmrInbox, patient_id: PatientID, key: str, file: str, held: str | None
) -> KnownDocument | None:
    """Put one document into the inbox, or say that it is the one that the vault has."""
    name = names_of(file)[-1]
    if held and _attempted(store, lambda: _blob_id(store, file)) == held:
        return KnownDocument(name, held)

    def put() -> None:
        with store.open(file) as document:
            inbox.put_document(patient_id, key, name, document.chunks())

    _attempted(store, put)
    return None


def _blob_id(store: DocumentStore, file: str) -> str:
    """Git's id of a document as it is now."""
    with store.open(file) as document:
        digest = blob_hash(document.size)
        for chunk in document.chunks():
            digest.update(chunk)
    return str(digest.hexdigest())


def _attempted(store: DocumentStore, work: Callable[[], T]) -> T:
    """Do `work`, once more where the file changed meanwhile or the connection was lost."""
    for _ in range(ATTEMPTS - 1):
        try:
            return work()
        except ChangedWhileReadError:
            continue
        except DocumentsRefusedError:
            raise
        except DocumentsAwayError:
            store.close()
    return work()
