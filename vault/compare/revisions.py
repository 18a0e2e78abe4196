"""A plan or structure set that was issued anew under a new UID, and which earlier one it replaces.

What the object itself says of its predecessor counts first; then how alike their normal forms are. One that the ROIS
no longer has is more likely the predecessor than one that it still has, and of those only one with the same label, or
nearly the same in all that it says: a boost resembles the plan before it, too.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from vault.compare.titles import title

MODALITIES = frozenset({"RTPLAN", "RTSTRUCT"})
"""What is issued anew in the course of a treatment."""

GONE = 0.5
"""Share of lines that a new object must have in common with one that is gone."""

RELABELLED = 0.9
"""Share of lines that it must have in common with one of another label that is still there."""

CANDIDATES = 64
"""Objects of a modality that a patient may have for the still present to be searched, too."""

_PLAN = re.compile(
    rb'\nReferencedRTPlanSequence\[([^\]\n]+)\]\.RTPlanRelationship CS "PREDECESSOR"'
    rb"|\nPredecessorStructureSetSequence\[([^\]\n]+)\]\."
)
_OWN = re.compile(rb"(?:SOPInstanceUID|SeriesInstanceUID|RTPlan(?:Date|Time)|StructureSet(?:Date|Time)) ")


@dataclass(frozen=True, slots=True)
class Issued:
    """One object that may be a revision, or have one."""

    path: str
    modality: str
    form: bytes

    @property
    def uid(self) -> str:
        """Its SOP Instance UID, by which it is filed."""
        return self.path.rpartition("/")[2].removesuffix(".dcm")

    @property
    def label(self) -> str:
        """What people call it."""
        return title(self.modality, self.form)


def pairs(added: Iterable[Issued], gone: Iterable[Issued], present: Iterable[Issued]) -> Mapping[str, Issued]:
    """The predecessor of each new object that has one, by the new object's path.

    `gone` are those that were removed the same night, `present` those that are still there. One that is gone has one
    revision at most.
    """
    new, left, held = list(added), list(gone), list(present)
    found: dict[str, Issued] = {}
    for one in new:
        named = _named(one.form)
        stated = next((other for other in (*left, *held) if other.uid in named), None)
        if stated and stated.modality == one.modality:
            found[one.path] = stated
    taken = {other.path for other in found.values()}
    lines = {one.path: _lines(one.form) for one in (*new, *left, *held)} if len(found) < len(new) else {}
    scored = [
        (score, one, other)
        for one in new
        if one.path not in found
        for others, there in ((left, False), (held, True))
        for other in others
        if other.modality == one.modality
        and (score := _alike(lines[one.path], lines[other.path])) >= _needed(one, other, there=there)
    ]
    present_paths = {other.path for other in held}
    for _, one, other in sorted(scored, key=lambda entry: (entry[2].path in present_paths, -entry[0])):
        if one.path not in found and (other.path in present_paths or other.path not in taken):
            found[one.path] = other
            taken.add(other.path)
    return found


def _needed(one: Issued, other: Issued, *, there: bool) -> float:
    return RELABELLED if there and one.label.casefold() != other.label.casefold() else GONE


def _named(form: bytes) -> set[str]:
    """The predecessors that an object names itself (PS3.3 C.8.8.9, C.8.8.5)."""
    return {(match[1] or match[2]).decode("utf-8", "replace") for match in _PLAN.finditer(form)}


def _lines(form: bytes) -> frozenset[bytes]:
    return frozenset(line for line in form.split(b"\n") if line and not _OWN.match(line))


def _alike(one: frozenset[bytes], other: frozenset[bytes]) -> float:
    return len(one & other) / max(len(one), len(other), 1)
