"""Contours over the image, before and after, on the slices where they differ most."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.lines import Line2D

from vault.compare.dvh import area, coverage
from vault.compare.geometry.datasets import Floats
from vault.compare.geometry.grids import Grid
from vault.compare.geometry.regions import FLAT
from vault.report.pictures.style import (
    AFTER_ON_IMAGE,
    BEFORE_ON_IMAGE,
    DASHES,
    GREY,
    WIDTH,
    drawing,
    figure,
    millimetres,
    plain,
    png,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SLICES_SHOWN = 3
APART = 10.0
"""mm between the slices that are shown, where there are enough that differ."""

REGIONS_SHOWN = 5
WINDOW = (-160.0, 240.0)
"""HU from black to white: soft tissue, 400 wide around 40."""

_MARGIN, _LEAST = 25.0, 90.0
_SAME_AREA = 0.5
"""mm²; less is none that anybody drew."""

Polygons = Sequence[Floats]
Slices = Mapping[float, Polygons]


class Heights:
    """The heights of slices, so that one is known again though it is written with other decimals."""

    def __init__(self) -> None:
        self._known: list[float] = []

    def same(self, z: float) -> float:
        """The height that is known and as good as `z`, which else is known from now on."""
        at = bisect_left(self._known, z)
        near = min(self._known[max(at - 1, 0) : at + 1], key=lambda known: abs(known - z), default=None)
        if near is not None and abs(near - z) <= FLAT:
            return near
        self._known.insert(at, z)
        return z

    def at(self, slices: Slices) -> Slices:
        """Slices at the heights that are known."""
        found: dict[float, list[Floats]] = {}
        for z, polygons in slices.items():
            found.setdefault(self.same(z), []).extend(polygons)
        return found


@dataclass(frozen=True, eq=False)
class Outlines:
    """One region's contours on all slices, before and after; empty where there were none."""

    name: str
    before: Slices
    after: Slices

    @cached_property
    def changed(self) -> dict[float, float]:
        """Height to mm² that are inside of only one of the two, for the slices that differ.

        Raises GeometryError for contours that can't be measured.
        """
        found = {}
        for z in sorted({*self.before, *self.after}):
            old, new = self.before.get(z, ()), self.after.get(z, ())
            if not _same(old, new):
                apart = area([*old, *new])  # even-odd of both: what only one of them encloses
                if apart > _SAME_AREA:
                    found[z] = apart
        return found


@dataclass(frozen=True, slots=True, eq=False)
class Slice:
    """One slice of the picture."""

    z: float
    regions: tuple[tuple[str, Polygons, Polygons], ...]
    """Name, contours before and after, of the regions that differ here."""
    image: Grid | None = field(default=None, repr=False)

    @property
    def gained(self) -> float:
        """mm² that came to the regions."""
        return sum(max(0.0, (_apart(old, new) + _area(new) - _area(old)) / 2) for _, old, new in self.regions)

    @property
    def lost(self) -> float:
        """mm² that went from them."""
        return sum(max(0.0, (_apart(old, new) + _area(old) - _area(new)) / 2) for _, old, new in self.regions)


def _same(old: Polygons, new: Polygons) -> bool:
    return len(old) == len(new) and all(np.array_equal(one, two) for one, two in zip(old, new, strict=True))


def _area(polygons: Polygons) -> float:
    return area(polygons) if polygons else 0.0


def _apart(old: Polygons, new: Polygons) -> float:
    return _area([*old, *new])


def greatest(outlines: Sequence[Outlines]) -> list[Slice]:
    """The slices on which the regions differ most, from the lowest up; none where they don't."""
    by_region = [(one, one.changed) for one in outlines]
    totals: dict[float, float] = {}
    for _, changed in by_region:
        for z, size in changed.items():
            totals[z] = totals.get(z, 0.0) + size
    order = sorted(totals, key=lambda z: (-totals[z], z))
    chosen: list[float] = []
    for z in order:  # first those well apart, then whatever else differs
        if len(chosen) < SLICES_SHOWN and z not in chosen and all(abs(z - one) >= APART for one in chosen):
            chosen.append(z)
    chosen += [z for z in order if z not in chosen][: SLICES_SHOWN - len(chosen)]
    slices = []
    for z in sorted(chosen):
        here = sorted(
            ((changed[z], one) for one, changed in by_region if z in changed), key=lambda entry: -entry[0]
        )
        regions = tuple((one.name, one.before.get(z, ()), one.after.get(z, ())) for _, one in here)
        slices.append(Slice(z, regions[:REGIONS_SHOWN]))
    return slices


