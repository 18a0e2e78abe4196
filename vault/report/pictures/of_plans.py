"""Pictures of a plan: apertures and leaf travel."""

from __future__ import annotations

from collections.abc import Iterator

from vault.compare.geometry.apertures import Beam, beams, greatest_shift
from vault.report.pictures import Picture, beams_eye, leaf_travel
from vault.report.pictures.sources import Sources

BEAMS_SHOWN = 2
"""Beams of a plan whose apertures are shown: those whose leaves moved most."""


def leaves_and_jaws(sources: Sources) -> Iterator[Picture]:
    """For the beams whose leaves or jaws moved most: the control point of greatest change, and all of them."""
    for before, after in _moved_beams(sources)[:BEAMS_SHOWN]:
        yield from _aperture(before, after)
        yield from _travel(before, after)


def _aperture(before: Beam, after: Beam) -> Iterator[Picture]:
    """The beam's-eye view."""
    shown = beams_eye.at_greatest_shift(before, after)
    if shown is not None:
        yield Picture(
            f"Beam's-eye view, {shown.beam}, control point {shown.control_point}",
            f"Jaws and leaves of {shown.beam} at control point {shown.control_point}, before and after. "
            f"{shown.greatest}; {shown.count}.",
            beams_eye.draw(shown),
            f"Seen from the source at the control point of greatest change: {shown.greatest}; {shown.count}. "
            "Blue and dashed is before, vermilion and solid after; leaves that moved are shaded, the jaws' "
            "edges are dash-dotted.",
        )


def _travel(before: Beam, after: Beam) -> Iterator[Picture]:
    """Leaf travel over the control points."""
    shown = leaf_travel.over_control_points(before, after)
    if shown is not None:
        pairs = ", ".join(str(pair + 1) for pair in shown.shown)
        lines = "before blue and dashed, after vermilion and solid"
        maps = (
            " Above, by how much each leaf moved at each control point; below, the leaf pairs that moved most "
            f"({pairs}), {lines}."
        )
        yield Picture(
            f"{'Leaf' if shown.leaves else 'Jaw'} travel, {shown.beam}",
            f"Positions of {shown.device} of {shown.beam} by control point, before and after. {shown.summary}.",
            leaf_travel.draw(shown),
            f"{shown.summary}.{maps if shown.leaves else f' Drawn {lines}.'}",
        )


def _moved_beams(sources: Sources) -> list[tuple[Beam, Beam]]:
    """The beams of which a leaf or jaw moved, before and after, the greatest move first."""
    old, new = (beams(plan) for plan in sources.pair())
    known = {beam.number: beam for beam in old}
    moved = [
        (abs(shift.by), known[beam.number], beam)
        for beam in new
        if beam.number in known and (shift := greatest_shift(known[beam.number], beam))
    ]
    return [(before, after) for _, before, after in sorted(moved, key=lambda entry: -entry[0])]
