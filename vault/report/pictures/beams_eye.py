"""The beam's-eye view: every jaw and leaf at one control point, before, after, and by how much each moved."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.collections import PolyCollection

from vault.compare.geometry.apertures import Beam, Device, alike, axis, greatest_shift
from vault.compare.geometry.datasets import Floats
from vault.report.pictures.style import (
    AFTER,
    BEFORE,
    DASHES,
    GREY,
    degrees,
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

_LEAF, _MOVED, _EDGE, _JAW = "#dcdcdc", "#f3b98f", "#9a9a9a", "#4d4d4d"
_BARS: tuple[dict[str, Any], dict[str, Any]] = (
    {"facecolor": AFTER, "edgecolor": AFTER, "linewidth": 0.5},
    {"facecolor": "none", "edgecolor": BEFORE, "hatch": "/////", "linewidth": 0.8},
)
_MARGIN = 15.0
_LEAST = 0.55
"""The view is at least so wide against its height."""

_NAME = 28
"""Characters of a beam's name over the picture, so that all angles stand behind it."""

_SAME = 0.005
"""mm; a smaller move is none that a machine could make."""

Limits = tuple[float, float]


@dataclass(frozen=True, slots=True, eq=False)
class Side:
    """A device at the control point that is shown, in one version; nothing of one that is not there."""

    boundaries: Floats
    positions: Floats
    """Two banks by pairs, NaN where not known."""


_NOT_THERE = Side(np.empty(0), np.empty((2, 0)))


@dataclass(frozen=True, slots=True, eq=False)
class Bank:
    """A device before and after."""

    kind: str
    axis: str
    before: Side
    after: Side
    alike: bool
    """Whether both have it, and with the same leaves."""

    @property
    def by(self) -> Floats:
        """By how much each leaf or jaw moved, in mm; not at all where it has none to be held against."""
        if not self.alike:
            return np.zeros_like(self.after.positions)
        return np.nan_to_num(self.after.positions - self.before.positions, nan=0.0)

    @property
    def boundaries(self) -> Floats:
        """The edges of the leaves after."""
        return self.after.boundaries

    @property
    def sides(self) -> tuple[Side, Side]:
        """Before and after."""
        return self.before, self.after

    @property
    def leaves(self) -> bool:
        """Whether it is a multileaf collimator."""
        return self.kind.startswith("MLC")

    @property
    def unlike(self) -> str:
        """What to know before the two versions are held against each other; empty where it is the same device."""
        if self.alike:
            return ""
        kind = plain(self.kind, 8)
        if not self.before.positions.size:
            return f"{kind} only after"
        return f"{kind} has other leaves than before" if self.after.positions.size else f"{kind} only before"

    def named(self, bank: int, pair: int) -> str:
        """`leaf pair 31, bank X1`, or `jaw X1`."""
        side = f"{self.axis}{bank + 1}"
        return f"leaf pair {pair + 1}, bank {side}" if self.leaves else f"jaw {side}"


@dataclass(frozen=True, slots=True, eq=False)
class BeamsEye:
    """What the picture shows. Angles are pairs, before and after, in degrees."""

    beam: str
    control_point: str
    last: str
    """Index of the last control point."""
    gantry: tuple[float, float]
    collimator: tuple[float, float]
    couch: tuple[float, float]
    banks: tuple[Bank, ...]
    most: tuple[int, int, int]
    """Which moved most: index in `banks`, bank, pair."""

    @property
    def moved(self) -> Bank:
        """The device with the greatest move."""
        return self.banks[self.most[0]]

    @property
    def greatest(self) -> str:
        """Which leaf or jaw moved most, from where to where."""
        _, bank, pair = self.most
        before, after = (float(side.positions[bank, pair]) for side in self.moved.sides)
        fine = places(after - before)
        return (
            f"{self.moved.named(bank, pair)}: {millimetres(before, fine)} → {millimetres(after, fine)} mm "
            f"({'+' if after > before else ''}{millimetres(after - before, fine)} mm)"
        )

    @property
    def count(self) -> str:
        """How many leaves or jaws of that device moved at this control point, and what the beam has not in both."""
        by = self.moved.by
        noun = "leaves" if self.moved.leaves else "jaws"
        moved = f"{int((np.abs(by) > _SAME).sum())} of {by.size} {plain(self.moved.kind, 8)} {noun} moved"
        return "; ".join([moved, *(bank.unlike for bank in self.banks if bank.unlike)])


