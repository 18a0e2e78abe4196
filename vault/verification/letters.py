"""Mails about verdicts: to who answered, and alarms to everybody. No patient's name or ID is in any of them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from email.message import EmailMessage
from pathlib import Path

from vault.config import Mail, MailRecipient
from vault.mail import outbox
from vault.verification.quorum import Answer
from vault.verification.state import Recorded


def letter(
    mail: Mail,
    site: str,
    to: Sequence[MailRecipient],
    subject: str,
    text: str,
    now: datetime,
    *,
    reply: bool = False,
    emergency: str = "",
) -> EmailMessage:
    """A mail of a few paragraphs. Its headers tell machines that no person wrote it, so that none answers.

    `emergency` is since when one is in force, in words; empty when none is.
    """
    from vault.mail.message import message  # noqa: PLC0415  # templates, which most polls do not need
    from vault.mail.notices import notice  # noqa: PLC0415

    people = [(each.name, each.address) for each in to]
    return message(mail, site, notice(site, subject, text, emergency=emergency), people, now, reply=reply)


def tell_why_not(
    root: Path,
    mail: Mail,
    site: str,
    to: MailRecipient,
    reason: str,
    message: str,
    now: datetime,
    emergency: str = "",
) -> None:
    """Queue the mail that says why an answer is no verdict, once for each answer."""
    text = (
        f"{to.name}, your answer was NOT counted.\n\n{reason}\n\n"
        "If you sent none, somebody else did: tell the others by telephone."
    )
    made = letter(mail, site, [to], "Your answer was NOT counted", text, now, reply=True, emergency=emergency)
    outbox.queue(root, made, f"refused {message} {to.name}")


def confirm_receipt(
    root: Path,
    mail: Mail,
    site: str,
    to: MailRecipient,
    recorded: Recorded,
    remark: str,
    now: datetime,
    emergency: str = "",
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
    made = letter(mail, site, [to], f"Your {word} was counted", text, now, reply=True, emergency=emergency)
    outbox.queue(root, made, f"receipt {recorded.name}")
