"""A vault whose nights are told, not retrieved: what each census named and brought, and the pruning after it."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from datetime import UTC, datetime, time, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from vaults import TestVault

from vault.archive.blobs import Bytes
from vault.archive.ledger import Ledger
from vault.archive.overview import Overview
from vault.archive.repository import PatientRepository
from vault.archive.signing import Signer
from vault.config import Config
from vault.delivery import to_share
from vault.keys import Pseudonyms
from vault.model import RunID
from vault.retention.prune import Pruning
from vault.retention.report import PruneReport

START = datetime.combine(datetime.now(UTC).date() + timedelta(days=2), time(2), UTC)
"""The first night: commands that a test runs meanwhile have today's clock, and the ledger goes forward."""

DAY = timedelta(days=1)
ROIS = SimpleNamespace(ae_title="ROIS", host="127.0.0.1", port=1)
SHARED = b"the same in every patient " * 100


def marker(patient: str) -> bytes:
    """What stands in every file of a patient, and in nobody else's."""
    return f"<<marker of {patient}>>".encode()


class ToldVault:
    """A vault with `[retention]`; `night` tells what a night saw."""

    def __init__(self, folder: Path, patients: Iterable[str] = (), extra: str = "[retention]\n") -> None:
        self.made = TestVault(folder, ROIS, list(patients), extra=extra)
        self.config: Config = self.made.config
        self.root = self.config.vault.root
        self.share = self.made.share
        self.signer = Signer.load(self.config.vault.signing_key)
        self.pseudonyms = Pseudonyms.load(self.config.vault.pseudonym_key)

    def at(self, night: float) -> datetime:
        return START + night * DAY

    def commit(self, patient: str, night: float, branch: str = "main", **files: bytes) -> None:
        """Commit something new of a patient, as a run would."""
        signers = self.config.vault.signing_key.parent / "allowed_signers"
        repository = PatientRepository.open(self.root, patient)
        repository = repository or PatientRepository.create(self.root, patient, signers)
        when = self.at(night)
        day = when.date().isoformat()
        said = marker(patient) + f" {branch} {when}".encode()
        own = {f"history/{day}/rows.json": said} if branch == "hourly" else {"patient.json": said}
        contents = (
            {**own, "documents/1/shared.txt": SHARED, **files} if branch == "main" else {**own, **files}
        )
        repository.commit(
            parent=repository.tip(branch),
            edits={path: Bytes(data) for path, data in contents.items()},
            message=f"{branch}\n\nRun: {when:%Y%m%dT%H%M%SZ}-0000\nRetrieved-From: ROIS\n",
            when=when,
            signer=self.signer,
            branch=branch,
        )

    def summarize(self, night: float, patients: Collection[str]) -> None:
        """Commit the department's summary of a day."""
        overview = Overview.create(self.root, self.config.vault.signing_key.parent / "allowed_signers")
        day = self.at(night).date().isoformat()
        said = b"".join(map(marker, patients)) + day.encode()
        edits = {f"history/{day}/department.json": Bytes(said)}
        overview.commit(edits, "hour", when=self.at(night), signer=self.signer, author="vault")

    def record(self, night: float, census: Collection[str] | None, **changes: Any) -> RunID:
        """Record a run."""
        when = self.at(night)
        run = RunID(f"{when:%Y%m%dT%H%M%SZ}-0000")
        entry = {"old_commit": None, "new_commit": None, "complete": True, "failed": 0}
        event = {
            "run": run,
            "procedure": "sync",
            "started": when.isoformat(),
            "patients": {self.pseudonyms.of(each): entry for each in census or ()},
            "census": sorted(map(self.pseudonyms.of, census)) if census is not None else None,
            "anomalies": [],
            "failed": 0,
            **changes,
        }
        Ledger(self.root, self.signer).append("runs", run, event, when=when)
        return run

    def night(self, night: float, census: Collection[str] | None, **changes: Any) -> PruneReport:
        """A whole night: recorded, announced, delivered, pruned."""
        run = self.record(night, census, **changes)
        pruning = Pruning(self.config, run, self.at(night + 0.01))
        pruning.announce()
        self.deliver()
        pruning.carry_out()
        return pruning.report

    def deliver(self) -> None:
        overview = Overview.open(self.root)
        delivered = to_share(self.config, others=[overview] if overview else [])
        assert delivered.failed == []

    def patients(self) -> set[str]:
        return set(self.made.tips())

    def events(self, kind: str = "prunes") -> list[dict[str, Any]]:
        """Oldest first."""
        return list(Ledger(self.root).events(kind))[::-1]
