"""The nouns that every part of vault shares. They hold facts and no behaviour."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NewType

PatientID = NewType("PatientID", str)
"""A patient's ID as the ROIS spells it, stripped of padding; never empty, never a wildcard."""

RunID = NewType("RunID", str)
"""`20261124T020000Z-3f9c`: when the run began (UTC), and four hex digits that keep two apart."""


@dataclass(frozen=True, slots=True, order=True)
class ObjectKey:
    """What an object is filed under within its patient: the values of its own data set."""

    modality: str
    series_uid: str
    sop_uid: str


@dataclass(frozen=True, slots=True)
class FoundObject:
    """One SOP instance that C-FIND says the ROIS holds."""

    study_uid: str
    key: ObjectKey
    sop_class_uid: str = ""


@dataclass(frozen=True, slots=True)
class Failure:
    """One thing that could not be done, and why: a value that travels with the results, never only a log line.

    `subject` says what it concerns without naming the patient ("RTPLAN 1.2.3", "series 1.2.4", "" for the
    whole patient); `reason` is one sentence with the remedy where there is one.
    """

    subject: str
    reason: str


@dataclass(frozen=True, slots=True)
class Retrieval:
    """What is known about one patient after the network phase.

    `found` is what a complete C-FIND returned, or None when the query failed: only a complete query may say
    that something was removed. `not_due` are objects that the refresh policy left for another night.
    `missing` were found and asked for, but never arrived: *not retrieved*, which is never *removed*.
    """

    patient_id: PatientID
    found: tuple[FoundObject, ...] | None
    not_due: frozenset[ObjectKey] = frozenset()
    missing: tuple[FoundObject, ...] = ()
    failures: tuple[Failure, ...] = ()

    @property
    def complete(self) -> bool:
        """Everything that the ROIS has and that was due has arrived."""
        return self.found is not None and not self.missing and not self.failures


@dataclass(frozen=True, slots=True)
class Row:
    """One row of the ROIS's database, as text: `query` is the name of the statement that it answers.

    `fields` maps a column's name to its value in canonical text, None for NULL: what is the same in the database
    has the same text, whatever driver read it.
    """

    query: str
    fields: Mapping[str, str | None]


@dataclass(slots=True)
class PatientOutcome:
    """What a run did for one patient. Lists hold tree paths (`dicom/RTPLAN/…/….dcm`)."""

    old_commit: str | None = None
    new_commit: str | None = None
    added: list[str] = field(default_factory=list)
    changed: list[str] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)
    unchanged: int = 0
    reencoded: int = 0
    not_due: int = 0
    complete: bool = False
    failed: list[Failure] = field(default_factory=list)
    gaps: list[Failure] = field(default_factory=list)
    """What should be in the vault and is not, though nothing failed: each with its likely reason."""
    anomalies: list[str] = field(default_factory=list)
    """What looks as if nobody meant it."""


@dataclass(frozen=True, slots=True)
class Anomaly:
    """Something about a whole run that looks as if nobody meant it. It names no patient: the ledger keeps it."""

    measure: str
    """What noticed it: a measure of `vault.compare.anomaly`, `census`, or `refused` for what was not asked for."""
    severity: str
    text: str
    """What was seen, and why that matters."""
    look_at_first: str = ""


@dataclass(frozen=True, slots=True)
class AttributeChange:
    """One line of the normal form that differs. `old` or `new` is None where the attribute is absent."""

    path: str
    keyword: str
    tag: str
    vr: str
    old: str | None
    new: str | None


@dataclass(frozen=True, slots=True)
class Finding:
    """What a change means, in the words of the field."""

    severity: str
    text: str


@dataclass(frozen=True, slots=True)
class Change:
    """One object that differs between two commits of a patient."""

    path: str
    kind: str
    """`added`, `removed`, `changed` or `revised`."""
    modality: str
    title: str
    severity: str | None = None
    attributes: tuple[AttributeChange, ...] = ()
    findings: tuple[Finding, ...] = ()
