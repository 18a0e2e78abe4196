"""Documents of the EMR: the file of each row, from a folder or an SMB share, into the inbox of the run.

The rows' file names come from a database that may be hostile tonight: a name is taken apart here, and what would
lead out of the documents' root, or to something that is no file, is refused before anything is opened. A document is
known by its key, never by its path: a revised one lies elsewhere.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Executor, ThreadPoolExecutor, wait
from contextlib import AbstractContextManager
from typing import Protocol, TypeVar

from vault.digests import blob_hash
from vault.errors import UsageError, VaultError
from vault.model import Failure, PatientID
from vault.names import safe_name
from vault.progress import Progress, Silent
from vault.rois.emr_inbox import EmrInbox, KnownDocument

T = TypeVar("T")

AT_A_TIME = 250
"""Documents that are read, while nothing else is done, before their patients are accounted for. Reading and hashing
let other threads work, but every file takes turns with them: beside one that accounts it waits longer than it works."""

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

    def do(step: Callable[[], None]) -> None:
        try:
            step()
        except VaultError as error:  # what the inbox has of this patient is damaged; the others' is not
            failed.append(Failure("documents", str(error)))

    def begun(patient_id: PatientID) -> _Fetching:
        fetching = _Fetching(store, inbox, patient_id)
        do(lambda: fetching.begin(held))
        return fetching

    pool = ThreadPoolExecutor(store.AT_ONCE)
    try:
        for batch in _batches(map(begun, patients)):
            try:
                _read(batch, pool, store.AT_ONCE)
            finally:
                for fetching in batch:
                    do(fetching.finish)
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
        self._failures: dict[str, Failure] = {}
        self._same: dict[str, KnownDocument] = {}
        self.wanted: list[tuple[str, str, str | None]] = []
        """Of each document the key, the file, and the git blob id that the vault has."""

    def begin(self, held: Callable[[PatientID], Mapping[str, str]]) -> None:
        """List the documents in the rows. Raises VaultError when inbox or vault can't be read."""
        files = dict[str, str]()
        for row in (self._inbox.rows(self._patient_id) or {}).get("documents", ()):
            # of a key that stands in two rows, the first
            files.setdefault(row.fields.get("document_key") or "", row.fields.get("file") or "")
        has = held(self._patient_id)
        self.wanted = [(key, file, has.get(safe_name(key))) for key, file in files.items()]

    def fetch(self, key: str, file: str, held: str | None) -> None:
        """Fetch one of the documents. Raises DocumentsAwayError when the store is gone."""
        try:
            same = _fetch(self._store, self._inbox, self._patient_id, key, file, held)
            if same:
                self._same[key] = same
        except DocumentsAwayError:
            raise
        except VaultError as error:
            self._failures[key] = not_retrieved(key, str(error))

    def finish(self) -> None:
        """Account for the documents that were fetched. Raises VaultError when the inbox can't be read."""
        order = [key for key, *_ in self.wanted]
        if self._failures:
            rows = self._inbox.rows(self._patient_id) or {}
            failures = [self._failures[key] for key in order if key in self._failures]
            self._inbox.write_rows(
                self._patient_id, rows, [*self._inbox.failures(self._patient_id), *failures]
            )
        self._inbox.note_known(self._patient_id, {key: self._same[key] for key in order if key in self._same})


def _batches(each: Iterable[_Fetching]) -> Iterator[list[_Fetching]]:
    """Yield patients together until they have `AT_A_TIME` documents."""
    batch, documents = list[_Fetching](), 0
    for fetching in each:
        batch.append(fetching)
        documents += len(fetching.wanted)
        if documents >= AT_A_TIME:
            yield batch
            batch, documents = [], 0
    if batch:
        yield batch


def _read(batch: Iterable[_Fetching], pool: Executor, at_once: int) -> None:
    """Fetch the documents of a batch. Raises DocumentsAwayError when the store is gone and nobody asks it any more."""
    wanted = [(fetching, document) for fetching in batch for document in fetching.wanted]
    left = iter(wanted)  # one task a thread: to hand over each document would take longer than to read it

    def work() -> None:
        try:
            for fetching, document in left:
                fetching.fetch(*document)
        except BaseException:
            deque(left, maxlen=0)  # the others shall not go on either
            raise

    coming = [pool.submit(work) for _ in range(min(at_once, len(wanted)))]
    wait(coming)
    for each in coming:
        each.result()


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