def named(old: Beam, new: Beam) -> str:
    """`beam 2 ARC`; with both names where another beam has the number."""
    name = new.name if old.name == new.name else f"{old.name or '?'} → {new.name or '?'}"
    return f"beam {new.number} {name}".strip()


def at_greatest_shift(old: Beam, new: Beam) -> BeamsEye | None:
    """The control point at which a leaf or jaw moved most between two versions of a beam; None where none moved."""
    shift = greatest_shift(old, new)
    if shift is None:
        return None
    row, kinds = shift.row, list(dict.fromkeys((*new.devices, *old.devices)))
    banks = tuple(_bank(kind, old.devices.get(kind), new.devices.get(kind), row) for kind in kinds)
    return BeamsEye(
        beam=named(old, new),
        control_point=new.control_points[row],
        last=new.control_points[-1],
        gantry=(old.gantry[row], new.gantry[row]),
        collimator=(old.collimator[row], new.collimator[row]),
        couch=(old.couch[row], new.couch[row]),
        banks=banks,
        most=(kinds.index(shift.device), shift.bank, shift.pair),
    )


def _bank(kind: str, old: Device | None, new: Device | None, row: int) -> Bank:
    before, after = (
        Side(device.boundaries if device.leaves else np.empty(0), device.positions[row])
        if device
        else _NOT_THERE
        for device in (old, new)
    )
    same = old is not None and new is not None and alike(old, new)
    return Bank(kind, axis(kind), before, after, same)


def draw(shown: BeamsEye) -> bytes:
    """The picture as PNG."""
    with drawing():
        x, y = _view(shown)
        height = min(4.6, 2.55 * (y[1] - y[0]) / (x[1] - x[0]) + 1.15)
        canvas = figure(height)
        grid = canvas.add_gridspec(
            1,
            3,
            width_ratios=(1, 1, 0.62),
            left=0.075,
            right=0.915,
            top=1 - 0.72 / height,
            bottom=0.47 / height,
            wspace=0.1,
        )
        before, after, by = (canvas.add_subplot(grid[0, column]) for column in range(3))
        _aperture(before, shown, x, y, late=False)
        _aperture(after, shown, x, y, late=True)
        _point_out(after, shown, x, y)
        _differences(by, shown, x, y)
        before.set_ylabel("Y / mm at isocentre")
        after.tick_params(labelleft=False)
        write(canvas, 0.075, 1 - 0.2 / height, _heading(shown), fontsize=9, weight="bold")
        write(canvas, 0.075, 1 - 0.38 / height, f"{shown.greatest}; {shown.count}", color=GREY)
        return png(canvas)


def _heading(shown: BeamsEye) -> str:
    angles = (("gantry", shown.gantry), ("collimator", shown.collimator), ("couch", shown.couch))
    said = " · ".join(f"{name} {_turned(pair)}" for name, pair in angles)
    point = f"control point {plain(shown.control_point, 8)} of 0 to {plain(shown.last, 8)}"
    return f"{plain(shown.beam, _NAME)}, {point} · {said}"


def _turned(pair: tuple[float, float]) -> str:
    before, after = degrees(pair[0]), degrees(pair[1])
    return after if before == after else f"{before} → {after}"


def _view(shown: BeamsEye) -> tuple[Limits, Limits]:
    """What part of the plane is shown: what the jaws leave open and all leaves that moved, with a margin.

    Where there are no jaws, or leaves moved all over, that is every leaf.
    """
    limits = {along: _of_interest(shown, along) for along in "XY"}
    for bank in shown.banks:  # along the travel of the leaves in view, all their tips
        if bank.leaves:
            tips = np.concatenate(
                [_tips(side, limits["Y" if bank.axis == "X" else "X"]) for side in bank.sides]
            )
            low, high = limits[bank.axis]
            tips = tips[np.isfinite(tips)]
            limits[bank.axis] = (min(low, tips.min(initial=low)), max(high, tips.max(initial=high)))
    x, y = ((low - _MARGIN, high + _MARGIN) for low, high in (limits["X"], limits["Y"]))
    x = _widened(x, _LEAST * (y[1] - y[0]))
    return x, _widened(y, _LEAST * (x[1] - x[0]))


