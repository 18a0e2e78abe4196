"""Synthetic patients: who they are, and the numbers that all their objects follow from.

A `Patient` is small and frozen; the modules `ct`, `structures`, `plan`, `dose` and `record` turn it into DICOM.
Every UID, date and pixel follows from the seed and the patient's number, so that the same arguments give the same
bytes on any machine.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field, replace
from datetime import date, timedelta

from vault.department.anatomy import SITES, Site
from vault.model import PatientID

SEED = 1
"""The seed of the demo."""


@dataclass(frozen=True, slots=True)
class Scale:
    """How large the objects are: the demo is small, a benchmark is not."""

    matrix: int = 96
    """Rows and columns of a CT slice; its field of view is always 384 mm."""
    slices: int = 24
    """Number of CT slices; together they always cover 120 mm."""
    control_points: int = 40
    """Control points of a beam."""
    dose_pitch: float = 5.0
    """Distance of the dose grid's points in mm."""

    field_of_view = 384.0
    length = 120.0

    @property
    def pixel(self) -> float:
        """Pixel spacing in mm."""
        return self.field_of_view / self.matrix

    @property
    def thickness(self) -> float:
        """Slice thickness and distance in mm."""
        return self.length / self.slices

    def z(self, index: int) -> float:
        """Position of a slice in mm."""
        return (index - (self.slices - 1) / 2) * self.thickness


@dataclass(frozen=True, slots=True)
class Patient:
    """One synthetic patient under treatment."""

    number: int
    name: str
    sex: str
    birth_date: date
    charset: str
    """Specific Character Set (0008,0005) of all objects."""
    site: Site
    first_fraction: date
    delivered: int
    """Fractions already delivered when the first night begins."""
    seed: int = SEED
    scale: Scale = field(default_factory=Scale)
    arrives: int = 1
    """The night that finds the first of this patient's objects."""

    def fraction(self, night: int) -> int | None:
        """The fraction that was given on the day before a night; None when none was."""
        number = self.delivered + night - self.arrives
        return number if night > self.arrives and number <= self.site.fractions else None

    @property
    def patient_id(self) -> PatientID:
        """`DEMO-001` and so on."""
        return PatientID(f"DEMO-{self.number:03d}")

    @property
    def planned_on(self) -> date:
        """The day of the planning CT."""
        return self.first_fraction - timedelta(days=10)

    def uid(self, *what: object) -> str:
        """A UID for something of this patient, the same for the same words: `2.25.` and 128 bits (PS3.5 B.2)."""
        words = "/".join(map(str, (self.seed, self.number, *what)))
        digest = hashlib.sha256(f"simulated department/{words}".encode()).digest()
        return f"2.25.{int.from_bytes(digest[:16], 'big')}"

    def number_of(self, *what: object) -> int:
        """A seed for random numbers about something of this patient."""
        return int(self.uid("random", *what)[5:]) & 0xFFFFFFFF


_PEOPLE = (
    ("Demo^Albert", "M", "ISO_IR 100"),
    ("Demo^Anna", "F", "ISO_IR 100"),
    ("Demo^Jürgen", "M", "ISO_IR 100"),
    ("Demo^Λουκία", "F", "ISO_IR 192"),
)
"""Name, sex and character set; the Greek name does not fit Latin-1."""


def roster(
    count: int, first_night: date, *, seed: int = SEED, scale: Scale | None = None
) -> tuple[Patient, ...]:
    """Return `count` patients under treatment on the day before `first_night`; the sites take turns.

    Fractions are given every day of the week, so that every night of a simulation brings something new.
    """
    return tuple(_patient(number, first_night, seed, scale or Scale()) for number in range(1, count + 1))


def cast(
    count: int, first_night: date, *, seed: int = SEED, scale: Scale | None = None
) -> tuple[Patient, ...]:
    """Return a roster and two more: one whose last fraction is given before the second night, one who starts.

    The newcomer's plan arrives with the second night; the first fraction is given on the day after it.
    """
    finishing, starting = (_patient(count + extra, first_night, seed, scale or Scale()) for extra in (1, 2))
    given = finishing.site.fractions - 1
    return (
        *roster(count, first_night, seed=seed, scale=scale),
        replace(finishing, delivered=given, first_fraction=first_night - timedelta(days=given)),
        replace(starting, delivered=0, first_fraction=first_night + timedelta(days=1), arrives=2),
    )


def _patient(number: int, first_night: date, seed: int, scale: Scale) -> Patient:
    name, sex, charset = _PEOPLE[(number - 1) % len(_PEOPLE)]
    if number > len(_PEOPLE):
        name = f"{name}-{number}"
    delivered = 2 + number * 3 % 7
    return Patient(
        number=number,
        name=name,
        sex=sex,
        birth_date=date(1942 + number * 7 % 40, 1 + number * 5 % 12, 1 + number * 11 % 28),
        charset=charset,
        site=SITES[(number - 1) % len(SITES)],
        first_fraction=first_night - timedelta(days=delivered),
        delivered=delivered,
        seed=seed,
        scale=scale,
    )
