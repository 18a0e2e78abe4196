"""What every procedure does around its own steps: a name for the run, a clean start, guests that may fail."""

from __future__ import annotations

import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pluggy

from vault.archive.swap import settle
from vault.config import Config
from vault.delivery import open_outbox
from vault.errors import VaultError
from vault.files import sweep
from vault.model import Failure, RunID


def new_run(now: datetime) -> RunID:
    """Return a name for a run that begins at `now`."""
    return RunID(f"{now.astimezone(UTC):%Y%m%dT%H%M%SZ}-{secrets.token_hex(2)}")


def began(run: str) -> datetime:
    """Return when a run began, from its name. Raises ValueError when it is none."""
    return datetime.strptime(run[:16], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)


def close_what_a_crash_left_open(
    config: Config, events: pluggy.PluginManager | None, failed: list[Failure]
) -> None:
    """Close the network first of all: a process that was killed closed none."""
    if events:
        try:
            events.hook.network_close(config=config)
        except VaultError as error:
            failed.append(Failure("network", str(error)))


WRITTEN_BY_RUNS = (
    "inbox",
    "hourly",
    "repos",
    "overview.git",
    "ledger.git",
    "outbox",
    "today",
    "reports",
    "removals",
    "quarantine",
)
"""What only the holder of the run lock writes to: an unfinished file in there is of a run that is no more."""


def tidy(root: Path) -> None:
    """Remove what a crash left half written; everything whole is kept, and picked up by the run."""
    for plain in ("work", "repair"):
        shutil.rmtree(root / plain, ignore_errors=True)
    open_outbox(root).discard_fresh()
    settle(root)
    settle(root / "repos")
    for folder in WRITTEN_BY_RUNS:
        sweep(root / folder)


@contextmanager
def guests(failed: list[Failure]) -> Iterator[None]:
    """Whoever listens to announcements is a guest: what goes wrong there is said, and stops nothing."""
    try:
        yield
    except Exception as error:  # a site's own code may raise anything
        failed.append(Failure("a hook", f"{type(error).__name__}: {error}"))


def disk_refused(doing: str, error: OSError) -> Failure:
    """Our own disk's failure as one of the run: without its path, which may name a patient."""
    why = error.strerror or type(error).__name__
    return Failure(doing, f"the disk refused ({why}): look at it, then run again")
