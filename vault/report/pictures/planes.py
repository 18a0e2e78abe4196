"""Dose or image before, after and their difference, on the planes through the point of greatest difference."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from vault.compare.geometry.datasets import Floats
from vault.compare.geometry.grids import Grid
from vault.report.pictures.contours import WINDOW, extent, letters
from vault.report.pictures.style import AFTER, BEFORE, GREY, WIDTH, drawing, figure, millimetres, png, write

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

TALLEST = 6.4
"""Inches of all planes together."""

NOTICED = 1e-3
"""Share of the greatest value by which a voxel has to differ to be counted as changed."""

_WHOLE = frozenset({"HU", "stored values"})
_ABSURD = 1e6
_ROWS_MAXIMUM = 1024
_SPACE = 0.3
_NARROWEST = 0.3
_SLACK = 1e-3


@dataclass(frozen=True, slots=True, eq=False)
class Plane:
    """One plane through the point, by the rows of a picture from the top down."""

    name: str
    """`axial, z 12.5 mm`."""
    named: str
    """Which way the patient lies: letters at the left, right, upper and lower edge."""
    across: Floats
    down: Floats
    """Where columns and rows lie, in mm; descending where the head is at the top."""
    before: Floats
    after: Floats
    point: tuple[float, float]

    @property
    def difference(self) -> Floats:
        """After less before; NaN where one of them has no value."""
        return np.asarray(self.after - self.before)


@dataclass(frozen=True, slots=True, eq=False)
class Difference:
    """Two grids set side by side."""

    unit: str
    planes: tuple[Plane, ...]
    point: tuple[float, float, float]
    """Where they differ most, in mm."""
    values: tuple[float, float]
    """There, before and after."""
    maxima: tuple[float, float]
    """The greatest values before and after, wherever they are."""
    changed: float
    """Share of the voxels that differ noticeably."""
    beyond: float = 0.0
    """Share of the earlier grid that lies outside of the later one, where nothing is compared."""
    axial: bool = True
    """Whether the point is in the patient's coordinates; else in those of an image that is not axial."""

    @property
    def greatest(self) -> str:
        """By how much they differ at most, and where."""
        before, after = self.values
        axes = zip("xyz" if self.axial else "xy", self.point, strict=False)
        where = ", ".join(f"{axis} {millimetres(value)}" for axis, value in axes)
        own = "" if self.axial else " from its first pixel"
        by = f"{'+' if after > before else ''}{_figure(after - before, self.unit)}"
        return (
            f"greatest difference {_with(by, self.unit)} ({self._became(before, after)}) at {where} mm{own}"
        )

    @property
    def overall(self) -> str:
        """How the maximum changed, how many voxels did, and how much could not be compared."""
        lost = f"; {_percent(self.beyond)} of the grid before lies outside of that after and is not compared"
        return (
            f"maximum {self._became(*self.maxima)}; {_percent(self.changed)} of the voxels differ"
            f"{lost if self.beyond > NOTICED else ''}"
        )

    def _became(self, before: float, after: float) -> str:
        return _with(f"{_figure(before, self.unit)} → {_figure(after, self.unit)}", self.unit)


def _figure(value: float, unit: str) -> str:
    """A value with its decimals; with two digits where they would be noughts, and short where it is absurd."""
    text = f"{value:.{0 if unit in _WHOLE else 2}f}"
    if abs(value) >= _ABSURD:
        text = f"{value:.3g}"
    elif value and not float(text):
        text = f"{value:.2g}"
    return text.replace("-", "\N{MINUS SIGN}")


def _with(text: str, unit: str) -> str:
    return text if unit == "relative" else f"{text} {unit}"


def _percent(share: float) -> str:
    return "under 0.1 %" if 0 < share < 0.001 else f"{100 * share:.1f} %"


def difference(old: Grid, new: Grid, around: tuple[Grid, Grid] | None = None) -> Difference | None:
    """Where two grids differ most, on the grid of the new one; None where they don't differ or don't overlap.

    The planes are cut out of `around`, before and after, where these grids are a part of it: a slice of its series.
    """
    at, size, changed, voxels = (0, 0, 0), 0.0, 0, 0
    maxima = tuple(float(grid.stored.max()) * grid.slope + grid.intercept for grid in (old, new))
    least = NOTICED * max(map(abs, maxima))
    same = _same(old, new)
    for index, z in enumerate(new.z):
        after = new.plane(index)
        before = old.plane(index) if same else old.sampled(float(z), new.y, new.x)
        apart = np.abs(after - before)
        known = ~np.isnan(apart)
        voxels += int(known.sum())
        changed += int((apart[known] > least).sum())
        greatest = float(apart[known].max(initial=0.0))
        if greatest > size:
            row, column = np.unravel_index(int(np.nanargmax(apart)), apart.shape)
            at, size = (index, int(row), int(column)), greatest
    if size == 0.0:
        return None
    z, y, x = (float(axis[place]) for axis, place in zip((new.z, new.y, new.x), at, strict=True))
    planes = _planes(*(around or (old, new)), x, y, z)
    values = (
        float(old.sampled(z, np.array([y]), np.array([x]))[0, 0]),
        float(new.plane(at[0])[at[1], at[2]]),
    )
    return Difference(
        new.unit,
        planes,
        (x, y, z),
        values,
        (maxima[0], maxima[1]),
        changed / max(voxels, 1),
        beyond(old, new),
        new.axial,
    )


