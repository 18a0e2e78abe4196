"""Answers through real servers: OpenSMTPD takes them, Dovecot keeps them, the vault reads them over IMAP with TLS."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.message import EmailMessage
from pathlib import Path

import pytest
from answer_kit import mail
from mailservers import MailServers, mail_servers, missing_mail_servers
from verdict_kit import VerdictVault

from vault.alert import alert
from vault.errors import ExitCode
from vault.mail.inbox import LARGEST, open_inbox
from vault.mail.night import queue_digests
from vault.verification.quorum import State
from vault.verification.state import policy_of, states

pytestmark = pytest.mark.system


@pytest.fixture(scope="module")
def servers() -> Iterator[MailServers]:
    if reason := missing_mail_servers():
        pytest.skip(reason)
    with mail_servers() as running:
        yield running


def text_of(message: EmailMessage) -> str:
    body = message.get_body(("plain",))
    assert body is not None
    return str(body.get_content())


def code_in(message: EmailMessage) -> str:
    """The code of its reader, as the mail of a night has it."""
    (code,) = set(re.findall(r"^\s*VERIFY (\S{11})\s*$", text_of(message), re.MULTILINE))
    return str(code)


def reply(servers: MailServers, person: str, text: str, **options: object) -> None:
    message = mail(text, sender=servers.address(person), **options)  # type: ignore[arg-type]
    servers.send(person, message)


@pytest.mark.parametrize("implicit", [True, False], ids=["imaps", "starttls"])
def test_two_answers_from_two_accounts_confirm(servers: MailServers, tmp_path: Path, implicit: bool) -> None:
    vault = VerdictVault(tmp_path / "vault", servers.toml(implicit=implicit))
    began = datetime.now(UTC) - timedelta(days=2)
    run = vault.night("4711", "0815", began=began)
    ten = next(iter(states(vault.ledger, policy_of(vault.config)))).deadline
    before = {person: len(servers.inbox(person)) for person in ("ann", "ben")}
    assert queue_digests(vault.config, began) == []
    assert alert(vault.config, now=began + timedelta(minutes=10)).exit_code is ExitCode.DONE
    digests = {person: servers.arrived(person, before[person] + 1)[-1] for person in ("ann", "ben")}
    ann, ben = map(code_in, digests.values())
    assert (ann, ben) == (vault.code("Ann", run), vault.code("Ben", run))
    before = {person: number + 1 for person, number in before.items()}
    quoted = "".join(f"> {line}\n" for line in text_of(digests["ann"]).splitlines())
    reply(servers, "ann", f"VERIFY {ann}\n\nGrüße, Ann\n\nOn {ten}, vault wrote:\n{quoted}", written=ten)
    reply(servers, "ben", f"VERIFY {ann}", written=ten)  # not the code of Ben
    servers.arrived("vault", 2)
    first = alert(vault.config, now=ten - timedelta(minutes=5))
    assert first.exit_code is ExitCode.DONE, first.as_json()
    assert first.polled
    assert [each.verdict.recipient for each in first.polled.verdicts] == ["Ann"]
    assert servers.inbox("vault") == []
    receipt = servers.arrived("ann", before["ann"] + 1)[-1]
    refusal = servers.arrived("ben", before["ben"] + 1)[-1]
    assert receipt["Subject"] == "Your VERIFY was counted"
    assert "another recipient's" in refusal.get_body(("plain",)).get_content().replace("\n", " ")
    for minutes in (0, 5, 10, 20):
        report = alert(vault.config, now=ten + timedelta(minutes=minutes))
        assert report.exit_code is ExitCode.DONE, report.as_json()
        assert [each.reason for each in report.alarms] == ([] if minutes == 5 else ["unanswered"])
    alarms = servers.arrived("ben", before["ben"] + 4)[-3:]
    assert {each["Subject"] for each in alarms} == {"ALARM: 2 patients not confirmed"}
    assert "Answered: Ann (VERIFY)" in alarms[0].get_body(("plain",)).get_content()
    assert vault.verified("4711") is None
    reply(servers, "ben", "", html=f"<p>VERIFY {ben}</p><blockquote>REJECT {ben}</blockquote>", written=ten)
    servers.arrived("vault")
    last = alert(vault.config, now=ten + timedelta(minutes=25))
    assert last.exit_code is ExitCode.DONE, last.as_json()
    assert [run.state for run in states(vault.ledger, policy_of(vault.config))] == [State.CONFIRMED]
    for patient in ("4711", "0815"):
        assert vault.verified(patient) == vault.tip(patient)
    assert alert(vault.config, now=ten + timedelta(minutes=30)).alarms == []


def test_a_mail_that_is_too_large_is_not_fetched_and_its_sender_is_told(
    servers: MailServers, tmp_path: Path
) -> None:
    vault = VerdictVault(tmp_path / "vault", servers.toml())
    began = datetime(2026, 7, 1, 1, tzinfo=UTC)
    run = vault.night("4711", began=began)
    message = mail(f"VERIFY {vault.code('Ann', run)}", sender=servers.address("ann"))
    message.add_attachment(
        bytes(24_000_000), maintype="application", subtype="octet-stream", filename="a.bin"
    )
    assert len(bytes(message)) > LARGEST
    before = len(servers.inbox("ann"))
    servers.send("ann", message)
    servers.arrived("vault")
    report = alert(vault.config, now=began + timedelta(hours=1), read=True)
    assert report.alarms == []  # the answer is the only mail that goes out
    assert report.polled
    assert report.polled.verdicts == []
    assert report.polled.failed == []
    assert "larger" in servers.arrived("ann", before + 1)[-1].get_body(("plain",)).get_content()


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('ca = "', '#ca = "', "does not trust"),
        ('user = "vault"', 'user = "nobody"', "refuses the account"),
        ("timeout", 'imap_folder = "Elsewhere"\ntimeout', "no such folder"),
    ],
)
def test_what_is_wrong_is_said(servers: MailServers, tmp_path: Path, old: str, new: str, said: str) -> None:
    if said == "refuses the account":  # the test's Dovecot knows everybody, so the password is wrong
        (tmp_path / "password").write_text("wrong\n")
        (tmp_path / "password").chmod(0o600)
        old, new = str(servers.password_file), str(tmp_path / "password")
    section = servers.toml()
    assert old in section
    vault = VerdictVault(tmp_path / "vault", section.replace(old, new, 1))
    vault.night("4711", began=datetime.now(UTC) - timedelta(hours=1))
    report = alert(vault.config, now=datetime.now(UTC), read=True)
    assert report.exit_code is ExitCode.PARTIAL
    assert report.polled
    assert [said in failure.reason for failure in report.polled.failed] == [True]


def test_messages_stay_until_they_have_been_dealt_with(servers: MailServers, tmp_path: Path) -> None:
    vault = VerdictVault(tmp_path / "vault", servers.toml())
    for number in range(3):
        reply(servers, "ann", f"message {number}")
    servers.arrived("vault", 3)
    assert vault.config.mail
    for expected in (3, 2, 1, 0):
        opened = open_inbox(vault.config.mail)
        assert opened is not None
        with opened as mailbox:
            found = list(mailbox.messages())
            assert len(found) == expected
            assert all(each.whole and b"message" in each.raw for each in found)
            if found:
                mailbox.done(found[0])
    assert servers.inbox("vault") == []
