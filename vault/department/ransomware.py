"""The night that the vault is for: somebody has been through the department with a program.

A third of the documents are encrypted where they lie, under their old names. Every plan is written anew past the
application: the same UID, monitor units that are not what they were, the approval gone, all with one time stamp, while
the database says that nobody touched them. The day's fractions were delivered before.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import date, datetime, time, timedelta
from functools import partial

from pydicom.dataset import FileDataset

from vault.department.beams import PlanModel, original, revised
from vault.department.charts import Paper
from vault.department.modules import day, decimal
from vault.department.nights import EVENTFUL_NIGHT, Night, Step, night, revised_patient
from vault.department.patients import Patient
from vault.department.plan import plan_object

HOUR = time(0, 17)
"""When the program ran."""

EVERY = 3
"""Every third document is encrypted."""

_MORE = 1.1  # by what monitor units are multiplied


def ransomware(patients: Sequence[Patient], number: int, first_night: date) -> Night:
    """An ordinary night `number`, in which the plans were rewritten."""
    ordinary = night(patients, number, first_night)
    when = datetime.combine(ordinary.when, HOUR)
    steps = tuple(
        Step(patient.patient_id, "RTPLAN", "replaced", partial(rewritten, plan, revised_on, when))
        for patient in patients
        if patient.arrives < number
        for plan, revised_on in _plans(patients, patient, number, first_night)
    )
    story = tuple((step.patient_id, "plan REWRITTEN by a program, the approval gone") for step in steps)
    return Night(number, ordinary.when, ordinary.steps + steps, ordinary.story + story)


def rewritten(plan: PlanModel, revised_on: date | None, when: datetime) -> FileDataset:
    """A plan as the program left it."""
    dataset = plan_object(plan, revised_on)
    dataset.RTPlanDate, dataset.RTPlanTime = day(when.date()), f"{when:%H%M%S}"
    dataset.ApprovalStatus = "UNAPPROVED"
    for group in dataset.FractionGroupSequence:
        for beam in group.ReferencedBeamSequence:
            beam.BeamMeterset = decimal(float(beam.BeamMeterset) * _MORE)
    return dataset


def encrypted(papers: Iterable[Paper]) -> Iterator[Paper]:
    """The documents, every third of them as bytes that mean nothing."""
    for number, paper in enumerate(papers):
        yield replace(paper, content=_random(paper)) if number % EVERY == 0 else paper


def _plans(
    patients: Sequence[Patient], patient: Patient, number: int, first_night: date
) -> Iterator[tuple[PlanModel, date | None]]:
    """The plans that a patient has by then, with the day of a revision."""
    plan = original(patient)
    yield plan, None
    if patient is revised_patient(patients) and number > EVENTFUL_NIGHT:
        yield revised(plan), first_night + timedelta(days=EVENTFUL_NIGHT - 2)


def _random(paper: Paper) -> bytes:
    """As many bytes as the document has, the same each time."""
    blocks = (
        hashlib.sha256(f"{paper.key}/{place}".encode()).digest() for place in range(0, len(paper.content), 32)
    )
    return b"".join(blocks)[: len(paper.content)]
