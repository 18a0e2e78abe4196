"""One file in one age envelope, and the proof that all of it went in.

The age library buffers the end of its output and drops errors when it flushes that buffer: a full disk can pass
for success and leave a file that nothing decrypts. So an envelope counts as written only if the writer saw no
error, the source gave exactly the bytes announced, and the ciphertext has exactly the length that the age v1
format prescribes for them (https://age-encryption.org/v1).
"""

from __future__ import annotations

import io
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Protocol

import pyrage

from vault.errors import ConfigError, IntegrityError
from vault.files import CHUNK

HEADER_LIMIT = 1 << 16
"""Bytes in which an age header must end: each recipient takes 100 to 800 of them."""

_MOST_RECIPIENTS = HEADER_LIMIT // 100

_PIECE = 1 << 16  # plaintext bytes in what age calls a chunk of the payload
_TAG = 16  # Poly1305 tag that follows each chunk
_NONCE = 16  # precedes the payload
_MAC_LINE = b"\n--- "  # begins the header's last line; no other line of a header can begin so


class OtherIdentityError(IntegrityError):
    """An envelope that is closed to these identities, as far as its header tells."""


class Readable(Protocol):
    """What gives bytes in pieces and ends with none."""

    def read(self, size: int = ..., /) -> bytes:
        """Return up to `size` bytes, none at the end."""


class Writable(Protocol):
    """What takes bytes, and does not keep them back after `flush`."""

    def write(self, data: bytes, /) -> int:
        """Take `data`, all or some of it; returns how much."""

    def flush(self) -> None:
        """Hand on what is buffered."""


@dataclass(frozen=True, slots=True)
class Recipients:
    """Those who can open the envelopes: parsed once, used for every file."""

    keys: tuple[str, ...]
    parsed: tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Identities:
    """Secret keys, each of which opens the envelopes: parsed once, used for every file."""

    parsed: tuple[Any, ...] = field(repr=False)

    def __reduce__(self) -> tuple[Any, ...]:
        """Goes to a process of our own as what stands in an identity file."""
        return parse_identities, ("\n".join(map(str, self.parsed)),)


def parse_recipients(keys: Iterable[str]) -> Recipients:
    """Parse public keys (`age1…`); raises ConfigError that names the one at fault."""
    keys = tuple(keys)
    if not keys:
        raise ConfigError(
            "vault.recipients is empty: nothing can be encrypted for the share; name at least one age1… key"
        )
    return Recipients(keys, tuple(_recipient(key) for key in keys))


def _recipient(key: str) -> Any:
    if key.strip().upper().startswith("AGE-SECRET-KEY"):
        raise ConfigError(
            "vault.recipients holds a private key (AGE-SECRET-KEY…): take it out of the configuration, and put its "
            "public key there (`age-keygen -y FILE` prints it)"
        )
    try:
        return pyrage.x25519.Recipient.from_str(key)
    except pyrage.RecipientError as error:
        raise ConfigError(
            f"vault.recipients: {key!r} is not a public key of age ({error}); it should look like age1… as "
            "`age-keygen` prints it"
        ) from error


def encrypt(source: Readable, size: int, target: Writable, recipients: Recipients) -> int:
    """Encrypt exactly `size` bytes of `source` into `target`, a part at a time, in memory of one size.

    Returns the ciphertext's length in bytes. Making it durable (fsync) is the caller's part. Raises what the source
    or target raised (OSError), and IntegrityError when the source held more or fewer bytes than `size` or the
    ciphertext is not whole.
    """
    reader, writer = _GuardedReader(source), _GuardedWriter(target)
    try:
        pyrage.encrypt_io(reader.buffered(size + 1), writer, recipients.parsed)
        writer.flush()
    except Exception as error:
        raise (writer.error or reader.error or error) from None
    for failed in (writer.error, reader.error):
        if failed is not None:
            raise failed
    if reader.count != size:
        raise IntegrityError(f"{reader.count} bytes were read for encryption where {size} were announced")
    expected = header_size(writer.head) + payload_size(size)
    if writer.count != expected:
        raise IntegrityError(
            f"the encrypted file has {writer.count} bytes and should have {expected}: it is not whole"
        )
    return writer.count


def parse_identities(text: str) -> Identities:
    """Read an identity file as `age-keygen` writes it; raises ConfigError that never repeats what stands there."""
    found = []
    for number, line in enumerate(text.splitlines(), 1):
        key = "".join(line.split())  # typed from paper, in groups
        if not key or key.startswith("#"):
            continue
        try:
            found.append(pyrage.x25519.Identity.from_str(key))
        except pyrage.IdentityError:
            raise ConfigError(
                f"line {number} of the identity file holds no age secret key (AGE-SECRET-KEY-1…): where it was typed "
                "from paper, compare it character by character; else give the file that `age-keygen` wrote"
            ) from None
    if not found:
        raise ConfigError("the identity file holds no age secret key (AGE-SECRET-KEY-1…)")
    return Identities(tuple(found))


