"""Volume of a region and its dose-volume histogram, from contours and a dose grid.

What a contour stands for. Each axial contour is a slab: half-way to the next contour below and above. The lowest and
the highest reach as far outwards as inwards, so that n contours 3 mm apart are 3n mm of patient (half a slice beyond
the first and the last). A gap of more than 1.5 times the usual distance is no slab: a contour that was taken out of
the middle is volume that is missing, and `Volume.gaps` counts it.

What lies inside. Contours of one plane combine by the even-odd rule (XOR): a contour within another is a hole, one
within the hole is inside again.

How it is counted. Every plane is cut into rows that divide its own extent evenly; a row's inside is exact along x, and
shared out to samples by how much of each is covered. The dose of a sample is interpolated linearly between the points
of the dose grid in all three directions. What lies outside of the dose grid counts as no dose, and `Histogram.outside`
says how much it is. Tested against spheres, cylinders, boxes and cones (tests/compare/test_compare_dvh.py).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from vault.compare.geometry import GeometryError
from vault.compare.geometry.datasets import Floats
from vault.compare.geometry.grids import Grid

BRIDGED = 1.5
"""How many times the usual distance two contours may be apart to have no gap between them."""

SAMPLES = 120_000
"""About as many samples are taken of a region's dose, and no fewer than lie `FINEST` apart."""

FINEST, COARSEST = 0.25, 4.0
"""mm between samples in the plane."""

ACROSS = 60
"""Rows and samples that a plane is cut into at least."""

ROWS_MAXIMUM = 2048
CROSSINGS_MAXIMUM = 1 << 21
"""How often all rows of a plane may cross its contours; a hundredth is a lot."""

BINS = 2000

Slices = Mapping[float, Sequence[Floats]]
"""Height of a plane to its polygons, points by x and y, ascending: `vault.compare.geometry.regions.Region.slices`."""


@dataclass(frozen=True, slots=True)
class Slab:
    """What the contours of one plane stand for, from `low` to `high` (mm)."""

    z: float
    low: float
    high: float

    @property
    def thickness(self) -> float:
        """mm."""
        return self.high - self.low


@dataclass(frozen=True, slots=True)
class Volume:
    """How large a region is."""

    cubic_centimetres: float
    centre: tuple[float, float, float]
    """Its centre of volume, in mm."""
    gaps: int = 0
    """Between how many neighbouring contours there is nothing."""


@dataclass(frozen=True, slots=True, eq=False)
class Histogram:
    """How much of a region gets how much dose."""

    edges: Floats
    """Doses from 0 to the greatest of the grid."""
    volumes: Floats
    """cm³ that get at least the dose of each edge."""
    mean: float
    greatest: float
    least: float
    outside: float
    """Share of the volume that lies outside of the dose grid, and counts as no dose."""

    @property
    def cubic_centimetres(self) -> float:
        """The volume."""
        return float(self.volumes[0])

    @property
    def shares(self) -> Floats:
        """Shares of the volume, 1 to 0, that get at least the dose of each edge."""
        return np.asarray(self.volumes / self.volumes[0])

    def dose_to(self, share: float) -> float:
        """The dose that `share` of the volume gets at least: D95 % is `dose_to(0.95)`."""
        return float(np.interp(-share, -self.shares, self.edges))

    def share_of(self, dose: float) -> float:
        """The share of the volume that gets at least `dose`."""
        return float(np.interp(dose, self.edges, self.shares, right=0.0))


def slabs(heights: Sequence[float], single: float | None = None) -> list[Slab]:
    """What planes at these heights (ascending) stand for; `single` is the thickness of a plane that is alone.

    Raises GeometryError for one plane of which nobody says how thick it is.
    """
    planes = np.asarray(heights, dtype=np.float64)
    if len(planes) == 0:
        raise GeometryError("the ROI has no contours")
    if len(planes) == 1:
        if single is None or not single > 0:
            raise GeometryError("the ROI has contours in one plane only, and nothing says how thick that is")
        return [Slab(float(planes[0]), planes[0] - single / 2, planes[0] + single / 2)]
    distances = np.diff(planes)
    usual = float(np.median(distances))
    half = np.where(distances <= BRIDGED * usual, distances, usual) / 2
    down, up = np.concatenate((half[:1], half)), np.concatenate((half, half[-1:]))
    return [
        Slab(float(z), float(z - below), float(z + above))
        for z, below, above in zip(planes, down, up, strict=True)
    ]


