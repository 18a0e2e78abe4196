"""`[mail]` and `[[mail.recipients]]`: how the vault's mail goes out, how answers come in, and who gets it."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Annotated, Literal

import msgspec

from vault.config.kinds import BOOLEAN, PATH, RECIPIENT, TEXT, choice, duration, size
from vault.config.mail_kinds import ADDRESS, IMAP_URL, SMTP_URL, Server
from vault.config.section import Section, read_secret


class MailRecipient(Section, frozen=True, kw_only=True):
    """A person who gets the report of each night and answers it."""

    name: Annotated[str, TEXT]
    """How the vault calls this person: in mails, in the ledger's verdicts, and at `vault verify`."""
    address: Annotated[str, ADDRESS]
    """Where the mail goes, and where answers come from."""
    certificate: Annotated[Path | None, PATH] = None
    """X.509 certificate (PEM): limited mail's attachment is encrypted to it (S/MIME)."""
    age: Annotated[str | None, RECIPIENT] = None
    """age public key: limited mail's attachment is encrypted to it where there is no certificate."""
    totp_file: Annotated[Path | None, PATH] = None
    """File with the secret of the codes on this person's phone; enrolment writes it."""


class Mail(Section, frozen=True, kw_only=True):
    """`[mail]`: the mail that goes out, and the answers that come in."""

    sender: Annotated[str, ADDRESS] = msgspec.field(name="from")
    """The vault's own address: mail is from here, and answers go here."""
    content: Annotated[Literal["full", "limited"], choice("full", "limited")] = "limited"
    """Whether a mail may name patients; "limited" has pseudonyms and counts, and encrypts what is attached."""
    smtp: Annotated[Server | None, SMTP_URL] = None
    """The server that takes the vault's mail."""
    insecure: Annotated[bool, BOOLEAN] = False
    """Mail goes out, and answers come in, without TLS where the server offers none."""
    user: Annotated[str | None, TEXT] = None
    """Account at the SMTP server; None where it takes mail without one."""
    password_file: Annotated[Path | None, PATH] = None
    """File whose first line is that account's password."""
    ca: Annotated[Path | None, PATH] = None
    """Certificates (PEM) that vouch for the mail servers, instead of the system's."""
    timeout: Annotated[float, duration(1, 600, "from 1s to 10m")] = 60.0
    """Seconds without an answer after which a mail server counts as silent."""
    largest: Annotated[int, size(1 << 10, 1 << 30, "from 1KiB to 1GiB")] = 10 << 20
    """Bytes of the largest attachment; what is larger is not attached, and the mail says so."""
    maildir: Annotated[Path | None, PATH] = None
    """Maildir that outgoing mail is put into instead of being sent."""
    imap: Annotated[Server | None, IMAP_URL] = None
    """The server where answers arrive."""
    imap_user: Annotated[str | None, TEXT] = None
    """Account there; `user` where it is left out."""
    imap_password_file: Annotated[Path | None, PATH] = None
    """File whose first line is that account's password; `password_file` where it is left out."""
    imap_folder: Annotated[str, TEXT] = "INBOX"
    """The folder where answers arrive."""
    answers: Annotated[Path | None, PATH] = None
    """Maildir that answers are read from, where there is no IMAP server."""
    recipients: tuple[MailRecipient, ...]

    def password(self) -> str | None:
        """The SMTP account's password. Raises ConfigError when its file can't be read."""
        return read_secret(self.password_file, "[mail] password_file")

    def imap_password(self) -> str | None:
        """The IMAP account's password. Raises ConfigError when its file can't be read."""
        return read_secret(self.imap_password_file, "[mail] imap_password_file")


def completed(mail: Mail) -> Mail:
    """Fill in the IMAP account from the SMTP one where it is left out."""
    if mail.imap is None:
        return mail
    return msgspec.structs.replace(
        mail,
        imap_user=mail.imap_user or mail.user,
        imap_password_file=mail.imap_password_file or mail.password_file,
    )


def contradiction(mail: Mail) -> str | None:
    """What is wrong between the keys of a completed `[mail]`, as one sentence; None when nothing is."""
    if (mail.smtp is None) == (mail.maildir is None):
        return "[mail] needs one of smtp and maildir: a server that takes the mail, or a folder that it is put into."
    if mail.imap is not None and mail.answers is not None:
        return "[mail] has both imap and answers: answers are read from one place."
    if (mail.user is None) != (mail.password_file is None):
        return "[mail] user and password_file belong together: one of them is missing."
    if mail.imap is not None and (mail.imap_user is None or mail.imap_password_file is None):
        return "[mail] imap needs an account: imap_user and imap_password_file, or user and password_file."
    return _unsafe(mail) or _recipients(mail.recipients)


def _unsafe(mail: Mail) -> str | None:
    """A password is never sent in clear over a network, whatever the site allows for the mail itself."""
    if not mail.insecure:
        return None
    for key, server in (("smtp", mail.smtp), ("imap", mail.imap)):
        secret = mail.user if key == "smtp" else mail.imap_user
        if server and secret and not server.is_loopback and not server.implicit_tls:
            return f"[mail] insecure = true could send the password of {key} in clear: remove insecure, or use {key}s://."
    return None


def _recipients(recipients: tuple[MailRecipient, ...]) -> str | None:
    if not recipients:
        return "[mail] has no [[mail.recipients]]: name at least one person who reads the mail."
    for key, values in (
        ("name", [recipient.name.casefold() for recipient in recipients]),
        ("address", [recipient.address.casefold() for recipient in recipients]),
    ):
        ((value, count),) = Counter(values).most_common(1)
        if count > 1:
            return (
                f"[[mail.recipients]] {key} {value} stands there twice: each recipient is a different person."
            )
    return None
