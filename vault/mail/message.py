"""From content to a message: headers that say what it is to machines, text and HTML, and what is attached."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from email import message_from_bytes
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime

from vault.config import Mail
from vault.mail.content import Content
from vault.mail.render import html, text

RUN = "X-Vault-Run"
LEDGER = "X-Vault-Ledger-Head"
"""Headers by which a program finds a run's mail, and the ledger's head in a mailbox."""


@dataclass(frozen=True, slots=True)
class Attachment:
    """A file, or a whole message, that goes with a mail."""

    name: str
    data: bytes
    maintype: str = "application"
    subtype: str = "octet-stream"


def message(
    mail: Mail,
    site: str,
    content: Content,
    to: Sequence[tuple[str, str]],
    now: datetime,
    *,
    run: str = "",
    ledger_head: str | None = None,
    attachments: Sequence[Attachment] = (),
    reply: bool = False,
) -> EmailMessage:
    """The message of `content` to people (name, address); `reply` says that it answers a mail of theirs."""
    made = EmailMessage()
    made["From"] = _address(f"vault {site}", mail.sender)
    made["To"] = [_address(name, address) for name, address in to]
    made["Date"] = format_datetime(now)
    made["Subject"] = content.subject
    made["Auto-Submitted"] = "auto-replied" if reply else "auto-generated"  # RFC 3834: no machine answers it
    made["X-Auto-Response-Suppress"] = "OOF, AutoReply"
    if run:
        made[RUN] = run
    if ledger_head:
        made[LEDGER] = ledger_head
    made.set_content(text(content), cte="quoted-printable")
    made.add_alternative(html(content), subtype="html", cte="quoted-printable")
    for attachment in attachments:
        _attach(made, attachment)
    return made


def _attach(made: EmailMessage, attachment: Attachment) -> None:
    if attachment.maintype == "message":
        whole = message_from_bytes(attachment.data, policy=SMTP)
        made.add_attachment(whole, filename=attachment.name)
        return
    made.add_attachment(
        attachment.data, maintype=attachment.maintype, subtype=attachment.subtype, filename=attachment.name
    )


def _address(name: str, address: str) -> Address:
    return Address(name, addr_spec=address)
