"""Put a folder in another's place in one step, and make what was there go: a crash leaves the old or the new.

A folder under a name that begins with `.new-` counts for nothing: it is not there yet, or not any more. `settle`
removes what a crash left of such folders.
"""

from __future__ import annotations

import ctypes
import errno
import os
from collections.abc import Iterator
from pathlib import Path

from vault.files import sync_folder

UNFINISHED = ".new-"
"""Begins the name of what does not count."""

_SET_ASIDE = ".old-"
"""Begins the name of what still counts, if nothing has its place: where a disk can't exchange two folders."""

_AT_FDCWD = -100
_RENAME_EXCHANGE = 2
_CANT = {errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP}
_LIBC = ctypes.CDLL(None, use_errno=True)


def beside(path: Path) -> Path:
    """Where what is to replace `path` is made, and where what was replaced goes from."""
    return path.parent / f"{UNFINISHED}{path.name}"


def put_in_place(path: Path) -> None:
    """Put the folder `beside(path)`, which must be durable, in the place of `path`, and erase what was there.

    renameat2(2) exchanges the two names in one step. Where a file system can't (NFS), there is a moment without either,
    which `settle` mends. Raises OSError.
    """
    new = beside(path)
    if not exchange(new, path):
        aside = path.parent / f"{_SET_ASIDE}{path.name}"
        path.rename(aside)
        new.rename(path)
        sync_folder(path.parent)
        aside.rename(new)
    sync_folder(path.parent)
    erase(new)


def take_away(path: Path) -> None:
    """Make `path` go: in one step from where it counts, then for good. Raises OSError."""
    path.rename(beside(path))
    sync_folder(path.parent)
    erase(beside(path))


def erase(folder: Path) -> None:
    """Remove a folder and all in it, durably: the names are gone when this returns. Raises OSError.

    What the disk still holds in blocks that it calls free is for the disk's encryption to keep (docs/retention.md).
    """
    for path, _, files in os.walk(folder, topdown=False):
        here = Path(path)
        for name in files:
            (here / name).unlink()
        for child in here.iterdir():  # folders: emptied by now; what links to one is only a name
            child.unlink() if child.is_symlink() else child.rmdir()
    folder.rmdir()
    sync_folder(folder.parent)  # what lay below it is out of reach with it


def settle(folder: Path) -> None:
    """Bring to an end what a crash interrupted in `folder`. The caller holds the vault's lock. Raises OSError."""
    for aside in _named(folder, _SET_ASIDE):
        place = folder / aside.name.removeprefix(_SET_ASIDE)
        if place.exists():
            erase(aside)
        else:
            aside.rename(place)
            sync_folder(folder)
    for leftover in _named(folder, UNFINISHED):
        erase(leftover)


def _named(folder: Path, prefix: str) -> Iterator[Path]:
    if folder.is_dir():
        yield from sorted(path for path in folder.glob(f"{prefix}*") if path.is_dir())


def exchange(one: Path, two: Path) -> bool:
    """Exchange two names in one step; False where the file system can't. Raises OSError for anything else."""
    result = _LIBC.renameat2(
        _AT_FDCWD, os.fsencode(one), _AT_FDCWD, os.fsencode(two), ctypes.c_uint(_RENAME_EXCHANGE)
    )
    if result == 0:
        return True
    number = ctypes.get_errno()
    if number in _CANT:
        return False
    raise OSError(number, os.strerror(number))
