"""Changes that say the same, told as one: a corrected name in nine hundred files is one thing that happened.

A group is what a person judges at once. Objects that differ in exactly the same attributes are one, whatever they
are; so are the images of a series that came or went, and treatment records that are nothing but new.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from vault.compare.findings.places import place
from vault.compare.findings.quantities import apart
from vault.compare.findings.vocabulary import PATIENT, words
from vault.compare.titles import series_title
from vault.model import AttributeChange, Change, Finding

SEPARATE = 4
"""So many images of a series, or new records, still stand one by one."""

WHOLE = frozenset({"RTPLAN", "RTSTRUCT", "RTDOSE", "RTRECORD"})
"""Objects that stand for themselves, not for a series."""

_NAMED = 3  # so many attributes that changed alike are named; the rest are counted


@dataclass(frozen=True, slots=True)
class Group:
    """Changes that say the same; at least one."""

    changes: tuple[Change, ...]
    text: str
    """What happened, in a sentence: `patient name changed in 900 objects: DOE^JON → DOE^JOHN (880 CT, 20 RTRECORD)`.
    Empty for a change that stands alone: its own title and findings say it."""

    @property
    def paths(self) -> tuple[str, ...]:
        """Where the objects are in the tree."""
        return tuple(change.path for change in self.changes)

    @property
    def kind(self) -> str:
        """`added`, `removed`, `changed` or `revised`."""
        return self.changes[0].kind

    @property
    def severity(self) -> str | None:
        """The severity that all of them have."""
        return self.changes[0].severity

    @property
    def attributes(self) -> tuple[AttributeChange, ...]:
        """What differs, the same in each; empty for objects that came or went, or that differ each in its way."""
        first = self.changes[0].attributes
        return first if all(change.attributes == first for change in self.changes) else ()

    @property
    def findings(self) -> tuple[Finding, ...]:
        """What is said of the first; of all of them, where they differ in the same."""
        return self.changes[0].findings


def grouped(changes: Iterable[Change]) -> list[Group]:
    """The changes in groups, each where its first change stands. Every change is in exactly one."""
    groups: dict[object, list[Change]] = {}
    for number, change in enumerate(changes):
        groups.setdefault(_key(change) or number, []).append(change)
    told: list[Group] = []
    for members in _of_series(groups.values()):
        if len(members) > 1 and (members[0].attributes or len(members) > SEPARATE):
            told.append(_group(members))
        else:
            told += (Group((change,), "") for change in members)
    return told


def _of_series(groups: Iterable[list[Change]]) -> Iterator[list[Change]]:
    """The groups, those of single images of one series as one where they differ in the same attributes."""
    alone: dict[object, list[Change]] = {}
    ordered: list[list[Change]] = []
    for members in groups:
        first = members[0]
        single = len(members) == 1 and first.kind == "changed" and first.modality not in {"", *WHOLE}
        if single and first.attributes:
            names = tuple(attribute.path for attribute in first.attributes)
            key = first.severity, PurePosixPath(first.path).parent, names
            if key in alone:
                alone[key].append(first)
                continue
            alone[key] = members
        ordered.append(members)
    for members in ordered:
        same = all(one.attributes == members[0].attributes for one in members)
        if same or len(members) > SEPARATE:
            yield members
        else:
            yield from ([one] for one in members)


def _key(change: Change) -> object:
    """What changes of one group have in common; None for one that stands alone."""
    if not change.modality:
        return None
    if change.kind == "changed" and change.attributes:
        return change.severity, change.attributes
    if change.attributes:
        return None
    if change.modality not in WHOLE:
        return change.severity, change.kind, PurePosixPath(change.path).parent
    if change.modality == "RTRECORD" and change.kind == "added" and len(change.findings) <= 1:
        return change.severity, change.kind, change.modality
    return None


def _group(members: list[Change]) -> Group:
    first = members[0]
    if first.attributes:
        if any(change.attributes != first.attributes for change in members):
            what = _listed([_noun(attribute) for attribute in first.attributes])
            return Group(tuple(members), f"{_series(first)}: {len(members)} images changed in {what}")
        return Group(tuple(members), _alike(first.attributes, members))
    if first.modality == "RTRECORD":
        members = sorted(members, key=lambda change: change.title)
        text = f"{len(members)} treatment records {first.kind}, {members[0].title} to {members[-1].title}"
        return Group(tuple(members), text)
    return Group(tuple(members), f"{_series(first)}: {len(members)} images {first.kind}")


def _series(change: Change) -> str:
    return f"{change.modality} {series_title(change.title)}".rstrip()


def _alike(attributes: Sequence[AttributeChange], members: Sequence[Change]) -> str:
    """`patient name changed in 900 objects: DOE^JON → DOE^JOHN (880 CT, 20 RTRECORD)`."""
    counts = Counter(change.modality for change in members)
    of_each = ", ".join(f"{count} {modality}" for modality, count in counts.most_common())
    what = _listed([_noun(attribute) for attribute in attributes])
    said = "; ".join(" → ".join(apart(one.old, one.new)) for one in attributes[:_NAMED])
    more = f"; and {len(attributes) - _NAMED} more" if len(attributes) > _NAMED else ""
    return f"{what} changed in {len(members)} objects: {said}{more} ({of_each})"


def _noun(attribute: AttributeChange) -> str:
    name = place(attribute.path).name
    term = PATIENT.get(name)
    return term.noun if term else words(name) or "content"


def _listed(nouns: Sequence[str]) -> str:
    named = list(dict.fromkeys(nouns))
    more = len(named) - _NAMED
    if more > 0:
        return f"{', '.join(named[:_NAMED])} and {more} more"
    return named[0] if len(named) == 1 else f"{', '.join(named[:-1])} and {named[-1]}"
