"""A vault with histories and runs, but without a ROIS: what verdicts and alarms are about."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from pathlib import Path
from typing import Any

from answer_kit import mail

from vault.archive.blobs import Bytes
from vault.archive.ledger import Ledger
from vault.archive.refs import VERIFIED
from vault.archive.repository import PatientRepository
from vault.archive.signing import Signer
from vault.config import Config, load
from vault.keys import Pseudonyms
from vault.setup import initialize
from vault.verification.poll import Desk
from vault.verification.runs import codes

ZONE = "Europe/Berlin"
NIGHT = datetime(2026, 11, 24, 2, tzinfo=UTC)
"""03:00 in Berlin."""
TEN = datetime(2026, 11, 24, 9, tzinfo=UTC)
"""10:00 in Berlin."""

PEOPLE = {"Ann": "ann@test.local", "Ben": "ben@test.local", "Cem": "cem@test.local"}

MAILDIR = """
[mail]
from = "vault@test.local"
maildir = "out"
answers = "in"
"""


def recipients(people: Sequence[str] = tuple(PEOPLE), enrolled: Sequence[str] = ()) -> str:
    return "".join(
        f'[[mail.recipients]]\nname = "{name}"\naddress = "{PEOPLE[name]}"\n'
        + (f'totp_file = "keys/{name}.totp"\n' if name in enrolled else "")
        for name in people
    )


class VerdictVault:
    """A vault in `folder`; each `night` changes patients and records the run."""

    def __init__(self, folder: Path, mail_section: str | None = None, extra: str = "") -> None:
        initialize(folder, name="Test department", timezone=ZONE)
        self.folder = folder
        self.toml = folder / "vault.toml"
        section = MAILDIR + recipients() if mail_section is None else mail_section
        text = self.toml.read_text("utf-8").replace("[verification]\n", f"[verification]\n{extra}\n")
        self.toml.write_text(text + section)
        self.signer = Signer.load(folder / "keys/signing_key")
        self.pseudonyms = Pseudonyms.load(folder / "keys/pseudonym.key")
        self.nights = 0

    @property
    def config(self) -> Config:
        return load(self.toml)

    @property
    def ledger(self) -> Ledger:
        return Ledger(self.folder, self.signer)

    def night(self, *patients: str, began: datetime | None = None, **event: Any) -> str:
        """Let a night change these patients, or nobody; returns the run's name."""
        self.nights += 1
        when = began or NIGHT + timedelta(days=self.nights - 1)
        entries = {}
        for patient in patients:
            repository = self.repository(patient) or PatientRepository.create(self.folder, patient)
            old = repository.tip()
            new = repository.commit(
                parent=old,
                edits={"patient.json": Bytes(f"{self.nights}".encode())},
                message="night",
                when=when,
                signer=self.signer,
            )
            entries[self.pseudonyms.of(patient)] = {
                "old_commit": old,
                "new_commit": new,
                "complete": True,
                "failed": 0,
                "anomalies": 0,
                **event.get("each", {}),
            }
        name = f"{when.astimezone(UTC):%Y%m%dT%H%M%SZ}-{self.nights:04x}"
        record = {
            "run": name,
            "started": when.isoformat(),
            "patients": entries,
            "anomalies": [],
            "census": [],
            "failed": 0,
            "asked": True,
        }
        self.ledger.append("runs", name, {**record, **event}, when=when)
        return name

    def repository(self, patient: str) -> PatientRepository | None:
        return PatientRepository.open(self.folder, patient)

    def verified(self, patient: str) -> str | None:
        repository = self.repository(patient)
        assert repository is not None
        return repository.ref(VERIFIED)

    def tip(self, patient: str) -> str | None:
        repository = self.repository(patient)
        assert repository is not None
        return repository.tip()

    def code(self, name: str, run: str) -> str:
        """A recipient's code, as the mail of that run has it."""
        (found,) = (each.run for each in Desk(self.config).docket.runs if each.run.name == run)
        return codes(
            (bytes.fromhex((self.folder / "keys/pseudonym.key").read_text().strip())), found, [name]
        )[name]

    def answer(self, name: str, text: str, written: datetime = TEN, **headers: str) -> EmailMessage:
        """Let somebody's mail program deliver an answer into the maildir."""
        message = mail(text, sender=PEOPLE[name], written=written, **headers)
        self.deliver(bytes(message))
        return message

    def deliver(self, data: bytes) -> Path:
        folder = self.folder / "in"
        for sub in ("tmp", "new", "cur"):
            (folder / sub).mkdir(parents=True, exist_ok=True)
        number = sum(1 for _ in folder.rglob("*.mail*"))
        path = folder / "new" / f"{number:06}.mail"
        path.write_bytes(data)
        return path

    def mailed(self) -> list[EmailMessage]:
        """What has gone out, in the order in which it was put there."""
        found = sorted((self.folder / "out").rglob("*.vault"), key=lambda path: path.stat().st_mtime_ns)
        return [message_from_bytes(path.read_bytes(), policy=default) for path in found]  # type: ignore[misc]

    def subjects(self) -> list[str]:
        """The subjects of what went out, each once for all of its recipients, sorted by date."""
        found = {str(each["Message-ID"]): each for each in self.mailed()}
        return [
            str(each["Subject"]) for each in sorted(found.values(), key=lambda each: each["Date"].datetime)
        ]

    def command(self, *arguments: str, **options: Any) -> subprocess.CompletedProcess[str]:
        """Run `vault -c vault.toml ARGUMENTS` as a user would."""
        return subprocess.run(
            [Path(sys.executable).with_name("vault"), "-c", self.toml, *arguments],
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
            env={**os.environ, "NO_COLOR": "1"},
            **options,
        )
