"""Mail from an IMAP server: encrypted as `[mail]` says, and in bounded time and memory.

The server may be an attacker's. It can withhold mail or show some again, and nothing else: what it sends is counted
before it is kept, and a clock runs for the whole visit. No UID outlives the visit: a server may renumber as it likes.
"""

from __future__ import annotations

import imaplib
import re
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from imap_tools import BaseMailBox, MailboxFolderCreateError, MailboxFolderSelectError, MailboxLoginError
from imap_tools.errors import ImapToolsError

from vault.config import Mail, Server
from vault.mail import tls
from vault.mail.inbox import BEGINNING, LARGEST, MOST, PROCESSED, Arrived, Mailbox
from vault.mail.transport import UnavailableError

VISIT = 600.0
"""Seconds that a visit may take."""

MOST_TALK = 1 << 20
"""Bytes of a reply beside the message in it."""

EACH_LINE = 200
"""Bytes that each line counts beside its own: short ones cost time."""

_SIZE = re.compile(rb"RFC822\.SIZE (\d{1,12})")


class _Bounds:
    """What one connection may still say."""

    def __init__(self, client: imaplib.IMAP4) -> None:
        self._ends = time.monotonic() + VISIT
        self._left = LARGEST + MOST_TALK
        self._client = client
        self._timer = threading.Timer(VISIT, self._cut)  # a line that comes byte by byte never times out
        self._timer.daemon = True
        self._timer.start()

    def _cut(self) -> None:
        """End the visit, whatever is being read."""
        with suppress(OSError, AttributeError):  # there may be no connection yet
            self._client.sock.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """The visit is over."""
        self._timer.cancel()

    def next_command(self) -> None:
        """Begin to count anew."""
        self._left = LARGEST + MOST_TALK

    def spend(self, count: int) -> None:
        """Count bytes before they are read."""
        self._left -= count
        if self._left < 0 or time.monotonic() > self._ends:
            raise imaplib.IMAP4.abort("the server does not stop talking")


class _Plain(imaplib.IMAP4):
    """A connection that begins in clear."""

    def open(self, host: str = "", port: int = 143, timeout: float | None = None) -> None:
        self.bounds = _Bounds(self)
        super().open(host, port, timeout)

    def read(self, size: int) -> bytes:
        self.bounds.spend(size)
        return super().read(size)

    def readline(self) -> bytes:
        line = super().readline()
        self.bounds.spend(len(line) + EACH_LINE)
        return line

    def shutdown(self) -> None:
        self.bounds.close()
        super().shutdown()


class _Encrypted(imaplib.IMAP4_SSL):
    """A connection with TLS from the first byte."""

    def open(self, host: str = "", port: int | None = 993, timeout: float | None = None) -> None:
        self.bounds = _Bounds(self)
        super().open(host, port, timeout)

    def read(self, size: int) -> bytes:
        self.bounds.spend(size)
        return super().read(size)

    def readline(self) -> bytes:
        line = super().readline()
        self.bounds.spend(len(line) + EACH_LINE)
        return line

    def shutdown(self) -> None:
        self.bounds.close()
        super().shutdown()


class _Box(BaseMailBox):
    """imap-tools' mailbox over such a connection."""

    def __init__(self, mail: Mail, server: Server) -> None:
        self._mail, self._server = mail, server
        super().__init__()

    def _get_mailbox_client(self) -> imaplib.IMAP4:
        mail, server = self._mail, self._server
        context = tls.context(mail, server)
        if server.implicit_tls:
            return _Encrypted(server.host, server.port, ssl_context=context, timeout=mail.timeout)
        client = _Plain(server.host, server.port, timeout=mail.timeout)
        if "STARTTLS" in client.capabilities:
            client.starttls(ssl_context=context)
        elif tls.required(mail, server):
            client.shutdown()
            raise UnavailableError(
                f"The mail server {server.place} offers no TLS, and without it no password is sent: use imaps://, or "
                "let the server offer STARTTLS."
            )
        return client