def volume(slices: Slices, single: float | None = None) -> Volume:
    """The volume and centre of a region. Raises GeometryError as `slabs` does."""
    layers = slabs(list(slices), single)
    total, moment = 0.0, np.zeros(3)
    for slab, polygons in zip(layers, slices.values(), strict=True):
        step = _extent(polygons) / ACROSS
        for y, left, right, height in _spans(polygons, step):
            part = float((right - left).sum()) * height * slab.thickness
            total += part
            moment[0] += float((right**2 - left**2).sum()) / 2 * height * slab.thickness
            moment[1] += float(((right - left) * y).sum()) * height * slab.thickness
            moment[2] += part * (slab.low + slab.high) / 2
    if not total > 0:
        raise GeometryError("the ROI encloses no volume")
    across, down, along = (float(value) for value in moment / total)
    gaps = sum(above.low - below.high > 1e-6 for below, above in pairwise(layers))
    return Volume(total / 1000, (across, down, along), gaps)


def histogram(slices: Slices, dose: Grid, single: float | None = None, samples: int = SAMPLES) -> Histogram:
    """The dose-volume histogram of a region. Raises GeometryError as `slabs` does, or where it holds no volume."""
    layers = slabs(list(slices), single)
    top = max(float(dose.stored.max()) * dose.slope, 1e-9)
    counted, total, outside, weighted = np.zeros(BINS + 1), 0.0, 0.0, 0.0
    least, greatest = math.inf, 0.0
    step = _step(slices, layers, samples)
    for slab, polygons in zip(layers, slices.values(), strict=True):
        covered, x, y, cell = _coverage(polygons, step)
        inside = covered > 0
        weights = covered[inside] * cell
        cuts = max(1, min(4, math.ceil(slab.thickness / max(1.0, step))))
        for cut in range(cuts):
            height = slab.low + (cut + 0.5) * slab.thickness / cuts
            values = dose.sampled(height, y, x)[inside]
            missing = np.isnan(values)
            values[missing] = 0.0
            np.clip(values, 0.0, top, out=values)
            part = weights * slab.thickness / cuts
            counted += np.bincount((values * (BINS / top)).astype(np.intp), part, BINS + 1)
            total += float(part.sum())
            outside += float(part[missing].sum())
            weighted += float((part * values).sum())
            if len(values):
                least, greatest = min(least, float(values.min())), max(greatest, float(values.max()))
    if not total > 0:
        raise GeometryError("the ROI encloses no volume")
    edges = np.linspace(0.0, top, BINS + 1)
    volumes = np.cumsum(counted[::-1])[::-1] / 1000
    return Histogram(edges, volumes, weighted / total, greatest, least, outside / total)


def area(polygons: Sequence[Floats]) -> float:
    """mm² inside of the contours of a plane."""
    step = _extent(polygons) / ACROSS
    return sum(float((right - left).sum()) * height for _, left, right, height in _spans(polygons, step))


def coverage(polygons: Sequence[Floats], x: Floats, y: Floats) -> Floats:
    """How much of each cell of an even mesh (by y and x, cell centres in mm) is inside, 0 to 1.

    Exact along x for the line through the cells' middles.
    """
    width = float(x[1] - x[0])
    row, left, right = _crossings(polygons, y)
    return _shared_out(row, left, right, float(x[0]) - width / 2, width, (len(y), len(x)))


def _step(slices: Slices, layers: Sequence[Slab], samples: int) -> float:
    """How far apart samples are taken in the planes."""
    size = sum(
        float(np.ptp(points[:, 0]) * np.ptp(points[:, 1]))
        for polygons in slices.values()
        for points in polygons
    )
    thickest = max(slab.thickness for slab in layers)
    step = math.sqrt(size / samples)
    step = math.sqrt(size * max(1, min(4, math.ceil(thickest / max(1.0, step)))) / samples)
    return min(max(step, FINEST), COARSEST)


