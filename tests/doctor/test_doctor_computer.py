"""`vault doctor computer` and `share`: room, clock, keys, and whether the share is there."""

from __future__ import annotations

import re
import shutil
from collections import namedtuple
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from vault import setup
from vault.archive.ledger import Ledger
from vault.archive.signing import Signer
from vault.config import Config, load
from vault.delivery import open_outbox, to_share
from vault.doctor.check import Check
from vault.doctor.computer import check_computer
from vault.doctor.share import check_share
from vault.recipients import pin
from vault.share.backend import share_of

NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)
KEY = "age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p"
OTHER = "age1lggyhqrw2nlhcxprm67z43rta597azn8gknawjehu9d9dl0jq3yqqvfafg"

Usage = namedtuple("Usage", "total used free")


@pytest.fixture
def config(tmp_path: Path) -> Config:
    folder, share = tmp_path / "vault", tmp_path / "share"
    share.mkdir()
    setup.initialize(folder, name="Test department", timezone="Europe/Berlin")
    (folder / "keys/identity.txt").unlink()
    path = folder / "vault.toml"
    path.write_text(
        re.sub(r"^recipients = .*$", f'recipients = ["{KEY}"]', path.read_text(), flags=re.MULTILINE)
        + f'\n[share]\nurl = "{share.as_uri()}"\n'
    )
    return load(path)


def checks(config: Config) -> dict[str, Check]:
    return {check.name: check for check in check_computer(config, now=NOW)}


def test_a_new_vault_is_well(config: Config) -> None:
    found = checks(config)
    assert all(check.ok for check in found.values()), found
    assert "SHA256:" in found["signing key"].text
    assert found["clock"].text == "2026-11-25 13:00 in Europe/Berlin"
    assert "1 can open what is on the share; pinned at the first delivery" in found["recipients"].text
    assert not (config.vault.signing_key.parent / "recipients").exists()  # looking pins nothing


def test_keys_that_are_away_or_not_those_that_were_pinned(config: Config) -> None:
    pin(config, [OTHER])
    found = checks(config)
    assert not found["recipients"].ok
    assert "not what was pinned" in found["recipients"].text
    pin(config, [KEY])
    assert "as they were pinned" in checks(config)["recipients"].text
    config.vault.signing_key.unlink()
    config.vault.pseudonym_key.unlink()
    found = checks(config)
    assert [name for name, check in found.items() if not check.ok] == ["signing key", "pseudonym key"]


def test_what_opens_the_share_belongs_into_a_safe(config: Config) -> None:
    (config.vault.signing_key.parent / "identity.txt").touch()
    found = checks(config)["identity"]
    assert not found.ok
    assert "then delete this file" in found.fix


def test_a_disk_that_is_nearly_full(config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(10**12, 10**12 - 10**9, 10**9))
    found = checks(config)["disk"]
    assert not found.ok
    assert "1.0 of 1000.0 GB are free" in found.text
    assert "nothing is received" in found.fix


def test_a_clock_that_was_set_back(config: Config) -> None:
    began = NOW + timedelta(days=2)
    event = {"run": "20261127T120000Z-0001", "started": began.isoformat(), "patients": {}}
    signer = Signer.load(config.vault.signing_key)
    Ledger(config.vault.root, signer).append("runs", "20261127T120000Z-0001", event, when=began)
    found = checks(config)["clock"]
    assert not found.ok
    assert "set the clock" in found.text


def test_the_share(config: Config) -> None:
    found = check_share(config)
    assert found.ok
    assert "nothing was brought there yet" in found.text
    assert not to_share(config).failed
    open_outbox(config.vault.root).mark_begun(share_of(config.share).place)  # type: ignore[arg-type]
    assert check_share(config).text.endswith(" answers")
    shutil.rmtree(config.vault.root.parent / "share")
    found = check_share(config)
    assert not found.ok
    assert "is it mounted?" in found.text