@contextmanager
def open_imap(mail: Mail, server: Server, user: str, password: str) -> Iterator[Mailbox]:
    """Log in and select the folder; log out on the way out. Raises UnavailableError."""
    with _explained(server):
        box = _Box(mail, server)
    try:
        with _explained(server):
            box.login(user, password, initial_folder=None)
            box.folder.set(mail.imap_folder)
        yield ImapInbox(box, server)
    finally:
        with suppress(imaplib.IMAP4.error, ImapToolsError, OSError):
            box.logout()
        with suppress(imaplib.IMAP4.error, OSError):
            box.client.shutdown()


class ImapInbox:
    """A folder on an IMAP server. What has been dealt with goes to the folder `Processed`, made where it is missing."""

    def __init__(self, box: _Box, server: Server) -> None:
        self._box, self._server = box, server
        self._target: str | None = None

    def messages(self) -> Iterator[Arrived]:
        """Yield the messages, lowest UID first. Sizes are asked for before anything is read."""
        with _explained(self._server):
            self._next()
            uids = sorted(filter(str.isdecimal, self._box.uids("ALL")), key=int)
        for uid in uids[:MOST]:
            with _explained(self._server):
                whole = self._size(uid) <= LARGEST
                raw = self._message(uid, LARGEST + 1 if whole else BEGINNING)
            if raw:  # else it is gone
                yield Arrived(uid, raw[:LARGEST], whole and len(raw) <= LARGEST)

    def done(self, arrived: Arrived) -> None:
        """Move a message to the other folder."""
        with _explained(self._server):
            if self._target is None:
                self._target = self._processed()
            self._next()
            self._box.move(arrived.key, self._target)

    def _processed(self) -> str:
        """The folder's name here, made where it is missing: some servers allow folders below INBOX only."""
        for name in (PROCESSED, f"INBOX.{PROCESSED}", f"INBOX/{PROCESSED}"):
            self._next()
            if self._box.folder.exists(name):
                return name
            with suppress(MailboxFolderCreateError):
                self._box.folder.create(name)
                return name
        raise UnavailableError(
            f"The mail server {self._server.place} lets the vault make no folder {PROCESSED}: make it there."
        )

    def _next(self) -> None:
        client: Any = self._box.client
        client.bounds.next_command()

    def _size(self, uid: str) -> int:
        """What the server says of the size; more than is read where it says nothing."""
        said = b" ".join(item for item in self._fetch(uid, "(RFC822.SIZE)") if isinstance(item, bytes))
        found = _SIZE.search(said)
        return int(found[1]) if found else LARGEST + 1

    def _message(self, uid: str, most: int) -> bytes:
        """So much of the message; empty where there is none any more."""
        found = self._fetch(uid, f"(BODY.PEEK[]<0.{most}>)")
        literals = (item[1] for item in found if isinstance(item, tuple) and len(item) == 2)
        return max((each for each in literals if isinstance(each, bytes)), key=len, default=b"")

    def _fetch(self, uid: str, what: str) -> list[object]:
        """The pieces of the reply: lines as bytes, and pairs of a line and the literal that follows it."""
        self._next()
        answer, data = self._box.client.uid("fetch", uid, what)
        if answer != "OK":
            raise imaplib.IMAP4.error("it does not hand out a message")
        return list(data or ())


@contextmanager
def _explained(server: Server) -> Iterator[None]:
    """Say what went wrong, and what to do; nothing that the server said."""
    try:
        yield
    except ssl.SSLError as error:
        raise UnavailableError(tls.explained(error, server)) from None
    except MailboxLoginError:
        raise UnavailableError(
            f"The mail server {server.place} refuses the account: correct [mail] imap_user or imap_password_file."
        ) from None
    except MailboxFolderSelectError:
        raise UnavailableError(
            f"The mail server {server.place} has no such folder: correct [mail] imap_folder."
        ) from None
    except (
        imaplib.IMAP4.error,
        ImapToolsError,
        ValueError,
        IndexError,
        TypeError,
        UnicodeError,
        AssertionError,
    ):
        # the last ones: what the libraries raise at replies that break the rules
        raise UnavailableError(
            f"The mail server {server.place} broke off, or does not speak IMAP as it should: answers wait for the next "
            "time."
        ) from None
    except TimeoutError:
        raise UnavailableError(f"The mail server {server.place} does not answer: is it there?") from None
    except OSError as error:
        raise UnavailableError(
            f"The mail server {server.place} can't be reached ({error.strerror or type(error).__name__}): is it there?"
        ) from None