def _tips(side: Side, across: Limits) -> Floats:
    """Where the leaves end that lie between two limits across their travel."""
    inside = (side.boundaries[1:] > across[0]) & (side.boundaries[:-1] < across[1])
    return np.asarray(side.positions[:, inside].ravel())


def _of_interest(shown: BeamsEye, along: str) -> Limits:
    """From where to where along an axis something is open or moved."""
    jaws = [bank for bank in shown.banks if bank.axis == along and not bank.leaves]
    found = [float(value) for bank in jaws for side in bank.sides for value in side.positions.ravel()]
    for bank in shown.banks:
        if bank.leaves and bank.axis != along:
            if jaws:
                moved, edges = np.abs(bank.by).max(axis=0, initial=0.0) > _SAME, bank.boundaries
                found += [float(edge) for edge in (*edges[:-1][moved], *edges[1:][moved])]
            else:
                found += [float(edge) for side in bank.sides for edge in side.boundaries]
    known = [value for value in found if np.isfinite(value)] or [-20.0, 20.0]
    return min(known), max(known)


def _widened(limits: Limits, least: float) -> Limits:
    add = max(0.0, least - (limits[1] - limits[0])) / 2
    return limits[0] - add, limits[1] + add


def _aperture(axes: Axes, shown: BeamsEye, x: Limits, y: Limits, *, late: bool) -> None:
    """One version: leaves and jaws as bodies, and on the later one the earlier tips as a dashed line."""
    axes.set(xlim=x, ylim=y, aspect="equal", xlabel="X / mm at isocentre")
    axes.set_title("after" if late else "before", color=AFTER if late else BEFORE)
    axes.locator_params(nbins=5)
    axes.axhline(0, color="#b0b0b0", lw=0.4, zorder=0.5)
    axes.axvline(0, color="#b0b0b0", lw=0.4, zorder=0.5)
    for bank in shown.banks:
        limits, version = x if bank.axis == "X" else y, bank.sides[late]
        if not version.positions.size:
            continue
        if not bank.leaves:
            _jaws(axes, bank, version.positions, limits)
            continue
        moved = np.abs(bank.by) > _SAME
        for side in range(2):
            _leaves(axes, bank.axis, version, side, limits, moved[side] & late if bank.alike else False)
            if late and bank.before.positions.size and (moved[side].any() or not bank.alike):
                _outline(axes, bank.axis, bank.before, side, limits, BEFORE, DASHES)
            _outline(
                axes, bank.axis, version, side, limits, AFTER if late else BEFORE, "-" if late else DASHES
            )


def _ends(version: Side, side: int, limits: Limits) -> Floats:
    """Where the leaves of one bank end; at the edge of the view where that is not known."""
    return np.asarray(np.nan_to_num(version.positions[side], nan=limits[side]))


def _leaves(axes: Axes, along: str, version: Side, side: int, limits: Limits, moved: Any) -> None:
    low, high = version.boundaries[:-1], version.boundaries[1:]
    tips = _ends(version, side, limits)
    ends = np.full_like(tips, limits[side])
    travel = np.stack((ends, tips, tips, ends), axis=1)
    across = np.stack((low, low, high, high), axis=1)
    corners = np.stack((travel, across) if along == "X" else (across, travel), axis=2)
    colours = np.where(np.broadcast_to(moved, tips.shape), _MOVED, _LEAF)
    axes.add_collection(
        PolyCollection(list(corners), facecolors=list(colours), edgecolors=_EDGE, linewidths=0.25)
    )


