"""Mails about verdicts: to who answered, and alarms to everybody. No patient's name or ID is in any of them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from email.headerregistry import Address
from email.message import EmailMessage
from email.utils import format_datetime
from pathlib import Path

from vault.config import Mail, MailRecipient
from vault.mail import outbox
from vault.verification.quorum import Answer
from vault.verification.state import Recorded

WRAP = 76
"""Characters of a line."""


def letter(
    mail: Mail,
    site: str,
    to: Sequence[MailRecipient],
    subject: str,
    text: str,
    now: datetime,
    *,
    reply: bool = False,
) -> EmailMessage:
    """A plain mail. Its headers tell machines that no person wrote it, so that none answers."""
    message = EmailMessage()
    message["From"] = Address(f"vault {site}", addr_spec=mail.sender)
    message["To"] = [Address(each.name, addr_spec=each.address) for each in to]
    message["Date"] = format_datetime(now)
    message["Subject"] = subject
    message["Auto-Submitted"] = "auto-replied" if reply else "auto-generated"
    message["X-Auto-Response-Suppress"] = "OOF, AutoReply"
    message.set_content(f"{text}\n", cte="quoted-printable")
    return message


def tell_why_not(
    root: Path, mail: Mail, site: str, to: MailRecipient, reason: str, message: str, now: datetime
) -> None:
    """Queue the mail that says why an answer is no verdict, once for each answer."""
    text = (
        f"{to.name}, your answer was NOT counted.\n\n{reason}\n\n"
        "If you sent none, somebody else did: tell the others by telephone."
    )
    made = letter(mail, site, [to], "Your answer was NOT counted", text, now, reply=True)
    outbox.queue(root, made, f"refused {message} {to.name}")


def confirm_receipt(
    root: Path, mail: Mail, site: str, to: MailRecipient, recorded: Recorded, remark: str, now: datetime
) -> None:
    """Queue the mail that says what was counted: whoever did not answer learns that somebody did in that name."""
    patients = recorded.verdict.patients
    what = "the whole report" if patients is None else f"{len(patients)} of its patients"
    word = "VERIFY" if recorded.verdict.answer is Answer.VERIFY else "REJECT"
    text = (
        f"{to.name}, your answer to the run {recorded.run} was counted: {word} for {what}"
        f"{f' ({remark})' if remark else ''}.\n\n"
        "If you sent none, somebody else did: REJECT the report at once, and tell the others by telephone."
    )
    made = letter(mail, site, [to], f"Your {word} was counted", text, now, reply=True)
    outbox.queue(root, made, f"receipt {recorded.name}")
