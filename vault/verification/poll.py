"""Reading the answers: each becomes a verdict in the ledger, or a mail to its sender that says why not.

A message is moved out of the way once what it said is durable. A process that is killed before meets it again, and
knows it by its Message-ID; so no verdict is lost, and none counts twice.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from vault.archive.ledger import Ledger
from vault.archive.repository import all_repositories
from vault.archive.signing import Signer
from vault.config import Config, Mail, MailRecipient
from vault.errors import ConfigError, IntegrityError, MailError, VaultError
from vault.keys import Pseudonyms, read_pseudonym_key
from vault.mail.emergency import in_force
from vault.mail.inbox import Arrived, Mailbox, open_inbox
from vault.model import Failure
from vault.verification.answers import read_answer
from vault.verification.enrolment import read_totp_secret
from vault.verification.judge import Docket, Judged, Recipient, Refused, judge
from vault.verification.letters import confirm_receipt, tell_why_not
from vault.verification.quorum import Answer
from vault.verification.state import Recorded, policy_of, recorded, run_state, states, used_steps
from vault.verification.verified import Moved, move_refs

WRONG_TOTPS = 5
"""Wrong TOTPs of one recipient in one poll, from which on none is tried: somebody is guessing."""

READING = 300.0
"""Seconds after which no further answer is begun: the alarms come first, the others are read with the next poll."""

MOST_TOLD = 10
"""Mails in one poll that say to one recipient why answers did not count: who floods the vault floods nobody else, and
does not use up what the mail server lets the vault send."""

SHARED = "have the same secret, so that one phone could confirm for both: `vault verify enrol --replace` makes new ones"

_ATTEMPTS = 5
"""Tries to record a verdict while another process writes the ledger."""


@dataclass(slots=True)
class Polled:
    """What a poll came to."""

    read: int = 0
    verdicts: list[Recorded] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    """Why messages were no verdicts: sentences that name nobody."""
    notices: list[str] = field(default_factory=list)
    moved: list[str] = field(default_factory=list)
    """Pseudonyms of the patients whose verified commit has moved."""
    failed: list[Failure] = field(default_factory=list)
    integrity: bool = False


class Desk:
    """Where answers are judged and recorded: the ledger, the recipients, and where the runs stand."""

    def __init__(self, config: Config) -> None:
        if config.mail is None:
            raise ConfigError(f"{config.path}: without [mail] there is nobody who could confirm anything.")
        self.config = config
        self.mail: Mail = config.mail
        self.root = config.vault.root
        self.policy = policy_of(config)
        self.key = read_pseudonym_key(config.vault.pseudonym_key)
        self.pseudonyms = Pseudonyms(self.key)
        signer = Signer.load(config.vault.signing_key)
        self.ledger = Ledger(
            self.root, signer, allowed_signers=config.vault.signing_key.parent / "allowed_signers"
        )
        self.damaged: list[Failure] = []
        self.patients = {
            self.pseudonyms.of(repository.patient_id): repository.patient_id
            for repository in all_repositories(self.root, self.damaged)
        }
        """Pseudonym to patient ID."""
        self.shared: tuple[str, ...] = ()
        """Who have the same secret on their phones."""
        self.docket = self._docket()

    @property
    def emergency(self) -> str:
        """Since when one is in force, in words; empty when none is, or the ledger can't say: no mail waits for it."""
        try:
            return in_force(self.ledger, ZoneInfo(self.config.site.timezone))
        except (VaultError, LookupError, TypeError, ValueError):
            return ""

    def person(self, name: str) -> MailRecipient:
        """A recipient by name. Raises ConfigError."""
        for each in self.mail.recipients:
            if each.name.casefold() == name.casefold():
                return each
        names = ", ".join(each.name for each in self.mail.recipients)
        raise ConfigError(f"There is no recipient {name}; [[mail.recipients]] has {names}.")

    def record(self, verdict: Recorded) -> None:
        """Write a verdict into the ledger, durably, and let it count. Recording it again changes nothing."""
        self.append("verdicts", verdict.name, verdict.event(), verdict.at)
        self.docket = self._counted(verdict)

    def append(self, kind: str, name: str, event: Mapping[str, Any], when: datetime) -> None:
        """Record an event unless one of that name is there."""
        for attempt in range(_ATTEMPTS):
            try:
                if self.ledger.get(kind, name) is None:
                    self.ledger.append(kind, name, event, when=when, author=self.config.site.name)
            except VaultError as error:  # another process wrote the ledger at the same moment
                if attempt == _ATTEMPTS - 1 or isinstance(error, IntegrityError):
                    raise
            else:
                return

    def settle(self) -> Moved:
        """Bring the verified commits to where the verdicts say."""
        damaged: list[Failure] = []
        return move_refs(all_repositories(self.root, damaged), self.docket.runs, self.pseudonyms)

    def _secret(self, person: MailRecipient) -> bytes | None:
        """The secret of a phone. One that can't be read silences its owner, and no alarm."""
        try:
            return read_totp_secret(person)
        except ConfigError as error:
            self.damaged.append(Failure("a phone's secret", str(error)))
            return b""

    def _people(self) -> list[Recipient]:
        """Who may answer. Whoever shares a secret is no second person by it: its digits count for neither."""
        secrets = {each.name: self._secret(each) for each in self.mail.recipients}
        shared = {
            name for name, secret in secrets.items() if secret and list(secrets.values()).count(secret) > 1
        }
        self.shared = tuple(sorted(shared))
        if shared:
            self.damaged.append(Failure("phones' secrets", f"{' and '.join(self.shared)} {SHARED}"))
        return [
            Recipient(each.name, each.address, b"" if each.name in shared else secrets[each.name])
            for each in self.mail.recipients
        ]

    def _docket(self) -> Docket:
        verdicts = recorded(self.ledger)
        people = self._people()
        names = {patient_id.casefold(): pseudonym for pseudonym, patient_id in self.patients.items()}
        runs = states(self.ledger, self.policy)
        known = {pseudonym for run in runs for pseudonym in run.patients}
        return Docket(
            self.key,
            people,
            runs,
            {**names, **{pseudonym: pseudonym for pseudonym in known}},
            self.config.verification.totp,
            used_steps(verdicts),
            frozenset(each.message for each in verdicts if each.message),
        )

    def _counted(self, verdict: Recorded) -> Docket:
        """The docket after a verdict."""
        runs = [
            run_state(each.run, [*each.verdicts, verdict], self.policy)
            if each.run.name == verdict.run and verdict not in each.verdicts
            else each
            for each in self.docket.runs
        ]
        used = dict(self.docket.used)
        if verdict.totp_step is not None:
            used[verdict.verdict.recipient] = verdict.totp_step
        seen = self.docket.seen | ({verdict.message} if verdict.message else set())
        return replace(self.docket, runs=runs, used=used, seen=seen)


