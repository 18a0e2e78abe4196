"""Mail to an SMTP server: encrypted, with an account where it wants one, and in bounded time and memory.

The server may be an attacker's. It can refuse or delay mail, and nothing else: what it says is cut and cleaned before
it is repeated, its replies are bounded, and a clock runs for each letter.
"""

from __future__ import annotations

import smtplib
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from vault.config import Mail, Server
from vault.mail import tls
from vault.mail.transport import DeferredError, Letter, RefusedError, UnavailableError

MOST_LINES = 100
"""Lines of one reply."""

LONGEST_LINE = 8192
"""Bytes of one line."""

SLOWEST = 10_000
"""Bytes a second that a server takes at least, beside the time-outs: what is slower counts as silent."""

LOSSES = 3
"""Connections lost one after the other, each with another letter, until the rest waits for the next delivery."""

_LONGEST_SAID = 200


class _Bounded(smtplib.SMTP):
    """An SMTP client whose server can't talk for ever."""

    def __init__(self, mail: Mail, server: Server) -> None:
        super().__init__(timeout=mail.timeout, local_hostname="localhost")
        self._host = server.host  # what the certificate must be for
        self._context = tls.context(mail, server) if server.implicit_tls else None

    def _get_socket(self, host: str, port: int, timeout: float) -> socket.socket:
        connection = socket.create_connection((host, port), timeout)
        if self._context is None:
            return connection
        return self._context.wrap_socket(connection, server_hostname=host)

    def getreply(self) -> tuple[int, bytes]:
        """Read one reply, as the base class does, of at most `MOST_LINES` lines."""
        lines: list[bytes] = []
        if self.file is None:
            if self.sock is None:
                raise smtplib.SMTPServerDisconnected("there is no connection")
            self.file = self.sock.makefile("rb")
        while True:
            line = self.file.readline(LONGEST_LINE + 1)
            if not line or len(line) > LONGEST_LINE or len(lines) == MOST_LINES:
                self.close()
                raise smtplib.SMTPServerDisconnected("the server broke off, or did not stop talking")
            lines.append(line[4:].strip(b" \t\r\n"))
            if line[3:4] != b"-":
                break
        try:
            return int(line[:3]), b"\n".join(lines)
        except ValueError:
            self.close()
            raise smtplib.SMTPServerDisconnected("the server does not speak SMTP") from None


class SmtpTransport:
    """Hands letters to the server of `[mail]`."""

    def __init__(self, mail: Mail, server: Server, password: str | None) -> None:
        self._mail = mail
        self._server = server
        self._password = password

    @property
    def place(self) -> str:
        """Host and port."""
        return self._server.place

    @contextmanager
    def session(self) -> Iterator[_Session]:
        """Connect and log in. Raises UnavailableError."""
        session = _Session(self)
        try:
            session.connect()
            yield session
        finally:
            session.close()

    def connected(self) -> smtplib.SMTP:
        """A connection that is ready for mail. Raises UnavailableError with the reason and the remedy."""
        client = _Bounded(self._mail, self._server)
        try:
            with _within(3 * self._mail.timeout, client):
                self._open(client)
                self._encrypt(client)
                self._log_in(client)
        except UnavailableError:
            client.close()
            raise
        except (OSError, smtplib.SMTPException) as error:
            client.close()
            raise UnavailableError(self._explained(error)) from None
        return client

    def _open(self, client: smtplib.SMTP) -> None:
        code, said = client.connect(self._server.host, self._server.port)
        if code != 220:
            raise UnavailableError(f"The mail server {self.place} takes no mail now: {_said(code, said)}.")
        address = client.sock.getsockname()[0] if client.sock else "127.0.0.1"
        client.local_hostname = f"[IPv6:{address}]" if ":" in address else f"[{address}]"
        client.ehlo_or_helo_if_needed()

    def _encrypt(self, client: smtplib.SMTP) -> None:
        if self._server.implicit_tls:
            return
        if client.has_extn("starttls"):
            client.starttls(context=tls.context(self._mail, self._server))
            client.ehlo_or_helo_if_needed()
        elif tls.required(self._mail, self._server):
            raise UnavailableError(
                f"The mail server {self.place} offers no STARTTLS, and mail is not sent in clear: use smtps:// if it "
                "has a port with TLS; [mail] insecure = true sends in clear."
            )

    def _log_in(self, client: smtplib.SMTP) -> None:
        user = self._mail.user
        if user is None or self._password is None:
            return
        try:
            client.login(user, self._password)
        except smtplib.SMTPAuthenticationError as error:
            raise UnavailableError(
                f"The mail server {self.place} refuses the account {user} "
                f"({_said(error.smtp_code, error.smtp_error)}): check [mail] user and password_file."
            ) from None
        except smtplib.SMTPNotSupportedError:
            raise UnavailableError(
                f"The mail server {self.place} takes no account in a way that vault knows: remove [mail] user and "
                "password_file if it needs none."
            ) from None
        except UnicodeError:
            raise UnavailableError(
                "[mail] password_file: the password may hold ASCII characters only."
            ) from None

    def hand_over(self, client: smtplib.SMTP, letter: Letter) -> None:
        """One transaction. Raises RefusedError or DeferredError, or what the connection raises."""
        limit = client.esmtp_features.get("size", "")
        if limit.isdecimal() and 0 < int(limit[:18]) < len(letter.data):
            raise RefusedError(
                f"The mail server {self.place} takes {int(limit[:18]) >> 20} MiB at most, which the mail to "
                f"{letter.recipient} exceeds: lower [mail] largest."
            )
        with _within(3 * self._mail.timeout + len(letter.data) / SLOWEST, client):
            try:
                client.sendmail(letter.sender, [letter.recipient], letter.data)
            except smtplib.SMTPRecipientsRefused as error:
                code, said = next(iter(error.recipients.values()))
                raise self._not_taken(letter, code, said) from None
            except smtplib.SMTPSenderRefused as error:
                raise UnavailableError(
                    f"The mail server {self.place} refuses mail from {letter.sender} "
                    f"({_said(error.smtp_code, error.smtp_error)}): correct [mail] from, or the account's rights."
                ) from None
            except smtplib.SMTPDataError as error:
                raise self._not_taken(letter, error.smtp_code, error.smtp_error) from None

    def _not_taken(self, letter: Letter, code: int, said: bytes | str) -> RefusedError | DeferredError:
        what = (
            f"The mail server {self.place} does not take the mail to {letter.recipient} ({_said(code, said)})"
        )
        if 500 <= code <= 599:
            return RefusedError(
                f"{what}: correct the address in [[mail.recipients]], or ask who runs the server."
            )
        return DeferredError(f"{what}.")

    def _explained(self, error: Exception) -> str:
        if isinstance(error, ssl.SSLError):
            return tls.explained(error, self._server)
        if isinstance(error, socket.gaierror):
            return f"The mail server {self._server.host} has no address: correct [mail] smtp, or use an IP address."
        if isinstance(error, TimeoutError):
            hint = "" if self._server.implicit_tls else " If its port begins with TLS, use smtps://."
            return f"The mail server {self.place} does not answer within {self._mail.timeout:g} s.{hint}"
        if isinstance(error, smtplib.SMTPResponseException):
            return (
                f"The mail server {self.place} takes no mail now: {_said(error.smtp_code, error.smtp_error)}."
            )
        if isinstance(error, smtplib.SMTPException):
            return f"The mail server {self.place} broke off, or does not speak SMTP: is the port right?"
        why = error.strerror if isinstance(error, OSError) and error.strerror else type(error).__name__
        return f"The mail server {self.place} can't be reached ({why}): correct [mail] smtp, or see to the network."