def _outline(
    axes: Axes, along: str, version: Side, side: int, limits: Limits, colour: str, dashes: Any
) -> None:
    """The tips of one bank as a stair."""
    travel, across = np.repeat(_ends(version, side, limits), 2), np.repeat(version.boundaries, 2)[1:-1]
    axes.plot(*((travel, across) if along == "X" else (across, travel)), color=colour, lw=0.9, ls=dashes)


def _jaws(axes: Axes, bank: Bank, positions: Floats, limits: Limits) -> None:
    """A pair of jaws: shaded, with a dash-dotted edge."""
    span, edge = (axes.axvspan, axes.axvline) if bank.axis == "X" else (axes.axhspan, axes.axhline)
    for side in range(2):
        position = float(positions[side, 0])
        if np.isfinite(position):
            span(limits[side], position, color=_JAW, alpha=0.16, lw=0, zorder=2)
            edge(position, color=_JAW, lw=0.9, ls="-.", zorder=2.5)


def _point_out(axes: Axes, shown: BeamsEye, x: Limits, y: Limits) -> None:
    """An arrow at what moved most."""
    _, side, pair = shown.most
    bank = shown.moved
    tip = float(bank.after.positions[side, pair])
    edges = bank.boundaries
    across = (edges[pair] + edges[pair + 1]) / 2 if bank.leaves else 0.0
    at = (tip, across) if bank.axis == "X" else (across, tip)
    inward = 0.16 * (x[1] - x[0])
    away = (at[0] + (inward if at[0] < sum(x) / 2 else -inward), at[1] + 0.12 * (y[1] - y[0]))
    axes.annotate(
        bank.named(side, pair).split(",")[0].removeprefix("leaf "),
        at,
        away,
        fontsize=7.5,
        ha="center",
        weight="bold",
        zorder=5,
        bbox={"boxstyle": "round,pad=0.2", "fc": "white", "ec": "none", "alpha": 0.85},
        arrowprops={"arrowstyle": "-|>", "lw": 0.8, "color": "black", "shrinkA": 0, "shrinkB": 1},
    )


def _differences(axes: Axes, shown: BeamsEye, x: Limits, y: Limits) -> None:
    """By how much each leaf or jaw of the device moved, at its place; the part that the views show has a ground."""
    bank = shown.moved
    by, upright = bank.by, bank.axis == "Y" or not bank.leaves
    reach = 1.15 * max(float(np.abs(by).max()), 0.1)
    for side in range(2):
        edges = bank.boundaries if bank.leaves else np.array([side - 0.4, side + 0.4])
        places, values = np.repeat(edges, 2), np.concatenate(([0.0], np.repeat(by[side], 2), [0.0]))
        fill = axes.fill_between if upright else axes.fill_betweenx
        fill(places, values, 0.0, label=f"{bank.axis}{side + 1}", **_BARS[side])
    if upright:
        axes.axhline(0, color="black", lw=0.5)
        axes.set(ylim=(-reach, reach), ylabel="moved by / mm")
        axes.yaxis.tick_right()
        axes.yaxis.set_label_position("right")
        if bank.leaves:
            axes.set_xlabel("X / mm, all leaves")
            axes.axvspan(*x, color="#f2f2f2", zorder=0)
        else:
            axes.set_xticks((0, 1), [f"{bank.axis}1", f"{bank.axis}2"])
    else:
        axes.axvline(0, color="black", lw=0.5)
        axes.set(xlim=(-reach, reach), xlabel="moved by / mm", ylabel="Y / mm, all leaves")
        axes.yaxis.tick_right()
        axes.yaxis.set_label_position("right")
        axes.yaxis.labelpad = 2
        axes.axhspan(*y, color="#f2f2f2", zorder=0)
    if bank.leaves:
        across = axes.set_xlim if upright else axes.set_ylim
        across(float(bank.boundaries[0]) - 5, float(bank.boundaries[-1]) + 5)
    axes.grid(visible=True)
    axes.set_axisbelow(True)
    axes.set_title("difference")
    axes.legend(loc="lower right", bbox_to_anchor=(1.32, 0.99), handlelength=1.1, columnspacing=0.8, ncols=2)
