"""The documents of a simulated patient, and how they change from day to day.

Every patient has a consent (PDF), setup notes (Word) and a letter (RTF). On the day before the second night the
first patient gets a weekly check, the third patient's setup notes are revised, whereupon their file moves to another
folder, as in a real chart, and the second patient's consent is saved again without a word changed.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta

from vault.department.nights import EVENTFUL_NIGHT, revised_patient, tampered_patient
from vault.department.papers import docx, pdf, rtf
from vault.department.patients import Patient

PHYSICIAN = "Dr. Petra Ostrow"
THERAPIST = "R. Lindqvist"


@dataclass(frozen=True, slots=True)
class Paper:
    """One document as it is at some time."""

    patient: Patient
    key: str
    file: str
    """Path below the documents' folder."""
    title: str
    created: datetime
    changed: datetime
    changed_by: str
    approved: datetime | None
    content: bytes


def charts(patients: Sequence[Patient], first_night: date, now: datetime) -> Iterator[Paper]:
    """Every document that exists at `now`."""
    eve = first_night + timedelta(days=EVENTFUL_NIGHT - 2)
    for patient in patients:
        for paper in _papers(patients, patient, eve, now):
            if paper.created <= now:
                yield paper


def _papers(patients: Sequence[Patient], patient: Patient, eve: date, now: datetime) -> Iterator[Paper]:
    saved_again = patient is tampered_patient(patients) and now >= _at(eve, 15)
    saved = eve if saved_again else patient.planned_on
    yield _paper(
        patient,
        "consent",
        "pdf",
        "Consent to radiotherapy",
        pdf("Consent to radiotherapy", _consent(patient), saved),
        _at(patient.planned_on, 9),
        changed=_at(saved, 15) if saved_again else None,
        approved=True,
    )
    revision = patient is revised_patient(patients) and now >= _at(eve, 14)
    yield _paper(
        patient,
        "setup",
        "docx",
        "Setup notes",
        docx("Setup notes", _setup(patient, revision=revision)),
        _at(patient.planned_on, 11),
        changed=_at(eve, 14) if revision else None,
        moved=revision,
    )
    yield _paper(
        patient,
        "letter",
        "rtf",
        "Letter to the referring physician",
        rtf("Letter to the referring physician", _letter(patient)),
        _at(patient.planned_on + timedelta(days=2), 16),
        approved=True,
    )
    if patient == patients[0]:
        yield _paper(
            patient,
            "weekly-check",
            "pdf",
            "Weekly check",
            pdf("Weekly check", _check(patient), eve),
            _at(eve, 16),
        )


def _paper(
    patient: Patient,
    name: str,
    suffix: str,
    title: str,
    content: bytes,
    created: datetime,
    *,
    changed: datetime | None = None,
    approved: bool = False,
    moved: bool = False,
) -> Paper:
    stamp = changed or created
    shelf = _shelf(stamp if moved else created)
    return Paper(
        patient=patient,
        key=f"{patient.number}-{name}",
        file=f"{shelf}/{patient.number:05d}_{name}.{suffix}",
        title=title,
        created=created,
        changed=stamp,
        changed_by=THERAPIST if changed else PHYSICIAN,
        approved=created + timedelta(hours=2) if approved else None,
        content=content,
    )


def _shelf(when: datetime) -> str:
    """The folder of a quarter and, since a demo rarely crosses one, a day."""
    return f"{when:%Y}Q{(when.month + 2) // 3}/{when:%m%d}"


def _at(day: date, hour: int) -> datetime:
    return datetime.combine(day, time(hour))


def _consent(patient: Patient) -> list[str]:
    site = patient.site
    return [
        f"Patient {patient.patient_id}, born {patient.birth_date:%Y-%m-%d}",
        f"Treatment: {site.name}, {site.fractions} fractions of {site.dose_per_fraction:g} Gy ({site.technique}).",
        "I have been told about the benefits and the risks, and agree to the treatment.",
        f"Signed {patient.planned_on:%Y-%m-%d}. Explained by {PHYSICIAN}.",
    ]


def _setup(patient: Patient, *, revision: bool) -> list[str]:
    return [
        f"Patient {patient.patient_id}, {patient.site.name}",
        "Supine, head first, arms on the wing board.",
        f"Knee rest position {3 + patient.number % 3}, foot rest {patient.number % 4 + 1}.",
        f"Bolus: {'5 mm on the scar' if revision else 'none'}.",
        "Imaging: cone beam CT daily, tolerance 3 mm.",
    ]


def _letter(patient: Patient) -> list[str]:
    total = patient.site.fractions * patient.site.dose_per_fraction
    return [
        f"Re: patient {patient.patient_id}",
        f"Thank you for referring this patient, who will receive {total:g} Gy to {patient.site.name}.",
        "We will report after the last fraction.",
        f"With kind regards, {PHYSICIAN}, für die Klinik",
    ]


def _check(patient: Patient) -> list[str]:
    return [
        f"Patient {patient.patient_id}",
        "Chart checked: prescription, fractions, monitor units, images. No deviation.",
        "The last fraction was broken off by the machine. Physics decides about the rest.",
    ]
