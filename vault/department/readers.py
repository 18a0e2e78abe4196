"""The people of the simulated department who read the vault's mail and answer it, as mail programs do."""

from __future__ import annotations

import re
import secrets
from datetime import datetime
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from email.utils import format_datetime, parseaddr
from pathlib import Path

from vault.files import private_folder, write_file

_CODE = re.compile(r"^\s*VERIFY ([0-9A-Z]{5}-[0-9A-Z]{5})\b", re.MULTILINE)


def answer(out: Path, answers: Path, address: str, word: str, now: datetime) -> bool:
    """Answer the newest mail that asks `address` for a verdict with `word`; False where none does.

    `out` is the maildir of the vault's mail, `answers` the one that it reads.
    """
    asked = [(mail, code) for mail in _received(out, address) if (code := _code(mail))]
    if not asked:
        return False
    mail, code = max(asked, key=lambda each: each[0]["Date"].datetime)
    reply = EmailMessage()
    reply["From"], reply["To"] = address, mail["From"]
    reply["Subject"] = f"Re: {mail['Subject']}"
    reply["Date"] = format_datetime(now)
    reply["Message-ID"] = f"<{secrets.token_hex(16)}@{address.rpartition('@')[2]}>"
    reply["In-Reply-To"] = mail["Message-ID"]
    quoted = "".join(f"> {line}\n" for line in _text(mail).splitlines())
    reply.set_content(f"{word} {code}\n\nOn {mail['Date']}, vault wrote:\n{quoted}")
    for name in ("tmp", "new", "cur"):
        private_folder(answers / name)
    write_file(answers / "new" / f"{int(now.timestamp())}.{secrets.token_hex(8)}.reader", bytes(reply))
    return True


def _received(out: Path, address: str) -> list[EmailMessage]:
    found = []
    for path in [*(out / "new").glob("*"), *(out / "cur").glob("*")]:
        mail = message_from_bytes(path.read_bytes(), _class=EmailMessage, policy=default)
        if parseaddr(str(mail["To"]))[1] == address:
            found.append(mail)
    return found


def _text(mail: EmailMessage) -> str:
    body = mail.get_body(("plain",))
    return str(body.get_content()) if body else ""


def _code(mail: EmailMessage) -> str:
    match = _CODE.search(_text(mail))
    return match[1] if match else ""