def poll(desk: Desk, now: datetime) -> Polled:
    """Read what has arrived, with the network open, and settle. Failures are in the result."""
    result = Polled()
    try:
        opened = open_inbox(desk.mail)
        if opened is not None:
            with opened as mailbox:
                _read_all(desk, mailbox, now, result)
    except (MailError, ConfigError) as error:  # a password's file that can't be read, too
        result.failed.append(Failure("mail", str(error)))
    except Exception as error:  # a defect of ours, or of a library that a server has met, stops no alarm
        result.failed.append(
            Failure("mail", f"the answers can't be read: an unforeseen {type(error).__name__}")
        )
    moved = desk.settle()
    result.moved = moved.patients
    result.failed += moved.failed
    result.integrity |= moved.integrity
    return result


def _read_all(desk: Desk, mailbox: Mailbox, now: datetime, result: Polled) -> None:
    wrong: Counter[str] = Counter()
    told: Counter[str] = Counter()
    ends = time.monotonic() + READING
    for arrived in mailbox.messages():
        if time.monotonic() > ends:
            result.notices.append("Reading took too long: the answers behind wait for the next poll.")
            break
        result.read += 1
        try:
            _read(desk, arrived, now, result, wrong, told)
        except (VaultError, OSError) as error:  # it stays, and is read again
            why = str(error) if isinstance(error, VaultError) else error.strerror or type(error).__name__
            result.failed.append(Failure("an answer", why))
            result.integrity |= isinstance(error, IntegrityError)
            continue
        except Exception as error:  # a defect of ours that a hostile mail met: put aside, it stops no alarm
            said = f"it can't be read: an unforeseen {type(error).__name__}"
            result.failed.append(Failure("an answer", said))
        mailbox.done(arrived)
    for name, number in told.items():
        if number > MOST_TOLD:
            result.notices.append(f"{number} answers of {name} did not count, and {MOST_TOLD} were answered.")
    for name in _guessed(wrong):
        result.notices.append(
            f"{wrong[name]} answers with the code of {name} had wrong one-time codes: somebody who reads the mail "
            f"may be guessing them. VERIFY of {name} counts at the console only, until the next poll."
        )


def _read(
    desk: Desk, arrived: Arrived, now: datetime, result: Polled, wrong: Counter[str], told: Counter[str]
) -> None:
    found = judge(read_answer(arrived.raw, whole=arrived.whole), desk.docket, now)
    if isinstance(found, Judged) and _suspicious(found.recorded, wrong):
        name = found.recorded.verdict.recipient
        found = Refused("Too many wrong one-time codes came under your name. Answer again in an hour.", name)
    site = desk.config.site.name
    if isinstance(found, Judged):
        for each in (found, *found.also):
            verdict = each.recorded
            desk.record(verdict)
            result.verdicts.append(verdict)
            person = desk.person(verdict.verdict.recipient)
            confirm_receipt(desk.root, desk.mail, site, person, verdict, each.remark, now, desk.emergency)
        return
    result.refused.append(found.reason)
    if found.counted:  # by a process that was killed before it could say so, perhaps
        verdict = next(each for each in recorded(desk.ledger) if each.message == found.counted)
        for person in desk.mail.recipients:  # nobody, where they have left
            if person.name == verdict.verdict.recipient:
                confirm_receipt(desk.root, desk.mail, site, person, verdict, "", now, desk.emergency)
    if found.bad_totp:
        wrong[found.bad_totp] += 1
    if found.tell:
        told[found.tell] += 1
    if found.tell and told[found.tell] <= MOST_TOLD:
        message = _known_by(arrived)
        tell_why_not(
            desk.root, desk.mail, site, desk.person(found.tell), found.reason, message, now, desk.emergency
        )


def _suspicious(verdict: Recorded, wrong: Counter[str]) -> bool:
    return verdict.verdict.answer is Answer.VERIFY and wrong[verdict.verdict.recipient] >= WRONG_TOTPS


def _guessed(wrong: Counter[str]) -> Iterable[str]:
    return (name for name, number in wrong.items() if number >= WRONG_TOTPS)


def _known_by(arrived: Arrived) -> str:
    """What tells this message from all others, so that its sender is told once."""
    import hashlib  # noqa: PLC0415

    return hashlib.sha256(arrived.raw).hexdigest()
