"""One vault run at a time: a kernel lock, so that a crash never leaves it held."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from vault.errors import LockedError
from vault.files import private_folder


def left_by_a_crash(root: Path) -> bool:
    """Whether the last run was killed, or one is at work: whoever gets the lock then knows which."""
    return (root / "lock.holder").exists()


@contextmanager
def run_lock(root: Path) -> Iterator[None]:
    """Hold the vault's lock, or raise LockedError that names the process which does.

    The lock is the kernel's (flock), released with its process. `lock.holder` beside it is for people,
    and for `left_by_a_crash`.
    """
    private_folder(root)
    holder = root / "lock.holder"
    lock = FileLock(root / "lock", timeout=0, mode=0o600)
    try:
        lock.acquire()
    except Timeout:
        with suppress(OSError):
            raise LockedError(
                f"another vault run (process {holder.read_text().strip()}) is at work in {root}; "
                "wait for it to end, then start this one again"
            ) from None
        raise LockedError(f"another vault run is at work in {root}; wait for it to end") from None
    try:
        with suppress(OSError):  # a full disk must not keep an alarm from going out
            holder.write_text(f"{os.getpid()}\n")
            holder.chmod(0o600)
        yield
    finally:
        holder.unlink(missing_ok=True)
        lock.release()
