"""`overview.git`: the department's summary of each day, which concerns all patients and so is in none's repository.

Branch `hourly`, a signed commit per hourly run that saw something new:

    history/<date>/department.json     who was treated (a hash of what was seen of each), and who was due
    history/<date>/department.pdf      the same for people
"""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from vault.archive import layout, sums
from vault.archive.bare import BareRepository, Edits
from vault.archive.hours import BRANCH
from vault.archive.objects import sha256
from vault.archive.signing import Signer

NAME = "overview.git"

DATA = "department.json"
PDF = "department.pdf"


class Overview(BareRepository):
    """The repository of the daily summaries."""

    @classmethod
    def open(cls, root: Path) -> Overview | None:
        """The vault's; None before the first hourly run."""
        return cls(root / NAME) if (root / NAME).is_dir() else None

    @classmethod
    def create(cls, root: Path, allowed_signers: Path) -> Overview:
        """Make it, or open it. Raises VaultError when the disk refuses."""
        if existing := cls.open(root):
            return existing
        settings = {"gpg.format": "ssh", "gpg.ssh.allowedSignersFile": str(allowed_signers.absolute())}
        layout.create(root / NAME, settings)
        return cls(root / NAME)

    def commit(self, edits: Edits, message: str, *, when: datetime, signer: Signer, author: str) -> str:
        """Commit `edits` with the `SHA256SUMS` that they call for on top of the tip; errors as `commit_edits`."""
        return self.commit_edits(
            parent=self.tip(BRANCH),
            edits=edits,
            message=message,
            when=when,
            signer=signer,
            branch=BRANCH,
            author=author,
            expand=lambda current, wanted: {
                **wanted,
                **sums.updates(current, wanted, self.read, self._sha256),
            },
        )

    def _sha256(self, oid: str) -> str:
        with self.stream(oid) as source:
            return sha256(source)
