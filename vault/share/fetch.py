"""From the share back to the exact bytes: envelopes are opened, and what comes out is what its id says, or nothing."""

from __future__ import annotations

import io
import shutil
import tempfile
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from vault.archive import smallpack
from vault.archive.blobs import Blob, Bytes, File, hash_file
from vault.archive.pack import PackObject, entry_chunks
from vault.archive.smallpack import GitObject
from vault.errors import IntegrityError, ShareError, VaultError
from vault.files import CHUNK
from vault.share import envelope, layout
from vault.share.backend import Share, ShareUnavailableError
from vault.share.envelope import Identities

IN_MEMORY = 1 << 20
"""Bytes of ciphertext up to which a file is opened in memory; a larger one goes through a file of our own."""

COPIES = 2
"""How often a large file lies on the disk for a while: opened, and in its pack."""

AHEAD = 32
"""Files that may wait, opened, for their turn: bounds the memory."""

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
        self._decrypt(name, _Limited(target, limit))
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
        size = self._size(name)
        if size <= IN_MEMORY:
            return _genuine(Bytes(self.read(name, IN_MEMORY)), oid)
        free = shutil.disk_usage(workspace).free
        if size * COPIES > free:
            raise VaultError(
                f"it has {size / 1e6:.0f} MB on the share, and the disk has {free / 1e6:.0f} MB free for its "
                f"{COPIES} copies: make room, and run it again"
            )
        descriptor, path = tempfile.mkstemp(dir=workspace)
        try:
            with open(descriptor, "wb", buffering=0) as file:  # noqa: PTH123  # it is a descriptor
                self._decrypt(name, _Limited(file, size))
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
        waiting: deque[tuple[str, Future[Fetched]]] = deque()
        with ThreadPoolExecutor(self.share.READ_AT_ONCE, thread_name_prefix="fetch") as pool:
            try:
                for oid in oids:
                    waiting.append((oid, pool.submit(self._packed, key, oid, workspace, stored())))
                    if len(waiting) >= AHEAD:
                        yield _outcome(*waiting.popleft())
                while waiting:
                    yield _outcome(*waiting.popleft())
            finally:
                pool.shutdown(wait=True, cancel_futures=True)

    def _packed(self, key: bytes, oid: str, workspace: Path, stored: bool) -> Fetched:
        blob = self.blob(key, oid, workspace)
        if isinstance(blob, Bytes) and stored:
            return Fetched(oid, blob.sha256, blob.size, smallpack.stored_blob(blob.data))
        entry = entry_chunks(PackObject(oid, "blob", blob), stored=stored)
        if isinstance(blob, Bytes):
            return Fetched(oid, blob.sha256, blob.size, list(entry))
        return Fetched(oid, blob.sha256, blob.size, entry, blob.path)

    def _decrypt(self, name: str, target: envelope.Writable) -> None:
        try:
            with self.share.read(name) as file:
                envelope.decrypt(_Pieces(file), target, self.identities)
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


def _outcome(oid: str, work: Future[Fetched]) -> tuple[str, Fetched | VaultError]:
    try:
        return oid, work.result()
    except ShareUnavailableError:
        raise
    except VaultError as error:
        return oid, error


class _Pieces:
    """A file read in large pieces, whatever small ones are asked for: fewer round trips on a network."""

    def __init__(self, file: envelope.Readable) -> None:
        self._file = file
        self._rest = memoryview(b"")

    def read(self, size: int = -1, /) -> bytes:
        """Return up to `size` bytes, none at the end."""
        if not self._rest:
            self._rest = memoryview(self._file.read(CHUNK))
        end = len(self._rest) if size < 0 else size
        piece, self._rest = bytes(self._rest[:end]), self._rest[end:]
        return piece


class _Limited:
    """Passes on `limit` bytes and no more, so that nobody's file can take all memory, or the disk."""

    def __init__(self, target: envelope.Writable, limit: int) -> None:
        self._target = target
        self._left = limit

    def write(self, data: bytes, /) -> int:
        """Pass `data` on; raises IntegrityError where it is too much."""
        if len(data) > self._left:
            raise IntegrityError("a file on the share is larger than such a file can be")
        taken = self._target.write(data)
        self._left -= taken
        return taken

    def flush(self) -> None:
        """Flush the target."""
        self._target.flush()


def _genuine(blob: _Found, oid: str) -> _Found:
    """Return `blob` if it is what its id says; raises IntegrityError."""
    if blob.oid != oid:
        raise IntegrityError("the share holds something else where an object of the patient should be")
    return blob
