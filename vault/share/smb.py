"""A share on an SMB file server, written from user space.

As on a folder, a file is written under a temporary name, flushed by the server, read back and compared, and only then
gets its name, which no other file may have. An account that may not delete can't rename either on some servers: there
the finished file gets a second name (a hard link), and the first one stays behind.
"""

from __future__ import annotations

import contextlib
import hashlib
import secrets
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, TypeVar, cast

import smbclient

from vault.errors import ShareError, UsageError
from vault.files import CHUNK, ROUND_TRIP
from vault.share import layout
from vault.share.backend import Access, NameTakenError, ShareUnavailableError
from vault.share.folder import pieces
from vault.smb import SmbAwayError, SmbConnection, SmbError, SmbPlace, SmbRefusedError, SmbStatusError

_FOLDER = 0x10  # FILE_ATTRIBUTE_DIRECTORY

T = TypeVar("T")


class SmbShare:
    """The share below a folder of an SMB share, which must exist. Several threads may use it at once."""

    READ_AT_ONCE = 2

    def __init__(self, place: SmbPlace, access: Access) -> None:
        self._place = place
        self._access = access
        self._lock = threading.RLock()
        self._made: set[str] = set()
        self._smb = self._connection()

    def __reduce__(self) -> tuple[Any, ...]:
        """Goes to a process of our own as a place and an account, which connects anew."""
        return SmbShare, (self._place, self._access)

    @classmethod
    def at(cls, url: str, access: Access) -> SmbShare:
        """The share at `smb://server[:port]/share/folder`. Raises UsageError when it names no server or no share."""
        try:
            return cls(SmbPlace.parse(url), access)
        except ValueError:
            raise UsageError(f"share.url {url!r} must be smb://server[:port]/share/folder") from None

    @property
    def place(self) -> str:
        """`smb://server/share/folder`."""
        return str(self._place)

    def begin(self, *, first: bool) -> bool:
        """Check that the share is there, and sweep what a cut-off delivery left (see `Share.begin`)."""
        if not self._is_there(self._place.root):
            raise ShareUnavailableError(
                f"the share {self.place} has no such folder, or keeps it from this account: make it there, or "
                "correct share.url"
            )
        missing = not self._is_there(self._path(layout.ROOT))
        if missing and not first:
            raise ShareUnavailableError(
                f"the share {self.place} does not hold {layout.ROOT}/, although files were delivered there before: "
                "is it the right folder? If it is a new one, give it another path."
            )
        held = {name for name, _folder in self._entries(layout.ROOT)}
        self._folder(layout.ROOT)
        self._folder(f"{layout.ROOT}/{layout.INCOMING}")
        for leftover, _folder in self._entries(f"{layout.ROOT}/{layout.INCOMING}"):
            with contextlib.suppress(
                ShareError
            ):  # an account may have no right to; what lies there is only waste
                self._remove(f"{layout.ROOT}/{layout.INCOMING}/{leftover}")
        return held <= {layout.INCOMING, layout.CHECK}

    def exists(self, name: str) -> bool:
        """Tell whether the share has `name`."""
        return self._is_there(self._path(layout.checked(name)))

    def size(self, name: str) -> int:
        """Return the bytes of `name`."""
        path = self._path(layout.checked(name))
        return int(self._do(lambda options: smbclient.stat(path, **options)).st_size)

    def put(self, name: str, source: Path) -> None:
        """Copy `source` to `name`, verified and durable, never replacing (see `Share.put`)."""
        if self.exists(name):
            raise NameTakenError(f"the share {self.place} already has {name}")
        temporary = self._path(f"{layout.ROOT}/{layout.INCOMING}/{secrets.token_hex(16)}")
        try:
            written = self._write(temporary, source)
            if self._hash(temporary) != written:
                raise ShareError(
                    f"the share {self.place} did not give back what was written to it ({name}); check the file "
                    "server, the file stays in the outbox"
                )
            self._folder(name.rpartition("/")[0])
            self._name(temporary, name)
        finally:
            with contextlib.suppress(ShareError):  # the first error matters; `begin` sweeps what stays
                self._do(lambda options: smbclient.remove(temporary, **options), again=False)

    @contextmanager
    def read(self, name: str) -> Iterator[BinaryIO]:
        """Open `name` for reading."""
        path = self._path(layout.checked(name))
        handle = self._do(lambda options: self._opened(path, options))
        try:
            yield cast("BinaryIO", _Reader(self, handle))
        finally:
            with contextlib.suppress(ShareError):
                self._do(lambda _options: handle.close(), again=False)

    def list(self, prefix: str) -> Iterator[str]:
        """Yield the names that begin with `prefix`."""
        if not self._is_there(self._path(layout.ROOT)):
            raise ShareUnavailableError(f"the share {self.place} holds no {layout.ROOT}/: was it ever used?")
        for folder, is_folder in self._entries(layout.ROOT):
            below = f"{layout.ROOT}/{folder}/"
            if (
                is_folder
                and folder != layout.INCOMING
                and (below.startswith(prefix) or prefix.startswith(below))
            ):
                names = (f"{below}{name}" for name, deeper in self._entries(below[:-1]) if not deeper)
                yield from (name for name in names if name.startswith(prefix))

    def remove(self, name: str) -> None:
        """Remove `name`; no error if it is not there."""
        self._remove(layout.checked(name))

    def close(self) -> None:
        """End the session and the connection."""
        self._smb.close()

    # --- steps

    def _write(self, path: str, source: Path) -> bytes:
        """Write `source` to a new file, flushed by the server; returns the SHA-256 of what was written."""
        digest = hashlib.sha256()
        handle = self._do(lambda options: smbclient.open_file(path, mode="xb", buffering=0, **options))
        try:
            for piece in pieces(source, ROUND_TRIP):
                rest = memoryview(piece)
                while rest:
                    taken = self._do(lambda _options, rest=rest: handle.write(rest), again=False)  # type: ignore[misc]
                    rest = rest[taken:]
                digest.update(piece)
            self._do(lambda _options: handle.fd.flush(), again=False)
        finally:
            with contextlib.suppress(ShareError):
                self._do(lambda _options: handle.close(), again=False)
        return digest.digest()

    def _hash(self, path: str) -> bytes:
        digest = hashlib.sha256()
        handle = self._do(lambda options: self._opened(path, options))
        try:
            while piece := self._do(lambda _options: handle.read(CHUNK), again=False):
                digest.update(piece)
        finally:
            with contextlib.suppress(ShareError):
                self._do(lambda _options: handle.close(), again=False)
        return digest.digest()

    def _name(self, temporary: str, name: str) -> None:
        """Give a finished file its name; raises NameTakenError if the name is there."""
        target = self._path(name)
        for give in (smbclient.rename, smbclient.link):
            try:
                self._do(lambda options, give=give: give(temporary, target, **options), again=False)  # type: ignore[misc]
            except _RefusedError:
                if give is smbclient.link:
                    raise
            else:
                return

    def _folder(self, name: str) -> None:
        """Make a folder, whose parent must exist; asked once for each."""
        if name not in self._made:
            path = self._path(name)
            with contextlib.suppress(NameTakenError):
                self._do(lambda options: smbclient.mkdir(path, **options))
            self._made.add(name)

    def _remove(self, name: str) -> None:
        path = self._path(name)
        with contextlib.suppress(_NotThereError):
            self._do(lambda options: smbclient.remove(path, **options))

    def _entries(self, name: str) -> Sequence[tuple[str, bool]]:
        """Names in a folder, and which of them are folders; none where there is no folder."""
        path = self._path(name)

        def scan(options: dict[str, Any]) -> Sequence[tuple[str, bool]]:
            return [
                (entry.name, bool(entry.smb_info.file_attributes & _FOLDER))
                for entry in smbclient.scandir(path, **options)
            ]

        try:
            return self._do(scan)
        except _NotThereError:
            return []

    def _is_there(self, path: str) -> bool:
        try:
            self._do(lambda options: smbclient.stat(path, **options))
        except _NotThereError:
            return False
        return True

    def _opened(self, path: str, options: dict[str, Any]) -> Any:
        return smbclient.open_file(path, mode="rb", buffering=ROUND_TRIP, share_access="rwd", **options)

    def _path(self, name: str) -> str:
        return "\\".join((self._place.root, *name.split("/")))

    # --- the connection

    def _connection(self) -> SmbConnection:
        access = self._access
        return SmbConnection(self._place, access.user, access.password, access.timeout)

    def _do(self, call: Callable[[dict[str, Any]], T], *, again: bool = True) -> T:
        """Do one thing on the share; with `again`, once more over a new connection when the old one has ended."""
        smb = self._smb
        if not smb.begun:  # several threads at once would make several connections
            with self._lock, self._said():
                if not self._smb.begun:
                    with self._smb.watched():
                        smbclient.stat(self._place.root, **self._smb.options)
            smb = self._smb
        if again:
            try:
                with smb.watched():
                    return call(smb.options)
            except SmbAwayError:
                smb = self._anew(smb)
            except SmbError as error:
                raise self._meaning(error) from None
        with self._said(), smb.watched():
            return call(smb.options)

    def _anew(self, lost: SmbConnection) -> SmbConnection:
        """Replace a connection that was lost, once for all threads that lost it."""
        with self._lock:
            if self._smb is lost:
                lost.cut()
                self._smb = self._connection()
            return self._smb

    @contextmanager
    def _said(self) -> Iterator[None]:
        """Say in a ShareError what a failure means and what to do."""
        try:
            yield
        except SmbAwayError as error:
            self._anew(self._smb)
            raise self._meaning(error) from None
        except SmbError as error:
            raise self._meaning(error) from None

    def _meaning(self, error: SmbError) -> ShareError:
        place = f"the share {self.place}"
        if isinstance(error, SmbRefusedError):
            return ShareUnavailableError(
                f"{place} refuses the account: check [share] user and password_file, and whether the account is "
                "locked or its password has expired"
            )
        if not isinstance(error, SmbStatusError):
            return ShareUnavailableError(
                f"{place} can't be reached or went away ({error}): check the network and the server"
            )
        for statuses, kind, text in _MEANINGS:
            if error.status in statuses:
                return kind(text.format(place=place, error=error))
        return ShareError(f"{place} failed ({error}): look into the file server's log")


