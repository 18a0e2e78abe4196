"""The network gate runs the site's commands, and closes on every way out."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

import hooks
from hooks import network
from vault import config
from vault.errors import VaultError
from vault.events import hookimpl


@pytest.fixture
def diary(tmp_path: Path) -> Path:
    return tmp_path / "diary"


def writes(diary: Path, word: str, then: str = "") -> tuple[str, ...]:
    """A command that notes `word` and then runs Python statements."""
    return (sys.executable, "-c", f"open({str(diary)!r}, 'a').write({word!r} + ' '); {then}")


def make_config(tmp_path: Path, gate: config.Network | None) -> config.Config:
    text = (Path(config.__file__).parent / "vault.toml").read_text("utf-8")
    loaded = config.loads(text, tmp_path / "vault.toml")
    return config.Config(
        **{**{key: getattr(loaded, key) for key in loaded.__struct_fields__}, "network": gate}
    )


def gate(diary: Path, **changed: object) -> config.Network:
    settings = {"up": writes(diary, "up"), "down": writes(diary, "down"), "timeout": 5.0, **changed}
    return config.Network(**settings)  # type: ignore[arg-type]


def test_without_a_section_nobody_listens(tmp_path: Path) -> None:
    cfg = make_config(tmp_path, None)
    manager = hooks.plugins(cfg)
    manager.hook.network_open(config=cfg)
    manager.hook.network_close(config=cfg)


def test_up_check_down(tmp_path: Path, diary: Path) -> None:
    seen = "import sys, os; sys.exit(open(os.environ['DIARY']).read().count('check') < 2)"
    os.environ["DIARY"] = str(diary)
    cfg = make_config(tmp_path, gate(diary, check=writes(diary, "check", seen)))
    manager = hooks.plugins(cfg)
    manager.hook.network_open(config=cfg)
    manager.hook.network_close(config=cfg)
    assert diary.read_text().split() == ["up", "check", "check", "down"]


def test_words_are_not_read_by_a_shell(tmp_path: Path) -> None:
    said = network._failure([sys.executable, "-c", "import sys; sys.exit(sys.argv[1])", "$(id); `id` > x"], 5)
    assert said is not None
    assert said.endswith("failed with exit code 1: $(id); `id` > x")


@pytest.mark.parametrize(
    ("up", "said"),
    [
        (("/nonexistent/nmcli", "on"), r"up \(/nonexistent/nmcli on\) can't be run: No such file"),
        ((sys.executable, "-c", "raise SystemExit('no such device')"), "exit code 1: no such device"),
        ((sys.executable, "-c", "import time; time.sleep(60)"), "was not done after 1 s"),
    ],
)
def test_a_network_that_does_not_open_is_explained(
    tmp_path: Path, diary: Path, up: tuple[str, ...], said: str
) -> None:
    cfg = make_config(tmp_path, gate(diary, up=up, timeout=1.0))
    with pytest.raises(VaultError, match=said):
        hooks.plugins(cfg).hook.network_open(config=cfg)


def test_a_network_that_is_not_there_in_time_is_explained(tmp_path: Path, diary: Path) -> None:
    cfg = make_config(tmp_path, gate(diary, check=(sys.executable, "-c", "raise SystemExit(7)"), timeout=1.0))
    with pytest.raises(VaultError, match=r"not there after 1 s: .*exit code 7"):
        hooks.plugins(cfg).hook.network_open(config=cfg)


def test_what_a_command_has_started_ends_with_it(tmp_path: Path) -> None:
    """A child that keeps the output open must not keep the vault waiting."""
    start = "import subprocess, sys, time; subprocess.Popen(['sleep', '60']); time.sleep(60)"
    begun = time.monotonic()
    assert network._failure([sys.executable, "-c", start], 0.5) is not None
    assert time.monotonic() - begun < 10


def test_down_is_tried_twice_and_its_failure_is_loud(tmp_path: Path, diary: Path) -> None:
    cfg = make_config(tmp_path, gate(diary, down=writes(diary, "down", "raise SystemExit('stuck')")))
    with pytest.raises(VaultError, match=r"MAY STILL BE OPEN.*stuck"):
        hooks.plugins(cfg).hook.network_close(config=cfg)
    assert diary.read_text().split() == ["down", "down"]


def test_another_listener_that_fails_does_not_keep_it_open(tmp_path: Path, diary: Path) -> None:
    class Other:
        @hookimpl
        def network_close(self) -> None:
            with diary.open("a") as file:
                file.write("other ")
            raise VaultError("the other one")

    cfg = make_config(tmp_path, gate(diary))
    manager = hooks.plugins(cfg)
    manager.register(Other())
    with pytest.raises(VaultError, match="the other one"):
        manager.hook.network_close(config=cfg)
    assert diary.read_text().split() == ["other", "down"]


@pytest.fixture
def terminated_soon() -> Iterator[None]:
    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, stop)
    timer = threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGTERM))
    timer.start()
    yield
    timer.cancel()
    signal.signal(signal.SIGTERM, before)


@pytest.mark.usefixtures("terminated_soon")
def test_closing_can_not_be_interrupted(tmp_path: Path, diary: Path) -> None:
    slow = (sys.executable, "-c", f"import time; time.sleep(1); open({str(diary)!r}, 'a').write('closed')")
    cfg = make_config(tmp_path, gate(diary, down=slow))
    with pytest.raises(KeyboardInterrupt):
        hooks.plugins(cfg).hook.network_close(config=cfg)
    assert diary.read_text() == "closed"
