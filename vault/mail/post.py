"""What is mailed, and when: composed offline into the outbox, handed over while the network is open.

Each mail has a key, so that composing again (after a crash, or by a later run) is no second mail. A run's mail is
composed by the run, or, where that was killed, by the next one.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.message import EmailMessage
from zoneinfo import ZoneInfo

from vault.archive.ledger import Ledger
from vault.archive.repository import all_repositories
from vault.config import Config, Mail, MailRecipient
from vault.errors import MailError, VaultError
from vault.keys import Pseudonyms, read_pseudonym_key
from vault.mail import notices, outbox
from vault.mail.ask import ask_for
from vault.mail.attachments import enclosed
from vault.mail.content import Ask, Content
from vault.mail.digest import Circumstances, digest
from vault.mail.emergency import in_force
from vault.mail.message import Attachment, message
from vault.mail.transport import transport_of
from vault.model import Failure
from vault.report.accounts import folder_of
from vault.report.changes import RunReport, run_report
from vault.report.telling import failure_text
from vault.retention.standing import announced
from vault.verification.deadline import deadline_of
from vault.verification.runs import Asked, asked, codes

_TAKEN_UP = re.compile(r"\.[0-9]+$")
"""Ends the name under which the ledger has what a later run finished of one."""

LATE = timedelta(days=2)
"""How old a run may be whose mail was never composed, and is now."""


@dataclass(frozen=True, slots=True)
class _Desk:
    """What every mail is composed with."""

    config: Config
    mail: Mail
    ledger: Ledger
    zone: ZoneInfo
    now: datetime
    key: bytes

    @property
    def emergency(self) -> str:
        """Since when one is in force, in words; empty when none is."""
        return in_force(self.ledger, self.zone)


def _desk(config: Config, now: datetime) -> _Desk | None:
    if config.mail is None:
        return None
    zone = ZoneInfo(config.site.timezone)
    key = read_pseudonym_key(config.vault.pseudonym_key)
    return _Desk(config, config.mail, Ledger(config.vault.root), zone, now.astimezone(zone), key)


# --- the mail of a run


def queue_digests(config: Config, now: datetime) -> list[Failure]:
    """Queue the mails of every run that has none yet; returns what the mails lack.

    Does nothing where `[mail]` is left out. Raises VaultError for a ledger, keys or rules that can't be read, OSError
    for this computer's disk.
    """
    failed: list[Failure] = []
    desk = _desk(config, now)
    if desk is not None:
        for run in _unmailed(desk):
            _queue_digest(desk, run, failed)
    return failed


def _unmailed(desk: _Desk) -> Iterator[str]:
    """The newest run, and those of the last days where the vault has mailed before; oldest first."""
    names = [name for name in desk.ledger.names("runs") if not _TAKEN_UP.search(name)]
    root = desk.config.vault.root
    if not (root / outbox.FOLDER / "outbox").is_dir():
        return iter(names[:1])
    since = f"{desk.now.astimezone(UTC) - LATE:%Y%m%dT%H%M%SZ}"
    return reversed([name for number, name in enumerate(names) if number == 0 or name >= since])


def _queue_digest(desk: _Desk, run: str, failed: list[Failure]) -> None:
    config, mail, root = desk.config, desk.mail, desk.config.vault.root
    changed = next((each for each in asked(desk.ledger) if each.name == run and each.somebody), None)
    version = changed.changes.digest[:16] if changed else "unchanged"
    keys = {each.name: f"digest {run} {version} {each.name}" for each in mail.recipients}
    lacking = [each for each in mail.recipients if not outbox.known(root, keys[each.name], each.address)]
    if not lacking:
        return
    report = run_report(config, run)
    files = _files(config, report)
    asks = _asks(desk, changed, report.began)
    leaving = _leaving(desk, report.began)
    trouble: dict[str, None] = {}
    for recipient in lacking:
        with_it = enclosed(mail, recipient, files, run)
        if with_it.trouble:
            trouble[with_it.trouble] = None
        about = Circumstances(
            full=mail.content == "full",
            confirm_by=_deadline(desk, report.began) if changed else None,
            emergency=desk.emergency,
            attached=with_it.said,
            leaving=leaving,
        )
        made = message(
            mail,
            config.site.name,
            _of_run(desk, report, about, asks.get(recipient.name)),
            [(recipient.name, recipient.address)],
            desk.now,
            run=run,
            ledger_head=report.ledger_head,
            attachments=with_it.attachments,
        )
        outbox.queue(root, made, keys[recipient.name])
    failed.extend(Failure("mail", why) for why in trouble)


def _leaving(desk: _Desk, began: datetime) -> tuple[str, ...]:
    """Who goes with the next night unless somebody objects, as this run announced; pseudonyms in limited mail."""
    found = {each for each, when in announced(desk.ledger).items() if when >= began}
    if not found or desk.mail.content == "limited":
        return tuple(sorted(found))
    pseudonyms, damaged = Pseudonyms(desk.key), list[Failure]()
    repositories = all_repositories(desk.config.vault.root, damaged)
    names = {pseudonyms.of(each.patient_id): each.patient_id for each in repositories}
    return tuple(sorted(names.get(each, f"pseudonym {each}") for each in found))


def _of_run(desk: _Desk, report: RunReport, about: Circumstances, ask: Ask | None) -> Content:
    """The digest; of a run that got nowhere, the mail of a night that failed."""
    if report.asked or not report.failed:
        return digest(report, about, ask)
    reasons = [
        failure_text(failure)
        if about.full or not failure.subject.startswith("repository")
        else failure.reason
        for failure in report.failed  # a repository's name is made from the patient's ID
    ]
    return notices.night_failed(
        report.site, report.began, reasons, desk.config.vault.root, full=about.full, emergency=about.emergency
    )


def _files(config: Config, report: RunReport) -> list[Attachment]:
    """The run's report as files; none where nothing happened."""
    if not (report.patients or (report.failed and report.asked) or report.anomalies):
        return []
    folder = folder_of(config.vault.root, report.run)
    name = f"vault-{report.began:%Y-%m-%d}"
    files = []
    try:
        page = (folder / "report.html").read_bytes()
    except FileNotFoundError:
        from vault.report.html import html  # noqa: PLC0415  # only where the night's own is gone

        page = html(report)
    files.append(Attachment(f"{name}.html", page, "text", "html"))
    if (folder / "report.pdf").exists():
        files.append(Attachment(f"{name}.pdf", (folder / "report.pdf").read_bytes(), "application", "pdf"))
    return files