def draw(slices: Sequence[Slice]) -> bytes:
    """The picture as PNG: the slices side by side, seen from the feet as a CT is read."""
    with drawing():
        x, y = _view(slices)
        across = (WIDTH - 0.75) / SLICES_SHOWN
        height = min(4.5, across * (y[1] - y[0]) / (x[1] - x[0])) + 1.2
        canvas = figure(height)
        grid = canvas.add_gridspec(
            1, SLICES_SHOWN, left=0.08, right=0.99, top=1 - 0.62 / height, bottom=0.45 / height, wspace=0.06
        )
        for column, shown in enumerate(slices):
            axes = canvas.add_subplot(grid[0, column])
            _slice(axes, shown, x, y)
            axes.tick_params(labelleft=column == 0)
            if column == 0:
                axes.set_ylabel("y / mm", labelpad=1)
        _legend(canvas, height, {shown.image.unit for shown in slices if shown.image is not None})
        return png(canvas)


def _legend(canvas: Any, height: float, units: Collection[str]) -> None:
    lines = [
        Line2D([], [], color=BEFORE_ON_IMAGE, ls=DASHES, lw=1.6, label="before"),
        Line2D([], [], color=AFTER_ON_IMAGE, lw=1.6, label="after"),
    ]
    canvas.legend(handles=lines, loc="upper right", ncols=2, handlelength=2.6)
    hounsfield = " to ".join(millimetres(value).removesuffix(".0") for value in WINDOW)
    note = "without images: the archive has none that can be shown"
    if units:
        note = f"grey from {hounsfield} HU" if units == {"HU"} else "grey from dark to bright of each image"
    canvas.text(0.075, 1 - 0.2 / height, "Slices of greatest change", fontsize=9, weight="bold")
    canvas.text(0.34, 1 - 0.2 / height, note, color=GREY)


def _view(slices: Iterable[Slice]) -> tuple[tuple[float, float], tuple[float, float]]:
    """The part of the plane that all slices show: what differs, with a margin, and wide enough to be recognised."""
    points = np.concatenate(
        [one for shown in slices for _, *sides in shown.regions for side in sides for one in side]
    )
    limits = []
    for axis in range(2):
        low, high = float(points[:, axis].min()) - _MARGIN, float(points[:, axis].max()) + _MARGIN
        add = max(0.0, _LEAST - (high - low)) / 2
        limits.append((low - add, high + add))
    wide, tall = (high - low for low, high in limits)
    for axis, lack in ((0, 0.75 * tall - wide), (1, 0.75 * wide - tall)):
        if lack > 0:
            limits[axis] = (limits[axis][0] - lack / 2, limits[axis][1] + lack / 2)
    return limits[0], limits[1]


def _slice(axes: Axes, shown: Slice, x: tuple[float, float], y: tuple[float, float]) -> None:
    axes.set_facecolor("black" if shown.image is not None else "#30343a")
    if shown.image is not None:
        show_plane(axes, shown.image, window(shown.image))
    axes.set(xlim=x, ylim=(y[1], y[0]), aspect="equal", xlabel="x / mm")
    axes.locator_params(nbins=5)
    across, down = (np.linspace(*limits, 200) for limits in (x, y))
    places = sides([after or before for _, before, after in shown.regions])
    for (name, before, after), side in zip(shown.regions, places, strict=True):
        _changed_area(axes, before, after, across, down)
        for polygons, colour, dashes in ((before, BEFORE_ON_IMAGE, DASHES), (after, AFTER_ON_IMAGE, "-")):
            for points in polygons:
                closed = np.concatenate((points, points[:1]))
                axes.plot(closed[:, 0], closed[:, 1], color=colour, lw=1.2, ls=dashes)
        _name(axes, name, after or before, side)
    title = (
        f"z {millimetres(shown.z)} mm: +{shown.gained / 100:.1f} / \N{MINUS SIGN}{shown.lost / 100:.1f} cm²"
    )
    axes.set_title(title)
    letters(axes, "RLAP")


