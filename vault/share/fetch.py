"""From the share back to the exact bytes: envelopes are opened, and what comes out is what its id says, or nothing."""

from __future__ import annotations

import io
import shutil
import tempfile
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, TypeVar

from vault.archive import smallpack
from vault.archive.blobs import Blob, Bytes, File, hash_file
from vault.archive.pack import PackObject, entry_chunks
from vault.archive.smallpack import GitObject
from vault.errors import IntegrityError, ShareError, VaultError
from vault.share import envelope, layout
from vault.share.backend import Share, ShareUnavailableError
from vault.share.envelope import Identities

IN_MEMORY = 24 << 20
"""Bytes of ciphertext up to which a file is opened in memory (a dose has 17 MB); a larger one goes through a file of
our own."""

COPIES = 2
"""How often a large file lies on the disk for a while: opened, and in its pack."""

AHEAD = 32
AHEAD_BYTES = 24 << 20
"""Files that may wait, opened, for their turn, and how much they may hold: bounds the memory."""

LARGEST_PACK = 256 << 20
"""Bytes of the largest commit, with its folders, that is read: millions of files."""


_Found = TypeVar("_Found", Bytes, File)


class MissingError(IntegrityError):
    """The share does not have what it should."""


@dataclass(frozen=True, slots=True)
class Fetched:
    """A blob that came whole, and how it goes into a pack."""

    oid: str
    sha256: str
    size: int
    """Bytes."""
    entry: Iterable[bytes]
    """The pieces of its pack entry; to be taken once."""
    file: Path | None = None
    """Where it lies until then, if it is large."""