def beyond(old: Grid, new: Grid) -> float:
    """The share of a grid's points outside of another one, by more than half of what the other's are apart."""
    inside = 1.0
    for before, after in ((old.x, new.x), (old.y, new.y), (old.z, new.z)):
        slack = (after[-1] - after[0]) / max(len(after) - 1, 1) / 2 + _SLACK
        inside *= float(((before > after[0] - slack) & (before < after[-1] + slack)).mean())
    return 1.0 - inside


def _same(old: Grid, new: Grid) -> bool:
    axes = ((old.x, new.x), (old.y, new.y), (old.z, new.z))
    return all(len(one) == len(two) and np.allclose(one, two, atol=1e-3, rtol=0) for one, two in axes)


def _planes(old: Grid, new: Grid, x: float, y: float, z: float) -> tuple[Plane, ...]:
    """The three planes through a point; of a single image the axial one only."""
    axial = Plane(
        f"axial, z {millimetres(z)} mm" if new.axial else "own plane",
        new.named,
        new.x,
        new.y,
        old.sampled(z, new.y, new.x),
        new.sampled(z, new.y, new.x),
        (x, y),
    )
    if len(new.z) < 2:
        return (axial,)
    up = _even(new.z)[::-1]  # the head is at the top

    def stack(line: Callable[[Grid, float], Floats]) -> tuple[Floats, Floats]:
        before, after = (np.array([line(grid, float(height)) for height in up]) for grid in (old, new))
        return before, after

    coronal = stack(lambda grid, height: grid.sampled(height, np.array([y]), new.x)[0])
    sagittal = stack(lambda grid, height: grid.sampled(height, new.y, np.array([x]))[:, 0])
    return (
        axial,
        Plane(f"coronal, y {millimetres(y)} mm", "RLHF", new.x, up, *coronal, (x, z)),
        Plane(f"sagittal, x {millimetres(x)} mm", "APHF", new.y, up, *sagittal, (y, z)),
    )


def _even(heights: Floats) -> Floats:
    """Heights evenly apart, as the rows of a picture are: those of the planes, or where these are not, as close."""
    evenly = np.linspace(heights[0], heights[-1], len(heights))
    apart = float(np.diff(heights).min())
    if np.abs(evenly - heights).max() < apart / 10:
        return heights
    rows = min(round((heights[-1] - heights[0]) / apart) + 1, _ROWS_MAXIMUM)
    return np.linspace(heights[0], heights[-1], rows)


def draw(shown: Difference, title: str) -> bytes:
    """The picture as PNG: a row for each plane; before, after and the difference side by side, to one scale."""
    with drawing():
        sizes = [(_length(plane.across), _length(plane.down)) for plane in shown.planes]
        width = (WIDTH - 0.3) / 3 - 0.12
        scale = min(
            width / max(wide for wide, _ in sizes),
            (TALLEST - _SPACE * len(sizes)) / sum(tall for _, tall in sizes),
        )
        heights = [max(tall * scale, _NARROWEST) for _, tall in sizes]
        height = sum(heights) + _SPACE * len(heights) + 1.35
        canvas = figure(height)
        canvas.text(0.02, 1 - 0.2 / height, title, fontsize=9, weight="bold")
        write(canvas, 0.02, 1 - 0.28 / height, f"{shown.greatest}\n{shown.overall}", color=GREY, va="top")
        levels, differences = scales(shown)
        top, images = height - 0.66, (None, None)
        for row, plane in enumerate(shown.planes):
            top -= _SPACE
            wide = max(sizes[row][0] * scale, _NARROWEST)
            boxes = [
                (0.15 + column * (width + 0.12), top - heights[row], wide, heights[row])
                for column in range(3)
            ]
            images = _row(canvas, height, plane, boxes, (levels, differences), shown.unit, first=row == 0)
            top -= heights[row]
        _bars(canvas, height, images, shown.unit, width)
        return png(canvas)


def _length(axis: Floats) -> float:
    return abs(float(axis[-1] - axis[0])) * len(axis) / max(len(axis) - 1, 1) or 1.0


def scales(shown: Difference) -> tuple[dict[str, Any], dict[str, Any]]:
    """Colours and limits of the values, and of the differences."""
    reach = max(float(np.nanmax(np.abs(plane.difference), initial=0.0)) for plane in shown.planes) or 1.0
    differences = {"cmap": "PuOr", "vmin": -reach, "vmax": reach}
    if shown.unit == "HU":
        return {"cmap": "gray", "vmin": WINDOW[0], "vmax": WINDOW[1]}, differences
    values = [grid for plane in shown.planes for grid in (plane.before, plane.after)]
    top = max(float(np.nanmax(grid, initial=0.0)) for grid in values) or 1.0
    low = min(float(np.nanmin(grid, initial=top)) for grid in values)
    if shown.unit in {"Gy", "relative"}:
        return {"cmap": "viridis", "vmin": min(0.0, low), "vmax": top}, differences
    return {"cmap": "gray", "vmin": low, "vmax": top}, differences


