"""The frame of the command line: options, messages, exit codes, and that help is quick."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import click
import pytest

import cli.main
from cli.context import Context
from vault import __version__
from vault.errors import ConfigError, ExitCode, IntegrityError, LockedError, PeerError, VaultError

REPOSITORY = Path(__file__).parents[2]

RUN = "import sys; from cli.main import main; sys.exit(main())"
"""What the console script does."""


@pytest.fixture(autouse=True)
def _umask() -> None:
    os.umask(0o077)  # main sets it, for good


@pytest.fixture
def failing(monkeypatch: pytest.MonkeyPatch) -> list[BaseException]:
    """A command `fail` that raises what the test puts into the list."""
    errors: list[BaseException] = []

    @click.command()
    def fail() -> None:
        raise errors[0]

    monkeypatch.setitem(cli.main.COMMANDS, "fail", (f"{__name__}:fail", "Fails."))
    monkeypatch.setattr(sys.modules[__name__], "fail", fail, raising=False)
    return errors


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (VaultError("It failed. Do this."), ExitCode.FAILED, "vault: It failed. Do this.\n"),
        (PeerError("The ROIS is silent."), ExitCode.FAILED, "vault: The ROIS is silent.\n"),
        (ConfigError("line 3"), ExitCode.USAGE, "vault: line 3\n"),
        (IntegrityError("not what was signed"), ExitCode.INTEGRITY, "vault: not what was signed\n"),
        (LockedError("another run"), ExitCode.LOCKED, "vault: another run\n"),
        (
            PeerError(
                "The server says: \x1b]0;owned\x07\nTwo\u202elines\r."
            ),  # a stranger's words command no terminal
            ExitCode.FAILED,
            "vault: The server says: \\x1b]0;owned\\x07\nTwo\\u202elines\\r.\n",
        ),
        (
            KeyboardInterrupt(),
            130,
            "vault: Interrupted. Nothing was lost: the next run finishes what this one began.\n",
        ),
        (
            OSError(28, "No space left on device"),
            1,
            "vault: No space left on device. Make room on that disk;",
        ),
        (
            PermissionError(13, "Permission denied", "/x"),
            1,
            "vault: Permission denied: /x. Run the vault as the user",
        ),
        (click.UsageError("no such thing"), 2, "no such thing"),
    ],
)
def test_an_error_is_a_sentence_and_an_exit_code(
    error: BaseException,
    code: int,
    said: str,
    failing: list[BaseException],
    capsys: pytest.CaptureFixture[str],
) -> None:
    failing.append(error)
    assert cli.main.main(["fail"]) == code
    out, err = capsys.readouterr()
    assert out == ""
    assert said in err
    assert "Traceback" not in err
    assert cli.main.main(["--json", "fail"]) == code
    out, _ = capsys.readouterr()
    document = json.loads(out)
    assert document["exit_code"] == code
    assert document["error"]


def test_something_unexpected_shows_no_data(
    failing: list[BaseException], capsys: pytest.CaptureFixture[str]
) -> None:
    failing.append(KeyError("Muster^Hans"))
    assert cli.main.main(["fail"]) == ExitCode.FAILED
    err = capsys.readouterr().err
    assert "Muster" not in err
    assert "KeyError in test_cli_main.py, line" in err
    assert "-v" in err
    assert cli.main.main(["-v", "fail"]) == ExitCode.FAILED
    assert "Traceback" in capsys.readouterr().err


def test_common_options_stand_before_or_after_the_command(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main.main(["init", str(tmp_path)]) == 0
    capsys.readouterr()
    toml = str(tmp_path / "vault.toml")
    assert cli.main.main(["-c", toml, "--json", "status"]) == 0
    before = capsys.readouterr().out
    assert cli.main.main(["status", "-c", toml, "--json"]) == 0
    assert capsys.readouterr().out == before
    assert json.loads(before)["patients"] == {}


@pytest.mark.parametrize("arguments", [["--nonsense"], ["nonsense"], ["status", "--nonsense"], ["init"]])
def test_usage_errors(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main.main(arguments) == ExitCode.USAGE
    assert capsys.readouterr().out == ""
    assert cli.main.main([*arguments, "--json"]) == ExitCode.USAGE
    assert json.loads(capsys.readouterr().out)["exit_code"] == ExitCode.USAGE


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main.main(["--version"]) == 0
    assert capsys.readouterr().out == f"vault {__version__}\n"


def test_where_the_configuration_is_looked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("cli.context.PLACES", (Path("vault.toml"), tmp_path / "etc/vault.toml"))
    with pytest.raises(ConfigError, match="vault init DIR"):
        Context().config()
    for place, name in (("etc", "Etc"), (".", "Here"), ("env", "Env"), ("option", "Option")):
        assert cli.main.main(["init", str(tmp_path / place), "--name", name]) == 0
    assert Context().config().site.name == "Here"
    (tmp_path / "vault.toml").unlink()
    assert Context().config().site.name == "Etc"
    monkeypatch.setenv("VAULT_CONFIG", str(tmp_path / "env/vault.toml"))
    assert Context().config().site.name == "Env"
    assert Context(config_path=tmp_path / "option/vault.toml").config().site.name == "Option"


@pytest.mark.parametrize("text", ["", " ", "*", "12?", "a\\b", "x" * 65, "a\nb"])
def test_what_is_no_patient_id(text: str) -> None:
    with pytest.raises(VaultError, match="patient ID") as caught:
        Context.patient_id(text)
    assert caught.value.exit_code == ExitCode.USAGE


def test_every_command_is_there_and_says_the_same_in_both_helps() -> None:
    group = cli.main.vault
    for name in cli.main.COMMANDS:
        command = group.get_command(click.Context(group), name)
        assert command is not None, name
        assert command.help, name
        assert {"--json", "-c", "-v"} <= {
            option for parameter in command.params for option in parameter.opts
        }, name


def test_help_imports_nothing_heavy_and_is_quick() -> None:
    probe = f"import time; began = time.perf_counter(); {RUN.replace('sys.exit(main())', 'main()')}; "
    probe += "print(time.perf_counter() - began, *sys.modules, file=sys.stderr)"
    times = []
    for _ in range(3):
        done = subprocess.run(
            [sys.executable, "-c", probe, "--help"], capture_output=True, check=True, text=True
        )
        seconds, *modules = done.stderr.split()
        times.append(float(seconds))
        assert not {"pydicom", "pygit2", "pynetdicom", "numpy", "rich", "pyrage", "msgspec"} & set(modules)
    assert min(times) < 0.25


def test_a_reader_that_leaves_is_no_error(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", RUN, "--help"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    process.stdout.close()
    assert process.stderr is not None
    assert process.stderr.read() == ""
    assert process.wait() in (0, 141)  # it may be done before the pipe breaks
    process.stderr.close()


def test_shells_can_complete(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("_VAULT_COMPLETE", "bash_complete")
    monkeypatch.setenv("COMP_WORDS", "vault sta")
    monkeypatch.setenv("COMP_CWORD", "1")
    assert cli.main.main([]) == 0
    assert capsys.readouterr().out == "plain,status\n"


def test_a_full_disk_behind_the_output_is_said() -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-c", RUN, "--help"], check=False, stdout=full, stderr=subprocess.PIPE, text=True
        )
    assert done.returncode == ExitCode.FAILED
    assert done.stderr.startswith("vault: No space left on device.")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_unwinds_and_says_so(number: signal.Signals, tmp_path: Path) -> None:
    program = (
        "import sys, time, click, cli.main\n"
        "@click.command()\n"
        "def wait():\n"
        "    try:\n"
        "        print('ready', flush=True); time.sleep(30)\n"
        "    finally:\n"
        "        print('closed', flush=True)\n"
        "cli.main.COMMANDS['wait'] = ('__main__:wait', '')\n"
        "sys.exit(cli.main.main(['wait']))\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", program],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=REPOSITORY,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    time.sleep(0.05)
    process.send_signal(number)
    out, err = process.communicate(timeout=20)
    assert out == "closed\n"
    assert err.startswith("vault: Interrupted.")
    assert process.returncode == 128 + number


def test_json_commands_no_terminal_and_takes_any_text(capsys: pytest.CaptureFixture[str]) -> None:
    document = {
        "name\u202e": "a\x9b31m\x1b[2J\u202e\u3164\ud800 \U000e0041 M\u00fcller \u5c71\u7530",
        "n": ["\x7f"],
    }
    Context().emit(document)
    said = capsys.readouterr().out
    assert json.loads(said) == document
    assert all(letter.isprintable() or letter == "\n" for letter in said)
    assert "M\u00fcller \u5c71\u7530" in said
    assert "\\u3164" in said


@pytest.mark.parametrize(
    "folder", ["repos", "inbox", "hourly", "quarantine", "work", "today", "reports", "damaged"]
)
def test_a_path_that_the_disk_refused_names_no_patient(
    folder: str, failing: list[BaseException], capsys: pytest.CaptureFixture[str]
) -> None:
    failing.append(OSError(errno.ENOSPC, "No space left on device", f"/srv/vault/{folder}/x/MEIER-1951.pdf"))
    assert cli.main.main(["fail"]) == ExitCode.FAILED
    said = capsys.readouterr().err
    assert f"No space left on device: /srv/vault/{folder}." in said
    assert "MEIER" not in said
