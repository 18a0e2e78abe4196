from __future__ import annotations

import io
import os
import subprocess
import sys
import time
from pathlib import Path

import pyrage
import pytest

from vault.errors import ConfigError, IntegrityError
from vault.share import envelope
from vault.share.outbox import Outbox

IDENTITY = pyrage.x25519.Identity.generate()
RECOVERY = pyrage.x25519.Identity.generate()
KEYS = (str(IDENTITY.to_public()), str(RECOVERY.to_public()))
RECIPIENTS = envelope.parse_recipients(KEYS)


class TailFailing(io.BytesIO):
    """Takes `limit` bytes and refuses the piece that would go beyond."""

    def __init__(self, limit: int) -> None:
        super().__init__()
        self.limit = limit

    def write(self, data: bytes) -> int:  # type: ignore[override]
        if self.tell() + len(data) > self.limit:
            raise OSError(28, "No space left on device")
        return super().write(data)


@pytest.mark.parametrize("size", [0, 1, 65535, 65536, 65537, (1 << 20) + 3])
@pytest.mark.parametrize("identity", [IDENTITY, RECOVERY], ids=["site", "recovery"])
def test_stock_age_gives_the_exact_bytes(tmp_path: Path, size: int, identity: object) -> None:
    plain = os.urandom(size)
    with (tmp_path / "x.age").open("wb") as file:
        sealed = envelope.encrypt(io.BytesIO(plain), size, file, RECIPIENTS)
    data = (tmp_path / "x.age").read_bytes()
    assert sealed == len(data)
    (tmp_path / "key.txt").write_text(f"{identity}\n")
    opened = subprocess.run(
        ["age", "-d", "-i", str(tmp_path / "key.txt"), str(tmp_path / "x.age")],
        capture_output=True,
        check=True,
    )
    assert opened.stdout == plain


@pytest.mark.parametrize("size", [0, 1000, 66_536, 10_000_000])
@pytest.mark.parametrize("buffering", [0, -1], ids=["raw", "buffered"])
def test_a_full_device_is_never_success(size: int, buffering: int) -> None:
    with pytest.raises(OSError, match="No space left"), open("/dev/full", "wb", buffering=buffering) as file:  # noqa: PTH123
        envelope.encrypt(io.BytesIO(b"x" * size), size, file, RECIPIENTS)


def test_the_last_bytes_refused_is_never_success() -> None:
    whole = io.BytesIO()
    envelope.encrypt(io.BytesIO(b"x" * 66_536), 66_536, whole, RECIPIENTS)
    refused = TailFailing(len(whole.getvalue()) - 700)
    with pytest.raises(OSError, match="No space left"):
        envelope.encrypt(io.BytesIO(b"x" * 66_536), 66_536, refused, RECIPIENTS)


def test_a_writer_that_loses_bytes_silently_is_found_by_its_own_count() -> None:
    class Short(io.BytesIO):
        def write(self, data: bytes) -> int:  # type: ignore[override]
            return super().write(data[:1000])

    target = Short()
    envelope.encrypt(io.BytesIO(b"x" * 200_000), 200_000, target, RECIPIENTS)
    assert pyrage.decrypt(target.getvalue(), [IDENTITY]) == b"x" * 200_000


def test_a_limit_on_file_size_is_never_success(tmp_path: Path) -> None:
    """The kernel refuses what goes beyond the limit, as a full disk does; in a process of its own."""
    program = f"""
import io, resource, signal, sys
from vault.share import envelope
from vault.share.outbox import Outbox
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
recipients = envelope.parse_recipients({KEYS!r})
resource.setrlimit(resource.RLIMIT_FSIZE, (66_500, 66_500))
with open({str(tmp_path / "x")!r}, "wb", buffering=0) as file:
    try:
        envelope.encrypt(io.BytesIO(b"x" * 66_536), 66_536, file, recipients)
    except OSError as error:
        sys.exit(0 if error.errno == 27 else 3)
sys.exit(4)
"""
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


@pytest.mark.parametrize("announced", [0, 99, 101, 70_000])
def test_the_source_must_have_the_size_announced(announced: int) -> None:
    with pytest.raises(IntegrityError, match="100 bytes were read"):
        envelope.encrypt(io.BytesIO(b"x" * 100), announced, io.BytesIO(), RECIPIENTS)


def test_an_error_of_the_source_is_raised_as_it_is() -> None:
    class Broken:
        def read(self, size: int = -1, /) -> bytes:
            raise IntegrityError("damaged")

    with pytest.raises(IntegrityError, match="damaged"):
        envelope.encrypt(Broken(), 100, io.BytesIO(), RECIPIENTS)


def test_a_recipient_at_fault_is_named() -> None:
    with pytest.raises(ConfigError, match="age1nonsense"):
        envelope.parse_recipients([KEYS[0], "age1nonsense"])
    with pytest.raises(ConfigError, match="empty"):
        envelope.parse_recipients([])


