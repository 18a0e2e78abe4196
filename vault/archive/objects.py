"""Read a repository's objects: small ones through libgit2, large ones as a stream from `git cat-file`."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Protocol

import pygit2

from vault.archive.gitaccess import start_git
from vault.errors import DAMAGED, IntegrityError, VaultError
from vault.files import CHUNK

MAXIMUM = 64 << 20
"""Largest blob that `Objects.read` returns; libgit2 needs twice as much memory for it."""

_IN_MEMORY = 4 << 20


class Readable(Protocol):
    """What streams in."""

    def read(self, size: int = -1, /) -> bytes:
        """Return up to `size` bytes; empty at the end."""


class Objects:
    """The objects of one repository, by id (40 hex digits)."""

    def __init__(self, path: Path, repository: pygit2.Repository) -> None:
        self._path = path
        self._odb = repository.odb

    def has(self, oid: str) -> bool:
        """Whether there is an object of this id."""
        return oid in self._odb

    def size(self, oid: str) -> int:
        """Return an object's size in bytes, without reading it. Raises IntegrityError when it is not there."""
        try:
            return int(self._odb.read_header(oid)[1])
        except (KeyError, pygit2.GitError) as error:
            raise _damaged() from error

    def header(self, oid: str) -> tuple[str, int]:
        """Return an object's kind and size in bytes, without reading it. Raises IntegrityError when it is not there."""
        try:
            kind, size = self._odb.read_header(oid)
        except (KeyError, pygit2.GitError) as error:
            raise _damaged() from error
        names = {number: name for name, number in _KINDS.items()}
        if kind not in names:
            raise _damaged()
        return names[kind], int(size)

    def read(self, oid: str) -> bytes:
        """Return a blob. Raises VaultError over `MAXIMUM` bytes, IntegrityError when it is missing or damaged."""
        if self.size(oid) > MAXIMUM:
            raise VaultError(
                f"An object is larger than {MAXIMUM >> 20} MiB, too large to be shown; export it instead."
            )
        return self.raw(oid, "blob")

    def raw(self, oid: str, kind: str) -> bytes:
        """Return the content of an object of `kind`, checked against its id."""
        try:
            found, data = self._odb.read(oid)
        except (KeyError, ValueError, pygit2.GitError) as error:
            raise _damaged() from error
        if found != _KINDS[kind]:
            raise _damaged()
        content: bytes = data
        return content

    @contextmanager
    def stream(self, oid: str) -> Iterator[Readable]:
        """Yield a blob as a stream, of any size, in flat memory.

        The content is checked against its id as it is read: the last `read` raises IntegrityError where it differs.
        """
        size = self.size(oid)
        if size <= _IN_MEMORY:
            yield io.BytesIO(self.raw(oid, "blob"))
            return
        process = start_git(self._path, ["cat-file", "--batch"])
        try:
            if process.stdin is None or process.stdout is None:
                raise _damaged()
            process.stdin.write(oid.encode() + b"\n")
            process.stdin.flush()
            if process.stdout.readline() != f"{oid} blob {size}\n".encode():
                raise _damaged()
            yield _CheckedStream(process.stdout, oid, size)
        finally:
            process.kill()
            process.communicate()


_KINDS = {
    "commit": pygit2.enums.ObjectType.COMMIT,
    "tree": pygit2.enums.ObjectType.TREE,
    "blob": pygit2.enums.ObjectType.BLOB,
}


class _CheckedStream:
    """The next `size` bytes of a pipe, hashed on the way."""

    def __init__(self, pipe: IO[bytes], oid: str, size: int) -> None:
        self._pipe = pipe
        self._oid = oid
        self._left = size
        self._digest = hashlib.sha1(b"blob %d\0" % size, usedforsecurity=False)

    def read(self, size: int = -1, /) -> bytes:
        """Return up to `size` bytes (the rest when negative); raises IntegrityError when the content is wrong."""
        if self._left == 0:
            return b""
        data = self._pipe.read(self._left if size < 0 else min(size, self._left))
        self._digest.update(data)
        self._left -= len(data)
        if (not data and size != 0) or (self._left == 0 and self._digest.hexdigest() != self._oid):
            raise _damaged()
        return data


def sha256(source: Readable) -> str:
    """Return the SHA-256 of all of `source`, 64 hex digits."""
    digest = hashlib.sha256()
    while chunk := source.read(CHUNK):
        digest.update(chunk)
    return digest.hexdigest()


def _damaged() -> IntegrityError:
    return IntegrityError(f"An object of the archive is missing or damaged. {DAMAGED}")
