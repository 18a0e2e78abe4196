"""How a reader answers: the lines, and links that open a mail with the line in it."""

from __future__ import annotations

from datetime import datetime
from urllib.parse import quote

from vault.config import MailRecipient
from vault.mail.content import Ask
from vault.mail.digest import clock


def ask_for(
    recipient: MailRecipient,
    *,
    code: str,
    run: str,
    answers_to: str,
    began: datetime,
    confirm_by: datetime,
    required: int,
    full: bool,
    totp: bool,
) -> Ask:
    """What one recipient is asked for. `answers_to` is the vault's address; `totp`: a one-time code is wanted, too."""
    verify, reject = f"VERIFY {code}", f"REJECT {code}"
    how = [
        f"The code is yours, {recipient.name}: answer from {recipient.address}, and write nothing else above the line.",
    ]
    if totp:
        how.insert(
            0, "Behind the code of VERIFY, type the six digits that your phone shows; REJECT needs none."
        )
    named = "IDs, as they stand below," if full else "pseudonyms, as they stand below,"
    how.append(f"To answer for some patients only, write their {named} behind the code.")
    others = "Another person has" if required == 2 else f"{required - 1} other people have"
    if required > 1:
        how.append(f"{others} to confirm, too. One REJECT alarms everybody at once.")
    return Ask(
        heading=f"Please answer by {clock(confirm_by, began)}",
        verify=verify,
        reject=reject,
        verify_link=_mailto(answers_to, f"VERIFY vault {run}", f"{verify} " if totp else verify),
        reject_link=_mailto(answers_to, f"REJECT vault {run}", reject),
        how=tuple(how),
    )


def _mailto(address: str, subject: str, body: str) -> str:
    """A link that opens a mail (RFC 6068)."""
    return f"mailto:{quote(address, safe='@')}?subject={quote(subject)}&body={quote(body)}"
