"""A tiny department whose patients' names can't be mistaken, and a vault that mails about it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import date
from pathlib import Path
from types import SimpleNamespace

from mail_kit import read
from vaults import TestVault

from vault.department.nights import night
from vault.department.patients import Scale, roster
from vault.department.server import LOOPBACK, Department

FIRST = date(2026, 11, 23)
TINY = Scale(matrix=8, slices=2, control_points=4, dose_pitch=30.0)
PATIENTS = tuple(
    replace(patient, name=f"Zyxwmarker{patient.number}^Qvqmarker") for patient in roster(2, FIRST, scale=TINY)
)
MARKS = ("zyxwmarker", "qvqmarker", *(patient.patient_id.casefold() for patient in PATIENTS))
"""What names a patient: in lower case."""

PEOPLE = """
[[mail.recipients]]
name = "Ann"
address = "ann@test.local"
[[mail.recipients]]
name = "Ben"
address = "ben@test.local"
"""


def into_a_maildir(content: str = "full", people: str = PEOPLE) -> str:
    """`[mail]` whose mail goes into the maildir `mail/out`."""
    return f'[mail]\nfrom = "vault@test.local"\ncontent = "{content}"\nmaildir = "mail/out"\n{people}'


class Ward:
    """The department and the vault."""

    def __init__(self, folder: Path, department: Department, mail: str) -> None:
        rois = SimpleNamespace(
            ae_title=department.ae_title, host=LOOPBACK, port=department.port, receiver_port=department.port
        )
        self.department = department
        self.vault = TestVault(
            folder / "vault", rois, [patient.patient_id for patient in PATIENTS], retrieve="get", extra=mail
        )
        self.nights = 0

    @property
    def out(self) -> Path:
        """The maildir."""
        return self.vault.folder / "mail/out"

    def play(self) -> None:
        """Let the department's next night happen."""
        self.nights += 1
        self.department.put(step.make() for step in night(PATIENTS, self.nights, FIRST).steps)

    def mails(self, to: str = "ann@test.local"):
        """What is in the maildir for somebody, oldest first."""
        found = (
            [read(path.read_bytes()) for path in (self.out / "new").glob("*")] if self.out.exists() else []
        )
        mine = [mail for mail in found if to in str(mail["To"])]
        return sorted(mine, key=lambda mail: mail["Date"].datetime)


@contextmanager
def ward(folder: Path, mail: str) -> Iterator[Ward]:
    """The department, which listens until the end of the block, and a vault that knows it."""
    with Department(folder / "department", destinations={}) as department:
        yield Ward(folder, department, mail)
