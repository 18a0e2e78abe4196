"""Mail that arrives: from a maildir or from an IMAP server, one message after the other, bounded and hostile.

Whoever reads says of each message when it has been dealt with, durably; only then is it moved out of the way. A process
that is killed in between meets the message again.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from vault import files
from vault.config import Mail
from vault.errors import ConfigError
from vault.mail.transport import UnavailableError

LARGEST = 25 << 20
"""Bytes of the largest message that is read."""

BEGINNING = 64 << 10
"""Bytes that are read of a larger one: enough to tell its sender."""

MOST = 500
"""Messages that are read at once, oldest first; the others wait for the next time."""

PROCESSED = "Processed"
"""The folder that a message is moved to."""


@dataclass(frozen=True, slots=True)
class Arrived:
    """A message."""

    key: str
    """What its mailbox calls it."""
    raw: bytes
    whole: bool = True
    """False for the beginning of a message that is larger than `LARGEST`."""


class Mailbox(Protocol):
    """A mailbox that is open."""

    def messages(self) -> Iterator[Arrived]:
        """Yield what has arrived, oldest first, at most `MOST`. Raises UnavailableError."""

    def done(self, arrived: Arrived) -> None:
        """Move a message out of the way. Raises UnavailableError; then it is met again."""


def open_inbox(mail: Mail) -> AbstractContextManager[Mailbox] | None:
    """Open the mailbox that `[mail]` names; None where it names none. Entering raises UnavailableError, ConfigError."""
    if mail.answers is not None:
        return _open_maildir(mail.answers)
    if mail.imap is None:
        return None
    from vault.mail.imap import open_imap  # noqa: PLC0415  # 60 ms that a maildir does not pay

    password = mail.imap_password()
    if mail.imap_user is None or password is None:
        raise ConfigError("[mail] imap needs an account: imap_user and imap_password_file.")
    return open_imap(mail, mail.imap, mail.imap_user, password)


@contextmanager
def _open_maildir(folder: Path) -> Iterator[Mailbox]:
    try:
        for name in ("tmp", "new", "cur"):
            files.private_folder(folder / name)
            files.private_folder(folder / f".{PROCESSED}" / name)
    except OSError as error:
        raise _unavailable(folder, error) from None
    yield MaildirInbox(folder)


class MaildirInbox:
    """A maildir into which another program delivers. What has been dealt with goes to its subfolder `.Processed`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def messages(self) -> Iterator[Arrived]:
        """Yield the messages in `new` and `cur`, oldest first."""
        try:
            found = [entry for name in ("new", "cur") for entry in os.scandir(self.folder / name)]
            aged = sorted(
                (entry.stat(follow_symlinks=False).st_mtime_ns, entry.path)
                for entry in found
                if not entry.name.startswith(".") and entry.is_file(follow_symlinks=False)
            )
            for _, path in aged[:MOST]:
                with Path(path).open("rb") as file:
                    raw = file.read(LARGEST + 1)
                whole = len(raw) <= LARGEST
                yield Arrived(path, raw if whole else raw[:BEGINNING], whole)
        except OSError as error:
            raise _unavailable(self.folder, error) from None

    def done(self, arrived: Arrived) -> None:
        """Move a message to the subfolder, marked as seen."""
        path = Path(arrived.key)
        target = self.folder / f".{PROCESSED}" / "cur"
        try:
            path.rename(target / f"{path.name.partition(':')[0]}:2,S")
            files.sync_folder(target)
            files.sync_folder(path.parent)
        except OSError as error:
            raise _unavailable(self.folder, error) from None


def _unavailable(folder: Path, error: OSError) -> UnavailableError:
    return UnavailableError(
        f"The maildir {folder} can't be used ({error.strerror}): correct [mail] answers, or its rights."
    )
