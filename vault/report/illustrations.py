"""The pictures of a report: of its gravest changes first, as many as a person looks at and a file can hold."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from time import monotonic

from vault.archive.repository import PatientRepository
from vault.compare.groups import Group
from vault.config import Config
from vault.errors import VaultError
from vault.report import telling
from vault.report.changes import PatientChanges, RunReport
from vault.report.pictures import Picture, pictures_for

PER_PATIENT = 6
"""Pictures of one patient."""

IN_ALL = 40
"""Pictures of one report: each takes half a second, and 60 kB."""

LONGEST = 600.0
"""Seconds after which no other object is begun: pictures take half of one each, objects made to take long forever."""

SHOWN = frozenset({telling.CRITICAL, telling.MAJOR, None})
"""What pictures are drawn of; None is what nobody weighed."""

_ENOUGH = Picture(
    "No picture",
    "No picture: this report has as many as it holds.",
    b"",
    "No picture: this report has as many as it holds, of what is graver. `vault diff PATIENT --html FILE` draws them.",
)
_TOO_LONG = Picture(
    "No picture",
    "No picture: drawing what is graver took too long.",
    b"",
    "No picture: drawing what is graver took too long. `vault diff PATIENT --html FILE` draws it.",
)
_DRAWN = frozenset({"RTPLAN", "RTSTRUCT", "RTDOSE", "CT", "MR", "PT"})


def illustrations(config: Config, report: RunReport) -> Mapping[tuple[str, str], Sequence[Picture]]:
    """Pictures by patient ID and path. What can't be drawn has a sentence, or none where the archive is damaged."""
    drawn: dict[tuple[str, str], Sequence[Picture]] = {}
    left, until = IN_ALL, monotonic() + LONGEST
    for patient in report.patients:
        for path, pictures in _of_patient(config, patient, min(left, PER_PATIENT), until):
            left -= sum(picture.drawn for picture in pictures)
            drawn[patient.patient_id, path] = pictures
    return drawn


def _of_patient(
    config: Config, patient: PatientChanges, room: int, until: float
) -> Iterator[tuple[str, Sequence[Picture]]]:
    groups = [group for group in patient.groups if _deserves(group)]
    if not groups or patient.new is None or patient.old is None:
        return
    try:
        repository = PatientRepository.open(config.vault.root, patient.patient_id)
        for group in groups:
            change = group.changes[0]
            if repository is None or room <= 0:
                yield change.path, [_ENOUGH]
            elif monotonic() >= until:
                yield change.path, [_TOO_LONG]
            elif pictures := list(_within(pictures_for(repository, patient.old, patient.new, change), room)):
                room -= sum(picture.drawn for picture in pictures)
                yield change.path, pictures
    except VaultError:  # the comparison, which read the same, has said so
        return


def _deserves(group: Group) -> bool:
    change = group.changes[0]
    return group.severity in SHOWN and change.kind in ("changed", "revised") and change.modality in _DRAWN


def _within(pictures: Sequence[Picture], room: int) -> Iterator[Picture]:
    for picture in pictures:
        if picture.drawn:
            room -= 1
        if room < 0:
            yield _ENOUGH
            return
        yield picture
