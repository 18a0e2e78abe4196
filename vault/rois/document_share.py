"""Documents on an SMB share, read from user space: no mount, no root, no kernel.

Of links the server alone knows: what it resolves within the share is a file like any other to us, and one that leads
out of the share it refuses.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from typing import Any

import smbclient
from smbprotocol.header import NtStatus

from vault.errors import UsageError, VaultError
from vault.files import ROUND_TRIP
from vault.rois.document_folder import CHANGED, MISSING, NO_FILE
from vault.rois.documents import (
    ChangedWhileReadError,
    DocumentError,
    DocumentsAwayError,
    DocumentsRefusedError,
    names_of,
)
from vault.smb import SmbAwayError, SmbConnection, SmbPlace, SmbRefusedError, SmbStatusError

_IN_USE = "another program keeps it open for itself; close it there, the next run fetches it."
_ACCESS_DENIED, _END_OF_FILE = 0xC0000022, 0xC0000011
_OF_ONE_FILE = {
    NtStatus.STATUS_OBJECT_NAME_NOT_FOUND: MISSING,
    NtStatus.STATUS_OBJECT_PATH_NOT_FOUND: MISSING,
    NtStatus.STATUS_NOT_FOUND: MISSING,
    NtStatus.STATUS_NOT_A_DIRECTORY: MISSING,
    NtStatus.STATUS_FILE_IS_A_DIRECTORY: NO_FILE,
    NtStatus.STATUS_SHARING_VIOLATION: _IN_USE,
    0xC0000054: _IN_USE,  # STATUS_FILE_LOCK_CONFLICT
}


class ShareStore:
    """The documents below a folder of an SMB share."""

    AT_ONCE = 1
    """All documents share one connection, which is cut when one of them meets silence."""

    def __init__(self, place: SmbPlace, *, user: str | None, password: str | None, timeout: float) -> None:
        self._place = place
        self._smb = SmbConnection(place, user, password, timeout)

    @classmethod
    def at(cls, url: str, user: str | None, password: str | None, timeout: float) -> ShareStore:
        """The store at `smb://server[:port]/share/folder`. Raises UsageError when it names no server or no share."""
        try:
            place = SmbPlace.parse(url)
        except ValueError:
            raise UsageError(
                f"[rois.sql] documents {url!r} must be smb://server[:port]/share/folder."
            ) from None
        return cls(place, user=user, password=password, timeout=timeout)

    @contextmanager
    def open(self, file: str) -> Iterator[ShareFile]:
        """Open a document (see `DocumentStore.open`); a connection that was lost is made again."""
        path = "\\".join((self._place.root, *names_of(file)))
        self._find_root()
        with self.watched():
            handle = smbclient.open_file(
                path, mode="rb", buffering=0, share_access="rwd", **self._smb.options
            )
        opened = ShareFile(self, path, handle)
        try:
            yield opened
        finally:
            opened.close()

    def _find_root(self) -> None:
        """Tell a store that is not there from a document that is not, which servers put alike."""
        if self._smb.begun:
            return
        try:
            self.stat(self._place.root)
        except DocumentError:
            raise DocumentsAwayError(
                f"The server has no {self._place}, or keeps it from this account; correct [rois.sql] documents."
            ) from None

    def close(self) -> None:
        """End the session and the connection."""
        self._smb.close()

    def stat(self, path: str) -> tuple[int, int]:
        """Size in bytes and time of the last change of what now has this path."""
        with self.watched():
            found = smbclient.stat(path, **self._smb.options)
        return int(found.st_size), int(found.st_mtime_ns)

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Say what goes wrong, and cut the connection to a server that does not answer in time."""
        try:
            with self._smb.watched():
                yield
        except SmbRefusedError:
            raise self._refused() from None
        except SmbAwayError as error:
            raise self._away(str(error)) from None
        except SmbStatusError as error:
            raise self._said(error.status) from None

    def _said(self, status: int) -> VaultError:
        """What a status of the server's means for whoever has to mend it."""
        if said := _OF_ONE_FILE.get(status):
            return DocumentError(said)
        if status == _END_OF_FILE:  # it was longer when it was opened
            return ChangedWhileReadError(CHANGED)
        why = "access denied" if status == _ACCESS_DENIED else f"status {status:#010x}"
        return DocumentError(
            f"the server does not let it be read ({why}); give the vault's account the right to."
        )

    def _refused(self) -> DocumentsRefusedError:
        return DocumentsRefusedError(
            f"The server refuses the account for {self._place}; check [rois.sql] documents_user and "
            "documents_password_file, and whether the account is locked."
        )

    def _away(self, why: str) -> DocumentsAwayError:
        return DocumentsAwayError(
            f"The share {self._place} can't be reached or went away ({why}); check the network and "
            "[rois.sql] documents. The next run fetches the rest."
        )


class ShareFile:
    """An open file on the share."""

    def __init__(self, store: ShareStore, path: str, handle: Any) -> None:
        self._store = store
        self._path = path
        self._handle = handle
        self.size: int = handle.fd.end_of_file
        self._before = _nanoseconds(handle.fd.last_write_time)

    def close(self) -> None:
        """Let go of the file."""
        with suppress(VaultError), self._store.watched():
            self._handle.close()

    def chunks(self) -> Iterator[bytes]:
        """Yield the bytes (see `DocumentFile.chunks`)."""
        total = 0
        while total < self.size:
            with self._store.watched():
                piece = self._handle.read(min(ROUND_TRIP, self.size - total))
            if not piece:
                break
            total += len(piece)
            yield piece
        if total != self.size:
            raise ChangedWhileReadError(CHANGED)
        if self.size > ROUND_TRIP:  # what came in one piece is of one moment
            self._look_again()

    def _look_again(self) -> None:
        self.close()  # while we have it open, some servers say what they said when we opened it
        size, changed = self._store.stat(self._path)
        if size != self.size or changed // 1000 != self._before // 1000:
            raise ChangedWhileReadError(CHANGED)


def _nanoseconds(when: datetime) -> int:
    """A file time of the server's, to the microsecond that smbprotocol keeps of it."""
    return round(when.timestamp() * 1_000_000) * 1000