@dataclass(frozen=True, slots=True)
class Fetcher:
    """Opens what lies on one share, with the identities that can."""

    share: Share
    identities: Identities

    def read(self, name: str, limit: int) -> bytes:
        """Return the plaintext of the file `name`, of at most `limit` bytes. Raises IntegrityError, ShareError."""
        target = io.BytesIO()
        size = self._decrypt(name, target, envelope.HEADER_LIMIT + envelope.payload_size(limit))
        if size > limit:
            raise _too_large()
        return target.getvalue()

    def commit(self, key: bytes, oid: str, folder: str = layout.HISTORY) -> list[GitObject]:
        """Return the commit `oid` and what came with it, the commit first."""
        objects = list(smallpack.decode(self.read(layout.commit_name(key, oid, folder), LARGEST_PACK)))
        if not objects or objects[0].kind != "commit" or objects[0].oid != oid:
            raise IntegrityError(f"the share holds something else where the commit {oid} should be")
        return objects

    def small(self, key: bytes, oid: str, limit: int) -> bytes:
        """Return the content of the blob `oid`, of at most `limit` bytes."""
        return _genuine(Bytes(self.read(layout.blob_name(key, oid), limit)), oid).data

    def blob(self, key: bytes, oid: str, workspace: Path) -> Blob:
        """Return the blob `oid`, in memory or as a file in `workspace`, which the caller removes.

        Raises VaultError also for one that this computer's disk has no room for: how large a blob is, only the share
        says, and a false one must not cost the others their place.
        """
        name = layout.blob_name(key, oid)
        return self._blob(name, oid, self._size(name), workspace)

    def _blob(self, name: str, oid: str, size: int, workspace: Path) -> Blob:
        if size <= IN_MEMORY:
            buffer = _buffer(size)
            buffer.truncate(self._decrypt(name, buffer, size))
            return _genuine(Bytes(buffer.getvalue()), oid)
        free = shutil.disk_usage(workspace).free
        if size * COPIES > free:
            raise VaultError(
                f"it has {size / 1e6:.0f} MB on the share, and the disk has {free / 1e6:.0f} MB free for its "
                f"{COPIES} copies: make room, and run it again"
            )
        descriptor, path = tempfile.mkstemp(dir=workspace)
        try:
            with open(descriptor, "wb", buffering=0) as file:  # noqa: PTH123  # it is a descriptor
                self._decrypt(name, file, size)
            return _genuine(hash_file(Path(path)), oid)
        except BaseException:
            Path(path).unlink()
            raise

    def blobs(
        self, key: bytes, oids: Iterable[str], workspace: Path, stored: Callable[[], bool]
    ) -> Iterator[tuple[str, Fetched | VaultError]]:
        """Yield each blob, or why it could not be had, in order; several are fetched at the same time.

        `stored` is asked whether they go into the pack as they are, or compressed. Raises ShareUnavailableError,
        after which no other would fare better, and OSError of our own disk.
        """
        waiting: deque[_Begun] = deque()
        with ThreadPoolExecutor(self.share.READ_AT_ONCE, thread_name_prefix="fetch") as pool:
            try:
                for oid in oids:
                    waiting.append(self._begin(pool, key, oid, workspace, stored))
                    while len(waiting) > AHEAD or sum(one.held for one in waiting) > AHEAD_BYTES:
                        yield _outcome(waiting.popleft())
                while waiting:
                    yield _outcome(waiting.popleft())
            finally:
                pool.shutdown(wait=True, cancel_futures=True)

    def _begin(
        self, pool: Executor, key: bytes, oid: str, workspace: Path, stored: Callable[[], bool]
    ) -> _Begun:
        name = layout.blob_name(key, oid)
        try:
            size = self._size(name)
        except VaultError as error:
            failed: Future[Fetched] = Future()
            failed.set_exception(error)
            return _Begun(oid, 0, failed)
        work = pool.submit(self._packed, name, oid, size, workspace, stored())
        return _Begun(oid, size if size <= IN_MEMORY else 0, work)

    def _packed(self, name: str, oid: str, size: int, workspace: Path, stored: bool) -> Fetched:
        blob = self._blob(name, oid, size, workspace)
        if isinstance(blob, Bytes) and stored:
            return Fetched(oid, blob.sha256, blob.size, smallpack.stored_blob(blob.data))
        entry = entry_chunks(PackObject(oid, "blob", blob), stored=stored)
        if isinstance(blob, Bytes):
            return Fetched(oid, blob.sha256, blob.size, list(entry))
        return Fetched(oid, blob.sha256, blob.size, entry, blob.path)

    def _decrypt(self, name: str, target: envelope.Writable, limit: int) -> int:
        """Open the file `name`, of which at most `limit` bytes are read; returns how many came out."""
        try:
            with self.share.read(name) as file:
                return envelope.decrypt(_Limited(file, limit), target, self.identities)
        except ShareError as error:
            raise self._missing(name, error) from None

    def _size(self, name: str) -> int:
        try:
            return self.share.size(name)
        except ShareError as error:
            raise self._missing(name, error) from None

    def _missing(self, name: str, error: ShareError) -> VaultError:
        """Tell a file that is not there from a share that is away, which looks the same from below."""
        return error if self.share.exists(name) else MissingError(f"the share does not have {name}")


class _Begun(NamedTuple):
    """A blob that is being fetched."""

    oid: str
    held: int
    """Bytes of memory that it takes."""
    work: Future[Fetched]


def _outcome(begun: _Begun) -> tuple[str, Fetched | VaultError]:
    try:
        return begun.oid, begun.work.result()
    except ShareUnavailableError:
        raise
    except VaultError as error:
        return begun.oid, error


def _buffer(size: int) -> io.BytesIO:
    """Return a buffer that has its `size` bytes already: one that grows takes a third of the time."""
    buffer = io.BytesIO()
    buffer.seek(max(size - 1, 0))
    buffer.write(b"\0")
    buffer.seek(0)
    return buffer


class _Limited:
    """Gives `limit` bytes and no more, so that nobody's file can take all memory, or the disk."""

    def __init__(self, source: envelope.Readable, limit: int) -> None:
        self._source = source
        self._left = limit

    def read(self, size: int = -1, /) -> bytes:
        """Return up to `size` bytes, none at the end; raises IntegrityError where there are too many."""
        data = self._source.read(size)
        self._left -= len(data)
        if self._left < 0:
            raise _too_large()
        return data


def _too_large() -> IntegrityError:
    return IntegrityError("a file on the share is larger than such a file can be")


def _genuine(blob: _Found, oid: str) -> _Found:
    """Return `blob` if it is what its id says; raises IntegrityError."""
    if blob.oid != oid:
        raise IntegrityError("the share holds something else where an object of the patient should be")
    return blob
