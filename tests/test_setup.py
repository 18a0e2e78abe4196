"""`vault init`: nothing is overwritten, an interruption is completed, and stock tools read the keys."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from vault import config, files, keys, setup
from vault.errors import ConfigError, VaultError
from vault.rois.sql.queries import SHIPPED


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_new_vault_loads_and_is_private_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0o000)
    try:
        done = setup.initialize(
            tmp_path / "new" / "vault", name='St. "Ä" \\ Hospital', timezone="America/New_York"
        )
    finally:
        os.umask(before)
    cfg = config.load(done.folder / "vault.toml")
    assert cfg.site.name == 'St. "Ä" \\ Hospital'
    assert cfg.site.timezone == "America/New_York"
    assert cfg.vault.recipients == (done.recipient,)
    assert cfg.vault.root == done.folder
    for path in (done.folder, *done.folder.rglob("*")):
        assert path.stat().st_mode & 0o777 == (0o700 if path.is_dir() else 0o600), path


def test_again_changes_nothing(tmp_path: Path) -> None:
    first = setup.initialize(tmp_path)
    before = contents(tmp_path)
    again = setup.initialize(tmp_path, name="Another")
    assert contents(tmp_path) == before
    assert again.made == []
    assert sorted(again.existed) == sorted(first.made)
    assert again.recipient == first.recipient


def test_stock_tools_read_the_keys(tmp_path: Path) -> None:
    done = setup.initialize(tmp_path)
    said = subprocess.run(
        ["age-keygen", "-y", tmp_path / "keys/identity.txt"], capture_output=True, check=True, text=True
    )
    assert said.stdout.strip() == done.recipient
    sign = ["ssh-keygen", "-Y", "sign", "-n", "git", "-f", tmp_path / "keys/signing_key"]
    signature = subprocess.run(sign, input=b"text", capture_output=True, check=True).stdout
    (tmp_path / "sig").write_bytes(signature)
    verify = ["ssh-keygen", "-Y", "verify", "-n", "git", "-I", setup.PRINCIPAL]
    verify += ["-f", str(tmp_path / "keys/allowed_signers"), "-s", str(tmp_path / "sig")]
    subprocess.run(verify, input=b"text", capture_output=True, check=True)
    public = (tmp_path / "keys/signing_key.pub").read_text().split()[1]
    assert public in (tmp_path / "keys/allowed_signers").read_text()


FILES = 6 + len(SHIPPED)  # keys, configuration, query sets


@pytest.mark.parametrize("written", range(FILES + 1))
def test_an_interrupted_init_is_completed(
    tmp_path: Path, written: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    class PowerCutError(Exception):
        pass

    left = written

    def write(target: Path, data: bytes, *, replace: bool = False) -> None:
        nonlocal left
        if not left:
            raise PowerCutError
        left -= 1
        files.write_file(target, data, replace=replace)

    with monkeypatch.context() as patch:
        patch.setattr(setup, "write_file", write)
        if written < FILES:
            with pytest.raises(PowerCutError):
                setup.initialize(tmp_path)
        else:
            setup.initialize(tmp_path)
    before = contents(tmp_path)
    assert len(before) == min(written, FILES)
    done = setup.initialize(tmp_path)
    after = contents(tmp_path)
    assert before.items() <= after.items()
    cfg = config.load(tmp_path / "vault.toml")
    assert cfg.vault.recipients == (done.recipient,)
    assert keys.signing_public_key(cfg.vault.signing_key) in after["keys/allowed_signers"].decode()


def test_an_identity_that_went_to_its_safe_is_not_replaced(tmp_path: Path) -> None:
    setup.initialize(tmp_path)
    (tmp_path / "keys/identity.txt").unlink()
    done = setup.initialize(tmp_path)
    assert done.recipient is None
    assert not (tmp_path / "keys/identity.txt").exists()


@pytest.mark.parametrize("name", setup.SECRETS)
def test_a_lost_key_of_a_finished_vault_is_said_and_not_replaced(tmp_path: Path, name: str) -> None:
    setup.initialize(tmp_path)
    (tmp_path / name).unlink()
    with pytest.raises(VaultError, match=name):
        setup.initialize(tmp_path)
    assert not (tmp_path / name).exists()


def test_loose_folders_are_closed(tmp_path: Path) -> None:
    (tmp_path / "repos").mkdir(mode=0o777)
    setup.initialize(tmp_path)
    assert (tmp_path / "repos").stat().st_mode & 0o777 == 0o700


def test_a_name_that_can_not_be_makes_nothing(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="time zone"):
        setup.initialize(tmp_path / "x", timezone="Mars/Olympus")
    assert not (tmp_path / "x").exists()


def test_what_is_no_identity_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "keys").mkdir()
    (tmp_path / "keys/identity.txt").write_text("# nothing\n")
    with pytest.raises(VaultError, match="not an age identity"):
        setup.initialize(tmp_path)
    assert (tmp_path / "keys/identity.txt").read_text() == "# nothing\n"


@pytest.mark.parametrize(
    ("variable", "expected"), [("Asia/Tokyo", "Asia/Tokyo"), (":Europe/Oslo", "Europe/Oslo")]
)
def test_local_time_zone(variable: str, expected: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", variable)
    assert setup.local_timezone() == expected
    monkeypatch.setenv("TZ", "/etc/shadow")
    assert setup.local_timezone() != "/etc/shadow"
