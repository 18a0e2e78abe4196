"""`vault status` and `vault init`, as a person and as a program read them."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from cli.main import main
from cli.text import columns, count, printable
from vault import config
from vault.archive.blobs import Bytes
from vault.archive.ledger import Ledger
from vault.archive.repository import PatientRepository
from vault.archive.signing import Signer
from vault.keys import Pseudonyms


@pytest.fixture
def site(tmp_path: Path) -> Path:
    before = os.umask(0o077)
    os.umask(before)
    assert main(["init", str(tmp_path / "site"), "--timezone", "Europe/Zurich"]) == 0
    return tmp_path / "site"


def run(capsys: pytest.CaptureFixture[str], site: Path, *arguments: str) -> str:
    capsys.readouterr()
    assert main(["-c", str(site / "vault.toml"), *arguments]) == 0
    return capsys.readouterr().out


def fill(site: Path, *, hours_ago: float = 1) -> str:
    """Two patients, one of whom failed in the last run and one who was not in it; returns a commit."""
    cfg = config.load(site / "vault.toml")
    signer = Signer.load(cfg.vault.signing_key)
    pseudonyms = Pseudonyms.load(cfg.vault.pseudonym_key)
    when = datetime.now(UTC) - timedelta(hours=hours_ago)
    repository = PatientRepository.create(site, "P\x1b1")
    edits = {"dicom/CT/1/1.dcm": Bytes(b"x"), "dicom/CT/1/1.txt": Bytes(b"y")}
    commit = repository.commit(parent=None, edits=edits, message="1 CT added", when=when, signer=signer)
    PatientRepository.create(site, "empty")
    entry = {"old_commit": None, "new_commit": commit, "complete": False, "failed": 2}
    fine = {"old_commit": commit, "new_commit": commit, "complete": True, "failed": 0}
    ledger = Ledger(site, signer)
    common = {"anomalies": [], "failed": 0}
    ledger.append("runs", "20260101", {"run": "R1", "started": when.isoformat(), "patients": {}, **common})
    patients = {pseudonyms.of("P\x1b1"): entry, pseudonyms.of("gone"): fine}
    odd = {"measure": "unreadable", "severity": "critical", "text": "9 documents.", "look_at_first": "One."}
    common["anomalies"] = [odd, "2 quarantined: \x1b"]
    ledger.append(
        "runs", "20260102", {"run": "R2", "started": when.isoformat(), "patients": patients, **common}
    )
    return commit


def test_a_new_vault(site: Path, capsys: pytest.CaptureFixture[str]) -> None:
    said = run(capsys, site, "status")
    assert "none yet" in said
    assert "[share]: no encrypted copy leaves this computer" in said
    assert "No patient yet." in said


def test_what_a_person_sees(site: Path, capsys: pytest.CaptureFixture[str]) -> None:
    commit = fill(site)
    (site / "quarantine" / "r-1.dcm").touch()
    (site / "quarantine" / "r-1.json").touch()
    (site / "inbox" / "R3").mkdir()
    said = run(capsys, site, "status")
    assert "2 patients, 1 with new commits, 1 with failures" in said
    assert "\x1b" not in said
    assert "P\\x1b1" in said
    assert commit[:8] in said
    assert "2 failures in run R2" in said
    assert "nothing yet" in said
    assert "1 object in" in said
    assert "R3: the next `vault sync` finishes it" in said
    assert "NO RUN FOR" not in said
    assert [line.split(None, 1)[1] for line in said.splitlines() if line.startswith("ANOMALY")] == [
        "9 documents. One.",
        "2 quarantined: \\x1b",
    ]


def test_times_are_the_sites_and_say_so(site: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fill(site)
    (run_at,) = (event["started"] for event in Ledger(site).events("runs") if event["run"] == "R2")
    local = datetime.fromisoformat(run_at).astimezone(ZoneInfo("Europe/Zurich"))
    said = run(capsys, site, "status")
    assert "; times are those of Europe/Zurich" in said
    assert f"Last run  {local:%Y-%m-%d %H:%M}: " in " ".join(said.split()).replace("Last run ", "Last run  ")
    (row,) = (line for line in said.splitlines() if line.startswith("P\\x1b1"))
    assert f"{local:%Y-%m-%d %H:%M}" in row


def test_a_damaged_repository_commands_no_terminal(site: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fill(site)
    (site / "repos" / "x\u202ey.git").mkdir()
    said = run(capsys, site, "status")
    assert "DAMAGED" in said
    assert "x\\u202ey.git" in said


def test_what_a_program_sees(site: Path, capsys: pytest.CaptureFixture[str]) -> None:
    commit = fill(site, hours_ago=30)
    document = json.loads(run(capsys, site, "status", "--json"))
    assert document["last_run"]["run"] == "R2"
    assert document["last_run"]["failed"] == 1
    assert document["last_run"]["anomalies"][0]["measure"] == "unreadable"
    assert document["patients"]["P\x1b1"]["commit"] == commit
    assert document["patients"]["P\x1b1"]["objects"] == 1
    assert document["patients"]["empty"]["commit"] is None
    assert document["share"] == {"configured": False, "waiting": 0, "unshared": 0}
    assert "NO RUN FOR 30 HOURS" in run(capsys, site, "status")


def test_files_that_wait_for_the_share(
    site: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    with (site / "vault.toml").open("a") as file:
        file.write(f'\n[share]\nurl = "{tmp_path}/share"\n')
    assert "nothing waits for" in run(capsys, site, "status")
    (site / "outbox" / "v1+blobs+1.age").touch()
    (site / "outbox" / ".begun-1").touch()
    assert "1 file waiting for" in run(capsys, site, "status")
    fill(site, hours_ago=1)  # committed by a run that was killed before it sealed
    assert "not brought to" in run(capsys, site, "status")
    assert not (tmp_path / "share").exists()


def test_patients_of_the_census_that_have_nothing_yet(site: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = (site / "vault.toml").read_text().replace("patients = []", 'patients = ["77"]')
    (site / "vault.toml").write_text(text)
    assert "77" in run(capsys, site, "status")


def test_init_says_what_it_made_and_what_comes_next(site: Path, capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    assert main(["init", str(site)]) == 0
    said = capsys.readouterr().out
    assert "exists  keys/identity.txt" in said
    assert "made  " not in said
    assert "safe" in said
    (site / "keys/identity.txt").unlink()
    assert main(["init", str(site), "--json"]) == 0
    assert "keys/signing_key" in json.loads(capsys.readouterr().out.removeprefix(said))["existed"]


def test_text_helpers() -> None:
    assert printable("a\x1b[2Jß") == "a\\x1b[2Jß"
    assert count(1, "file") == "1 file"
    assert count(2, "entry", "entries") == "2 entries"
    assert columns([("a", "bb"), ("ccc", "")]) == "a    bb\nccc"
