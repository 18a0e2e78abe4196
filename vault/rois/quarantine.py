"""Where objects go that nobody asked for or that contradict themselves: kept for people, bounded, never archived."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import msgspec

from vault.files import private_folder, sync_folder, write_file
from vault.model import RunID

MOST_OBJECTS = 200
"""Objects kept per run; further ones are dropped and counted."""

MOST_BYTES = 1 << 30
"""Bytes kept per run."""


@dataclass(frozen=True, slots=True)
class Quarantined:
    """Why an object was not accepted, who sent it, and what was claimed about it."""

    reason: str
    peer: str
    claimed: Mapping[str, str]


class Quarantine:
    """The objects of one run at `<root>/quarantine/<run>-<number>.dcm`, each with a `.json` beside it.

    Not for several processes at once: a run receives in one place only.
    """

    def __init__(self, root: Path, run: RunID) -> None:
        self._folder = root / "quarantine"
        self._run = run
        files = self._files()
        self._count = max((int(path.stem.rpartition("-")[2]) for path in files), default=0)
        self._kept = len(files)
        self._bytes = sum(path.stat().st_size for path in files)

    def put(self, file: Path, entry: Quarantined) -> bool:
        """Move `file` here with its `entry`; returns False, and leaves it, when the run's share is used up."""
        size = file.stat().st_size
        if self._kept >= MOST_OBJECTS or self._bytes + size > MOST_BYTES:
            return False
        private_folder(self._folder)
        self._count += 1
        target = self._folder / f"{self._run}-{self._count:04}.dcm"
        write_file(target.with_suffix(".json"), msgspec.json.encode(entry))
        file.rename(target)
        sync_folder(self._folder)
        self._kept += 1
        self._bytes += size
        return True

    def reasons(self) -> Counter[str]:
        """How many objects of the run lie here, by reason."""
        counts: Counter[str] = Counter()
        for path in self._files():
            note = path.with_suffix(".json")
            counts[msgspec.json.decode(note.read_bytes(), type=Quarantined).reason] += 1
        return counts

    def _files(self) -> list[Path]:
        return sorted(self._folder.glob(f"{self._run}-*.dcm")) if self._folder.is_dir() else []
