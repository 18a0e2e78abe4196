"""Files that survive a power cut: private, written to a temporary name, fsynced, then renamed.

Every folder is 0700 and every file 0600, whatever the umask: what lies here is patient data.
"""

from __future__ import annotations

import ctypes
import os
import secrets
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

TEMPORARY_PREFIX = ".tmp-"
"""Names of unfinished files; `sweep` removes what a crash left of them."""

CHUNK = 1 << 18
"""Bytes read or written at once where data is streamed: as many as stay in a processor's cache, and in memory that
malloc keeps (with 1 MB, encrypting took half as long again, for the pages that came and went)."""

ROUND_TRIP = 1 << 20
"""Bytes asked for at once where each asking waits for a network."""

_SYNCS_AT_ONCE = 4
_LIBC = ctypes.CDLL(None, use_errno=True)


def private_folder(path: Path) -> Path:
    """Make `path` and its parents, 0700 each where made here, durably. Returns `path`."""
    missing = []
    while not path.is_dir():
        missing.append(path)
        path = path.parent
    for folder in reversed(missing):
        try:
            folder.mkdir(mode=0o700)
        except FileExistsError:  # another process of ours was quicker
            continue
        sync_folder(folder.parent)
    return missing[0] if missing else path


def sync_folder(path: Path) -> None:
    """Make the names in a folder durable: fsync of the folder itself (a rename alone is not)."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_tree(path: Path) -> None:
    """Make everything in and below a folder durable, files first; several at a time, which a disk does together."""
    folders, files = [path], list[Path]()
    for found in path.rglob("*"):
        (folders if found.is_dir() else files).append(found)
    with ThreadPoolExecutor(max_workers=_SYNCS_AT_ONCE) as pool:
        list(pool.map(sync_file, files))
        list(pool.map(sync_folder, folders))


def sync_file_system(path: Path) -> None:
    """Make everything durable that was written to the file system of `path`: one call for thousands of small files.

    syncfs(2), which tells of failed writes since Linux 5.8. Raises OSError.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        if _LIBC.syncfs(descriptor):
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number))
    finally:
        os.close(descriptor)


def sync_file(path: Path) -> None:
    """Make a file's content durable."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def temporary(folder: Path) -> Iterator[tuple[Path, BinaryIO]]:
    """Yield a new 0600 file in `folder` that is gone on the way out unless it was renamed."""
    path = folder / f"{TEMPORARY_PREFIX}{secrets.token_hex(8)}"
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    try:
        with os.fdopen(descriptor, "r+b") as file:
            yield path, file
    finally:
        path.unlink(missing_ok=True)


@contextmanager
def new_file(target: Path, *, replace: bool = False) -> Iterator[BinaryIO]:
    """Yield a file that becomes `target` on success, whole and durable, or leaves nothing behind.

    Raises FileExistsError if `target` exists and `replace` is false; the check and the naming are one step (link).
    """
    with temporary(target.parent) as (path, file):
        yield file
        file.flush()
        os.fsync(file.fileno())
        if replace:
            path.replace(target)
        else:
            target.hardlink_to(path)
            path.unlink()
        sync_folder(target.parent)


def write_file(target: Path, data: bytes, *, replace: bool = False) -> None:
    """Write `data` to `target` as `new_file` does."""
    with new_file(target, replace=replace) as file:
        file.write(data)


def sweep(folder: Path) -> int:
    """Remove what crashes left of unfinished files below `folder`; returns how many there were."""
    leftovers = list(folder.rglob(f"{TEMPORARY_PREFIX}*")) if folder.is_dir() else []
    for path in leftovers:
        path.unlink(missing_ok=True)
    return len(leftovers)
