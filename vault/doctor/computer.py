"""Try what lies on this computer: room, clock, keys."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

from vault.archive.ledger import Ledger
from vault.archive.signing import Signer, fingerprint
from vault.config import Config
from vault.doctor.check import Check
from vault.errors import VaultError
from vault.keys import Pseudonyms
from vault.recipients import pinned, read_pin
from vault.rois.intake import RESERVE
from vault.share.envelope import parse_recipients

SLACK = timedelta(minutes=5)
"""By how much clocks may differ."""


def check_computer(config: Config, *, now: datetime) -> Iterator[Check]:
    """Look at disk, clock and keys. `now` is aware."""
    yield _room(config.vault.root)
    yield _tried("clock", lambda: _clock(config, now))
    yield _tried("signing key", lambda: f"{config.vault.signing_key}, {_fingerprint(config)}")
    yield _identity(config.vault.signing_key.parent / "identity.txt")
    yield _tried("pseudonym key", lambda: _pseudonym_key(config.vault.pseudonym_key))
    if config.share is not None:
        yield _tried("recipients", lambda: _recipients(config))


def _tried(name: str, look: Callable[[], str]) -> Check:
    try:
        return Check(name, True, look())
    except VaultError as error:
        return Check(name, False, str(error))
    except OSError as error:
        return Check(name, False, f"the disk refused: {error.strerror or type(error).__name__}")


def _identity(path: Path) -> Check:
    """No night needs what opens the share, and whoever breaks into this computer would have it."""
    if not path.exists():
        return Check("identity", True, "what opens the share is not on this computer")
    fix = "Put copies of its folder into two safes, then delete this file"
    return Check("identity", False, f"{path} opens everything on the share", fix)


def _room(root: Path) -> Check:
    try:
        disk = shutil.disk_usage(root)
    except OSError as error:
        text, fix = f"{root}: {error.strerror}", "`vault init` makes it; [vault] root names it"
        return Check("disk", False, text, fix)
    text = f"{disk.free / 1e9:.1f} of {disk.total / 1e9:.1f} GB are free at {root}"
    if disk.free < 2 * RESERVE:
        fix = f"Make room: with less than {RESERVE / 1e9:.1f} GB free nothing is received"
        return Check("disk", False, text, fix)
    return Check("disk", True, text)


def _clock(config: Config, now: datetime) -> str:
    local = now.astimezone(ZoneInfo(config.site.timezone))
    text = f"{local:%Y-%m-%d %H:%M} in {config.site.timezone}"
    ledger = Ledger(config.vault.root)
    last = next(ledger.events("runs"), None) if ledger.head() else None
    if last and datetime.fromisoformat(last["started"]) > now + SLACK:
        raise VaultError(
            f"{text}, but the last night began at {last['started']}: set the clock (`timedatectl`), and see "
            "whether somebody turned it back"
        )
    return text


def _fingerprint(config: Config) -> str:
    return fingerprint(Signer.load(config.vault.signing_key).public)


def _pseudonym_key(path: Path) -> str:
    Pseudonyms.load(path)
    return str(path)


def _recipients(config: Config) -> str:
    keys = parse_recipients(config.vault.recipients).keys
    if read_pin(config) is None:
        return f"{len(keys)} can open what is on the share; pinned at the first delivery"
    pinned(config)
    return f"{len(keys)} can open what is on the share, as they were pinned"
