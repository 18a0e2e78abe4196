"""Answers as people and machines send them, and the desk that they arrive at."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.message import EmailMessage
from email.utils import format_datetime

from vault.verification.judge import Docket, Recipient
from vault.verification.proof import TOTP_STEP, Step, change_set_digest, code
from vault.verification.quorum import Answer, Verdict
from vault.verification.runs import Asked, ChangeSet
from vault.verification.state import Policy, Recorded, run_state

KEY = bytes(range(32))
SECRET = b"12345678901234567890"
ADDRESSES = {"Ann": "ann@hospital.example", "Ben": "ben@hospital.example", "Cem": "cem@hospital.example"}
VAULT = "vault@hospital.example"

ONE, TWO = "aa" * 8, "bb" * 8
NAMES = {"4711": ONE, ONE: ONE, "0815": TWO, TWO: TWO}

OLD_RUN = "20261124T020000Z-00aa"
RUN = "20261125T020000Z-00bb"
BEGAN = datetime(2026, 11, 25, 2, tzinfo=UTC)
NOW = datetime(2026, 11, 25, 7, 30, tzinfo=UTC)
WRITTEN = datetime(2026, 11, 25, 7, 12, 10, tzinfo=UTC)


def change_set(run: str, steps: dict[str, Step]) -> ChangeSet:
    return ChangeSet(steps, change_set_digest(run, steps))


OLD = Asked(
    OLD_RUN,
    BEGAN - timedelta(days=1),
    True,
    (change_set(OLD_RUN, {ONE: Step(None, "1" * 40), TWO: Step(None, "5" * 40)}),),
)
NEW = Asked(
    RUN, BEGAN, True, (change_set(RUN, {ONE: Step("1" * 40, "2" * 40), TWO: Step("5" * 40, "6" * 40)}),)
)


def code_of(name: str, run: Asked = NEW) -> str:
    return code(KEY, name, run.name, run.changes.digest)


def totp_at(when: datetime = WRITTEN, secret: bytes = SECRET) -> str:
    """What a phone shows."""
    from cryptography.hazmat.primitives.hashes import SHA1
    from cryptography.hazmat.primitives.twofactor.hotp import HOTP

    return HOTP(secret, 6, SHA1()).generate(int(when.timestamp()) // TOTP_STEP).decode()


def said(
    name: str, answer: Answer = Answer.VERIFY, *pseudonyms: str, run: Asked = NEW, message: str = ""
) -> Recorded:
    """A verdict that the ledger has already."""
    verdict = Verdict(name, answer, frozenset(pseudonyms) or None)
    return Recorded(run.name, run.changes.digest, verdict, NOW - timedelta(hours=1), "mail", message or None)


def docket(*verdicts: Recorded, enrolled: tuple[str, ...] = (), **more: object) -> Docket:
    people = [
        Recipient(name, address, SECRET if name in enrolled else None) for name, address in ADDRESSES.items()
    ]
    runs = [run_state(run, [v for v in verdicts if v.run == run.name], Policy()) for run in (NEW, OLD)]
    return Docket(KEY, people, runs, NAMES, **more)  # type: ignore[arg-type]


def mail(
    text: str = "",
    *,
    sender: str = ADDRESSES["Ann"],
    html: str = "",
    written: datetime = WRITTEN,
    **headers: str,
) -> EmailMessage:
    """What a mail program sends."""
    message = EmailMessage()
    message["From"] = sender
    message["To"] = VAULT
    message["Subject"] = "Re: [vault] 2 patients changed"
    message["Date"] = format_datetime(written)
    message["Message-ID"] = f"<{abs(hash((text, html, sender)))}@mail.example>"
    for name, value in headers.items():
        del message[name.replace("_", "-")]
        message[name.replace("_", "-")] = value
    if text or not html:
        message.set_content(text)
    if html and text:
        message.add_alternative(html, subtype="html")
    elif html:
        message.set_content(html, subtype="html")
    return message


def digest_text(name: str) -> str:
    """The vault's mail as an answer quotes it."""
    own = code_of(name)
    return f"2 patients changed. Answer with VERIFY or REJECT:\n\nVERIFY {own}\nREJECT {own}\n"


def quoted(name: str) -> str:
    lines = "".join(f"> {line}\n" for line in digest_text(name).splitlines())
    return f"On Wed, 25 Nov 2026 at 05:02, vault <{VAULT}> wrote:\n{lines}"
