"""Structure sets (PS3.3 C.8.8.5, C.8.8.6, C.8.8.8): regions of interest and their contours.

Contours are compared as what a region has, not by their place in its sequence: one that is taken out of the middle
is one contour less, and not a change of all that follow.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property

from vault.compare.findings import approvals, volumes
from vault.compare.findings.contents import Contents
from vault.compare.findings.places import Names, Place, Step, place
from vault.compare.findings.quantities import figure, numbers, shown
from vault.compare.findings.said import Said
from vault.compare.findings.telling import tell
from vault.compare.findings.vocabulary import Item, Vocabulary, terms
from vault.model import AttributeChange

_ROI, _CONTOURS, _CONTOUR = "StructureSetROISequence", "ROIContourSequence", "ContourSequence"
_DATA = "ContourData"
_FOLLOWS = frozenset({"NumberOfContourPoints", "ContourNumber", "AttachedContours"})
"""What only repeats, or counts, what the points say."""

_COUNTED = re.compile(rb"\nROIContourSequence\[([^\]\n]*)\]\.ContourSequence\[[^\]\n]*\]\.ContourData ")

_IMAGE = re.compile(
    rb"\nROIContourSequence\[([^\]\n]*)\]\.ContourSequence\[([^\]\n]*)\]"
    rb"\.ContourImageSequence\[[^\]\n]*\]\.ReferencedSOPInstanceUID UI ([^ \n]+)"
)

_REGION = Item("ROI", "rois", named_by=(_ROI, "ROIName"), details=("RTROIInterpretedType",), owns=False)

_TERMS = {
    **terms("rois", ROIName="renamed", ROINumber="number"),
    **terms("type", RTROIInterpretedType="type"),
    **terms("contours", ContourData="contours", ContourGeometricType="type of contours"),
    **terms(
        "contours", "mm", ContourSlabThickness="slab thickness", ContourOffsetVector="offset of contours"
    ),
    **terms(
        "contour-details", NumberOfContourPoints="number of contour points", ContourNumber="contour number"
    ),
    **terms("colour", ROIDisplayColor="colour"),
    **terms(
        "label",
        StructureSetLabel="structure set label",
        StructureSetName="structure set name",
        StructureSetDescription="structure set description",
        StructureSetDate="structure set date",
        StructureSetTime="structure set time",
        ROIDescription="description",
        ROIObservationLabel="observation label",
        ROIObservationDescription="observation description",
    ),
    **terms("algorithm", ROIGenerationAlgorithm="generation algorithm", ROIInterpreter="interpreter"),
    **terms("frame-of-reference", ReferencedFrameOfReferenceUID="frame of reference"),
    **terms(
        "density", ROIPhysicalPropertyValue="overridden value", ROIPhysicalProperty="overridden property"
    ),
    **terms("volume", "cm³", "relative", ROIVolume="volume as stored"),
    **terms("approval", ApprovalStatus="approval"),
    **terms("review", ReviewDate="review date", ReviewTime="review time", ReviewerName="reviewer"),
}

_ITEMS = {
    _ROI: _REGION,
    _CONTOURS: _REGION,
    "RTROIObservationsSequence": Item(
        "ROI", "rois", named_by=(_ROI, "ROIName"), owns=False, key="ReferencedROINumber"
    ),
    _CONTOUR: Item("contour", "contour-details"),
    "ContourImageSequence": Item("reference to image", "references", silent=True),
    "ReferencedFrameOfReferenceSequence": Item("frame of reference", "frame-of-reference", owns=False),
    "RTReferencedStudySequence": Item("referenced study", "references"),
    "RTReferencedSeriesSequence": Item("referenced series", "references"),
    "ROIPhysicalPropertiesSequence": Item(
        "density override", "density", details=("ROIPhysicalPropertyValue",)
    ),
    "PredecessorStructureSetSequence": Item("reference to predecessor", "references"),
}

_STRUCTURES = Vocabulary("structures", _TERMS, _ITEMS, frozenset({_CONTOUR, "ContourImageSequence"}))

OUTLINES = 12
"""Regions of which it is reckoned how far the outline moved; where more were drawn anew, each would take its time."""

_MOVED = ", points moved by up to "

_Entry = tuple[AttributeChange, Place]
_Inner = tuple[str, tuple[Step, ...], str]
"""Where in a region's entry an attribute stands: the top-level sequence, the items below it, its name."""


