"""Documents in a folder: a mounted file server, or a directory of this computer.

Every step of a path is opened within the folder before it, and none may be a symbolic link, so that nothing leads out
of the root whatever is moved about meanwhile.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager

from vault.files import CHUNK
from vault.rois.documents import ChangedWhileReadError, DocumentError, DocumentsAwayError, names_of

_STEP = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
"""Without blocking: the other end of a named pipe may never come."""

_NOT_THERE = frozenset((errno.ENOENT, errno.ENOTDIR, errno.ENAMETOOLONG))
_AWAY = frozenset(
    (errno.ESTALE, errno.EHOSTDOWN, errno.ENOTCONN, errno.ETIMEDOUT, errno.EHOSTUNREACH, errno.ENODEV)
)

MISSING = (
    "the file that its row names is not in the documents' store; open the document in the ROIS: if it opens there, "
    "[rois.sql] documents names another place than the query does."
)
NO_FILE = "what its row names is a folder or a device, no file; correct the query or the row."
LINK = "the path that its row names leads through a symbolic link, which may lead anywhere; put the file itself there."
CHANGED = "it was written to while it was read; the next run fetches it."


class FolderStore:
    """The documents below `root`."""

    AT_ONCE = 2
    """Reading and hashing let the other thread work; a file server answers two as soon as one."""

    def __init__(self, root: str) -> None:
        self._root = root

    @contextmanager
    def open(self, file: str) -> Iterator[FolderFile]:
        """Open a document (see `DocumentStore.open`)."""
        *folders, name = names_of(file)
        folder = self._top()
        try:
            for step in folders:
                inner = _opened(step, _STEP, folder)
                os.close(folder)
                folder = inner
            descriptor = _opened(name, _FILE, folder)
        finally:
            os.close(folder)
        try:
            found = os.fstat(descriptor)
            if not stat.S_ISREG(found.st_mode):
                raise DocumentError(NO_FILE)
            yield FolderFile(descriptor, found)
        finally:
            os.close(descriptor)

    def close(self) -> None:
        """Nothing is held open."""

    def _top(self) -> int:
        try:
            return os.open(self._root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError as error:
            raise DocumentsAwayError(
                f"The documents' folder {self._root} can't be opened ({error.strerror}): is it mounted? "
                "[rois.sql] documents names it."
            ) from None


class FolderFile:
    """An open file."""

    def __init__(self, descriptor: int, found: os.stat_result) -> None:
        self._descriptor = descriptor
        self._before = found
        self.size = found.st_size

    def chunks(self) -> Iterator[bytes]:
        """Yield the bytes (see `DocumentFile.chunks`)."""
        total = 0
        try:
            # one byte more than there should be: a file server's word on the size may be an old one
            while total <= self.size and (
                piece := os.read(self._descriptor, min(CHUNK, self.size - total + 1))
            ):
                total += len(piece)
                yield piece
            after = os.fstat(self._descriptor)
        except OSError as error:
            raise _said(error) from None
        if not total == self.size == after.st_size or after.st_mtime_ns != self._before.st_mtime_ns:
            raise ChangedWhileReadError(CHANGED)


def _opened(name: str, flags: int, folder: int) -> int:
    try:
        return os.open(name, flags, dir_fd=folder)
    except OSError as error:
        if error.errno in {errno.ELOOP, errno.ENOTDIR} and _is_link(name, folder):
            raise DocumentError(LINK) from None
        raise _said(error) from None


def _is_link(name: str, folder: int) -> bool:
    try:
        return stat.S_ISLNK(os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode)
    except OSError:
        return False


def _said(error: OSError) -> DocumentError | DocumentsAwayError:
    if error.errno in _AWAY:
        return DocumentsAwayError(
            f"The documents' folder went away ({error.strerror}); mount it again, and the next run fetches the rest."
        )
    if error.errno in _NOT_THERE:
        return DocumentError(MISSING)
    if error.errno in {errno.ENXIO, errno.EISDIR}:
        return DocumentError(NO_FILE)
    return DocumentError(
        f"its file can't be read ({error.strerror}); give the account of the vault the right to read it."
    )
