"""A share that is a folder: a mounted file server, an external disk, a directory for a trial.

File servers lose writes, truncate, go away in the middle and hold names that are not what was asked for. So a file
is written under a temporary name, flushed, read back and compared, and only then gets its name, which no other file
may have. What the operating system says is translated into what a person can do.
"""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, cast

from vault.errors import ShareError, VaultError
from vault.files import CHUNK, sync_folder
from vault.share import layout
from vault.share.backend import NameTakenError, ShareUnavailableError

_AWAY = {
    errno.ENOENT, errno.ENOTDIR, errno.ENOTCONN, errno.EHOSTDOWN, errno.EHOSTUNREACH, errno.ENETDOWN, errno.ENETUNREACH,
    errno.ESTALE, errno.ETIMEDOUT, errno.ECONNRESET, errno.ECONNABORTED, errno.ENODEV, errno.ENXIO, errno.ESHUTDOWN,
}  # fmt: skip
_FULL = {errno.ENOSPC, errno.EDQUOT}
_CLOSED = {errno.EROFS, errno.EACCES, errno.EPERM}
_NO_LINKS = {
    errno.EPERM,
    errno.EOPNOTSUPP,
    errno.ENOSYS,
    errno.EMLINK,
    errno.EINVAL,
    errno.EACCES,
    errno.EXDEV,
}
_NO_FOLDER_SYNC = {errno.EINVAL, errno.EBADF, errno.EOPNOTSUPP, errno.ENOSYS, errno.EACCES, errno.EISDIR}


class FolderShare:
    """The share below `root`, which must exist: a mount point is made by the one who mounts it."""

    READ_AT_ONCE = 1
    """Opening takes the time, and a second thread takes it from the first: measured, a seventh."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._made: set[Path] = set()

    @property
    def place(self) -> str:
        """The folder's path."""
        return str(self.root)

    def begin(self, *, first: bool) -> bool:
        """Check that the share is there, and sweep what a cut-off delivery left (see `Share.begin`)."""
        top = self.root / layout.ROOT
        with self._translated():
            if not self.root.is_dir():
                raise ShareUnavailableError(
                    f"the share {self.place} is away: there is no such folder; mount it or correct share.url"
                )
            missing = not top.is_dir()
            if missing and not first:
                raise ShareUnavailableError(
                    f"the share {self.place} does not hold {layout.ROOT}/, although files were delivered there before: "
                    "is it mounted? If it is a new one, give it another path."
                )
            empty = missing or {path.name for path in top.iterdir()} <= {layout.INCOMING, layout.CHECK}
            self._folder(top)
            self._folder(top / layout.INCOMING)
            for leftover in (top / layout.INCOMING).iterdir():
                with contextlib.suppress(
                    OSError
                ):  # a share may forbid deletion; what lies there is only waste
                    leftover.unlink()
        return empty

    def exists(self, name: str) -> bool:
        """Tell whether the share has `name`."""
        with self._translated():
            try:
                os.lstat(self._path(name))
            except FileNotFoundError:
                self._require_top()
                return False
            return True

    def size(self, name: str) -> int:
        """Return the bytes of `name`."""
        with self._translated():
            return os.lstat(self._path(name)).st_size

    def put(self, name: str, source: Path) -> None:
        """Copy `source` to `name`, verified and durable, never replacing (see `Share.put`)."""
        target = self._path(name)
        if self.exists(name):
            raise NameTakenError(f"the share {self.place} already has {name}")
        with self._translated(), self._unfinished() as (temporary, file):
            _copy(source, file)
            if not _same(source, temporary):
                raise ShareError(
                    f"the share {self.place} did not give back what was written to it ({name}); check the disk or the "
                    "file server, the file stays in the outbox"
                )
            self._folder(target.parent)
            _name_without_replacing(temporary, target, taken=f"the share {self.place} already has {name}")
            _sync_folder(target.parent)

    @contextmanager
    def read(self, name: str) -> Iterator[BinaryIO]:
        """Open `name` for reading."""
        with self._translated():
            file = _open_plain(self._path(name))
        with file:
            yield cast("BinaryIO", _Reader(self, file))

    def list(self, prefix: str) -> Iterator[str]:
        """Yield the names that begin with `prefix`."""
        with self._translated():
            self._require_top()
            for folder, folders, files in os.walk(self.root / layout.ROOT):
                relative = Path(folder).relative_to(self.root)
                folders[:] = [
                    name for name in folders if relative / name != Path(layout.ROOT, layout.INCOMING)
                ]
                yield from (
                    name for file in files if (name := (relative / file).as_posix()).startswith(prefix)
                )

    def remove(self, name: str) -> None:
        """Remove `name`; no error if it is not there."""
        with self._translated():
            path = self._path(name)
            path.unlink(missing_ok=True)
            if path.parent.is_dir():
                _sync_folder(path.parent)

    def _path(self, name: str) -> Path:
        return self.root / layout.checked(name)

    def _require_top(self) -> None:
        """Tell "not there" from "the share is away", which looks the same from below."""
        if not (self.root / layout.ROOT).is_dir():
            if self.root.name == layout.ROOT and self.root.is_dir():
                raise ShareUnavailableError(
                    f"{self.place} lies in a share: name the folder above it, {self.root.parent}"
                )
            raise ShareUnavailableError(f"the share {self.place} is away or was never used: is it mounted?")

    def _folder(self, path: Path) -> None:
        """Make `path`, whose parent must exist; asked once for each."""
        if path in self._made:
            return
        with contextlib.suppress(FileExistsError):
            path.mkdir(mode=0o700)
            _sync_folder(path.parent)
        if path.is_symlink():  # would lead the vault's writes to where whoever made it wants them
            raise ShareError(
                f"the share {self.place} holds a symbolic link {path.name} where a folder belongs: remove it"
            )
        self._made.add(path)

    @contextmanager
    def _unfinished(self) -> Iterator[tuple[Path, BinaryIO]]:
        path = self.root / layout.ROOT / layout.INCOMING / secrets.token_hex(16)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
        try:
            with os.fdopen(descriptor, "wb") as file:
                yield path, file
        finally:
            with contextlib.suppress(OSError):  # the first error matters; `begin` sweeps what stays
                path.unlink(missing_ok=True)

    @contextmanager
    def _translated(self) -> Iterator[None]:
        """Say in a ShareError what an OSError of the share means and what to do."""
        try:
            yield
        except OSError as error:
            why = error.strerror or str(error)
            if error.errno in _FULL:
                raise ShareUnavailableError(
                    f"the share {self.place} is full ({why}): free space or enlarge it"
                ) from error
            if error.errno in _CLOSED:
                raise ShareUnavailableError(
                    f"the share {self.place} refuses writing ({why}): mount it read-write for the vault's user"
                ) from error
            if error.errno in _AWAY:
                raise ShareUnavailableError(
                    f"the share {self.place} is away ({why}): is it mounted and reachable?"
                ) from error
            raise ShareError(
                f"the share {self.place} failed ({why}): check the disk or the file server"
            ) from error