def test_a_private_key_is_refused_and_not_repeated() -> None:
    with pytest.raises(ConfigError) as caught:
        envelope.parse_recipients([str(IDENTITY)])
    assert str(IDENTITY) not in str(caught.value)


def test_what_is_no_envelope_has_no_header() -> None:
    for head in (b"", b"age-encryption.org/v1\n", b"age-encryption.org/v1\n--- abc", b"x\n--- a\n"):
        with pytest.raises(IntegrityError):
            envelope.header_size(head)


@pytest.mark.parametrize("end", [b"", b"--- " + b"A" * 43 + b"\n" + bytes(64)])
@pytest.mark.parametrize("line", [b"-> a b\n\n", b"-> X25519 " + b"A" * 43 + b"\n" + b"A" * 43 + b"\n"])
def test_a_header_without_end_is_refused_at_once(line: bytes, end: bytes) -> None:
    """The library would begin it anew for every byte that it lacks: two minutes for 300 kB."""
    hostile = b"age-encryption.org/v1\n" + line * (64_000 // len(line)) + end
    began = time.process_time()
    with pytest.raises(IntegrityError):
        envelope.decrypt(io.BytesIO(hostile), io.BytesIO(), envelope.Identities((IDENTITY,)))
    assert time.process_time() - began < 1


def test_memory_is_flat(tmp_path: Path) -> None:
    program = f"""
peak = lambda: int([line for line in open('/proc/self/status') if 'VmHWM' in line][0].split()[1])  # KiB
from vault.share import envelope
from vault.share.outbox import Outbox
class Source:
    left = 300 << 20
    def read(self, size=-1):
        piece = b"x" * min(size, self.left)
        self.left -= len(piece)
        return piece
recipients = envelope.parse_recipients({KEYS!r})
before = peak()
with open("/dev/null", "wb") as file:
    envelope.encrypt(Source(), 300 << 20, file, recipients)
print(peak() - before)
"""
    grown = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)
    assert int(grown.stdout) < 8 << 10  # KiB


@pytest.mark.parametrize("buffering", [0, -1], ids=["raw", "buffered"])
def test_a_disk_that_is_full_before_the_end_is_never_success(small_disk: Path, buffering: int) -> None:
    """8 MB of room: each size is tried against what is left, down to the last block."""
    (small_disk / "filler").write_bytes(bytes((8 << 20) - (96 << 10)))
    lost = 0
    for size in range(0, 160 << 10, 12_289):
        path = small_disk / "x.age"
        plain = os.urandom(size)
        try:
            with path.open("wb", buffering=buffering) as file:
                envelope.encrypt(io.BytesIO(plain), size, file, RECIPIENTS)
        except OSError as error:
            lost += error.errno == 28
        else:
            assert pyrage.decrypt(path.read_bytes(), [IDENTITY]) == plain
        path.unlink()
    assert 2 < lost < 12


def test_a_full_disk_of_the_outbox_leaves_nothing_and_more_room_is_enough(small_disk: Path) -> None:
    outbox = Outbox(small_disk / "outbox")
    (small_disk / "filler").write_bytes(bytes(7 << 20))
    plain = os.urandom(2 << 20)
    with pytest.raises(OSError, match="No space left"):
        outbox.seal("v1/blobs/aa.age", io.BytesIO(plain), len(plain), RECIPIENTS)
    assert outbox.pending() == []
    assert [path for path in outbox.folder.rglob("*") if path.is_file()] == []
    (small_disk / "filler").unlink()
    assert outbox.seal("v1/blobs/aa.age", io.BytesIO(plain), len(plain), RECIPIENTS)


@pytest.mark.parametrize("short", [1, 700, 8191, 8192])
def test_a_plaintext_whose_last_bytes_are_refused_is_never_success(short: int) -> None:
    sealed = io.BytesIO()
    envelope.encrypt(io.BytesIO(b"x" * 66_536), 66_536, sealed, RECIPIENTS)
    keys = envelope.parse_identities(str(IDENTITY))
    with pytest.raises(OSError, match="No space left"):
        envelope.decrypt(io.BytesIO(sealed.getvalue()), TailFailing(66_536 - short), keys)


def test_a_key_typed_from_paper_may_have_spaces_and_lower_case() -> None:
    typed = " ".join(str(IDENTITY).lower()[i : i + 8] for i in range(0, len(str(IDENTITY)), 8))

    assert len(envelope.parse_identities(f"# from the safe\r\n{typed}\r\n").parsed) == 1


def test_a_mistyped_key_is_named_by_its_line_and_never_repeated() -> None:
    wrong = str(IDENTITY)[:-1] + ("Q" if str(IDENTITY)[-1] != "Q" else "P")

    with pytest.raises(ConfigError, match=r"line 2 .*compare it character by character") as raised:
        envelope.parse_identities(f"# from the safe\n{wrong}\n")
    assert wrong[20:40] not in str(raised.value)
