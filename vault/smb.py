"""An SMB share reached from user space: no mount, no root, no kernel. One connection, and what its failures are.

The documents of the ROIS come from such a share, and the encrypted copy may go to another; each says in its own words
what a failure means.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, NamedTuple
from urllib.parse import unquote, urlsplit

import smbclient
from smbprotocol.exceptions import SMBAuthenticationError, SMBException, SMBOSError, SMBResponseException

PORT = 445

_REFUSED = frozenset(
    (0xC000006D, 0xC000006E, 0xC0000071, 0xC0000072, 0xC000015B, 0xC0000193, 0xC0000224, 0xC0000234)
)
"""Statuses of a logon that the server refuses, whatever the reason (MS-ERREF 2.3.1)."""
_GONE = frozenset((0xC00000C9, 0xC0000203, 0xC000035C, 0xC000020C, 0xC000020D, 0xC00000B5))
"""Statuses of a connection, a session or a share that ended meanwhile."""


class SmbError(Exception):
    """An operation on the share failed."""


class SmbRefusedError(SmbError):
    """The server refuses the account."""


class SmbAwayError(SmbError):
    """The server can't be reached, or went away; `str` says how it showed."""


class SmbStatusError(SmbError):
    """The server answered with an error of its own."""

    def __init__(self, status: int) -> None:
        super().__init__(f"status {status:#010x}")
        self.status = status
        """As MS-ERREF 2.3.1 lists them."""


class SmbPlace(NamedTuple):
    """Where a folder is: `folder` has backslashes, and is empty for the share's own."""

    server: str
    port: int
    share: str
    folder: str

    @classmethod
    def parse(cls, url: str) -> SmbPlace:
        """Read `smb://server[:port]/share/folder`. Raises ValueError when it names no server or no share."""
        parts = urlsplit(url)
        share, *folders = [unquote(name) for name in parts.path.split("/") if name] or [""]
        port = parts.port or PORT  # raises ValueError for what is no port
        if parts.scheme != "smb" or not parts.hostname or not share:
            raise ValueError(url)
        return cls(parts.hostname, port, share, "\\".join(folders))

    def __str__(self) -> str:
        folder = self.folder.replace("\\", "/")
        return "/".join(filter(None, (f"smb://{self.server}/{self.share}", folder)))

    @property
    def root(self) -> str:
        """The folder's UNC path."""
        return rf"\\{self.server}\{self.share}" + (rf"\{self.folder}" if self.folder else "")


class SmbConnection:
    """One account's connection to a place; made on first use."""

    def __init__(self, place: SmbPlace, user: str | None, password: str | None, timeout: float) -> None:
        self.place = place
        self._timeout = timeout
        self._connections: dict[str, Any] = {}
        self.options: dict[str, Any] = {
            "username": user,
            "password": password,
            "port": place.port,
            "connection_timeout": timeout,
            "connection_cache": self._connections,
        }
        """What each call of `smbclient` gets."""

    @property
    def begun(self) -> bool:
        """Whether there is a connection already."""
        return bool(self._connections)

    def close(self) -> None:
        """End the session and the connection."""
        with suppress(SmbError), self.watched():
            smbclient.reset_connection_cache(fail_on_error=False, connection_cache=self._connections)
        self._connections.clear()

    def cut(self) -> None:
        """Close the connection at once, whatever waits for it."""
        for connection in list(self._connections.values()):
            with suppress(OSError):
                connection.transport.close()

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Turn what goes wrong into SmbError, and cut the connection to a server that does not answer in time."""
        watchdog = threading.Timer(self._timeout, self.cut)
        watchdog.daemon = True
        watchdog.start()
        try:
            yield
        except SMBOSError as error:
            raise _of_status(error.ntstatus) from None
        except SMBAuthenticationError:
            raise SmbRefusedError from None
        except SMBResponseException as error:
            raise _of_status(error.status) from None
        except (
            SMBException,
            OSError,
            ValueError,
        ) as error:  # smbprotocol raises ValueError for a port nobody answers
            raise SmbAwayError(type(error).__name__) from None
        finally:
            watchdog.cancel()


def _of_status(status: int) -> SmbError:
    if status in _REFUSED:
        return SmbRefusedError()
    if status in _GONE:
        return SmbAwayError(f"status {status:#010x}")
    return SmbStatusError(status)
