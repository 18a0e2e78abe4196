"""Contents that a commit stores: a file on disk that is never held whole, or a few bytes in memory."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from vault.errors import IntegrityError
from vault.files import CHUNK


@dataclass(frozen=True, slots=True)
class File:
    """A file on disk, as it was when `hash_file` read it; the pack writer refuses it if it has changed since."""

    path: Path
    size: int
    """Bytes."""
    oid: str
    """Git's blob id, 40 hex digits."""
    sha256: str
    """SHA-256 of the content, 64 hex digits."""

    def chunks(self) -> Iterator[bytes]:
        """Yield the content in pieces of at most `CHUNK` bytes. Raises OSError when it can't be read."""
        with open_source(self.path) as file:
            while chunk := file.read(CHUNK):
                yield chunk


@dataclass(frozen=True, slots=True)
class Bytes:
    """Content in memory, for what is small: normal forms of documents, `patient.json`, `SHA256SUMS`."""

    data: bytes = field(repr=False)
    oid: str = field(init=False)
    """Git's blob id, 40 hex digits."""
    sha256: str = field(init=False)
    """SHA-256 of the content, 64 hex digits."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "oid", object_id("blob", self.data))
        object.__setattr__(self, "sha256", hashlib.sha256(self.data).hexdigest())

    @property
    def size(self) -> int:
        """Bytes."""
        return len(self.data)

    def chunks(self) -> Iterator[bytes]:
        """Yield the content, as one piece."""
        yield self.data


Blob = File | Bytes
"""What an edit of a commit may put at a path."""


def object_id(kind: str, data: bytes) -> str:
    """Return git's id of an object of `kind` (`blob`, `tree`, `commit`) with this content, 40 hex digits."""
    digest = hashlib.sha1(b"%s %d\0" % (kind.encode(), len(data)), usedforsecurity=False)
    digest.update(data)
    return digest.hexdigest()


def open_source(path: Path) -> BinaryIO:
    """Open a file to be archived; a symbolic link is refused (OSError), so that nobody can point us elsewhere."""
    return os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC), "rb", buffering=0)


def hash_file(path: Path) -> File:
    """Read `path` once and return its blob id, SHA-256 and size; memory stays flat.

    Raises IntegrityError when the file grows or shrinks meanwhile, OSError when it can't be read.
    """
    sha256 = hashlib.sha256()
    buffer = memoryview(bytearray(CHUNK))
    total = 0
    with open_source(path) as file:
        size = os.fstat(file.fileno()).st_size
        sha1 = hashlib.sha1(b"blob %d\0" % size, usedforsecurity=False)
        while count := file.readinto(buffer):  # type: ignore[attr-defined]  # unbuffered: a FileIO
            piece = buffer[:count]
            sha1.update(piece)
            sha256.update(piece)
            total += count
    if total != size:
        raise IntegrityError(
            "A file changed while it was read; make sure that nothing else writes to the vault."
        )
    return File(path, size, sha1.hexdigest(), sha256.hexdigest())