class _Session:
    """A connection that is made anew when it is lost."""

    def __init__(self, transport: SmtpTransport) -> None:
        self._transport = transport
        self._client: smtplib.SMTP | None = None
        self._lost = 0

    def connect(self) -> smtplib.SMTP:
        """The connection, made where there is none. Raises UnavailableError."""
        self._client = self._client or self._transport.connected()
        return self._client

    def send(self, letter: Letter) -> None:
        """Hand one letter over (see `Session.send`)."""
        client = self.connect()
        try:
            self._transport.hand_over(client, letter)
        except (
            OSError,
            smtplib.SMTPException,
        ) as error:  # it may have arrived: the same Message-ID goes again
            self.close()
            self._lost += 1
            if self._lost >= LOSSES:
                raise UnavailableError(self._transport._explained(error)) from None
            place = self._transport.place
            raise DeferredError(
                f"The connection to the mail server {place} was lost with the mail to {letter.recipient}."
            ) from None
        finally:
            if client.sock is None:  # the server said goodbye
                self._client = None
        self._lost = 0

    def close(self) -> None:
        """Say goodbye, if anybody is there to hear it."""
        client, self._client = self._client, None
        if client is None:
            return
        with suppress(OSError, smtplib.SMTPException):
            if client.sock is not None:
                client.sock.settimeout(2)
            client.quit()
        client.close()


@contextmanager
def _within(seconds: float, client: smtplib.SMTP) -> Iterator[None]:
    """Cut the connection when the block takes longer: a server that sends a byte a minute never times out.

    Raises TimeoutError then.
    """
    ended = threading.Event()

    def cut() -> None:
        ended.set()
        if client.sock is not None:
            with suppress(OSError):
                client.sock.shutdown(socket.SHUT_RDWR)

    timer = threading.Timer(seconds, cut)
    timer.daemon = True
    timer.start()
    try:
        yield
    except (OSError, smtplib.SMTPException, UnavailableError):
        if ended.is_set():
            raise TimeoutError from None
        raise
    finally:
        timer.cancel()


def _said(code: int, said: bytes | str) -> str:
    """A server's words, fit to be repeated: one line, printable, cut."""
    text = said.decode("utf-8", "replace") if isinstance(said, bytes) else said
    clean = " ".join("".join(letter if letter.isprintable() else " " for letter in text).split())
    return f"{code} {clean[:_LONGEST_SAID]}".strip()
