"""A vault with histories and a share, without a ROIS: what goes to the share, and what comes back from it."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from datetime import datetime, timedelta
from pathlib import Path

from history_kit import FIRST

from vault.archive.blobs import Bytes
from vault.archive.ledger import Ledger
from vault.archive.overview import Overview
from vault.archive.repository import PatientRepository
from vault.archive.signing import Signer
from vault.config import Config, load
from vault.delivery import to_share
from vault.setup import initialize
from vault.sync_report import Delivery

SIZE = 70_000
"""Bytes of a made-up object: more than a chunk of the age format."""


class SharedVault:
    """A vault in `folder`, delivered to `url` (a folder beside it where none is given)."""

    def __init__(self, folder: Path, url: str | None = None, extra: str = "") -> None:
        self.folder = folder
        self.share = folder.parent / "share"
        if url is None:
            self.share.mkdir()
        made = initialize(folder)
        toml = folder / "vault.toml"
        toml.write_text(f"""
[site]
name = "Test department"
timezone = "Europe/Berlin"
[vault]
root = "."
recipients = ["{made.recipient}"]
[rois.dicom]
ae_title = "ROIS"
host = "127.0.0.1"
port = 104
[receiver]
ae_title = "VAULT"
host = "127.0.0.1"
port = 11112
[census]
source = "list"
patients = []
[share]
url = "{url or self.share.as_uri()}"
{extra}
""")
        self.config: Config = load(toml)
        self.identity = folder / "keys/identity.txt"
        self.signer = Signer.load(self.config.vault.signing_key)
        self.signers = folder / "keys/allowed_signers"
        self.events = 0

    def night(self, patient_id: str, number: int, objects: int = 2) -> str:
        """Commit a night of a patient, of which each object is new and one is in the history of all; returns the id."""
        repository = PatientRepository.open(self.folder, patient_id) or PatientRepository.create(
            self.folder, patient_id, self.signers
        )
        edits: dict[str, Bytes | None] = {"patient.json": Bytes(b'{"night": %d}\n' % number)}
        for at in range(objects):
            edits[f"dicom/CT/1.2/1.2.{at}.dcm"] = Bytes(
                f"{patient_id} {number} {at}".encode() + os.urandom(SIZE)
            )
            edits[f"dicom/CT/1.2/1.2.{at}.txt"] = Bytes(
                f"normal-form 1\n{patient_id} {number} {at}\n".encode()
            )
        edits["documents/1/same.txt"] = Bytes(b"the same for everybody\n")
        return self._commit(repository, edits, FIRST + timedelta(days=number))

    def hour(self, patient_id: str, number: int) -> str:
        """Commit an hour of a patient on the branch `hourly`."""
        repository = PatientRepository.open(self.folder, patient_id)
        assert repository
        edits = {f"history/2026-11-25/{number}.json": Bytes(b"%d" % number)}
        return self._commit(repository, edits, FIRST + timedelta(hours=number), "hourly")

    def _commit(
        self,
        repository: PatientRepository,
        edits: Mapping[str, Bytes | None],
        when: datetime,
        branch: str = "main",
    ) -> str:
        return repository.commit(
            parent=repository.tip(branch),
            edits=edits,
            message="1 CT added\n\nRun: r\nNormal-Form: 1\n",
            when=when,
            signer=self.signer,
            branch=branch,
            author="Test department",
        )

    def event(self) -> str:
        """Write an event into the ledger."""
        self.events += 1
        ledger = Ledger(self.folder, self.signer, allowed_signers=self.signers)
        return ledger.append("runs", f"{self.events:04}", {"run": self.events}, when=FIRST)

    def day(self) -> None:
        """Commit a summary of the day."""
        overview = Overview.create(self.folder, self.signers)
        edits = {"history/2026-11-25/department.json": Bytes(b"{}")}
        overview.commit(edits, "an hour\n", when=FIRST, signer=self.signer, author="Test department")

    def usual(self) -> SharedVault:
        """Two patients, one of them with hours and a verified night, a ledger and an overview, all delivered."""
        first = self.night("4711", 1)
        for number in (2, 3):
            self.night("4711", number)
        self.hour("4711", 8)
        self.hour("4711", 9)
        repository = PatientRepository.open(self.folder, "4711")
        assert repository
        repository.set_ref("refs/vault/verified", first)
        self.night("Müller ^/..", 1)
        self.day()
        self.event()
        self.event()
        assert self.deliver().failed == []
        return self

    def deliver(self) -> Delivery:
        """Bring the share up to date."""
        overview = Overview.open(self.folder)
        return to_share(self.config, others=[overview] if overview else [])


def refs(root: Path) -> dict[str, dict[str, str]]:
    """Every repository below `root`, and its refs as stock git sees them; what says what was shared is left out."""
    found = {}
    for path in sorted([*root.glob("repos/*.git"), *root.glob("*.git")]):
        shown = subprocess.run(
            ["git", f"--git-dir={path}", "for-each-ref", "--format=%(refname) %(objectname)"],
            check=True,
            capture_output=True,
            text=True,
        ).stdout
        lines = (line.split() for line in shown.splitlines())
        found[path.name] = {
            name: oid
            for name, oid in lines
            if not name.startswith(("refs/vault/shared", "refs/vault/history"))
        }
    return found
