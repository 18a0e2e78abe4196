"""Normal forms on their way into a commit: short ones stay in memory, long ones are files until they are committed."""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import Any, BinaryIO, cast

from vault.archive.blobs import Blob, Bytes, File, hash_file
from vault.normal.dicom import normal_form
from vault.normal.volatile import VolatileTable

SHORT = 64 << 10
"""Bytes of a normal form that is not worth a file: most are of images, with some thousands."""

IN_MEMORY = 8 << 20
"""Bytes that all of them may have together."""


class Forms:
    """Makes the normal forms of one patient's objects; those that need a file lie in `folder` until it is removed."""

    def __init__(self, folder: Path, volatile: VolatileTable) -> None:
        self._folder = folder
        self._volatile = volatile
        self._made = 0
        self._left = IN_MEMORY

    def of(self, source: Path) -> Blob:
        """The normal form of the object in `source`. Raises OSError."""
        self._made += 1
        with _Spill(self._folder / f"{self._made:07}.txt", min(SHORT, self._left)) as out:
            normal_form(source, cast("BinaryIO", out), self._volatile)
            blob = out.content()
        if blob is None:
            return hash_file(out.path)
        self._left -= blob.size
        return blob

    def drop(self, form: Blob) -> None:
        """One that is not needed after all."""
        if isinstance(form, File):
            form.path.unlink()
        else:
            self._left += form.size


class _Spill(io.RawIOBase):
    """What is written stays in memory up to `limit` bytes, and goes to the new file `path` beyond."""

    def __init__(self, path: Path, limit: int) -> None:
        self.path = path
        self._limit = limit
        self._out: BinaryIO = io.BytesIO()

    def write(self, data: Any, /) -> int:
        if isinstance(self._out, io.BytesIO) and self._out.tell() + len(data) > self._limit:
            memory = self._out
            self.path.parent.mkdir(mode=0o700, exist_ok=True)
            self._out = self.path.open("xb")
            self._out.write(memory.getbuffer())
        return self._out.write(data)

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        return self._out.seek(offset, whence)

    def tell(self) -> int:
        return self._out.tell()

    def truncate(self, size: int | None = None, /) -> int:
        return self._out.truncate(size)

    def close(self) -> None:
        super().close()
        self._out.close()

    def content(self) -> Bytes | None:
        """What is in memory; None where there is a file."""
        return Bytes(self._out.getvalue()) if isinstance(self._out, io.BytesIO) else None