def _extent(polygons: Sequence[Floats]) -> float:
    """How far the contours of a plane reach along y; never nought."""
    low, high = _limits(polygons, 1)
    return max(high - low, 1e-6)


def _limits(polygons: Sequence[Floats], axis: int) -> tuple[float, float]:
    return (
        min(float(points[:, axis].min()) for points in polygons),
        max(float(points[:, axis].max()) for points in polygons),
    )


def _divided(low: float, high: float, step: float) -> tuple[Floats, float]:
    """Middles of even cells from `low` to `high`, about `step` wide, and how wide they are."""
    count = min(max(math.ceil((high - low) / step - 1e-9), ACROSS), ROWS_MAXIMUM)
    width = max(high - low, 1e-6) / count
    return np.asarray(low + width * (np.arange(count, dtype=np.float64) + 0.5)), width


def _spans(polygons: Sequence[Floats], step: float) -> Iterator[tuple[Floats, Floats, Floats, float]]:
    """The insides of all rows of a plane: y, left and right end of each, and the height of a row."""
    y, height = _divided(*_limits(polygons, 1), step)
    row, left, right = _crossings(polygons, y)
    yield y[row], left, right, height


def _coverage(polygons: Sequence[Floats], step: float) -> tuple[Floats, Floats, Floats, float]:
    """How much of each cell is inside, the cells' middles along x and y, and the area of a cell in mm²."""
    x, width = _divided(*_limits(polygons, 0), step)
    y, height = _divided(*_limits(polygons, 1), step)
    row, left, right = _crossings(polygons, y)
    covered = _shared_out(row, left, right, float(x[0]) - width / 2, width, (len(y), len(x)))
    return covered, x, y, width * height


def _crossings(polygons: Sequence[Floats], y: Floats) -> tuple[NDArray[np.intp], Floats, Floats]:
    """Where rows at the ascending `y` are inside of contours by the even-odd rule: row, left and right end."""
    starts = np.concatenate(polygons)
    ends = np.concatenate([np.roll(points, -1, axis=0) for points in polygons])
    low, high = np.minimum(starts[:, 1], ends[:, 1]), np.maximum(starts[:, 1], ends[:, 1])
    first, last = np.searchsorted(y, low, "left"), np.searchsorted(y, high, "left")
    count = last - first
    if int(count.sum()) > CROSSINGS_MAXIMUM:
        raise GeometryError("the contours of a plane cross themselves without end")
    edge = np.repeat(np.arange(len(starts)), count)
    row = np.arange(len(edge)) - np.repeat(np.cumsum(count) - count, count) + first[edge]
    (x0, y0), (x1, y1) = starts[edge].T, ends[edge].T
    x = x0 + (y[row] - y0) * (x1 - x0) / (y1 - y0)
    order = np.lexsort((x, row))
    x, row = x[order], row[order]
    return row[0::2], x[0::2], x[1::2]


def _shared_out(
    row: NDArray[np.intp], left: Floats, right: Floats, start: float, width: float, shape: tuple[int, int]
) -> Floats:
    """How much of each cell of a mesh spans cover: each end adds to its cell, and all cells beyond it."""
    columns = shape[1]
    ramps = np.zeros(shape[0] * (columns + 2))
    for ends, sign in ((left, 1.0), (right, -1.0)):
        place = np.clip((ends - start) / width, 0.0, columns)
        cell = np.minimum(np.floor(place).astype(np.intp), columns)
        share = place - cell
        at = row * (columns + 2) + cell
        ramps += np.bincount(at, sign * (1 - share), len(ramps))
        ramps += np.bincount(at + 1, sign * share, len(ramps))
    covered = np.cumsum(ramps.reshape(shape[0], columns + 2), axis=1)[:, :columns]
    return np.asarray(np.clip(covered, 0.0, 1.0))
