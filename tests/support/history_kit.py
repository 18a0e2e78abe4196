"""A patient's history for a test: commits of given files, signed by a key made for it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta, timezone
from pathlib import Path

from vault.archive.blobs import Bytes
from vault.archive.repository import PatientRepository
from vault.archive.signing import Signer
from vault.keys import new_signing_key

FIRST = datetime(2026, 11, 23, 2, 0, tzinfo=timezone(timedelta(hours=1)))


class History:
    """A patient's repository below `root`, to which each `night` adds a commit."""

    def __init__(self, root: Path, patient_id: str = "4711") -> None:
        key = root / "signing_key"
        if not key.exists():
            root.mkdir(parents=True, exist_ok=True)
            key.touch(mode=0o600)
            key.write_bytes(new_signing_key())
        self.signer = Signer.load(key)
        self.repository = PatientRepository.create(root, patient_id)
        self.nights = 0

    def night(self, files: Mapping[str, bytes | None], label: str = "1") -> str:
        """Commit `files` (None removes) and return the commit's id."""
        self.nights += 1
        return self.repository.commit(
            parent=self.repository.tip(),
            edits={path: None if data is None else Bytes(data) for path, data in files.items()},
            message=f"night {self.nights}\n\nRun: run-{self.nights}\nNormal-Form: {label}\n",
            when=FIRST + timedelta(days=self.nights - 1),
            signer=self.signer,
        )
