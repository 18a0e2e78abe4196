"""Contents that a commit stores: a file on disk that is never held whole, or a few bytes in memory."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, cast

from vault.digests import Digest, digest_file, open_source
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

    def open(self) -> BinaryIO:
        """Open it for reading. Raises OSError."""
        return io.BufferedReader(cast("io.FileIO", open_source(self.path)))

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

    def open(self) -> BinaryIO:
        """Open it for reading."""
        return io.BytesIO(self.data)

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


def hash_file(path: Path) -> File:
    """Read `path` once and return it with its digests. Raises what `digest_file` raises."""
    return file_blob(path, digest_file(path))


def file_blob(path: Path, digest: Digest) -> File:
    """Return the file at `path`, whose digests are known."""
    return File(path, digest.size, digest.oid, digest.sha256)