class _Reader:
    """A file of the share: what fails in reading it is the share's fault, what the reader does with it is not."""

    def __init__(self, share: FolderShare, file: BinaryIO) -> None:
        self._share = share
        self._file = file

    def read(self, size: int = -1, /) -> bytes:
        """Return up to `size` bytes (all that is left when negative), none at the end. Raises ShareError."""
        with self._share._translated():  # one module, one thing
            return self._file.read(size)


def _copy(source: Path, target: BinaryIO) -> None:
    """Write `source` to `target` durably."""
    for piece in pieces(source):
        target.write(piece)
    target.flush()
    os.fsync(target.fileno())


def pieces(source: Path, size: int = CHUNK) -> Iterator[bytes]:
    """Yield the content of our own file, up to `size` bytes at once; its errors are not the share's."""
    try:
        with source.open("rb", buffering=0) as file:
            while piece := file.read(size):
                yield piece
    except OSError as error:
        raise VaultError(
            f"a file of the outbox can't be read ({error.strerror}): check this computer's disk"
        ) from error


def _same(source: Path, path: Path) -> bool:
    """Compare `source` with a file as the share gives it back, not as our own page cache remembers it."""
    with _open_plain(path) as file:
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        return all(file.read(len(piece)) == piece for piece in pieces(source)) and not file.read(1)


def _open_plain(path: Path) -> BinaryIO:
    """Open a regular file for reading: no link is followed, and a pipe left there does not make us wait for ever."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(errno.EINVAL, "not a plain file")
    return os.fdopen(descriptor, "rb")


def _name_without_replacing(temporary: Path, target: Path, *, taken: str) -> None:
    """Give a finished file its name; raises NameTakenError(`taken`) if the name is there.

    A hard link refuses an existing name in one step. FAT and some file servers have no hard links: there a check and
    a rename must do, which is enough among vaults (one writes at a time) and no worse against whoever can write to
    the share anyway.
    """
    try:
        os.link(temporary, target, follow_symlinks=False)
    except FileExistsError:
        raise NameTakenError(taken) from None
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        if os.path.lexists(target):
            raise NameTakenError(taken) from None
        temporary.rename(target)


def _sync_folder(path: Path) -> None:
    """Make names durable where the file system can: SMB and FUSE often refuse to sync a folder."""
    try:
        sync_folder(path)
    except OSError as error:
        if error.errno not in _NO_FOLDER_SYNC:
            raise
