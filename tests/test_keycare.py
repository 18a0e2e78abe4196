"""Recipients are pinned; one more is added; everything on the share is encrypted anew."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pyrage
import pytest
from share_kit import SharedVault, refs

from cli.main import main
from vault.config import load
from vault.delivery import open_outbox
from vault.errors import ConfigError, ExitCode, IntegrityError, ShareError
from vault.keycare import Rekeyed, add_recipient, look, rekey
from vault.recipients import pin_path, pinned
from vault.restore import restore
from vault.share import outbox
from vault.share.backend import ShareUnavailableError
from vault.share.envelope import parse_identities
from vault.share.folder import FolderShare

OTHER = pyrage.x25519.Identity.generate()
PUBLIC = str(OTHER.to_public())


@pytest.fixture
def vault(tmp_path: Path) -> SharedVault:
    vault = SharedVault(tmp_path / "vault")
    for number in (1, 2):
        vault.night("4711", number, objects=1)
        vault.event()
    assert vault.deliver().failed == []
    return vault


def edited(vault: SharedVault) -> SharedVault:
    """Somebody adds a key to vault.toml."""
    toml = vault.folder / "vault.toml"
    toml.write_text(toml.read_text().replace('recipients = ["', f'recipients = ["{PUBLIC}", "'))
    vault.config = load(toml)
    return vault


def opens(vault: SharedVault, identity: pyrage.x25519.Identity) -> tuple[int, int]:
    """How many files of the share an identity opens, and how many there are."""
    opened = total = 0
    for path in vault.share.rglob("*.age"):
        total += 1
        try:
            pyrage.decrypt(path.read_bytes(), [identity])
        except pyrage.DecryptError:
            continue
        opened += 1
    return opened, total


def rekeyed(vault: SharedVault) -> Rekeyed:
    return rekey(vault.config, parse_identities(vault.identity.read_text()))


def test_a_key_that_nobody_pinned_gets_nothing(vault: SharedVault) -> None:
    edited(vault)
    vault.night("4711", 5)
    vault.event()
    before = len(list(vault.share.rglob("*.age")))
    delivered = vault.deliver()
    assert [failure.subject for failure in delivered.failed] == ["recipients"]
    assert PUBLIC in delivered.failed[0].reason
    assert "vault keys pin" in delivered.failed[0].reason
    assert len(list(vault.share.rglob("*.age"))) == before
    assert open_outbox(vault.folder).pending() == []
    assert main(["-c", str(vault.config.path), "keys", "pin"]) == 0
    assert vault.deliver().failed == []
    assert opens(vault, OTHER)[0] > 5


def test_a_pin_that_was_changed_is_no_pin(vault: SharedVault) -> None:
    path = pin_path(vault.config)
    path.write_text(path.read_text().replace("age1", f"{PUBLIC}\nage1", 1))
    edited(vault)
    with pytest.raises(IntegrityError, match="not what the vault signed"):
        pinned(vault.config)
    assert vault.deliver().integrity
    path.write_text("")
    with pytest.raises(IntegrityError):
        pinned(vault.config)


def test_a_recipient_is_added_and_opens_what_comes(vault: SharedVault) -> None:
    add_recipient(vault.config, PUBLIC)
    vault.config = load(vault.folder / "vault.toml")
    assert vault.config.vault.recipients[-1] == PUBLIC
    assert look(vault.config).pinned == vault.config.vault.recipients
    assert opens(vault, OTHER)[0] == 0
    vault.night("4711", 5)
    vault.event()
    assert vault.deliver().failed == []
    assert opens(vault, OTHER)[0] > 5
    with pytest.raises(ConfigError, match="already"):
        add_recipient(vault.config, PUBLIC)
    with pytest.raises(ConfigError, match="age1"):
        add_recipient(vault.config, "age1nonsense")


def test_everything_anew_opens_with_the_new_key_alone(vault: SharedVault, tmp_path: Path) -> None:
    add_recipient(vault.config, PUBLIC)
    vault.config = load(vault.folder / "vault.toml")
    result = rekeyed(vault)
    assert result.failed == []
    opened, total = opens(vault, OTHER)
    assert opened == total == result.total == result.done
    report = restore(FolderShare(vault.share), parse_identities(str(OTHER)), tmp_path / "new")
    assert report.exit_code == ExitCode.DONE
    assert refs(tmp_path / "new") == refs(vault.folder)
    assert vault.deliver().failed == []


@pytest.mark.parametrize("at", [1, 9, 20])
def test_cut_off_anywhere_nothing_is_lost_and_the_rest_follows(
    vault: SharedVault, monkeypatch: pytest.MonkeyPatch, at: int
) -> None:
    monkeypatch.setattr("vault.keycare.BATCH", 5)
    add_recipient(vault.config, PUBLIC)
    vault.config = load(vault.folder / "vault.toml")
    names = {path.name for path in vault.share.rglob("*.age")}
    left = at
    true_put, true_remove = FolderShare.put, FolderShare.remove

    def counted(true: object) -> object:
        def wrapped(self: FolderShare, *arguments: object) -> None:
            nonlocal left
            left -= 1
            if left < 0:
                raise KeyboardInterrupt
            true(self, *arguments)  # type: ignore[operator]

        return wrapped

    monkeypatch.setattr(outbox, "AT_ONCE", 1)
    monkeypatch.setattr(FolderShare, "put", counted(true_put))
    monkeypatch.setattr(FolderShare, "remove", counted(true_remove))
    with pytest.raises(KeyboardInterrupt):
        rekeyed(vault)
    monkeypatch.setattr(FolderShare, "put", true_put)
    monkeypatch.setattr(FolderShare, "remove", true_remove)
    waiting = {name.rpartition("/")[2] for name in open_outbox(vault.folder).pending()}
    assert {path.name for path in vault.share.rglob("*.age")} | waiting == names
    assert rekeyed(vault).failed == []
    opened, total = opens(vault, OTHER)
    assert opened == total == len(names)


def test_where_nothing_may_be_removed_nothing_is_lost(
    vault: SharedVault, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(self: FolderShare, name: str) -> None:
        raise ShareError("the share refuses")

    monkeypatch.setattr(FolderShare, "remove", refused)
    before = {path.name for path in vault.share.rglob("*.age")}
    result = rekeyed(vault)
    assert result.done == 0
    assert "begin a new share" in result.failed[0].reason
    assert {path.name for path in vault.share.rglob("*.age")} == before
    assert open_outbox(vault.folder).pending() == []


@pytest.mark.parametrize("error", [ShareError, ShareUnavailableError])
def test_a_removal_whose_answer_was_lost_costs_neither_the_old_file_nor_the_new_one(
    vault: SharedVault, monkeypatch: pytest.MonkeyPatch, error: type[ShareError]
) -> None:
    removed: list[str] = []
    remove = FolderShare.remove

    def lost(self: FolderShare, name: str) -> None:
        remove(self, name)
        removed.append(name)
        if len(removed) == 3:
            raise error("the server said nothing more")

    before = {path.name for path in vault.share.rglob("*.age")}
    with monkeypatch.context() as patch:
        patch.setattr(FolderShare, "remove", lost)
        assert rekeyed(vault).failed
    assert {path.name for path in vault.share.rglob("*.age")} == before
    assert open_outbox(vault.folder).pending() == []
    assert rekeyed(vault).failed == []


@pytest.mark.parametrize("name", ["Thumbs.db", "blobs/.DS_Store", "blobs/a b", b"blobs/\xff"])
def test_what_file_servers_leave_is_said_and_stops_nothing(vault: SharedVault, name: str | bytes) -> None:
    stranger = vault.share / "v1" / os.fsdecode(name)
    stranger.write_bytes(b"x")
    result = rekeyed(vault)
    assert [failure.reason for failure in result.failed] == ["no file of a vault; it stays as it is"]
    result.failed[0].subject.encode()  # can be printed
    assert stranger.read_bytes() == b"x"
    assert result.done == result.total > 0


def test_a_damaged_file_stays_and_is_said(vault: SharedVault) -> None:
    victim = next(iter(sorted((vault.share / "v1/blobs").iterdir())))
    victim.write_bytes(b"x")
    result = rekeyed(vault)
    assert [failure.subject for failure in result.failed] == [f"v1/blobs/{victim.name}"]
    assert victim.read_bytes() == b"x"
    assert result.done == result.total - 1


def test_the_commands(vault: SharedVault, capsys: pytest.CaptureFixture[str]) -> None:
    toml = str(vault.config.path)
    assert main(["-c", toml, "keys", "list"]) == 0
    said = capsys.readouterr().out
    assert "recipient  age1" in said
    assert "AGE-SECRET" not in said
    assert "two safes" in said
    assert main(["-c", toml, "keys", "add-recipient", PUBLIC]) == 0
    assert main(["-c", toml, "keys", "rekey"]) == 2
    assert main(["-c", toml, "keys", "list", PUBLIC]) == 2
    capsys.readouterr()
    assert main(["-c", toml, "--json", "keys", "rekey", "--identity", str(vault.identity)]) == 0
    assert json.loads(capsys.readouterr().out)["failed"] == []
