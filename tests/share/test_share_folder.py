from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

import pytest
from contract import NAME, ShareContract

from vault.errors import ShareError, UsageError, VaultError
from vault.share import folder
from vault.share.backend import ShareUnavailableError, open_share
from vault.share.folder import FolderShare


class TestFolderShare(ShareContract):
    @pytest.fixture
    def share(self, tmp_path: Path) -> FolderShare:
        (tmp_path / "share").mkdir()
        return FolderShare(tmp_path / "share")


class TestFolderShareWithoutHardLinks(ShareContract):
    """As on FAT and on file servers that have no hard links."""

    @pytest.fixture
    def share(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FolderShare:
        def refuse(*_: object, **__: object) -> None:
            raise PermissionError(errno.EPERM, "Operation not permitted")

        monkeypatch.setattr(os, "link", refuse)
        (tmp_path / "share").mkdir()
        return FolderShare(tmp_path / "share")


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "source"
    path.write_bytes(b"x" * 3_000_000)
    return path


@pytest.fixture
def share(tmp_path: Path) -> FolderShare:
    (tmp_path / "share").mkdir()
    share = FolderShare(tmp_path / "share")
    share.begin(first=True)
    return share


def test_a_missing_root_is_away_and_never_made(tmp_path: Path) -> None:
    with pytest.raises(ShareUnavailableError, match="away"):
        FolderShare(tmp_path / "share").begin(first=True)
    assert not (tmp_path / "share").exists()


def test_a_bare_mount_point_is_not_the_share(tmp_path: Path) -> None:
    with pytest.raises(ShareUnavailableError, match="is it mounted"):
        FolderShare(tmp_path).begin(first=False)
    assert list(tmp_path.iterdir()) == []


def test_a_share_that_goes_away_in_between(share: FolderShare, source: Path) -> None:
    share.root.rename(share.root.with_name("elsewhere"))
    for use in (lambda: share.put(NAME, source), lambda: share.exists(NAME), lambda: list(share.list("v1/"))):
        with pytest.raises(ShareUnavailableError, match="away"):
            use()
    assert not share.root.exists()


@pytest.mark.parametrize(
    ("number", "kind", "words"),
    [
        (errno.ENOSPC, ShareUnavailableError, "full"),
        (errno.EDQUOT, ShareUnavailableError, "full"),
        (errno.EROFS, ShareUnavailableError, "read-write"),
        (errno.ESTALE, ShareUnavailableError, "away"),
        (errno.EHOSTDOWN, ShareUnavailableError, "away"),
        (errno.EIO, ShareError, "check the disk"),
    ],
)
def test_errors_of_the_system_say_what_to_do(
    share: FolderShare,
    source: Path,
    monkeypatch: pytest.MonkeyPatch,
    number: int,
    kind: type[ShareError],
    words: str,
) -> None:
    def fail(descriptor: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(ShareError, match=words) as caught:
        share.put(NAME, source)
    assert type(caught.value) is kind
    monkeypatch.undo()
    assert not share.exists(NAME)
    assert list(share.root.joinpath("v1/incoming").iterdir()) == []


@pytest.mark.parametrize(
    "given_back", [b"", b"dxta", b"dat", b"data\0"], ids=["nothing", "other", "less", "more"]
)
def test_what_is_read_back_must_be_what_was_written(
    share: FolderShare, source: Path, monkeypatch: pytest.MonkeyPatch, given_back: bytes
) -> None:
    source.write_bytes(b"data")
    monkeypatch.setattr(folder, "_copy", lambda _source, target: (target.write(given_back), target.flush()))
    with pytest.raises(ShareError, match="did not give back"):
        share.put(NAME, source)
    assert list(share.list("v1/")) == []


def test_folders_that_cannot_be_synced_are_no_error(
    share: FolderShare, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    true_fsync = os.fsync

    def fsync(descriptor: int) -> None:
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            raise OSError(errno.EINVAL, "Invalid argument")
        true_fsync(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    share.put(NAME, source)
    assert share.exists(NAME)


def test_begin_sweeps_what_a_cut_off_delivery_left(share: FolderShare) -> None:
    leftover = share.root / "v1" / "incoming" / "abcd"
    leftover.write_bytes(b"half")
    share.begin(first=False)
    assert not leftover.exists()


def test_a_link_where_a_folder_belongs_is_refused(share: FolderShare, source: Path, tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    (share.root / "v1" / "blobs").symlink_to(tmp_path / "outside")
    with pytest.raises(ShareError, match="symbolic link"):
        share.put(NAME, source)
    assert list((tmp_path / "outside").iterdir()) == []


def test_pipes_and_links_are_not_read(share: FolderShare, source: Path) -> None:
    blobs = share.root / "v1" / "blobs"
    blobs.mkdir()
    os.mkfifo(blobs / "0a.age")
    (blobs / "0b.age").symlink_to(source)
    for name in ("v1/blobs/0a.age", "v1/blobs/0b.age"):
        with pytest.raises(ShareError), share.read(name):
            pass


def test_a_source_that_cannot_be_read_is_not_the_shares_fault(share: FolderShare, tmp_path: Path) -> None:
    with pytest.raises(VaultError, match="outbox") as caught:
        share.put(NAME, tmp_path / "missing")
    assert not isinstance(caught.value, ShareError)


def test_a_full_disk_leaves_nothing_half_done(small_disk: Path, source: Path) -> None:
    share = FolderShare(small_disk)
    share.begin(first=True)
    share.put("v1/blobs/1.age", source)
    share.put("v1/blobs/2.age", source)
    with pytest.raises(ShareUnavailableError, match="full"):
        share.put("v1/blobs/3.age", source)
    assert sorted(share.list("v1/")) == ["v1/blobs/1.age", "v1/blobs/2.age"]
    assert list((small_disk / "v1" / "incoming").iterdir()) == []


def test_open_share(tmp_path: Path) -> None:
    for url in ("/mnt/share", "file:///mnt/share", "file://localhost/mnt/share"):
        assert open_share(url).place == "/mnt/share"
    assert open_share("file:///mnt/a%20b").place == "/mnt/a b"


@pytest.mark.parametrize("url", ["ftp://host/x", "file://server/x", "share", ""])
def test_open_share_says_what_is_allowed(url: str) -> None:
    with pytest.raises(UsageError, match="absolute path"):
        open_share(url)


@pytest.mark.parametrize("url", ["ftp://me:secret@host/x", "smb://me:secret@nas/x", "s3://me:secret@bucket"])
def test_an_account_in_the_url_is_refused_and_not_repeated(url: str) -> None:
    with pytest.raises(UsageError, match="password_file") as caught:
        open_share(url)
    assert "secret" not in str(caught.value)
