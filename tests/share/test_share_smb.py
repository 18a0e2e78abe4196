"""The share on a real Samba: the contract, and what file servers do in the night."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
import smbclient
from contract import NAME, ShareContract
from samba import SmbServer, missing_samba, samba
from share_kit import SharedVault, refs

from vault.delivery import open_outbox, to_share
from vault.errors import ExitCode, ShareError, UsageError
from vault.restore import restore
from vault.share import smb
from vault.share.backend import Access, NameTakenError, ShareUnavailableError, open_share
from vault.share.envelope import parse_identities
from vault.share.smb import SmbShare

pytestmark = [
    pytest.mark.system,
    pytest.mark.skipif(bool(missing_samba()), reason=missing_samba() or "there"),
]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SmbServer]:
    folder = tmp_path_factory.mktemp("served")
    with samba(folder) as running:
        yield running


@pytest.fixture
def folder(server: SmbServer) -> Iterator[Path]:
    """A folder of its own on the server for each test."""
    path = server.share / "backup"
    path.mkdir()
    yield path
    shutil.rmtree(path)


def at(server: SmbServer, folder: str = "backup", password: str | None = None) -> SmbShare:
    access = Access(user=server.user, password=password or server.password, timeout=10)
    share = open_share(f"{server.url}/{folder}", access)
    assert isinstance(share, SmbShare)
    return share


class TestSmb(ShareContract):
    @pytest.fixture
    def share(self, server: SmbServer, folder: Path) -> Iterator[SmbShare]:
        share = at(server)
        yield share
        share.close()

    def test_what_lies_there_is_the_file(self, share: SmbShare, source: Path, folder: Path) -> None:
        share.begin(first=True)
        share.put(NAME, source)
        assert (folder / NAME).read_bytes() == source.read_bytes()
        assert list((folder / "v1/incoming").iterdir()) == []

    def test_what_a_cut_off_delivery_left_is_swept(self, share: SmbShare, folder: Path) -> None:
        share.begin(first=True)
        (folder / "v1/incoming/0badcafe").write_bytes(b"half")
        share.begin(first=False)
        assert list((folder / "v1/incoming").iterdir()) == []

    def test_an_account_that_may_not_rename_gives_a_second_name(
        self, share: SmbShare, source: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        from smbprotocol.exceptions import SMBOSError

        def denied(*arguments: object, **options: object) -> None:
            raise SMBOSError(0xC0000022, "")

        monkeypatch.setattr(smbclient, "rename", denied)
        monkeypatch.setattr(smbclient, "remove", denied)
        share.begin(first=True)
        share.put(NAME, source)
        assert (folder / NAME).read_bytes() == source.read_bytes()
        with pytest.raises(NameTakenError):
            share.put(NAME, source)

    def test_what_comes_back_changed_is_not_delivered(
        self, share: SmbShare, source: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        share.begin(first=True)
        monkeypatch.setattr(SmbShare, "_hash", lambda self, path: b"other")
        with pytest.raises(ShareError, match="did not give back"):
            share.put(NAME, source)
        assert not share.exists(NAME)


def test_a_folder_that_is_not_there_is_said(server: SmbServer, folder: Path) -> None:
    with pytest.raises(ShareUnavailableError, match="no such folder"):
        at(server, "elsewhere").begin(first=True)
    with pytest.raises(ShareUnavailableError, match="although files were delivered"):
        at(server).begin(first=False)
    nothing = open_share(server.url.replace("/rois", "/nothing"), Access(server.user, server.password))
    with pytest.raises(ShareUnavailableError, match=r"correct share\.url"):
        nothing.begin(first=True)


def test_wrong_credentials_are_said(server: SmbServer, folder: Path) -> None:
    with pytest.raises(ShareUnavailableError, match="refuses the account") as caught:
        at(server, password="wrong").begin(first=True)
    assert "wrong" not in str(caught.value)


def test_an_account_that_is_locked_tonight_delivers_once_it_is_not(
    server: SmbServer, folder: Path, tmp_path: Path
) -> None:
    vault = vault_for(server, tmp_path, "/backup")
    vault.night("4711", 1, objects=1)
    server.disable_account(disabled=True)
    try:
        failed = vault.deliver().failed
    finally:
        server.disable_account(disabled=False)
    assert "refuses the account" in failed[0].reason
    assert "password_file" in failed[0].reason
    assert vault.deliver().failed == []


def test_a_server_that_is_not_there_is_said() -> None:
    from peers import free_port

    share = SmbShare.at(f"smb://127.0.0.1:{free_port()}/x", Access("u", "p", timeout=3))
    with pytest.raises(ShareUnavailableError, match="can't be reached"):
        share.begin(first=True)


@pytest.mark.parametrize("url", ["smb://", "smb://nas", "smb:///x", "smb://nas:0x/y"])
def test_a_url_that_names_no_share(url: str) -> None:
    with pytest.raises(UsageError):
        open_share(url)


def test_a_read_only_share_is_said_and_everything_waits(tmp_path: Path) -> None:
    (tmp_path / "served").mkdir()
    with samba(tmp_path / "served", extra="read only = yes") as server:
        vault, failed = delivered_to(server, tmp_path)
        assert "refuses writing" in failed
        assert open_outbox(vault.folder).pending()
        restarted = server.config.read_text().replace("read only = yes", "")
        server.config.write_text(restarted)
        server.restart()
        assert vault.deliver().failed == []
        assert open_outbox(vault.folder).pending() == []


def test_a_full_share_is_said_and_more_room_is_enough(tmp_path: Path) -> None:
    served = tmp_path / "served"
    served.mkdir()
    with ExitStack() as stack:
        mounted = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=300k", "tmpfs", served], capture_output=True, check=False
        )
        if mounted.returncode:
            pytest.skip("mounting a tmpfs is not allowed here")
        stack.callback(subprocess.run, ["umount", "-l", served], check=False)
        with samba(served) as server:
            vault, failed = delivered_to(server, tmp_path)
            assert "is full" in failed
            waiting = len(open_outbox(vault.folder).pending())
            assert waiting
            subprocess.run(["mount", "-o", "remount,size=64m", served], check=True)
            assert vault.deliver().failed == []
            assert open_outbox(vault.folder).pending() == []


def delivered_to(server: SmbServer, tmp_path: Path) -> tuple[SharedVault, str]:
    """A vault that delivers to a server, and why its first delivery failed."""
    vault = vault_for(server, tmp_path)
    for number in range(1, 4):
        vault.night("4711", number)
    vault.event()
    failed = vault.deliver().failed
    assert failed, "the delivery went through"
    return vault, failed[0].reason


def vault_for(server: SmbServer, tmp_path: Path, folder: str = "") -> SharedVault:
    secret = tmp_path / "password"
    secret.touch(mode=0o600)
    secret.write_text(f"{server.password}\n")
    extra = f'user = "{server.user}"\npassword_file = "{secret}"\ntimeout = "10s"\n'
    return SharedVault(tmp_path / "vault", url=f"{server.url}{folder}", extra=extra)


def test_a_server_that_dies_in_mid_write_is_said_and_nothing_is_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "served").mkdir()
    with samba(tmp_path / "served") as server:
        share = SmbShare.at(server.url, Access(server.user, server.password, timeout=5))
        share.begin(first=True)
        source = tmp_path / "source"
        source.write_bytes(bytes(3 << 20))

        def dying(path: Path, size: int) -> Iterator[bytes]:
            yield bytes(1 << 20)
            server.kill()
            yield bytes(1 << 20)

        monkeypatch.setattr(smb, "pieces", dying)
        with pytest.raises(ShareUnavailableError, match="went away"):
            share.put(NAME, source)
        monkeypatch.undo()
        server.restart()
        assert not share.exists(NAME)  # over a new connection
        share.begin(first=False)
        share.put(NAME, source)
        assert (tmp_path / "served" / NAME).stat().st_size == 3 << 20


def test_a_connection_that_ended_between_two_files_is_made_again(
    server: SmbServer, folder: Path, tmp_path: Path
) -> None:
    share = at(server)
    share.begin(first=True)
    source = tmp_path / "source"
    source.write_bytes(b"x" * 10)
    share.put(NAME, source)
    share._smb.cut()
    assert share.exists(NAME)
    share.put("v1/blobs/ff.age", source)


def test_there_and_back(server: SmbServer, folder: Path, tmp_path: Path) -> None:
    vault = vault_for(server, tmp_path, "/backup").usual()
    lost = refs(vault.folder)
    identities = parse_identities(vault.identity.read_text())
    report = restore(at(server), identities, tmp_path / "new")
    assert report.exit_code == ExitCode.DONE, report
    assert refs(tmp_path / "new") == lost
    assert to_share(vault.config).sent == 0  # nothing is new
