"""Names that the archive's tests share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from pathlib import Path

from vault.archive.signing import Signer

NIGHT = datetime(2026, 11, 24, 2, 0, tzinfo=timezone(timedelta(hours=1)))

Run = Callable[..., str]


@dataclass(frozen=True)
class Keys:
    private: Path
    allowed: Path
    signer: Signer
