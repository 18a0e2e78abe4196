"""A vault for a test: made by `vault init`'s own code, configured for one peer, driven in-process or by its command."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import peers

from vault.archive.repository import all_repositories
from vault.config import Config, load
from vault.sync import sync
from vault.sync_report import SyncReport

FIRST_NIGHT = datetime(2026, 11, 24, 2, 0, tzinfo=UTC)


class TestVault:
    """A vault in `folder` that retrieves `patients` from `rois`; each `sync` is a night later."""

    __test__ = False

    def __init__(
        self,
        folder: Path,
        rois: peers.Peer,
        patients: Sequence[str],
        *,
        retrieve: str = "move",
        extra: str = "",
    ) -> None:
        from vault.setup import initialize

        self.folder = folder
        self.share = folder.parent / f"{folder.name}-share"
        self.share.mkdir(exist_ok=True)
        made = initialize(folder)
        listed = ", ".join(f'"{patient}"' for patient in patients)
        self.toml = folder / "vault.toml"
        self.toml.write_text(f"""
[site]
name = "Test department"
timezone = "Europe/Berlin"
[vault]
root = "."
recipients = ["{made.recipient}"]
[rois.dicom]
ae_title = "{rois.ae_title}"
host = "{rois.host}"
port = {rois.port}
retrieve = "{retrieve}"
[receiver]
ae_title = "VAULT"
host = "127.0.0.1"
port = {getattr(rois, "receiver_port", 11112)}
[retrieve]
retries = 1
timeout = "10s"
backoff = "0s"
[census]
source = "list"
patients = [{listed}]
modalities = []
[share]
url = "{self.share.as_uri()}"
{extra}
""")
        self.nights = 0

    @property
    def config(self) -> Config:
        """vault.toml as it stands now."""
        return load(self.toml)

    def sync(self, **options: Any) -> SyncReport:
        """Run the next night in this process."""
        self.nights += 1
        now = FIRST_NIGHT + timedelta(days=self.nights - 1)
        return sync(self.config, now=now, **options)

    def command(self, *arguments: str, **options: Any) -> subprocess.CompletedProcess[str]:
        """Run `vault -c vault.toml ARGUMENTS` as a user would."""
        return subprocess.run(
            [Path(sys.executable).with_name("vault"), "-c", self.toml, *arguments],
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
            env={**os.environ, "NO_COLOR": "1"},
            **options,
        )

    def tips(self) -> dict[str, str]:
        """Patient ID to the commit of `main`."""
        return {
            repository.patient_id: repository.tip() for repository in all_repositories(self.config.vault.root)
        }
