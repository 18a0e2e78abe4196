"""Dose-volume histograms before and after, of the targets and of the regions whose histograms changed most."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.lines import Line2D

from vault.compare.dvh import Histogram
from vault.report.pictures.style import DASHES, GREY, PALETTE, drawing, figure, plain, png

if TYPE_CHECKING:
    from matplotlib.figure import Figure

TARGETS_SHOWN = 3
CURVES_SHOWN = 6
"""Regions in one picture: more can't be told apart."""

_POINTS = 400
_MARKERS = "os^Dv*P"
"""By which curves are told apart where there is no colour."""

_NOTICED = 0.005
"""Gy by which a mean has to differ to be told as changed."""


@dataclass(frozen=True, slots=True, eq=False)
class Curve:
    """One region's histograms; None where it has none on that side."""

    name: str
    target: bool
    before: Histogram | None
    after: Histogram | None

    @property
    def apart(self) -> float:
        """The area between the two curves, in Gy: by how much the dose to a share of the volume differs on average."""
        if self.before is None or self.after is None:
            one = self.before or self.after
            return one.mean if one else 0.0
        top = max(self.before.edges[-1], self.after.edges[-1])
        doses = np.linspace(0.0, top, 2000)
        old, new = (
            np.interp(doses, side.edges, side.shares, right=0.0) for side in (self.before, self.after)
        )
        return float(np.trapezoid(np.abs(new - old), doses))


def chosen(curves: Sequence[Curve]) -> list[Curve]:
    """The curves that matter: targets first, then by how far before and after are apart; none where nothing differs."""
    if not any(curve.apart > _NOTICED for curve in curves):
        return []
    order = sorted(curves, key=lambda curve: -curve.apart)
    targets = [curve for curve in order if curve.target][:TARGETS_SHOWN]
    rest = [curve for curve in order if curve not in targets and curve.apart > _NOTICED]
    return [*targets, *rest][:CURVES_SHOWN]


def draw(curves: Sequence[Curve], unit: str = "Gy") -> bytes:
    """The picture as PNG."""
    with drawing():
        height = 3.9 + 0.19 * len(curves)
        canvas = figure(height)
        table = 0.19 * (len(curves) + 1) + 0.15
        axes = canvas.add_axes(
            (0.075, (table + 0.5) / height, 0.9, 1 - (table + 0.5 + 0.5) / height), xlabel=f"dose / {unit}"
        )
        top = 0.0
        for index, (curve, colour, marker) in enumerate(zip(curves, PALETTE, _MARKERS, strict=False)):
            width = 1.9 if curve.target else 1.2
            for side, dashes in ((curve.before, DASHES), (curve.after, "-")):
                if side is not None:
                    top = max(top, side.greatest)
                    doses = np.linspace(0.0, side.greatest, _POINTS)
                    shares = 100 * np.interp(doses, side.edges, side.shares)
                    line = axes.plot(
                        [*doses, side.greatest], [*shares, 0.0], color=colour, lw=width, ls=dashes
                    )[0]
                    line.set(marker=marker, markevery=(20 + 11 * index, 90), markersize=4.5)
        axes.set(xlim=(0, 1.04 * top or 1.0), ylim=(0, 103), ylabel="volume / %")
        axes.grid(visible=True)
        lines = [Line2D([], [], color=GREY, ls=dashes, lw=1.4) for dashes in (DASHES, "-")]
        canvas.legend(lines, ["before", "after"], loc="upper right", ncols=2, handlelength=2.8)
        canvas.text(0.075, 1 - 0.2 / height, "Dose-volume histograms", fontsize=9, weight="bold")
        _numbers(canvas, height, curves, unit)
        return png(canvas)


_COLUMNS = (0.33, 0.49, 0.66, 0.83)


def _numbers(canvas: Figure, height: float, curves: Sequence[Curve], unit: str) -> None:
    """The figures under the curves: volume, and doses before and after."""
    heads = ("volume / cm³", f"D95 % / {unit}", f"mean / {unit}", f"D2 % / {unit}")
    y = 0.19 * len(curves) + 0.12
    for x, head in zip(_COLUMNS, heads, strict=True):
        canvas.text(x, y / height, head, color=GREY, fontsize=7.5)
    for curve, colour, marker in zip(curves, PALETTE, _MARKERS, strict=False):
        y -= 0.19
        at, width = (y + 0.045) / height, 2.2 if curve.target else 1.4
        canvas.add_artist(
            Line2D((0.08, 0.0975, 0.115), (at, at, at), color=colour, lw=width, marker=marker, markevery=[1])
        )
        canvas.text(0.125, y / height, plain(curve.name, 20), weight="bold" if curve.target else "normal")
        for x, (before, after) in zip(_COLUMNS, figures(curve), strict=True):
            changed = before != after
            text = f"{before} → {after}" if changed else after
            canvas.text(
                x,
                y / height,
                text,
                weight="bold" if changed else "normal",
                color="black" if changed else GREY,
            )


def figures(curve: Curve) -> list[tuple[str, str]]:
    """Volume in cm³, dose to 95 % of it, mean dose and dose to 2 %, each before and after as they are written."""
    sides = (curve.before, curve.after)
    numbers = [
        [
            f"{side.cubic_centimetres:.1f}",
            *(f"{value:.2f}" for value in (side.dose_to(0.95), side.mean, side.dose_to(0.02))),
        ]
        if side is not None
        else ["none"] * 4
        for side in sides
    ]
    return list(zip(*numbers, strict=True))
