"""`vault log`, `vault diff` and `vault show`, as a person and as a program read them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from history_kit import History

from cli import history as cli_history
from cli.main import main

PLAN = "dicom/RTPLAN/1.2/1.2.1"
BYTES = bytes(range(256)) * 5000


def form(label: str) -> bytes:
    return f'normal-form 1\nRTPlanLabel SH "{label}"\n'.encode()


@pytest.fixture
def site(tmp_path: Path) -> Path:
    assert main(["init", str(tmp_path / "site"), "--timezone", "Europe/Zurich"]) == 0
    history = History(tmp_path / "site", "P-1")
    history.night({f"{PLAN}.dcm": b"1", f"{PLAN}.txt": form("A"), "patient.json": b'{"plans": 1}'})
    history.night({f"{PLAN}.dcm": BYTES, f"{PLAN}.txt": form("B"), "patient.json": b'{"plans": 2}'})
    return tmp_path / "site"


def run(capsys: pytest.CaptureFixture[str], site: Path, *arguments: str, code: int = 0) -> str:
    capsys.readouterr()
    assert main(["-c", str(site / "vault.toml"), *arguments]) == code
    return capsys.readouterr().out


def test_diff_for_a_person(site: Path, capsys: pytest.CaptureFixture[str]) -> None:
    said = run(capsys, site, "diff", "P-1")
    assert "2026-11-24 02:00  night 2" in said
    assert '      RTPlanLabel: "A" → "B"' in said
    assert "1 changed" in said
    assert "\x1b" not in said
    assert "RTPlanLabel" not in run(capsys, site, "diff", "P-1", "--no-attributes")


def test_diff_for_a_program(site: Path, capsys: pytest.CaptureFixture[str]) -> None:
    document = json.loads(run(capsys, site, "diff", "P-1", "--json"))
    (change,) = document["changes"]
    assert document["patient"] == "P-1"
    assert change["path"] == f"{PLAN}.dcm"
    assert change["attributes"] == [
        {
            "path": "RTPlanLabel",
            "keyword": "RTPlanLabel",
            "tag": "(300a,0002)",
            "vr": "SH",
            "old": '"A"',
            "new": '"B"',
        }
    ]


def test_diff_names_its_commits(site: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first = json.loads(run(capsys, site, "diff", "P-1", "latest", "latest~1", "--json"))
    assert first["changes"][0]["attributes"][0]["new"] == '"A"'
    assert "No differences." in run(capsys, site, "diff", "P-1", "latest")


def test_the_first_commit_has_nothing_before_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["init", str(tmp_path / "site"), "--timezone", "Europe/Zurich"]) == 0
    History(tmp_path / "site", "P-1").night({f"{PLAN}.dcm": b"1", f"{PLAN}.txt": form("A")})
    said = run(capsys, tmp_path / "site", "diff", "P-1")
    assert "nothing: the first commit" in said
    assert "RTPLAN A" in said
    assert json.loads(run(capsys, tmp_path / "site", "diff", "P-1", "--json"))["old"] is None


def test_diff_exit_code(site: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run(capsys, site, "diff", "P-1", "--exit-code", code=1)
    run(capsys, site, "diff", "P-1", "latest", "--exit-code", code=0)


@pytest.mark.parametrize("command", [["diff"], ["log"], ["show"]])
def test_an_unknown_patient_is_a_usage_error(
    site: Path, capsys: pytest.CaptureFixture[str], command: list[str]
) -> None:
    assert main(["-c", str(site / "vault.toml"), *command, "P-2"]) == 2
    assert "`vault status` lists" in capsys.readouterr().err


def test_an_unknown_revision_says_what_is_allowed(site: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["-c", str(site / "vault.toml"), "diff", "P-1", "HEAD^{tree}"]) == 2
    assert "YYYY-MM-DD" in capsys.readouterr().err


def test_log(site: Path, capsys: pytest.CaptureFixture[str]) -> None:
    newest, oldest = run(capsys, site, "log", "P-1").splitlines()
    assert "2026-11-24 02:00  ~1" in newest
    assert newest.endswith("night 2")
    assert "2026-11-23 02:00  +1" in oldest
    assert len(run(capsys, site, "log", "P-1", "-n", "1").splitlines()) == 1
    entry = json.loads(run(capsys, site, "log", "P-1", "--json"))["commits"][0]
    assert (entry["run"], entry["added"], entry["changed"], entry["removed"]) == ("run-2", 0, 1, 0)
    assert entry["when"] == "2026-11-24T02:00:00+01:00"


def test_show_lists_folders(site: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(capsys, site, "show", "P-1").splitlines() == [
        "SHA256SUMS",
        "dicom/  (3 files)",
        "patient.json",
    ]
    assert "1.2.1.dcm" in run(capsys, site, "show", "P-1", "dicom/RTPLAN/1.2/")
    document = json.loads(run(capsys, site, "show", "P-1", "dicom", "--json"))
    assert document["entries"] == [{"name": "RTPLAN/", "files": 3}]


def test_show_an_object_as_text(site: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for path in (f"{PLAN}.dcm", f"{PLAN}.txt", "1.2.1"):
        assert 'RTPlanLabel SH "B"' in run(capsys, site, "show", "P-1", path)
    assert 'RTPlanLabel SH "A"' in run(capsys, site, "show", "P-1", "1.2.1", "--at", "latest~1")
    document = json.loads(run(capsys, site, "show", "P-1", "1.2.1", "--json"))
    assert (document["path"], document["size"]) == (f"{PLAN}.dcm", len(BYTES))
    assert document["text"] == form("B").decode()


def test_show_raw_gives_the_exact_bytes(site: Path) -> None:
    command = [
        Path(sys.executable).with_name("vault"),
        "-c",
        site / "vault.toml",
        "show",
        "P-1",
        "1.2.1",
        "--raw",
    ]
    done = subprocess.run(command, capture_output=True, check=True)
    assert done.stdout == BYTES


def test_show_raw_is_refused_on_a_terminal(site: Path) -> None:
    main_end, terminal = os.openpty()
    command = [
        Path(sys.executable).with_name("vault"),
        "-c",
        site / "vault.toml",
        "show",
        "P-1",
        "1.2.1",
        "--raw",
    ]
    done = subprocess.run(command, stdout=terminal, stderr=subprocess.PIPE, text=True, check=False)
    os.close(terminal)
    os.close(main_end)
    assert done.returncode == 2
    assert "> FILE" in done.stderr


@pytest.mark.parametrize("path", ["nothing", "dicom/../patient.json", f"{PLAN}.dcm/x"])
def test_show_what_is_not_there(site: Path, capsys: pytest.CaptureFixture[str], path: str) -> None:
    assert main(["-c", str(site / "vault.toml"), "show", "P-1", path]) == 2
    assert "vault show PATIENT" in capsys.readouterr().err


def test_colours_and_pager_only_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert cli_history.colours()
    monkeypatch.setenv("NO_COLOR", "1")
    assert not cli_history.colours()
