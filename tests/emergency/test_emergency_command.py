"""`vault export` as it is typed."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from treatments import Department, edits_of

from cli.main import main

Vault = Callable[..., int]


@pytest.fixture
def vault(tmp_path: Path, department: Department) -> Vault:
    """`vault("export", …)` returns the exit code; the department's keys and root are configured."""
    toml = tmp_path / "vault.toml"
    toml.write_text("""
[site]
name = "Test department"
timezone = "Europe/Berlin"
[vault]
root = "vault"
signing_key = "signing_key"
recipients = ["age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p"]
[rois.dicom]
ae_title = "ROIS"
host = "127.0.0.1"
port = 11112
[receiver]
ae_title = "VAULT"
host = "127.0.0.1"
port = 11113
[census]
source = "list"
patients = ["12345"]
""")
    return lambda *words: main(["-c", str(toml), *words])


def test_all_patients_go_to_the_folder(
    vault: Vault, department: Department, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    department.patient("12345")
    department.patient("678", "Other^One")
    assert vault("export", "--all", "--to", str(tmp_path / "out")) == 0
    text = capsys.readouterr().out
    assert "12345: 11 files" in text
    assert "not verified: nobody has vouched for this state" in text
    assert "sha256sum --quiet -c SHA256SUMS" in text
    assert (tmp_path / "out" / "678 Other^One").is_dir()


def test_json_says_what_became_of_each_patient(
    vault: Vault, department: Department, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    repository = department.patient("12345")
    assert vault("--json", "export", "12345", "nobody", "--to", str(tmp_path / "out")) == 3
    report = json.loads(capsys.readouterr().out)
    assert report["patients"]["12345"]["commit"] == repository.tip()
    assert report["patients"]["12345"]["verified"] is False
    assert report["patients"]["12345"]["failed"] == []
    assert "There is no patient 'nobody'" in report["patients"]["nobody"]["failed"][0]["reason"]
    assert report["dicomdir"]["objects"] == 8
    assert report["signatures_checked"] is True


def test_an_earlier_state_can_be_asked_for(
    vault: Vault, department: Department, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first = department.patient("12345").tip() or ""
    department.commit("12345", edits_of("RTPLAN", "1.2.3.5.9", RTPlanLabel="NEW"))
    assert vault("export", "12345", "--to", str(tmp_path / "out"), "--at", first[:10]) == 0
    assert first[:12] in capsys.readouterr().out
    assert not list((tmp_path / "out").rglob("NEW*"))


@pytest.mark.parametrize("words", [["--all", "12345"], []])
def test_patients_or_all_but_not_both(
    vault: Vault, tmp_path: Path, words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert vault("export", *words, "--to", str(tmp_path / "out")) == 2
    assert "--all" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_nobody_to_export_is_said(vault: Vault, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert vault("export", "--all", "--to", str(tmp_path / "out")) == 2
    assert vault("export", "12345", "--to", str(tmp_path / "out")) == 2
    assert "vault status" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_without_the_public_key_an_emergency_goes_on(
    vault: Vault, department: Department, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    department.patient("12345")
    department.allowed_file.unlink()
    assert vault("export", "12345", "--to", str(tmp_path / "out")) == 0
    printed = capsys.readouterr()
    assert "Signatures are not checked" in printed.err
    assert "not signatures" in printed.out


def test_a_forged_history_is_exit_code_4(
    vault: Vault, department: Department, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    department.patient("12345")
    department.allowed_file.write_text(
        "vault@localhost ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJfCUv7q+NSYBgEYPVGS1QMTnSqVfTrJqDjVVhNk4Ncq\n"
    )
    assert vault("export", "12345", "--to", str(tmp_path / "out")) == 4
    assert "12345: NOT EXPORTED" in capsys.readouterr().out