def findings(
    attributes: Sequence[AttributeChange], old: bytes, new: bytes, contents: Contents | None = None
) -> list[Said]:
    """What changed in a structure set."""
    entries = [(change, place(change.path)) for change in attributes]
    renumbered, entries = _renumbered(entries)
    regions = _came_or_went(entries, _ROI, "ROINumber")
    emptied = _came_or_went(entries, _CONTOURS, "ReferencedROINumber") - regions
    contours: dict[str, list[_Entry]] = {}
    rest: list[AttributeChange] = []
    for change, at in entries:
        sequence, key = at.steps[0] if at.steps else ("", "")
        inside = len(at.steps) > 1 and at.steps[1][0] == _CONTOUR
        if sequence == _CONTOURS and key not in regions and (inside or key in emptied):
            contours.setdefault(key, []).append((change, at))
        else:
            rest.append(change)
    names = Names(_STRUCTURES, old, new)
    totals = (
        [Counter(match[1] for match in _COUNTED.finditer(form)) for form in (old, new)] if contours else []
    )
    said, images = renumbered, _Images(old, new)
    for key, group in contours.items():
        told, left = _region(names, key, group, [total[key.encode()] for total in totals], images)
        said += [_measured(one, key, contents, outline=len(contours) <= OUTLINES) for one in told]
        rest += left
    return approvals.weighed(said + tell(_STRUCTURES, rest, old, new), attributes, "structures")


def _renumbered(entries: list[_Entry]) -> tuple[list[Said], list[_Entry]]:
    """Regions that went under one number and came, the very same, under another; and what else differs."""
    gone, come = ({}, {})  # type: tuple[dict[str, dict[_Inner, str]], dict[str, dict[_Inner, str]]]
    for change, at in entries:
        if at.steps and at.steps[0][0] in {_ROI, _CONTOURS} and _one_sided(change):
            side = come if change.old is None else gone
            inner = (at.steps[0][0], at.steps[1:], at.name)
            side.setdefault(at.steps[0][1], {})[inner] = change.new or change.old or ""
    said: list[Said] = []
    pairs: dict[str, str] = {}
    for old, region in gone.items():
        numberless = _without_number(region)
        new = next((key for key, other in come.items() if _without_number(other) == numberless), None)
        if new and new not in pairs.values() and (_ROI, (), "ROINumber") in region:
            pairs[old] = new
            name = shown(region.get((_ROI, (), "ROIName")))
            text = f"ROI {old} {name}: renumbered {old} → {new}, otherwise the same"
            said.append(Said("structures.renumbered", text, frozenset({"ROINumber", "ReferencedROINumber"})))
    dropped = {*pairs, *pairs.values()}
    return said, [
        (change, at)
        for change, at in entries
        if not (
            at.steps
            and at.steps[0][0] in {_ROI, _CONTOURS}
            and at.steps[0][1] in dropped
            and _one_sided(change)
        )
        and not (
            at.name == "ReferencedROINumber" and change.new and pairs.get(change.old or "") == change.new
        )
    ]


def _without_number(region: dict[_Inner, str]) -> dict[_Inner, str]:
    return {
        inner: value
        for inner, value in region.items()
        if inner[1] or inner[2] not in {"ROINumber", "ReferencedROINumber"}
    }


def _measured(said: Said, key: str, contents: Contents | None, *, outline: bool) -> Said:
    """A finding about a region's contours, with what became of its volume and centre."""
    if contents is None or said.subject != "structures.contours":
        return said
    by = volumes.change(contents, key, outline=outline and _MOVED not in said.text)
    return replace(said, text=f"{said.text}; {by}") if by else said


def _came_or_went(entries: list[_Entry], sequence: str, keyword: str) -> set[str]:
    """The items of a top-level sequence that only one side has, by the attribute that each must have."""
    return {
        at.steps[0][1]
        for change, at in entries
        if len(at.steps) == 1 and at.steps[0][0] == sequence and at.name == keyword and _one_sided(change)
    }


def _one_sided(change: AttributeChange) -> bool:
    return change.old is None or change.new is None