def _changed_area(axes: Axes, before: Polygons, after: Polygons, x: Floats, y: Floats) -> None:
    """What came and what went, shaded in the colours of after and before."""
    old, new = (
        coverage(polygons, x, y) if polygons else np.zeros((len(y), len(x))) for polygons in (before, after)
    )
    for share, colour in (
        (np.clip(new - old, 0, 1), AFTER_ON_IMAGE),
        (np.clip(old - new, 0, 1), BEFORE_ON_IMAGE),
    ):
        if share.any():
            tinted = np.empty((*share.shape, 4), dtype=np.uint8)
            tinted[..., :3] = [int(colour[at : at + 2], 16) for at in (1, 3, 5)]
            tinted[..., 3] = (share * 95).astype(np.uint8)
            axes.imshow(tinted, extent=extent(x, y), aspect="equal", interpolation="nearest")


_SIDES = (
    (1, "argmin", 0, 4, "center"),
    (1, "argmax", 0, -10, "center"),
    (0, "argmin", -4, -2, "right"),
    (0, "argmax", 4, -2, "left"),
)
"""Where a region's name stands: over it, under it, to its left, to its right; axis, end, points off, alignment."""

_CONCENTRIC = 5.0
"""mm between the middles of regions that lie around each other."""


def sides(regions: Sequence[Polygons]) -> list[int]:
    """For each region the side on which its name stands: away from the others, so that it is not taken for theirs."""
    middles = [np.mean([points.mean(axis=0) for points in polygons], axis=0) for polygons in regions]
    found = []
    for index, middle in enumerate(middles):
        others = [other for at, other in enumerate(middles) if at != index]
        away = middle - np.mean(others, axis=0) if others else np.zeros(2)
        if np.abs(away).max() < _CONCENTRIC:
            found.append(index % len(_SIDES) if others else 0)
        elif abs(away[1]) >= abs(away[0]):
            found.append(1 if away[1] > 0 else 0)
        else:
            found.append(3 if away[0] > 0 else 2)
    return found


def _name(axes: Axes, name: str, polygons: Polygons, side: int) -> None:
    """The region's name beside it."""
    points = np.concatenate(list(polygons))
    axis, end, across, down, align = _SIDES[side]
    at = points[int(getattr(points[:, axis], end)())]
    axes.annotate(
        plain(name, 18),
        (float(at[0]), float(at[1])),
        (across, down),
        textcoords="offset points",
        ha=align,
        fontsize=7,
        color="white",
        bbox={"boxstyle": "round,pad=0.12", "fc": "black", "ec": "none", "alpha": 0.55},
        annotation_clip=True,
    )


def window(image: Grid) -> tuple[float, float]:
    """What is black and what is white: soft tissue in Hounsfield units, else what all but a few pixels lie between."""
    if image.unit == "HU":
        return WINDOW
    low, high = (float(end) for end in np.percentile(image.plane(0), (1, 99)))
    return low, max(high, low + 1e-6)


def show_plane(axes: Axes, image: Grid, window: tuple[float, float]) -> None:
    """An image as grey, where it lies."""
    axes.imshow(
        image.plane(0).astype(np.float32),
        cmap="gray",
        vmin=window[0],
        vmax=window[1],
        extent=extent(image.x, image.y),
        aspect="equal",
        interpolation="nearest",
    )


def extent(x: Floats, y: Floats) -> tuple[float, float, float, float]:
    """The edges of a mesh of cells with these middles, for an image whose rows go down."""
    across, down = (_half(axis) for axis in (x, y))
    return float(x[0]) - across, float(x[-1]) + across, float(y[-1]) + down, float(y[0]) - down


def _half(axis: Floats) -> float:
    return float(axis[-1] - axis[0]) / (len(axis) - 1) / 2 if len(axis) > 1 else 0.5


def letters(axes: Axes, named: str, avoid: tuple[float, float] = (0.0, 0.0)) -> None:
    """Which way the patient lies: letters at the left, right, upper and lower edge.

    They stand in the middle of their edge, or beside it where something else is there: `avoid`, as shares of the
    width and height.
    """
    x, y = (0.36 if abs(place - 0.5) < 0.09 else 0.5 for place in avoid)
    places = (
        (0.02, y, "left", "center"),
        (0.98, y, "right", "center"),
        (x, 0.98, "center", "top"),
        (x, 0.02, "center", "bottom"),
    )
    for letter, (across, up, ha, va) in zip(named, places, strict=True):
        axes.text(
            across,
            up,
            letter,
            transform=axes.transAxes,
            ha=ha,
            va=va,
            fontsize=8,
            weight="bold",
            color="white",
            bbox={"boxstyle": "round,pad=0.1", "fc": "black", "ec": "none", "alpha": 0.45},
        )
