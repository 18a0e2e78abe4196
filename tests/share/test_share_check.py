"""`vault share check` finds a share that is unfit, and says the fix."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from share_kit import SharedVault

from cli.main import main
from vault.errors import ShareError
from vault.share import check as checks
from vault.share.check import Check, check
from vault.share.folder import FolderShare


@pytest.fixture
def share(tmp_path: Path) -> FolderShare:
    (tmp_path / "share").mkdir()
    return FolderShare(tmp_path / "share")


def tried(share: FolderShare, tmp_path: Path, first: bool = True) -> dict[str, Check]:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    found = {one.name: one for one in check(share, scratch, first=first)}
    assert list(scratch.iterdir()) == []
    return found


def test_a_fit_share_passes_is_measured_and_left_as_it_was(share: FolderShare, tmp_path: Path) -> None:
    share.begin(first=True)
    found = tried(share, tmp_path)
    assert len(found) == 8
    assert all(one.ok for one in found.values())
    assert "MB/s" in found["a large file"].text
    assert "a second" in found["small files"].text
    assert [path for path in share.root.rglob("*") if path.is_file()] == []


def test_a_share_that_is_away_ends_it(tmp_path: Path) -> None:
    found = tried(FolderShare(tmp_path / "nothing"), tmp_path)
    assert list(found) == ["reached"]
    assert not found["reached"].ok
    assert "mount it" in found["reached"].fix


def test_a_share_that_replaces_is_found(
    share: FolderShare, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def put(self: FolderShare, name: str, source: Path) -> None:
        target = self.root / name
        target.parent.mkdir(exist_ok=True)
        target.write_bytes(source.read_bytes())

    monkeypatch.setattr(FolderShare, "put", put)
    found = tried(share, tmp_path)
    assert not found["a name that is taken stays as it is"].ok
    assert "object lock" in found["a name that is taken stays as it is"].fix
    assert not found["of several who write one name at once, one wins"].ok


def test_a_share_that_loses_the_end_is_found_and_nothing_more_is_tried(
    share: FolderShare, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def put(self: FolderShare, name: str, source: Path) -> None:
        (self.root / name).parent.mkdir(exist_ok=True)
        (self.root / name).write_bytes(source.read_bytes()[:1000])

    monkeypatch.setattr(FolderShare, "put", put)
    found = tried(share, tmp_path)
    assert not found["written, and read back"].ok
    assert list(found) == ["reached", "written, and read back", "removed"]


def test_an_account_that_may_not_remove_is_enough(
    share: FolderShare, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(self: FolderShare, name: str) -> None:
        raise ShareError("no")

    monkeypatch.setattr(FolderShare, "remove", refused)
    found = tried(share, tmp_path)
    assert all(one.ok for one in found.values())
    assert "may not remove" in found["removed"].text


def test_the_command(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checks, "LARGE", 1 << 20)
    vault = SharedVault(tmp_path / "vault")
    toml = str(vault.folder / "vault.toml")
    assert main(["-c", toml, "share", "check"]) == 0
    assert "ok      reached" in capsys.readouterr().out
    assert main(["-c", toml, "share", "check", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["ok"] is True
    vault.share.rename(tmp_path / "away")
    assert main(["-c", toml, "share", "check"]) == 1
    assert "mount it" in capsys.readouterr().out