def _region(
    names: Names, key: str, group: list[_Entry], totals: list[int], images: _Images
) -> tuple[list[Said], list[AttributeChange]]:
    """What is said of one region's contours, and what of it is left to be told by its attributes."""
    data = [(change, at.steps[1][1]) for change, at in group if at.name == _DATA]
    gone = Counter(change.old for change, _ in data if change.old is not None)
    come = Counter(change.new for change, _ in data if change.new is not None)
    old, new = list((gone - come).elements()), list((come - gone).elements())
    noun, name = names.called((_CONTOURS, key))
    left = [change for change, at in group if not _one_sided(change) and not _follows(at)]
    if not old and not new:
        if not data and not any(len(at.steps) == 1 for _, at in group):
            return [], [change for change, _ in group]
        return [_same_points(f"{noun} {name}", len(data))], left
    slices = _slices(old, new) or images.slices(key, data, set(old), set(new))
    text = f"{noun} {name}: {_counted(old, new, totals)}{slices}{_greatest([change for change, _ in data])}"
    return [Said("structures.contours", text, frozenset({_DATA, *_FOLLOWS}))], left


def _follows(at: Place) -> bool:
    """Whether an attribute of a contour follows its points: how many they are, and on which image they lie."""
    return at.name in {_DATA, *_FOLLOWS} or any(
        sequence == "ContourImageSequence" for sequence, _ in at.steps
    )


def _same_points(name: str, moved: int) -> Said:
    """What is said of contours whose points are the same."""
    if moved:
        text = f"{name}: {moved} contours in another place of their sequence, the same contours"
    else:
        text = f"{name}: its entry for contours, which has none, came or went"
    return Said("structures.contour-details", text, frozenset({_DATA if moved else _CONTOURS}))


def _counted(old: list[str], new: list[str], totals: list[int]) -> str:
    before, after = totals
    if not after:
        return f"all {before} contours removed" if before > 1 else "its only contour removed"
    if not before:
        return f"{after} contour{'s' if after > 1 else ''} added where there were none"
    said = f"{max(len(old), len(new))} of {max(before, after)} contours differ"
    return said if before == after else f"{said}, number of contours {before} → {after}"


def _slices(old: list[str], new: list[str]) -> str:
    """On how many slices contours differ, and where; empty where the normal form holds digests of their points."""
    heights = {_height(value) for value in (*old, *new)}  # to a hundredth: one slice, however it is written
    known = [height for height in heights if height is not None]
    if len(known) < len(heights):
        return ""
    lowest, highest = figure(min(known)), figure(max(known))
    where = f"z {lowest}" if lowest == highest else f"z {lowest} to {highest}"
    return f", on {len(known)} slice{'s' if len(known) > 1 else ''} ({where} mm)"


class _Images:
    """On which images contours lie: what says how many slices differ, where there are only digests of the points."""

    def __init__(self, old: bytes, new: bytes) -> None:
        self._forms = old, new

    @cached_property
    def _named(self) -> list[dict[tuple[bytes, bytes], bytes]]:
        """For each side, the image of each contour, by region and contour."""
        return [{(match[1], match[2]): match[3] for match in _IMAGE.finditer(form)} for form in self._forms]

    def slices(
        self, region: str, data: list[tuple[AttributeChange, str]], old: set[str], new: set[str]
    ) -> str:
        """On how many slices contours of a region differ; empty where one of them names no image."""
        sides = [
            (contour for change, contour in data if change.old in old),
            (contour for change, contour in data if change.new in new),
        ]
        found = {
            named.get((region.encode(), contour.encode()))
            for named, contours in zip(self._named, sides, strict=True)
            for contour in contours
        }
        return "" if None in found else f", on {len(found)} slice{'s' if len(found) > 1 else ''}"


def _height(contour: str) -> float | None:
    """The z of a contour's first point; None where the normal form holds a digest of the points only."""
    first = numbers("\\".join(contour.split("\\", 3)[:3]))
    return round(first[2], 2) if len(first) == 3 else None


def _greatest(data: list[AttributeChange]) -> str:
    """By how much the points moved at most, where each contour kept the number of its points."""
    greatest = 0.0
    for change in data:
        before, after = numbers(change.old), numbers(change.new)
        if not before or len(before) != len(after):
            return ""
        squares = [(new - old) ** 2 for old, new in zip(before, after, strict=True)]
        apart = (x + y + z for x, y, z in zip(squares[0::3], squares[1::3], squares[2::3], strict=False))
        greatest = max(greatest, *apart, 0.0)
    return f"{_MOVED}{figure(math.sqrt(greatest))} mm" if greatest else ""
