from __future__ import annotations

import io
import signal
import subprocess
import sys
import time
from pathlib import Path

import pyrage
import pytest

from vault.errors import IntegrityError, ShareError
from vault.share import envelope
from vault.share.backend import ShareUnavailableError
from vault.share.folder import FolderShare
from vault.share.outbox import Outbox

IDENTITY = pyrage.x25519.Identity.generate()
RECIPIENTS = envelope.parse_recipients([str(IDENTITY.to_public())])
NAMES = [f"v1/blobs/{digit}a.age" for digit in range(4)]


class Faulty(FolderShare):
    """Fails at the names in `errors`."""

    errors: dict[str, Exception]

    def put(self, name: str, source: Path) -> None:
        if name in self.errors:
            raise self.errors[name]
        super().put(name, source)


@pytest.fixture
def outbox(tmp_path: Path) -> Outbox:
    outbox = Outbox(tmp_path / "outbox")
    for name in NAMES:
        outbox.seal(name, io.BytesIO(name.encode()), len(name), RECIPIENTS)
    return outbox


@pytest.fixture
def share(tmp_path: Path) -> Faulty:
    (tmp_path / "share").mkdir()
    share = Faulty(tmp_path / "share")
    share.errors = {}
    return share


def opened(share: FolderShare, name: str) -> bytes:
    with share.read(name) as file:
        return pyrage.decrypt(file.read(), [IDENTITY])


def test_delivers_everything_once(outbox: Outbox, share: Faulty) -> None:
    assert outbox.pending() == NAMES
    result = outbox.deliver(share)
    assert (result.sent, result.already, result.pending, result.failed) == (4, 0, 0, [])
    assert outbox.pending() == []
    assert sorted(share.list("v1/")) == NAMES
    assert all(opened(share, name) == name.encode() for name in NAMES)
    assert outbox.deliver(share).sent == 0


def test_files_are_private(outbox: Outbox) -> None:
    assert outbox.folder.stat().st_mode & 0o777 == 0o700
    outbox.keep()
    kept = [path for path in outbox.folder.iterdir() if path.is_file()]
    assert len(kept) == 4
    assert all(path.stat().st_mode & 0o777 == 0o600 for path in kept)


def test_what_waits_is_not_sealed_again(outbox: Outbox) -> None:
    class Unreadable:
        def read(self, size: int = -1, /) -> bytes:
            raise AssertionError("read")

    assert outbox.seal(NAMES[0], Unreadable(), 10, RECIPIENTS) is False


def test_a_failed_seal_leaves_nothing(outbox: Outbox) -> None:
    with pytest.raises(IntegrityError):
        outbox.seal("v1/blobs/ff.age", io.BytesIO(b"abc"), 99, RECIPIENTS)
    assert outbox.pending() == NAMES
    assert len([path for path in outbox.folder.rglob("*") if path.is_file()]) == 4


def test_what_was_not_kept_is_gone_with_the_run_that_sealed_it(outbox: Outbox, share: Faulty) -> None:
    outbox.discard_fresh()
    assert outbox.pending() == []
    outbox.seal(NAMES[0], io.BytesIO(b"x"), 1, RECIPIENTS)
    outbox.keep()
    again = Outbox(outbox.folder)
    again.discard_fresh()
    assert again.pending() == NAMES[:1]
    assert not again.seal(NAMES[0], io.BytesIO(b"x"), 1, RECIPIENTS)
    assert again.deliver(share).sent == 1
    assert again.pending() == []


def test_a_share_that_is_away_is_one_failure_and_is_caught_up(outbox: Outbox, share: Faulty) -> None:
    share.root.rmdir()
    result = outbox.deliver(share)
    assert (result.sent, result.pending, len(result.failed)) == (0, 4, 1)
    assert "away" in result.failed[0].reason
    share.root.mkdir()
    assert outbox.deliver(share).sent == 4


def test_an_unmounted_share_is_noticed_once_it_was_used(
    outbox: Outbox, share: Faulty, tmp_path: Path
) -> None:
    outbox.deliver(share)
    share.root.rename(tmp_path / "elsewhere")
    share.root.mkdir()  # the bare mount point
    outbox.seal(NAMES[0], io.BytesIO(b"x"), 1, RECIPIENTS)
    result = outbox.deliver(FolderShare(share.root))
    assert "is it mounted" in result.failed[0].reason
    assert list(share.root.iterdir()) == []


