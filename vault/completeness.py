"""Is a patient complete? Three lists that should agree, and references that should lead somewhere.

*Expected* is what the database of the ROIS says exists, *found* is what C-FIND lists, *held* is what the vault has
after the night. A gap between them is either a fault of somebody's export or a ROIS that keeps something back; along
references (record → plan → structure set → images, dose → plan) it shows even without a database. All functions here
are pure.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum

from vault.model import Failure, FoundObject, ObjectKey, Row
from vault.normal.lines import parse

VARIAN_PRIVATE = "1.2.246.352.70.1."
"""SOP classes of Varian's own, among them the plan of unapproved, Halcyon and Ethos treatments (…70)."""

IMAGE = "image"
"""Stands for whichever modality a structure set was drawn on."""


class Missing(StrEnum):
    """Where an object that should be in the vault got lost."""

    NOT_FOUND = "not found"
    """The database has it, C-FIND does not list it."""
    NOT_RECEIVED = "not received"
    """C-FIND lists it, it is not in the vault."""
    REFERENCED = "referenced"
    """An object of the vault refers to it, and nobody has it."""


@dataclass(frozen=True, slots=True)
class Gap:
    """One object, or the images of one structure set, that should be in the vault and are not."""

    missing: Missing
    modality: str
    uid: str
    """SOP Instance UID; of images, that of the structure set that refers to them."""
    reason: str
    """What is missing and why that is likely, as a sentence that names no patient."""

    def as_failure(self) -> Failure:
        """The gap as one thing that could not be done."""
        return Failure(f"{self.modality} {self.uid}", self.reason)


@dataclass(frozen=True, slots=True)
class Reference:
    """One object of the vault that refers to another one."""

    modality: str
    uid: str
    to_modality: str
    to_uid: str


@dataclass(frozen=True, slots=True)
class Completeness:
    """What is known about one patient."""

    expected: int | None
    """How many objects the database names; None when it was not or could not be asked."""
    found: int | None
    """How many objects C-FIND lists; None when that failed."""
    held: int
    gaps: tuple[Gap, ...]
    unexpected: tuple[ObjectKey, ...] = ()
    """Plans, structure sets and records that the vault holds and the database does not name: not approved, of a course
    that the statement leaves out, or put there past the application."""

    @property
    def complete(self) -> bool:
        """Nothing is missing, as far as anybody knows."""
        return not self.gaps


def examine(
    expected: Iterable[Row] | None,
    found: Iterable[FoundObject] | None,
    held: Iterable[ObjectKey],
    references: Iterable[Reference] = (),
    *,
    modalities: Collection[str] = (),
) -> Completeness:
    """Hold the lists against each other and follow the references.

    `expected` are rows of the query `expected_objects`, `references` come from `references_of`. `modalities` are those
    that the vault keeps, all where it is empty: what it does not keep is not missed.
    """
    here = set(held)
    uids = {key.sop_uid for key in here}
    named = None if expected is None else _named(expected, modalities)
    listed = None if found is None else {each.key.sop_uid: each for each in found}
    gaps = [] if listed is None else list(_not_received(listed.values(), uids, modalities))
    if named is not None:
        gaps += _not_found(named, listed, uids)
    gaps += _dangling(references, uids, {gap.uid for gap in gaps}, modalities)
    return Completeness(
        expected=None if named is None else len(named),
        found=None if listed is None else len(listed),
        held=len(here),
        gaps=tuple(sorted(gaps, key=lambda gap: (gap.missing, gap.modality, gap.uid))),
        unexpected=() if named is None else tuple(sorted(_unexpected(here, named))),
    )


_TO = {
    ("RTRECORD", "ReferencedRTPlanSequence.ReferencedSOPInstanceUID"): "RTPLAN",
    ("RTDOSE", "ReferencedRTPlanSequence.ReferencedSOPInstanceUID"): "RTPLAN",
    ("RTPLAN", "ReferencedStructureSetSequence.ReferencedSOPInstanceUID"): "RTSTRUCT",
    (
        "RTSTRUCT",
        "ReferencedFrameOfReferenceSequence.RTReferencedStudySequence.RTReferencedSeriesSequence.ContourImageSequence."
        "ReferencedSOPInstanceUID",
    ): IMAGE,
}
"""Attributes that refer to what treatment can't go on without, and to what (PS3.3 C.8.8.3, C.8.8.5, C.8.8.9, C.8.8.17).

A plan's predecessor and a dose's structure set are left out: they may well be gone."""

_ITEM = re.compile(r"\[[^\]]*\]")


def references_of(key: ObjectKey, normal_form: Iterable[bytes]) -> Iterator[Reference]:
    """What an object refers to, read from the lines of its normal form; each target once."""
    seen = set()
    for line in parse(raw for raw in normal_form if raw.startswith(b"Referenced")):
        to_modality = _TO.get((key.modality, _ITEM.sub("", line.path)))
        if to_modality and line.value not in seen:
            seen.add(line.value)
            yield Reference(key.modality, key.sop_uid, to_modality, line.value)


