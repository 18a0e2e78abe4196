"""The regions of a structure set and their contours (PS3.3 C.8.8.5, C.8.8.6, C.8.8.8)."""

from __future__ import annotations

from collections.abc import Container, Iterator
from dataclasses import dataclass

import numpy as np

from vault.compare.geometry import GeometryError
from vault.compare.geometry.datasets import DataSet, Floats

POINTS_MAXIMUM = 4 << 20
"""Points of all contours of one structure set: 100 MB as numbers."""

CLOSED = frozenset({"CLOSED_PLANAR", "CLOSEDPLANAR_XOR"})
"""Contours that enclose an area."""

FARTHEST = 1e4
"""mm from the origin within which all contours lie; no room is so large."""

PLANES_MAXIMUM = 1024
"""Planes of one region; a scan has some hundreds."""

FLAT = 0.05
"""mm by which the points of an axial contour may differ in z."""


@dataclass(frozen=True, slots=True, eq=False)
class Contour:
    """One contour: its points, and the SOP Instance UID of the image it was drawn on, where it says so."""

    points: Floats
    """Points by x, y, z."""
    kind: str
    """Contour Geometric Type (3006,0042)."""
    image: str = ""

    @property
    def axial(self) -> bool:
        """Whether all of it has one z."""
        return bool(np.ptp(self.points[:, 2]) <= FLAT)

    @property
    def z(self) -> float:
        """Its height, for an axial one."""
        return float(self.points[0, 2])


@dataclass(frozen=True, slots=True, eq=False)
class Region:
    """A region of interest."""

    number: str
    name: str
    interpreted_type: str
    """RT ROI Interpreted Type (3006,00A4): `PTV`, `ORGAN`, `EXTERNAL` …; empty where it is not said."""
    contours: tuple[Contour, ...]

    @property
    def target(self) -> bool:
        """Whether it is what is to be treated: by its type, or where that says nothing by its name."""
        targets = ("PTV", "CTV", "GTV")
        return self.interpreted_type in targets or (
            self.interpreted_type in {"", "ORGAN", "CONTROL"} and self.name.upper().startswith(targets)
        )

    def slices(self) -> dict[float, list[Floats]]:
        """Height to the polygons (points by x, y) there, from the lowest to the highest.

        Raises GeometryError for a region that encloses no volume: one without closed contours, or whose contours do
        not lie in axial planes.
        """
        if not all(contour.kind in CLOSED for contour in self.contours):
            raise GeometryError("the ROI has contours that enclose nothing: points or open lines")
        closed = [contour for contour in self.contours if len(contour.points) > 2]
        if not closed:
            raise GeometryError("the ROI has no contours")
        if not all(contour.axial for contour in closed):
            raise GeometryError("the contours of the ROI do not lie in axial planes")
        found: dict[float, list[Floats]] = {}
        last: float | None = None
        for contour in sorted(closed, key=lambda one: one.z):
            if last is None or contour.z - last > FLAT:
                last = contour.z
            found.setdefault(last, []).append(contour.points[:, :2])
        if len(found) > PLANES_MAXIMUM:
            raise GeometryError(f"the ROI has contours in more than {PLANES_MAXIMUM} planes")
        return found


def regions(structures: DataSet, only: Container[str] | None = None) -> list[Region]:
    """The regions of a structure set, in the order of its ROIs; with contours for those numbered in `only`, or all.

    Raises GeometryError for contours without end.
    """
    contours: dict[str, tuple[Contour, ...]] = {}
    left = POINTS_MAXIMUM
    for item in structures.items("ROIContourSequence"):
        number = item.text("ReferencedROINumber")
        if only is not None and number not in only:
            continue
        found = tuple(_contours(item))
        left -= sum(len(contour.points) for contour in found)
        if left < 0:
            raise GeometryError(f"the structure set has more than {POINTS_MAXIMUM} points")
        contours[number] = found
    types = {
        item.text("ReferencedROINumber"): item.text("RTROIInterpretedType")
        for item in structures.items("RTROIObservationsSequence")
    }
    rois = [
        (item.text("ROINumber"), item.text("ROIName")) for item in structures.items("StructureSetROISequence")
    ]
    return [Region(number, name, types.get(number, ""), contours.get(number, ())) for number, name in rois]


def fingerprints(structures: DataSet) -> dict[str, frozenset[bytes]]:
    """For each ROI number what its contours are, without a number of them read: to find the regions that differ."""
    return {
        item.text("ReferencedROINumber"): frozenset(
            contour.raw("ContourData") for contour in item.items("ContourSequence")
        )
        for item in structures.items("ROIContourSequence")
    }


def _contours(item: DataSet) -> Iterator[Contour]:
    for contour in item.items("ContourSequence"):
        numbers = contour.numbers("ContourData")
        if len(numbers) % 3:
            raise GeometryError("a contour has coordinates that make no whole points")
        if len(numbers):
            if np.abs(numbers).max() > FARTHEST:
                raise GeometryError("a contour lies farther from the patient than any room is wide")
            images = contour.items("ContourImageSequence")
            image = images[0].text("ReferencedSOPInstanceUID") if images else ""
            yield Contour(numbers.reshape(-1, 3), contour.text("ContourGeometricType"), image)