class _NotThereError(ShareError):
    """There is no such file."""


class _RefusedError(ShareUnavailableError):
    """The account may not do this."""


_MEANINGS: tuple[tuple[frozenset[int], type[ShareError], str], ...] = (
    (frozenset((0xC0000035,)), NameTakenError, "{place} already has a file of this name"),
    (
        frozenset((0xC0000034, 0xC000003A, 0xC0000225, 0xC0000103)),
        _NotThereError,
        "{place} does not have a file that should be there",
    ),
    (
        frozenset((0xC000007F, 0xC0000044, 0xC0000802)),
        ShareUnavailableError,
        "{place} is full ({error}): free space or enlarge it",
    ),
    (
        frozenset((0xC0000022, 0xC00000A2, 0xC0000061, 0xC00000CA)),
        _RefusedError,
        "{place} refuses writing ({error}): give the vault's account the right to create files",
    ),
    (
        frozenset((0xC00000CC, 0xC00000BE)),
        ShareUnavailableError,
        "{place} is not on the server, or is kept from this account: correct share.url",
    ),
)
"""What statuses of the server (MS-ERREF 2.3.1) mean."""


class _Reader:
    """An open file on the share, as much of `BinaryIO` as readers use."""

    def __init__(self, share: SmbShare, handle: Any) -> None:
        self._share = share
        self._handle = handle

    def read(self, size: int = -1, /) -> bytes:
        """Return up to `size` bytes (all that is left when negative), none at the end. Raises ShareError."""
        if size < 0:
            return b"".join(iter(lambda: self.read(CHUNK), b""))
        data: bytes = self._share._do(  # one module, one thing
            lambda _options: self._handle.read(min(size, CHUNK)), again=False
        )
        return data