def _asks(desk: _Desk, changed: Asked | None, began: datetime) -> Mapping[str, Ask]:
    """What each recipient is asked for, by name; nothing where nothing changed."""
    if changed is None:
        return {}
    names = [each.name for each in desk.mail.recipients]
    policy = desk.config.verification
    return {
        recipient.name: ask_for(
            recipient,
            code=code,
            run=changed.name,
            answers_to=desk.mail.sender,
            began=began,
            confirm_by=_deadline(desk, began),
            required=policy.required,
            full=desk.mail.content == "full",
            totp=_wants_totp(desk.config, recipient),
        )
        for recipient, code in zip(
            desk.mail.recipients, codes(desk.key, changed, names).values(), strict=True
        )
    }


def _wants_totp(config: Config, recipient: MailRecipient) -> bool:
    wanted = config.verification.totp
    enrolled = recipient.totp_file is not None and recipient.totp_file.exists()
    return wanted == "required" or (wanted == "enrolled" and enrolled)


def _deadline(desk: _Desk, began: datetime) -> datetime:
    return deadline_of(began, desk.config.verification.deadline, desk.zone).astimezone(desk.zone)


# --- a night that failed


def queue_night_failed(config: Config, now: datetime, reason: str) -> None:
    """Queue the mail of a night that failed as a whole. Raises VaultError or OSError."""
    desk = _desk_without_key(config, now)
    if desk is not None:
        made = notices.night_failed(
            config.site.name,
            desk.now,
            [reason],
            config.vault.root,
            full=desk.mail.content == "full",
            emergency=_emergency(desk),
        )
        _queue_to_all(desk, made, f"failed {desk.now.isoformat()}")


def queue_audit_found(config: Config, now: datetime, number: int) -> None:
    """Queue the alarm of an audit that found so many things not to be what they must be; one a day, to everybody.

    What they are stands in no mail, since it names repositories. Raises VaultError or OSError.
    """
    desk = _desk_without_key(config, now)
    if desk is not None:
        things = "one thing" if number == 1 else f"{number} things"
        made = notices.notice(
            config.site.name,
            f"ALARM: the audit found {things} wrong",
            f"{things.capitalize()} in the vault or on its share {'is' if number == 1 else 'are'} not what the signed "
            "histories and the ledger say: a damaged disk, or somebody changed it.\n\n"
            "At the vault, `vault audit` lists each with what to do. Until then, export nothing that it names, and do "
            "not delete anything.",
            emergency=_emergency(desk),
        )
        _queue_to_all(desk, made, f"audit {desk.now.date()}")


def queue_alarms_failed(config: Config, now: datetime, reason: str) -> None:
    """Queue the mail that says that the vault can't tell whether alarms are due; one an hour, to everybody.

    Raises VaultError or OSError.
    """
    desk = _desk_without_key(config, now)
    if desk is not None:
        _queue_to_all(desk, _alarms_failed(desk, reason), f"alarms failed {desk.now:%Y%m%dT%H}")


def send_alarms_failed(config: Config, now: datetime, reason: str) -> None:
    """Send the same with the network open, past an outbox whose disk is full. Raises VaultError or OSError."""
    desk = _desk_without_key(config, now)
    if desk is not None:
        whole = _to_all(desk, _alarms_failed(desk, reason))
        with transport_of(desk.mail).session() as session:
            for letter in outbox.letters(whole, f"alarms failed {desk.now.isoformat()}"):
                with suppress(MailError):  # the others get theirs
                    session.send(letter)


def _alarms_failed(desk: _Desk, reason: str) -> Content:
    return notices.notice(
        desk.config.site.name,
        "ALARM: the vault can't tell what was confirmed",
        "What people have confirmed, or what a night changed, can't be read or recorded: answers are not counted, and "
        f"no other alarm may come.\n\n{notices.without_paths(reason, desk.config.vault.root)}\n\n"
        "At the vault, `vault doctor` and `vault audit` say how to mend it.",
        emergency=_emergency(desk),
    )


def _queue_to_all(desk: _Desk, made: Content, key: str) -> None:
    outbox.queue(desk.config.vault.root, _to_all(desk, made), key)


def _to_all(desk: _Desk, made: Content) -> EmailMessage:
    people = [(each.name, each.address) for each in desk.mail.recipients]
    return message(desk.mail, desk.config.site.name, made, people, desk.now)


def _desk_without_key(config: Config, now: datetime) -> _Desk | None:
    """For a night that may have failed because the keys are gone."""
    if config.mail is None:
        return None
    zone = ZoneInfo(config.site.timezone)
    return _Desk(config, config.mail, Ledger(config.vault.root), zone, now.astimezone(zone), b"")


def _emergency(desk: _Desk) -> str:
    try:
        return desk.emergency
    except (VaultError, LookupError, TypeError, ValueError):  # it may have failed for the ledger's sake
        return ""