def _named(rows: Iterable[Row], modalities: Collection[str]) -> Mapping[str, str]:
    """SOP Instance UID to modality of what the database names and the vault keeps."""
    pairs = ((row.fields["sop_uid"] or "", (row.fields["modality"] or "").upper()) for row in rows)
    return {uid: modality for uid, modality in pairs if not modalities or modality in modalities}


def _not_received(
    found: Iterable[FoundObject], held: Collection[str], modalities: Collection[str]
) -> Iterator[Gap]:
    for each in found:
        if each.key.sop_uid in held or (modalities and each.key.modality not in modalities):
            continue
        if each.sop_class_uid.startswith(VARIAN_PRIVATE):
            why = "it is of a SOP class of Varian's own, as plans that are not approved or of Halcyon and Ethos are"
        else:
            why = _WHY_NOT_SENT.get(each.key.modality, "the ROIS lists it and does not send it")
        reason = f"C-FIND lists it, but it did not arrive. Likely: {why}."
        yield Gap(Missing.NOT_RECEIVED, each.key.modality, each.key.sop_uid, reason)


_WHY_NOT_SENT = {
    "RTPLAN": "a plan without fields, which ARIA lists and refuses to export",
    "RTDOSE": "a dose that is computed when it is exported, and was not valid for its plan",
    "CT": "an image whose file the ROIS no longer has, or has on a disk that is away",
    "RTIMAGE": "an image whose file the ROIS no longer has, or has on a disk that is away",
}


def _not_found(
    named: Mapping[str, str], listed: Collection[str] | None, held: Collection[str]
) -> Iterator[Gap]:
    for uid, modality in named.items():
        if uid in held or (listed is not None and uid in listed):
            continue
        how = "and C-FIND could not be asked" if listed is None else "but C-FIND does not list it"
        why = _WHY_NOT_LISTED.get(
            modality, "it was not exported to the DICOM service, or is kept back from this computer"
        )
        yield Gap(Missing.NOT_FOUND, modality, uid, f"The database names it, {how}. Likely: {why}.")


_WHY_NOT_LISTED = {
    "RTPLAN": "a plan without fields or of a system that does not export (TomoTherapy, ViewRay), or an approval that "
    "was withdrawn",
    "RTSTRUCT": "a structure set of a plan that is not exported, or deleted since",
    "RTRECORD": "a record of a machine whose records are rows of the database only, or one without its plan",
    "CT": "images that were archived or deleted after planning",
    "MR": "images that were archived or deleted after planning",
    "PT": "images that were archived or deleted after planning",
}


def _dangling(
    references: Iterable[Reference],
    held: Collection[str],
    known: Collection[str],
    modalities: Collection[str],
) -> Iterator[Gap]:
    """What is referred to and not there; the images of a structure set are one gap, and a gap that is known is none."""
    images: dict[str, list[bool]] = defaultdict(list)
    users: dict[tuple[str, str], list[Reference]] = defaultdict(list)
    for reference in references:
        if reference.to_modality == IMAGE:
            images[reference.uid].append(reference.to_uid in held)
        elif reference.to_uid not in held and reference.to_uid not in known:
            users[reference.to_modality, reference.to_uid].append(reference)
    for (modality, uid), by in users.items():
        if modalities and modality not in modalities:
            continue
        kinds = sorted({reference.modality for reference in by})
        who = f"{len(by)} {' and '.join(kinds)} object{'s' * (len(by) > 1)} refer{'s' * (len(by) == 1)} to it"
        yield Gap(
            Missing.REFERENCED, modality, uid, f"{who}, but nobody has it. Likely: {_WHY_GONE[modality]}."
        )
    for uid, there in images.items():
        gone = there.count(False)
        if gone:
            reason = (
                f"{gone} of the {len(there)} images that this structure set was drawn on are not in the vault. Likely: "
                "they were archived or deleted, or belong to a modality that [census] modalities leaves out."
            )
            yield Gap(Missing.REFERENCED, IMAGE, uid, reason)


_WHY_GONE = {
    "RTPLAN": "the plan was deleted or never imported, or belongs to a system that does not export its plans "
    "(TomoTherapy, ViewRay)",
    "RTSTRUCT": "the structure set was deleted, replaced by one with another UID, or never imported",
}


def _unexpected(held: Iterable[ObjectKey], named: Mapping[str, str]) -> Iterator[ObjectKey]:
    """Only of modalities of which the database names any: a statement may leave out images altogether."""
    covered = set(named.values()) & {"RTPLAN", "RTSTRUCT", "RTRECORD"}
    return (key for key in held if key.modality in covered and key.sop_uid not in named)