def test_going_away_in_the_middle_keeps_the_rest(
    outbox: Outbox, share: Faulty, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vault.share.outbox.AT_ONCE", 1)
    share.errors = {NAMES[2]: ShareUnavailableError("the share is away")}
    result = outbox.deliver(share)
    assert (result.sent, result.pending, len(result.failed)) == (2, 2, 1)
    assert outbox.pending() == NAMES[2:]


def test_one_bad_file_does_not_stop_the_others(outbox: Outbox, share: Faulty) -> None:
    share.errors = {NAMES[1]: ShareError("did not give back what was written")}
    result = outbox.deliver(share)
    assert (result.sent, result.pending) == (3, 1)
    assert [failure.subject for failure in result.failed] == [NAMES[1]]
    assert outbox.pending() == [NAMES[1]]


def test_cut_off_between_delivery_and_removal(outbox: Outbox, share: Faulty) -> None:
    outbox.keep()
    waiting = {path.name: path.read_bytes() for path in outbox.folder.iterdir() if path.is_file()}
    outbox.deliver(share)
    for name, data in waiting.items():
        (outbox.folder / name).write_bytes(data)
    result = outbox.deliver(share)
    assert (result.sent, result.already, result.failed) == (0, 4, [])


def test_another_encryption_of_the_same_file_is_already_there(outbox: Outbox, share: Faulty) -> None:
    outbox.deliver(share)
    outbox.seal(NAMES[0], io.BytesIO(NAMES[0].encode()), len(NAMES[0]), RECIPIENTS)
    assert outbox.deliver(share).already == 1


@pytest.mark.parametrize("content", [b"", b"ransom", b"age-encryption.org/v1\n-> X\n--- mac\n" + b"x" * 300])
def test_something_else_under_the_name_is_told(outbox: Outbox, share: Faulty, content: bytes) -> None:
    outbox.deliver(share)
    (share.root / NAMES[0]).write_bytes(content)
    outbox.seal(NAMES[0], io.BytesIO(NAMES[0].encode()), len(NAMES[0]), RECIPIENTS)
    result = outbox.deliver(share)
    assert result.failed[0].subject == NAMES[0]
    assert (share.root / NAMES[0]).read_bytes() == content
    assert outbox.pending() == [NAMES[0]]


def test_killed_at_any_time_the_next_delivery_finishes(tmp_path: Path, share: Faulty) -> None:
    program = f"""
import io
from vault.share.envelope import parse_recipients
from vault.share.folder import FolderShare
from vault.share.outbox import Outbox
recipients = parse_recipients({RECIPIENTS.keys!r})
outbox = Outbox(__import__("pathlib").Path({str(tmp_path / "outbox")!r}))
print("begun", flush=True)
for number in range(400):
    outbox.seal(f"v1/blobs/{{number:x}}.age", io.BytesIO(b"x" * 5000), 5000, recipients)
    outbox.deliver(FolderShare(__import__("pathlib").Path({str(share.root)!r})))
"""
    for delay in (0.02, 0.05, 0.11):
        process = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE)
        assert process.stdout
        with process.stdout as output:
            output.readline()
        time.sleep(delay)
        process.send_signal(signal.SIGKILL)
        process.wait()
    outbox = Outbox(tmp_path / "outbox")
    result = outbox.deliver(share)
    assert result.failed == []
    assert outbox.pending() == []
    delivered = list(share.list("v1/"))
    assert delivered
    assert all(opened(share, name) == b"x" * 5000 for name in delivered)


def test_a_new_empty_share_is_told_since_it_lacks_what_went_before(
    outbox: Outbox, share: Faulty, tmp_path: Path
) -> None:
    outbox.deliver(share)
    (tmp_path / "other").mkdir()
    for name in NAMES[:2]:
        outbox.seal(name, io.BytesIO(b"x"), 1, RECIPIENTS)
    result = outbox.deliver(FolderShare(tmp_path / "other"))
    assert result.sent == 2
    assert "update-ref -d refs/vault/shared" in result.failed[0].reason


def test_the_same_share_at_another_path_is_not_new(outbox: Outbox, share: Faulty, tmp_path: Path) -> None:
    outbox.deliver(share)
    share.root.rename(tmp_path / "elsewhere")
    outbox.seal(NAMES[0], io.BytesIO(b"x"), 1, RECIPIENTS)
    result = outbox.deliver(FolderShare(tmp_path / "elsewhere"))
    assert result.failed[0].subject == NAMES[0]  # another length: damaged; the share itself is no failure
    assert len(result.failed) == 1


def test_a_file_of_somebody_elses_is_said_and_stops_no_other(outbox: Outbox, share: Faulty) -> None:
    outbox.keep()
    (outbox.folder / "Thumbs.db").write_bytes(b"")
    result = outbox.deliver(share)
    assert result.sent == 4
    assert [failure.subject for failure in result.failed] == ["Thumbs.db"]
    assert "did not put there" in result.failed[0].reason
