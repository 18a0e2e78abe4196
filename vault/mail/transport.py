"""How mail leaves: what every way out does, and the three ways in which it can fail."""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol

from vault.config import Mail
from vault.errors import ConfigError, MailError


class RefusedError(MailError):
    """This message will never be taken for this recipient: trying again is of no use before somebody acts."""


class DeferredError(MailError):
    """This message was not taken now; others may be."""


class UnavailableError(MailError):
    """No message can be handed over now."""


@dataclass(frozen=True, slots=True)
class Letter:
    """One message to one recipient."""

    id: str
    """Names it for ever: the same for the same message to the same recipient."""
    sender: str
    recipient: str
    """Addresses."""
    written: int
    """When it was composed, in seconds since 1970."""
    data: bytes
    """The message as it goes over the wire: headers and body, 7 bit, lines ending in CRLF."""


class Session(Protocol):
    """A way out that is open."""

    def send(self, letter: Letter) -> None:
        """Hand one letter over; returns once somebody else answers for it.

        Raises RefusedError, DeferredError or UnavailableError, and OSError for this computer's own disk.
        """


class Transport(Protocol):
    """A way out."""

    @property
    def place(self) -> str:
        """Where mail goes, for messages."""

    def session(self) -> AbstractContextManager[Session]:
        """Open the way; raises UnavailableError when that can't be done."""


def transport_of(mail: Mail) -> Transport:
    """The way out that `[mail]` names. Raises ConfigError when the password's file can't be read."""
    if mail.maildir is not None:
        from vault.mail.maildir import MaildirTransport  # noqa: PLC0415  # it knows this module

        return MaildirTransport(mail.maildir)
    from vault.mail.smtp import SmtpTransport  # noqa: PLC0415  # 20 ms that a maildir does not pay

    if mail.smtp is None:
        raise ConfigError("[mail] needs one of smtp and maildir.")
    return SmtpTransport(mail, mail.smtp, mail.password())
