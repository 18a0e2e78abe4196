"""What bytes are, by their hash: git's blob id names them in the archive, SHA-256 is what anybody can check."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from vault.errors import IntegrityError
from vault.files import CHUNK


@dataclass(frozen=True, slots=True)
class Digest:
    """Size in bytes, git blob id (40 hex digits) and SHA-256 (64 hex digits) of some content."""

    size: int
    oid: str
    sha256: str


def blob_hash(size: int) -> Any:
    """A running hash that ends in git's blob id, once it was given the `size` bytes of the content."""
    return hashlib.sha1(b"blob %d\0" % size, usedforsecurity=False)


def open_source(path: Path) -> BinaryIO:
    """Open a file to be archived; a symbolic link is refused (OSError), so that nobody can point us elsewhere."""
    return os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC), "rb", buffering=0)


def digest_file(path: Path) -> Digest:
    """Read `path` once; memory stays flat.

    Raises IntegrityError when the file grows or shrinks meanwhile, OSError when it can't be read.
    """
    sha256 = hashlib.sha256()
    buffer = memoryview(bytearray(CHUNK))
    total = 0
    with open_source(path) as file:
        size = os.fstat(file.fileno()).st_size
        oid = blob_hash(size)
        while count := file.readinto(buffer):  # type: ignore[attr-defined]  # unbuffered: a FileIO
            piece = buffer[:count]
            oid.update(piece)
            sha256.update(piece)
            total += count
    if total != size:
        raise IntegrityError(
            "A file changed while it was read; make sure that nothing else writes to the vault."
        )
    return Digest(size, oid.hexdigest(), sha256.hexdigest())
