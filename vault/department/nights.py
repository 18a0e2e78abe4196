"""What happens in the department from night to night, as data.

Night 1 finds every patient under treatment. Night 2 finds, beside a new fraction of each, one plan that the
department revised and one plan that somebody tampered with: the same UID, an opened leaf bank in one control
point, nothing else. One of the fractions was broken off; where the roster has them, one patient has had the last
fraction and one is new. Later nights find new fractions only, delivered with the plans as they then are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from functools import partial
from typing import Literal

from pydicom.dataset import FileDataset

from vault.department.beams import PlanModel, original, revised, tampered
from vault.department.ct import ct_slice
from vault.department.dose import dose_object
from vault.department.patients import Patient
from vault.department.plan import plan_object
from vault.department.record import record_object
from vault.department.structures import structure_set
from vault.model import PatientID

EVENTFUL_NIGHT = 2
"""The night with the revised and the tampered plan."""


@dataclass(frozen=True, slots=True)
class Step:
    """One object that a night adds or replaces; `make` builds it when it is wanted, so that none wait in memory."""

    patient_id: PatientID
    modality: str
    action: Literal["added", "replaced"]
    make: Callable[[], FileDataset]


@dataclass(frozen=True, slots=True)
class Night:
    """What the ROIS holds after `number` nights that it did not hold, or not so, the night before."""

    number: int
    when: date
    """The calendar day on which the night ends."""
    steps: tuple[Step, ...]
    story: tuple[tuple[PatientID, str], ...]
    """What happened, for people: a patient and a sentence. Empty on the first night."""


def tampered_patient(patients: Sequence[Patient]) -> Patient:
    """Whose plan is tampered with: the second's, or the only one's."""
    return patients[min(1, len(patients) - 1)]


def revised_patient(patients: Sequence[Patient]) -> Patient:
    """Whose plan is revised: the third's, or the last's where there are fewer."""
    return patients[min(2, len(patients) - 1)]


def play(patients: Sequence[Patient], first_night: date) -> Iterator[Night]:
    """Yield the nights one after the other, without end (fractions end with each prescription)."""
    number = 1
    while True:
        yield night(patients, number, first_night)
        number += 1


def night(patients: Sequence[Patient], number: int, first_night: date) -> Night:
    """Return the night `number` (from 1) of these patients."""
    when = first_night + timedelta(days=number - 1)
    arrived = [patient for patient in patients if patient.arrives == number]
    steps = tuple(step for patient in arrived for step in _initial(patient))
    if number == 1:
        return Night(number, when, steps, ())
    treated = [(patient, fraction) for patient in patients if (fraction := patient.fraction(number))]
    steps += tuple(fraction_step(patients, patient, fraction) for patient, fraction in treated)
    story = tuple((patient.patient_id, _told(patients, patient, fraction)) for patient, fraction in treated)
    story += tuple((patient.patient_id, "planned and approved; starts today") for patient in arrived)
    if number != EVENTFUL_NIGHT:
        return Night(number, when, steps, story)
    more_steps, more_story = _eventful(patients, when)
    return Night(number, when, steps + more_steps, story + more_story)


def broken_off(patients: Sequence[Patient], patient: Patient, fraction: int) -> bool:
    """Whether a fraction was broken off: the first patient's before the second night."""
    first = patients[0]
    return patient == first and fraction == first.fraction(EVENTFUL_NIGHT)


def fraction_step(patients: Sequence[Patient], patient: Patient, fraction: int) -> Step:
    """The treatment record of a fraction."""
    record = partial(
        record_object,
        plan_given(patients, patient, fraction),
        fraction,
        broken_off=broken_off(patients, patient, fraction),
    )
    return Step(patient.patient_id, "RTRECORD", "added", record)


def plan_given(patients: Sequence[Patient], patient: Patient, fraction: int) -> PlanModel:
    """The plan that the machine was given for a fraction: what night 2 found replaced is used from then on."""
    plan = original(patient)
    if fraction <= patient.delivered + EVENTFUL_NIGHT - patient.arrives:
        return plan
    if patient is revised_patient(patients):
        return revised(plan)
    return tampered(plan) if patient is tampered_patient(patients) else plan


def _told(patients: Sequence[Patient], patient: Patient, fraction: int) -> str:
    if broken_off(patients, patient, fraction):
        return f"fraction {fraction} broken off by the machine: partly delivered"
    if fraction == patient.site.fractions:
        return f"fraction {fraction} delivered, the last one"
    return f"fraction {fraction} delivered"


def _initial(patient: Patient) -> Iterator[Step]:
    """Everything about a patient on the first night."""
    plan = original(patient)
    for index in range(patient.scale.slices):
        yield Step(patient.patient_id, "CT", "added", partial(ct_slice, patient, index))
    yield Step(patient.patient_id, "RTSTRUCT", "added", partial(structure_set, patient))
    yield Step(patient.patient_id, "RTPLAN", "added", partial(plan_object, plan))
    yield Step(patient.patient_id, "RTDOSE", "added", partial(dose_object, plan))
    for fraction in range(1, patient.delivered + 1):
        yield Step(patient.patient_id, "RTRECORD", "added", partial(record_object, plan, fraction))


def _eventful(
    patients: Sequence[Patient], when: date
) -> tuple[tuple[Step, ...], tuple[tuple[PatientID, str], ...]]:
    """The revision with its dose, and the tampered plan."""
    eve = when - timedelta(days=1)
    better, victim = revised_patient(patients), tampered_patient(patients)
    revision = revised(original(better))
    steps = (
        Step(better.patient_id, "RTPLAN", "added", partial(plan_object, revision, eve)),
        Step(better.patient_id, "RTDOSE", "added", partial(dose_object, revision, eve)),
        Step(victim.patient_id, "RTPLAN", "replaced", partial(plan_object, tampered(original(victim)))),
    )
    story = (
        (better.patient_id, f"plan revised by the department as {revision.label}, approved, with its dose"),
        (victim.patient_id, "plan TAMPERED with: one leaf bank moved by 5 mm in one control point, same UID"),
    )
    return steps, story