def _row(
    canvas: Figure,
    height: float,
    plane: Plane,
    boxes: list[tuple[float, float, float, float]],
    scales: tuple[dict[str, Any], dict[str, Any]],
    unit: str,
    *,
    first: bool,
) -> tuple[Any, Any]:
    """One plane three times; returns an image of the values and that of the differences, for their colour bars."""
    columns = (
        ("before", plane.before, scales[0], BEFORE),
        ("after", plane.after, scales[0], AFTER),
        ("difference", plane.difference, scales[1], "black"),
    )
    images = []
    for (name, values, scale, colour), (left, bottom, wide, tall) in zip(columns, boxes, strict=True):
        axes = canvas.add_axes(
            (left / WIDTH, bottom / height, wide / WIDTH, tall / height), xticks=[], yticks=[]
        )
        axes.set_facecolor("#b8b8b8")
        down = plane.down if plane.down[0] <= plane.down[-1] else plane.down[::-1]
        left_edge, right_edge, low, high = extent(plane.across, down)
        edges = (
            (left_edge, right_edge, low, high) if down is plane.down else (left_edge, right_edge, high, low)
        )
        images.append(
            axes.imshow(
                values.astype(np.float32),
                extent=edges,
                aspect="auto",
                interpolation="nearest",
                origin="upper",
                **scale,
            )
        )
        _cross(axes, plane.point, edges)
        x, y = plane.point
        at = ((x - edges[0]) / (edges[1] - edges[0]), (y - edges[2]) / (edges[3] - edges[2]))
        letters(axes, plane.named, avoid=at)
        said = {"before": f"before: {plane.name}", "difference": spread(plane.difference, unit)}
        axes.set_title(said.get(name, name), color=colour)
        if first and name == "before":
            _scale_bar(axes, edges)
    return images[0], images[2]


def spread(values: Floats, unit: str) -> str:
    """From where to where the differences go: in grey, more and less look alike."""
    known = values[~np.isnan(values)]
    if not len(known):
        return "difference: none"
    least, most = (_figure(float(end), unit) for end in (known.min(), known.max()))
    return f"difference: {least} to {_with(most, '' if unit == 'stored values' else unit)}".rstrip()


def _cross(axes: Axes, point: tuple[float, float], edges: tuple[float, float, float, float]) -> None:
    """Four short lines towards the point, which stays free."""
    left, right, low, high = edges
    for share in (0.0, 1.0):
        x, y = left + share * (right - left), low + share * (high - low)
        axes.plot(
            (x, x + 0.12 * (point[0] - x)), (point[1], point[1]), color="white", lw=2.2, solid_capstyle="butt"
        )
        axes.plot((x, x + 0.12 * (point[0] - x)), (point[1], point[1]), color="black", lw=0.9)
        axes.plot(
            (point[0], point[0]), (y, y + 0.12 * (point[1] - y)), color="white", lw=2.2, solid_capstyle="butt"
        )
        axes.plot((point[0], point[0]), (y, y + 0.12 * (point[1] - y)), color="black", lw=0.9)


def _scale_bar(axes: Axes, edges: tuple[float, float, float, float]) -> None:
    """A length in mm, so that no picture is taken for another size."""
    left, right, low, high = edges
    width = right - left
    length = max((size for size in (5, 10, 20, 50, 100, 200) if size <= 0.4 * width), default=5)
    x, y = left + 0.04 * width, low + 0.07 * (high - low)
    axes.plot((x, x + length), (y, y), color="white", lw=3.5, solid_capstyle="butt")
    axes.plot((x, x + length), (y, y), color="black", lw=1.8, solid_capstyle="butt")
    axes.text(
        x,
        y + 0.02 * (high - low),
        f"{length} mm",
        fontsize=7,
        va="bottom",
        color="white",
        bbox={"boxstyle": "round,pad=0.1", "fc": "black", "ec": "none", "alpha": 0.45},
    )


def _bars(canvas: Figure, height: float, images: tuple[Any, Any], unit: str, width: float) -> None:
    """The colour bars under the columns that they are for."""
    names = {"Gy": "dose / Gy", "relative": "dose, relative", "HU": "HU"}
    boxes = ((0.15, 1.4 * width), (0.15 + 2 * (width + 0.12), width))
    for image, (left, wide), what in zip(images, boxes, ("", "difference in "), strict=True):
        axes = canvas.add_axes((left / WIDTH, 0.45 / height, wide / WIDTH, 0.1 / height))
        bar = canvas.colorbar(
            image, cax=axes, orientation="horizontal", label=f"{what}{names.get(unit, unit)}"
        )
        bar.outline.set_linewidth(0.4)
