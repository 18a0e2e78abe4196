"""Leaf travel: where the leaves are at each control point, before and after, and by how much they moved."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from vault.compare.geometry.apertures import Beam, greatest_shift, shifts
from vault.compare.geometry.datasets import Floats
from vault.report.pictures.beams_eye import named
from vault.report.pictures.style import (
    AFTER,
    BEFORE,
    DASHES,
    GREY,
    drawing,
    figure,
    millimetres,
    places,
    plain,
    png,
    write,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

PAIRS_SHOWN = 3
"""Leaf pairs whose travel is drawn: those that moved most."""

COLUMNS = 220
"""Columns of the map of moves; of more control points each column shows the greatest move of several."""

_SAME = 0.005


@dataclass(frozen=True, slots=True, eq=False)
class LeafTravel:
    """The device of a beam that moved most, over the control points that both versions have."""

    beam: str
    device: str
    axis: str
    before: Floats
    """Control points by two banks by pairs, in mm at the isocentre; NaN where not known."""
    after: Floats
    shown: tuple[int, ...]
    """The pairs whose travel is drawn, 0-based, the one that moved most first."""
    counts: tuple[int, int] = (0, 0)
    """Control points before and after, of which those are left out that only one has."""

    @property
    def by(self) -> Floats:
        """By how much each leaf moved."""
        return np.nan_to_num(self.after - self.before, nan=0.0)

    @property
    def points_changed(self) -> int:
        """At how many control points a leaf moved."""
        return int((np.abs(self.by).max(axis=(1, 2)) > _SAME).sum())

    @property
    def leaves(self) -> bool:
        """Whether it is a multileaf collimator."""
        return self.device.startswith("MLC")

    @property
    def summary(self) -> str:
        """What moved, where, by how much at most."""
        size = np.abs(self.by)
        moved, noun = int((size.max(axis=0) > _SAME).sum()), "leaves" if self.leaves else "jaws"
        most, (old, new) = float(size.max()), self.counts
        told = f"; {old} control points before, {new} after: compared in order" if old != new else ""
        return (
            f"{moved} of {size[0].size} {self.device} {noun} moved, at {self.points_changed} of {len(size)} control "
            f"points, by up to {millimetres(most, places(most))} mm{told}"
        )


def over_control_points(old: Beam, new: Beam) -> LeafTravel | None:
    """The travel of the device that moved most; None where none moved, or there is one control point only."""
    shift = greatest_shift(old, new)
    if shift is None:
        return None
    before, after = old.devices[shift.device], new.devices[shift.device]
    by = shifts(before, after)
    if by is None or len(by) < 2:
        return None
    rows, size = len(by), np.abs(by).max(axis=1)
    at = np.argmax(size, axis=0)
    gap = np.nan_to_num(
        after.positions[at, 1, np.arange(after.pairs)] - after.positions[at, 0, np.arange(after.pairs)]
    )
    order = np.lexsort((-gap, -np.round(size.max(axis=0), 2)))  # of equal moves those of open leaves
    moved = [int(pair) for pair in order if size[:, pair].max() > _SAME]
    return LeafTravel(
        named(old, new),
        shift.device,
        after.axis,
        before.positions[:rows],
        after.positions[:rows],
        tuple(moved[:PAIRS_SHOWN]) or (shift.pair,),
        (len(before.positions), len(after.positions)),
    )


def draw(travel: LeafTravel) -> bytes:
    """The picture as PNG."""
    with drawing():
        height = 4.7 if travel.leaves else 2.6
        canvas = figure(height)
        canvas.text(
            0.075,
            1 - 0.2 / height,
            f"{plain(travel.beam)}, {plain(travel.device, 8)}",
            fontsize=9,
            weight="bold",
        )
        write(canvas, 0.075, 1 - 0.38 / height, travel.summary, color=GREY)
        bottom, top = 0.45 / height, 1 - 0.72 / height
        if travel.leaves:
            _maps(canvas, travel, top, top - 1.7 / height)
            top -= 2.35 / height
        panels = canvas.add_gridspec(
            1, len(travel.shown), left=0.075, right=0.985, top=top, bottom=bottom, wspace=0.2
        )
        first = canvas.add_subplot(panels[0, 0])
        for column, pair in enumerate(travel.shown):
            axes = first if column == 0 else canvas.add_subplot(panels[0, column], sharex=first)
            _pair(axes, travel, pair)
        first.set_ylabel(f"{travel.axis} / mm")
        canvas.legend(*first.get_legend_handles_labels(), loc="upper right", ncols=2, handlelength=2.6)
        return png(canvas)


def _maps(canvas: Figure, travel: LeafTravel, top: float, bottom: float) -> None:
    """By how much every leaf moved at every control point, a map for each bank."""
    by = travel.by
    reach = float(np.abs(by).max())
    cells = canvas.add_gridspec(
        1, 3, left=0.075, right=0.93, top=top, bottom=bottom, width_ratios=(1, 1, 0.035), wspace=0.1
    )
    image: Any = None
    for bank in range(2):
        axes = canvas.add_subplot(cells[0, bank])
        image = axes.imshow(
            _pooled(by[:, bank]).T,
            cmap="PuOr",
            vmin=-reach,
            vmax=reach,
            aspect="auto",
            origin="lower",
            interpolation="nearest",
            extent=(-0.5, len(by) - 0.5, 0.5, by.shape[2] + 0.5),
        )
        least, most = float(by[:, bank].min()), float(by[:, bank].max())
        fine = places(reach)
        axes.set_title(
            f"bank {travel.axis}{bank + 1}: moved by {millimetres(least, fine)} to {millimetres(most, fine)} mm"
        )
        axes.set_xlabel("control point")
        axes.tick_params(labelleft=bank == 0)
        _mark(axes, by[:, bank])
        if bank == 0:
            axes.set_ylabel("leaf pair")
    canvas.colorbar(image, cax=canvas.add_subplot(cells[0, 2]), label="mm")


def _pooled(by: Floats) -> Floats:
    """Moves by control point and pair, with neighbouring control points joined into one column where they are many.

    A move at one of 500 control points must not fall between two columns of pixels.
    """
    group = -(-len(by) // COLUMNS)
    if group < 2:
        return by
    padded = np.pad(by, ((0, -len(by) % group), (0, 0))).reshape(-1, group, by.shape[1])
    pick = np.abs(padded).argmax(axis=1)[:, None, :]
    return np.asarray(np.take_along_axis(padded, pick, axis=1)[:, 0, :])


def _mark(axes: Axes, by: Floats) -> None:
    """Small triangles over and under the control points that changed, where they are few enough to be overlooked."""
    changed = np.flatnonzero(np.abs(by).max(axis=1) > _SAME)
    if 0 < len(changed) <= max(3, len(by) // 20):
        for place, marker in ((1.0, "v"), (0.0, "^")):
            axes.plot(
                changed,
                np.full(len(changed), place),
                marker,
                color="black",
                ms=4,
                transform=axes.get_xaxis_transform(),
                clip_on=False,
            )


def _pair(axes: Axes, travel: LeafTravel, pair: int) -> None:
    """The travel of one pair: both banks, the opening shaded."""
    points = np.arange(len(travel.after))
    before, after = travel.before[:, :, pair], travel.after[:, :, pair]
    axes.fill_between(points, after[:, 0], after[:, 1], color="#ececec", lw=0)
    for bank in range(2):
        lines = ((before, BEFORE, DASHES, "before", 2.1), (after, AFTER, "-", "after", 2.0))
        for positions, colour, dashes, label, order in lines:
            said = label if bank == 0 else None
            axes.plot(points, positions[:, bank], color=colour, lw=1.1, ls=dashes, label=said, zorder=order)
        changed = np.abs(travel.by[:, bank, pair]) > _SAME
        if changed.any():
            axes.plot(points[changed], after[changed, bank], "o", color=AFTER, ms=2.6)
    axes.set_title(f"leaf pair {pair + 1}" if travel.leaves else f"jaws {travel.axis}")
    axes.set_xlabel("control point")
    axes.margins(x=0.02)
    axes.grid(visible=True)
    axes.locator_params(nbins=5)