def decrypt(source: Readable, target: Writable, identities: Identities) -> int:
    """Decrypt the envelope that is all of `source` into `target`; returns how many bytes of plaintext it holds.

    What was written counts only if this returns: a damaged envelope may give its beginning away before the damage is
    met. Raises OtherIdentityError when it is not for these identities, IntegrityError when it is damaged or cut off,
    and what source or target raised. The library begins a header anew with every byte that it lacks, and knows no end:
    ours is looked at first.
    """
    reader, writer = _GuardedReader(source), _Counted(target)
    header = reader.look()
    try:
        pyrage.decrypt_io(reader.buffered(), writer, identities.parsed)
        writer.flush()
    except Exception as error:
        failed = writer.error or reader.error
        if failed is not None:
            raise failed from None
        if "No matching keys" in str(error):
            raise OtherIdentityError("it is not encrypted to this identity") from error
        raise IntegrityError("it is damaged or not whole: age can't decrypt it") from error
    for failed in (writer.error, reader.error):
        if failed is not None:
            raise failed
    if writer.count != plaintext_size(reader.count - header):
        raise IntegrityError("an encrypted file did not give as many bytes as its length says")
    return writer.count


def plaintext_size(payload: int) -> int:
    """Return how many bytes a payload of `payload` bytes holds, the inverse of `payload_size`; -1 where none can."""
    chunks = max(1, -(-(payload - _NONCE) // (_PIECE + _TAG)))
    size = payload - _NONCE - _TAG * chunks
    return size if size >= 0 and payload_size(size) == payload else -1


def header_size(head: bytes) -> int:
    """Return the length in bytes of the age header that `head` begins with; raises IntegrityError if it has none."""
    start = head.find(_MAC_LINE) + 1
    end = head.find(b"\n", start) + 1
    if not (head.startswith(b"age-encryption.org/v1\n") and start and end):
        raise IntegrityError("this is not an age file: its header is missing or not whole")
    return end


def payload_size(size: int) -> int:
    """Return how many bytes follow the header for a plaintext of `size` bytes (an empty one has a chunk, too)."""
    return _NONCE + size + _TAG * max(1, -(-size // _PIECE))


class _GuardedReader(io.RawIOBase):
    """Counts what is read, and keeps the first error, which the library would turn into its own.

    The library asks for a few kB at a time: `buffered` asks the source for more, as it may be on a network.
    """

    def __init__(self, source: Readable) -> None:
        self.count = 0
        self.error: BaseException | None = None
        self._source = source
        self._ahead = memoryview(b"")

    def look(self) -> int:
        """Read ahead as far as a header may reach; returns its length. Raises IntegrityError unless it is plausible."""
        head = b""
        while len(head) < HEADER_LIMIT and (piece := self._source.read(CHUNK)):
            head += piece
        self._ahead = memoryview(head)
        end = header_size(head[:HEADER_LIMIT])
        if head.count(b"\n-> ", 0, end) > _MOST_RECIPIENTS:
            raise IntegrityError("it is damaged: its header names more recipients than any vault has")
        return end

    def buffered(self, size: int = CHUNK) -> io.BufferedReader:
        """This, for a library that asks for little: up to `size` bytes are asked for at once."""
        return io.BufferedReader(self, min(size, CHUNK))

    def readable(self) -> bool:
        return True

    def readinto(self, target: Any, /) -> int:
        try:
            piece = self._ahead or memoryview(self._source.read(len(target)))
        except BaseException as error:
            self.error = self.error or error
            raise
        count = min(len(piece), len(target))
        target[:count] = piece[:count]
        self._ahead = piece[count:]
        self.count += count
        return count


class _Counted:
    """Counts what the target took, and keeps the first error, which the library may swallow."""

    def __init__(self, target: Writable) -> None:
        self.count = 0
        self.error: BaseException | None = None
        self._target = target

    def write(self, data: bytes) -> int:
        if self.error is not None:  # after one lost piece, nothing may follow it
            raise self.error
        try:
            taken = self._target.write(data)
            while taken < len(data):
                taken += self._target.write(data[taken:])
        except BaseException as error:
            self.error = error
            raise
        self.count += len(data)
        return len(data)

    def flush(self) -> None:
        try:
            self._target.flush()
        except BaseException as error:
            self.error = self.error or error
            raise


class _GuardedWriter(_Counted):
    """Keeps the beginning of what the target took, too."""

    def __init__(self, target: Writable) -> None:
        super().__init__(target)
        self.head = b""

    def write(self, data: bytes) -> int:
        super().write(data)
        if len(self.head) < HEADER_LIMIT:
            self.head += data[: HEADER_LIMIT - len(self.head)]
        return len(data)
