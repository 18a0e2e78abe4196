"""Verdicts at the console, enrolment of phones, and what `vault status` says of both."""

from __future__ import annotations

import base64
import json
import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import click
import pytest
from answer_kit import SECRET, totp_at
from verdict_kit import MAILDIR, VerdictVault, recipients

from cli.main import main
from vault.verification.enrolment import keep_secret, key_uri, read_totp_secret
from vault.verification.state import recorded


@pytest.fixture
def vault(tmp_path: Path) -> VerdictVault:
    made = VerdictVault(tmp_path / "vault", MAILDIR + recipients(enrolled=["Ann"]))
    keep_secret(made.folder / "keys/Ann.totp", SECRET)
    return made


def run(vault: VerdictVault, *arguments: str, says: str = "") -> int:
    """The exit code of a command whose prompt is answered."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(click, "prompt", lambda *_args, **_options: says)
        return main(["-c", str(vault.toml), *arguments])


def test_two_at_the_console_confirm(vault: VerdictVault, capsys: pytest.CaptureFixture[str]) -> None:
    name = vault.night("4711", "0815", began=datetime.now(UTC) - timedelta(hours=1))
    assert run(vault, "verify", "accept", "latest", "--as", "ann", says=totp_at(datetime.now(UTC))) == 0
    assert "PENDING" in capsys.readouterr().out
    assert vault.verified("4711") is None
    assert run(vault, "verify", "accept", name[:9], "--as", "Ben", "4711", says=vault.code("Ben", name)) == 0
    said = capsys.readouterr().out
    assert "CONFIRMED  4711" in said
    assert "PENDING    0815" in said
    assert vault.verified("4711") == vault.tip("4711")
    assert vault.verified("0815") is None
    assert run(vault, "--json", "verify", "list") == 0
    (listed,) = json.loads(capsys.readouterr().out)["runs"]
    assert listed["patients"]["4711"]["confirmed_by"] == ["Ann", "Ben"]
    assert [each["how"] for each in listed["verdicts"]] == ["console", "console"]
    assert run(vault, "status") == 0
    said = capsys.readouterr().out
    assert f"1 patient of run {name}" in said
    assert "answered: Ann, Ben" in said
    rows = {line.split()[0]: line for line in said.splitlines() if line[:4] in ("4711", "0815")}
    assert "not verified" in rows["0815"]
    assert "not verified" not in rows["4711"]


def test_an_objection_alarms_at_once(vault: VerdictVault, capsys: pytest.CaptureFixture[str]) -> None:
    name = vault.night("4711", began=datetime.now(UTC) - timedelta(hours=1))
    code = vault.code("Cem", name)
    assert run(vault, "verify", "reject", "latest", "--as", "Cem", "--reason", "4711: couch", says=code) == 2
    assert "no patient's name or ID" in capsys.readouterr().err
    assert run(vault, "verify", "reject", "latest", "--as", "Cem", "--reason", "couch", says=code) == 0
    assert "DISPUTED" in capsys.readouterr().out
    assert vault.subjects() == ["ALARM: Cem REJECTS 1 patient"]
    assert "Reason: couch" in vault.mailed()[0].get_body(("plain",)).get_content()
    assert run(vault, "status") == 0
    assert f"1 patient of run {name}; answered: Cem" in capsys.readouterr().out


def test_what_is_refused_records_nothing(vault: VerdictVault, capsys: pytest.CaptureFixture[str]) -> None:
    name = vault.night("4711", began=datetime.now(UTC) - timedelta(hours=1))
    ben, digits = vault.code("Ben", name), totp_at(datetime.now(UTC))
    wrong = {
        ("accept", "latest", "--as", "Ann"): ("000000", 1, "wrong, too old"),
        ("accept", "latest", "--as", "Cem"): (ben, 1, "not the code of Cem"),
        ("accept", "latest", "--as", "Dora"): (ben, 2, "no recipient Dora"),
        ("accept", "2020", "--as", "Ben"): (ben, 2, "verify list"),
        ("accept", "latest", "--as", "Ben", "9999"): (ben, 2, "changed nothing of a patient 9999"),
    }
    for words, (says, code, reason) in wrong.items():
        assert run(vault, "verify", *words, says=says) == code
        assert reason in capsys.readouterr().err
    assert recorded(vault.ledger) == []
    assert run(vault, "verify", "accept", "latest", "--as", "Ann", says=digits) == 0
    assert run(vault, "verify", "accept", "latest", "--as", "Ann", says=digits) == 2
    assert "confirmed this already" in capsys.readouterr().err
    second = vault.night("4711", began=datetime.now(UTC) - timedelta(minutes=30))
    assert (
        run(vault, "verify", "accept", second, "--as", "Ann", says=digits) == 1
    )  # these digits have been used
    assert len(recorded(vault.ledger)) == 1


def test_enrolment_keeps_a_secret_that_the_phone_has_proven(
    vault: VerdictVault, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = vault.folder / "keys/Ann.totp"
    assert run(vault, "verify", "enrol", "Ann", says="000000") == 2
    assert "--replace" in capsys.readouterr().err
    assert run(vault, "verify", "enrol", "Ben") == 2
    assert "totp_file" in capsys.readouterr().err
    path.unlink()
    monkeypatch.setattr("vault.verification.enrolment.new_secret", lambda: SECRET[::-1])
    assert run(vault, "verify", "enrol", "Ann", says="12") == 1
    assert not path.exists()
    assert run(vault, "verify", "enrol", "Ann", says=totp_at(datetime.now(UTC), SECRET[::-1])) == 0
    said = capsys.readouterr()
    assert "█" in said.err
    assert "Ann is enrolled" in said.out
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert read_totp_secret(vault.config.mail.recipients[0]) == SECRET[::-1]  # type: ignore[union-attr]
    parts = urlsplit(key_uri(SECRET, "Änn", "Klinik & Co"))
    query = parse_qs(parts.query)
    assert (parts.scheme, parts.netloc) == ("otpauth", "totp")
    assert base64.b32decode(query["secret"][0]) == SECRET
    assert query["issuer"] == ["vault Klinik & Co"]


def test_poll_and_alert_as_commands(vault: VerdictVault, capsys: pytest.CaptureFixture[str]) -> None:
    now = datetime.now(UTC)
    name = vault.night("4711", began=now - timedelta(days=2))
    vault.answer("Cem", f"VERIFY {vault.code('Cem', name)}", written=now)
    assert run(vault, "--json", "verify", "poll") == 0
    document = json.loads(capsys.readouterr().out)
    assert [each["recipient"] for each in document["answers"]["verdicts"]] == ["Cem"]
    assert {each["reason"] for each in document["alarms"]} == {"unanswered", "no-night"}
    assert run(vault, "alert") == 0
    said = capsys.readouterr().out
    assert f"Run {name} waits for verdicts." in said
    assert "4711" not in said


def test_too_few_recipients_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    vault = VerdictVault(tmp_path / "vault", MAILDIR + recipients(["Ann"]))
    assert run(vault, "status") == 0
    assert "NEVER" in capsys.readouterr().out
