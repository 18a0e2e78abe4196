"""Vaults to measure: made by `vault init`'s own code, filled without a network where that is not what is timed."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path

from bench.corpus import Corpus
from bench.processes import LOOPBACK, RECEIVER, SENDER
from vault.archive.night import Night
from vault.archive.signing import Signer
from vault.commit import Job, Sealing, commit_patients
from vault.config import Config, load
from vault.delivery import to_share
from vault.dicom.header import read_header
from vault.keys import read_pseudonym_key
from vault.model import FoundObject, PatientID, Retrieval, RunID
from vault.normal.volatile import SHIPPED
from vault.rois.inbox import Inbox
from vault.setup import initialize

WHEN = datetime(2026, 11, 24, 2, 0, tzinfo=UTC)
RUN = RunID("20261124T020000Z-0001")
NEXT_RUN = RunID("20261125T020000Z-0002")


class BenchVault:
    """A vault in `folder`, with a share beside it."""

    def __init__(
        self,
        folder: Path,
        patients: Iterable[str],
        *,
        rois: tuple[str, int] = (SENDER, 104),
        receiver_port: int = 11112,
    ) -> None:
        self.patients = tuple(patients)
        self.share = folder.parent / f"{folder.name}-share"
        self.share.mkdir(parents=True)
        made = initialize(folder)
        self.toml = folder / "vault.toml"
        listed = ", ".join(f'"{patient}"' for patient in self.patients)
        title, port = rois
        self.toml.write_text(
            f"""
[site]
name = "Benchmark"
timezone = "UTC"
[vault]
recipients = ["{made.recipient}"]
root = "."
[rois.dicom]
ae_title = "{title}"
host = "{LOOPBACK}"
port = {port}
[receiver]
ae_title = "{RECEIVER}"
host = "{LOOPBACK}"
port = {receiver_port}
peers = [{{ae_title = "{title}", host = "{LOOPBACK}"}}, {{ae_title = "{SENDER}", host = "{LOOPBACK}"}}]
[retrieve]
timeout = "10m"
[census]
patients = [{listed}]
[share]
url = "{self.share.as_uri()}"
"""
        )
        self.config: Config = load(self.toml)
        self.root = self.config.vault.root
        self.signer = Signer.load(self.config.vault.signing_key)

    def inbox(self, run: RunID = RUN) -> Inbox:
        """The inbox of one run."""
        return Inbox(self.root / "inbox" / run)

    def fill_inbox(self, corpus: Corpus) -> Inbox:
        """An inbox that holds the corpus, as if it had just been received and the network was closed."""
        inbox = self.inbox()
        for patient, files in corpus.patients.items():
            for file in files:
                spooled = inbox.spool() / file.name
                os.link(file, spooled)
                inbox.file(spooled, read_header(file))
            inbox.record(complete_retrieval(patient, files))
        return inbox

    def commit(self, inbox: Inbox) -> None:
        """Normal form, comparison and one signed commit for every patient of an inbox."""
        for result in commit_patients(self.job(inbox), inbox.patients()):
            if result.outcome.failed:
                raise RuntimeError(result.outcome.failed[0].reason)

    def job(self, inbox: Inbox) -> Job:
        """What the patients of an inbox have in common."""
        night = Night(
            root=self.root,
            run=inbox.run,
            when=WHEN,
            retrieved_from="bench",
            volatile=SHIPPED,
            modalities=(),
            signer=self.signer,
            author="Benchmark",
            allowed_signers=self.config.vault.signing_key.parent / "allowed_signers",
            documents=True,
        )
        key = read_pseudonym_key(self.config.vault.pseudonym_key)
        sealing = Sealing(self.root / "outbox", self.config.vault.recipients, key)
        return Job(night, inbox.folder, sealing)

    def deliver(self) -> None:
        """Encrypt what is new and bring it to the share."""
        delivered = to_share(self.config)
        if delivered.failed:
            raise RuntimeError(delivered.failed[0].reason)


def complete_retrieval(patient: str, files: Iterable[Path]) -> Retrieval:
    """What a query that found exactly `files` leaves in the inbox."""
    headers = [read_header(file) for file in files]
    found = (FoundObject(header.study_uid, header.key, header.sop_class_uid) for header in headers)
    return Retrieval(PatientID(patient), tuple(found))


def folder_bytes(folder: Path) -> int:
    """Bytes of all files below `folder`."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def environment() -> Mapping[str, str]:
    """What the vault's commands run under: nobody's own git configuration."""
    return {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1", "NO_COLOR": "1"}
