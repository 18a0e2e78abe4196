"""A night and its mail: composed once, delivered when it can be, said when it can't, and never at the night's cost."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path

import mailservers
import pytest
from mail_kit import read
from mail_night import MARKS, PATIENTS, Ward, into_a_maildir, ward

from vault import sync as sync_module
from vault.archive.ledger import Ledger
from vault.archive.signing import Signer
from vault.department.ports import free_ports
from vault.errors import ConfigError, ExitCode
from vault.keys import Pseudonyms, read_pseudonym_key
from vault.mail import outbox
from vault.retention.standing import emergency
from vault.verification.runs import asked, codes

Wards = Callable[..., Ward]


@pytest.fixture
def new_ward(tmp_path: Path) -> Iterator[Wards]:
    with ExitStack() as open_:
        yield lambda mail=None: open_.enter_context(
            ward(tmp_path, into_a_maildir() if mail is None else mail)
        )


def failures(report) -> str:
    return " ".join(failure.reason for failure in [*report.failed, *report.delivered.failed])


@pytest.mark.system
def test_a_night_is_mailed_through_real_servers_and_an_unchanged_one_is_a_short_mail(
    new_ward: Wards, servers: mailservers.MailServers
) -> None:
    before = {person: len(servers.inbox(person)) for person in ("ann", "ben")}
    place = new_ward(servers.toml(("ann", "ben"), implicit=False))
    place.play()
    report = place.vault.sync()
    assert (report.exit_code, report.delivered.mailed, report.delivered.mail_waiting) == (0, 2, 0), report
    quiet = place.vault.sync()
    assert (quiet.exit_code, quiet.delivered.mailed) == (0, 2)
    ledger = Ledger(place.vault.folder)
    (run,) = asked(ledger)
    key = read_pseudonym_key(place.vault.config.vault.pseudonym_key)
    for person, code in codes(key, run, ["Ann", "Ben"]).items():
        name = person.lower()
        first, second = servers.arrived(name, before[name] + 2)[before[name] :]
        assert first["Subject"] == "vault: 2 minor; confirm by 10:00"
        assert first["X-Vault-Ledger-Head"] == ledger.recorded("runs", report.run)
        plain = first.get_body(("plain",)).get_content()
        assert f"VERIFY {code}" in plain
        assert code in first.get_body(("html",)).get_content()
        for patient in PATIENTS:
            assert patient.patient_id in plain
        assert next(first.iter_attachments()).get_content_type() == "text/html"
        assert second["Subject"] == "vault: nothing changed; 2 patients"
        assert "VERIFY" not in second.get_body(("plain",)).get_content()
        assert list(second.iter_attachments()) == []
        assert first["Message-ID"] != second["Message-ID"]


def test_a_mail_server_that_is_away_costs_no_night_and_no_mail(new_ward: Wards) -> None:
    (port,) = free_ports(1)
    people = into_a_maildir().partition("[[")[2]
    place = new_ward(
        f'[mail]\nfrom = "vault@test.local"\ncontent = "full"\nsmtp = "smtp://127.0.0.1:{port}"\n[[{people}'
    )
    place.play()
    report = place.vault.sync()
    assert report.exit_code == ExitCode.PARTIAL
    assert f"The mail server 127.0.0.1:{port} can't be reached (Connection refused)" in failures(report)
    assert (report.delivered.mailed, report.delivered.mail_waiting) == (0, 2)
    assert place.vault.tips()
    said = place.vault.command("status").stdout
    assert f"2 letters waiting for 127.0.0.1:{port}" in said
    assert json.loads(place.vault.command("--json", "status").stdout)["mail"] == {
        "configured": True,
        "waiting": 2,
        "refused": 0,
    }
    text = place.vault.toml.read_text()
    place.vault.toml.write_text(text.replace(f'smtp = "smtp://127.0.0.1:{port}"', 'maildir = "mail/out"'))
    later = place.vault.sync()
    assert (later.exit_code, later.delivered.mailed, later.delivered.mail_waiting) == (0, 4, 0)
    assert [mail["Subject"] for mail in place.mails()] == [
        "vault: 2 minor; confirm by 10:00",
        "vault: nothing changed; 2 patients",
    ]


def test_a_run_that_was_killed_before_it_composed_its_mail_is_mailed_by_the_next(
    new_ward: Wards, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = new_ward()
    place.play()
    place.vault.sync()
    place.play()
    with monkeypatch.context() as patched:
        patched.setattr(sync_module, "queue_digests", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            place.vault.sync()
    assert len(place.mails()) == 1
    place.vault.sync()
    subjects = [mail["Subject"] for mail in place.mails()]
    assert len(subjects) == 3
    assert sum("nothing changed" in subject for subject in subjects) == 1
    runs = {mail["X-Vault-Run"] for mail in place.mails()}
    assert runs == {event["run"] for event in Ledger(place.vault.folder).events("runs")}
    place.vault.sync()
    assert len(place.mails()) == 4, "each once"


def test_mail_that_is_turned_on_later_does_not_tell_the_past(new_ward: Wards) -> None:
    place = new_ward("")
    place.play()
    place.vault.sync()
    assert not (place.vault.folder / "mail").exists()
    assert "[mail]: nobody is told what a night found" in place.vault.command("status").stdout
    place.vault.toml.write_text(place.vault.toml.read_text() + into_a_maildir())
    place.vault.sync()
    assert [mail["Subject"] for mail in place.mails()] == ["vault: nothing changed; 2 patients"]


def test_a_night_that_fails_as_a_whole_is_mailed_in_plain_words(new_ward: Wards) -> None:
    place = new_ward()
    place.play()
    place.vault.sync()
    key = place.vault.folder / "keys/signing_key"
    key.rename(key.with_suffix(".away"))
    with pytest.raises(ConfigError):
        place.vault.sync()
    newest = place.mails()[-1]
    assert newest["Subject"] == "vault: THE NIGHT FAILED, nothing was compared"
    assert "signing key" in newest.get_body(("plain",)).get_content()
    assert outbox.waiting(place.vault.folder) == []


def test_what_an_audit_found_alarms_everybody_once_a_day_and_names_nobody(new_ward: Wards) -> None:
    place = new_ward()
    place.play()
    place.vault.sync()
    assert place.vault.command("audit", "--mail").returncode in {0, 3}
    before = len(place.mails())
    repository = next((place.vault.folder / "repos").glob("*.git"))
    (repository / "refs/heads/main").write_text("0" * 40 + "\n")
    for _ in range(2):
        assert place.vault.command("audit", "--mail").returncode == ExitCode.INTEGRITY
    assert len(outbox.waiting(place.vault.folder)) == 2  # one for each recipient
    place.vault.command("alert")
    newest = next(mail for mail in reversed(place.mails()) if "audit" in mail["Subject"])
    assert len(place.mails()) > before
    assert newest["Subject"].startswith("ALARM: the audit found ")
    said = newest.get_body(("plain",)).get_content()
    assert "`vault audit` lists each with what to do" in " ".join(said.split())
    assert repository.stem not in said


def test_an_audit_can_tell_nobody_where_there_is_no_mail(new_ward: Wards) -> None:
    done = new_ward("").vault.command("audit", "--mail")
    assert done.returncode == ExitCode.USAGE
    assert "has no [mail], so nobody can be told" in done.stderr


def test_a_rois_that_is_away_is_mailed_as_a_night_that_failed(new_ward: Wards) -> None:
    place = new_ward(into_a_maildir("limited"))
    text = place.vault.toml.read_text()
    place.vault.toml.write_text(
        text.replace(f"port = {place.department.port}\nretrieve", f"port = {free_ports(1)[0]}\nretrieve")
        .replace('source = "list"', 'source = "dicom"')
        .replace('timeout = "10s"', 'timeout = "1s"')
    )
    report = place.vault.sync()
    assert report.exit_code != 0
    assert [mail["Subject"] for mail in place.mails()] == ["vault: THE NIGHT FAILED, nothing was compared"]
    assert "vault doctor" in place.mails()[0].get_body(("plain",)).get_content()


def test_an_emergency_is_said_in_every_mail_until_it_ends(new_ward: Wards) -> None:
    place = new_ward()
    config = place.vault.config
    ledger = Ledger(place.vault.folder, Signer.load(config.vault.signing_key))
    declared = datetime(2026, 11, 23, 13, 5, tzinfo=UTC)
    for when in (declared, declared + timedelta(hours=1)):
        emergency(ledger, declared=True, reason="ransomware", now=when)
    place.play()
    place.vault.sync()
    (mail,) = place.mails()
    assert mail["Subject"].startswith("vault EMERGENCY: ")
    assert "since 23 Nov, 14:05" in mail.get_body(("plain",)).get_content()
    ledger = Ledger(place.vault.folder, Signer.load(config.vault.signing_key))
    emergency(ledger, declared=False, reason="", now=declared + timedelta(hours=20))
    place.vault.sync()
    assert place.mails()[-1]["Subject"].startswith("vault: ")


def test_a_maildir_that_can_not_be_written_is_said(new_ward: Wards) -> None:
    place = new_ward()
    place.play()
    (place.vault.folder / "mail").mkdir(mode=0o700)
    (place.vault.folder / "mail/out").write_text("in the way")
    report = place.vault.sync()
    assert report.exit_code == ExitCode.PARTIAL
    assert "correct [mail] maildir, or its rights" in failures(report)
    assert report.delivered.mail_waiting == 2


def test_limited_mail_and_all_else_that_a_night_writes_name_no_patient(
    new_ward: Wards,
) -> None:
    """The repositories, and the reports that are made of them, hold patients; nothing else does."""
    place = new_ward(into_a_maildir("limited"))
    place.play()
    first = place.vault.command("-v", "sync")
    assert first.returncode == 0, first.stderr
    place.play()
    second = place.vault.command("-v", "sync")
    assert second.returncode in {0, 3}, second.stderr
    assert len(place.mails()) == 2
    pseudonyms = Pseudonyms(read_pseudonym_key(place.vault.config.vault.pseudonym_key))
    for mail in place.mails():
        plain = mail.get_body(("plain",)).get_content()
        assert any(pseudonyms.of(patient.patient_id) in plain for patient in PATIENTS)
    # the census in the configuration lists IDs, and the manifest's copy names the repositories, which are beside it
    holds_patients = {Path("repos"), Path("reports"), Path("vault.toml"), Path("outbox/.manifest")}
    looked_at, named = 0, []
    git = place.vault.folder / "ledger.git"
    for root in (place.vault.folder, place.vault.share):
        for path in root.rglob("*"):
            relative = path.relative_to(root)
            if root == place.vault.folder and holds_patients & {relative, *relative.parents}:
                continue
            looked_at += 1
            content = path.read_bytes() if path.is_file() and path.stat().st_size < 1 << 24 else b""
            for text in (str(relative), _unpacked(content)):
                named += [f"{relative}: {mark}" for mark in MARKS if mark in text.casefold()]
    named += [f"ledger: {mark}" for mark in MARKS if mark in _ledger_text(git).casefold()]
    named += [f"stderr: {mark}" for ran in (first, second) for mark in MARKS if mark in ran.stderr.casefold()]
    assert named == []
    assert looked_at > 50


def _unpacked(content: bytes) -> str:
    """A file's text; of a mail also what its encodings hide."""
    text = content.decode("utf-8", "replace")
    if b"MIME-Version" not in content:
        return text
    mail = read(content.partition(b"\n")[2] if content.startswith(b"{") else content)
    parts = [str(part.get_content()) for part in mail.walk() if not part.is_multipart()]
    return "\n".join([text, *(str(value) for value in mail.values()), *parts])


def _ledger_text(git: Path) -> str:
    """Every object of the ledger, as git shows it."""
    listed = subprocess.run(
        ["git", "-C", git, "log", "--all", "-p", "--format=%B%n%an%n%ae"], capture_output=True, check=True
    )
    assert b"patients" in listed.stdout
    return listed.stdout.decode("utf-8", "replace")
