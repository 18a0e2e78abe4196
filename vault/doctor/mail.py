"""Try what the mail needs: the server and its account, the recipients' keys, where answers arrive."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

from vault.config import Config, Mail, MailRecipient
from vault.doctor.check import Check
from vault.errors import VaultError
from vault.mail import outbox
from vault.mail.inbox import open_inbox
from vault.mail.transport import transport_of

SOON = timedelta(days=30)
"""How long before its end a certificate is spoken of."""


def check_mail(config: Config, *, now: datetime) -> Iterator[Check]:
    """Connect as the night will, and send nothing. `now` is aware."""
    if config.mail is None:
        yield Check("mail", True, "[mail] is not in vault.toml: nobody is told what a night found", off=True)
        return
    yield _way_out(config.mail)
    yield _way_in(config.mail)
    for recipient in config.mail.recipients:
        yield _recipient(config.mail, recipient, now)
    for letter in outbox.refused(config.vault.root):
        fix = f"Mend what it says, then move {letter.path} to {config.vault.root / 'mail/outbox'}"
        yield Check(f"mail to {letter.recipient}", False, letter.reason, fix)


def _way_out(mail: Mail) -> Check:
    try:
        transport = transport_of(mail)
        with transport.session():
            pass
    except VaultError as error:
        return Check("mail out", False, str(error))
    account = f" for the account {mail.user}" if mail.smtp and mail.user else ""
    return Check("mail out", True, f"{transport.place} takes mail{account}")


def _way_in(mail: Mail) -> Check:
    place = mail.imap.place if mail.imap else str(mail.answers)
    try:
        inbox = open_inbox(mail)
        if inbox is None:
            text = "neither imap nor answers in [mail]: people answer at the console only"
            return Check("answers", True, text, off=True)
        with inbox:
            pass
    except VaultError as error:
        return Check("answers", False, str(error))
    return Check(
        "answers", True, f"{place} can be read" + (f", folder {mail.imap_folder}" if mail.imap else "")
    )


def _recipient(mail: Mail, recipient: MailRecipient, now: datetime) -> Check:
    name = f"mail to {recipient.name}"
    if recipient.certificate is not None:
        from vault.mail.attachments import certificate_of  # noqa: PLC0415  # 50 ms that only certificates cost

        try:
            ends = certificate_of(recipient).not_valid_after_utc
        except VaultError as error:
            return Check(name, False, str(error))
        if ends < now + SOON:
            fix = "Ask for a new one, and put it in that file"
            return Check(name, False, f"the certificate {recipient.certificate} ends on {ends:%Y-%m-%d}", fix)
    if mail.content == "limited" and recipient.certificate is None and recipient.age is None:
        text = f"{recipient.address}; gets no report, since there is neither certificate nor age key to encrypt it to"
        return Check(name, True, text)
    return Check(name, True, recipient.address)
