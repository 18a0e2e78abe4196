"""Dose-volume histograms before and after: what a change of dose, contours or plan means for the regions."""

from __future__ import annotations

from collections.abc import Container, Iterator

import numpy as np

from vault.compare.dvh import Histogram, histogram
from vault.compare.geometry import GeometryError
from vault.compare.geometry.datasets import DataSet
from vault.compare.geometry.grids import Grid, dose
from vault.compare.geometry.regions import Region, fingerprints, regions
from vault.report.pictures import Picture, histograms, links
from vault.report.pictures.histograms import Curve
from vault.report.pictures.of_grids import summation
from vault.report.pictures.sources import Sources
from vault.report.pictures.style import plain

REGIONS_COUNTED = 14
TARGETS_COUNTED = 6
"""Regions whose histograms are counted: those that changed, some targets, and others in the structure set's order."""

SAMPLES = 40_000
"""Samples of a region's dose: enough that a curve drawn does not tell them from more."""

_NOT_COUNTED = frozenset({"EXTERNAL", "SUPPORT", "FIXATION", "MARKER", "ISOCENTER", "REGISTRATION", "BOLUS"})


def dose_volume_histograms(sources: Sources) -> Iterator[Picture]:
    """Dose-volume histograms where a dose, its structure set or its plan changed, and both of them are there."""
    paths = links.structures_and_doses(sources)
    if paths is None:
        return
    (old_structures, old_dose), (new_structures, new_dose) = paths
    if not links.same_frame(sources, new_structures, new_dose, late=True):
        raise GeometryError("the dose and the structure set lie in different frames of reference")
    structures = sources.read(old_structures, late=False), sources.read(new_structures, late=True)
    doses = sources.read(old_dose, late=False), sources.read(new_dose, late=True)
    before = dose(doses[0])
    after = before if doses[1] is doses[0] else dose(doses[1])
    if before.unit != after.unit:
        raise GeometryError("one of the two doses is in Gy and the other is relative")
    shown = histograms.chosen(list(_curves(_sides(*structures), before, after)))
    if shown:
        names = ", ".join(plain(curve.name) for curve in shown)
        outside = [plain(curve.name) for curve in shown if _outside(curve) > 0.01]
        note = (
            f" Partly outside of the dose grid, where it counts as no dose: {', '.join(outside)}."
            if outside
            else ""
        )
        of_plans = _of_plans(sources, old_dose, new_dose)
        yield Picture(
            "Dose-volume histograms",
            f"Dose-volume histograms of {names}, before and after.",
            histograms.draw(shown, after.unit),
            "Before is dashed, after is solid; targets are drawn wider. D95 % is the dose that 95 % of the volume gets "
            f"at least, D2 % the near-maximum dose. Counted from the contours and {of_plans} as archived."
            f"{note}{summation(*doses)}",
        )


def _of_plans(sources: Sources, old: str, new: str) -> str:
    """`the dose of plan PROSTATE_1A`; of two where they are of plans with other labels."""
    before, after = (
        plain(links.plan_label(sources, path, late=late)) for path, late in ((old, False), (new, True))
    )
    if before == after:
        return f"the dose of plan {after}" if after else "the dose"
    return f"the doses of plan {before or 'unknown'} before and {after or 'unknown'} after"


_Regions = dict[str, Region]


def _sides(old: DataSet, new: DataSet) -> tuple[_Regions, _Regions]:
    """The regions that are counted, by name, before and after; the same where the structure set is the same."""
    if new is old:
        same = _counted_regions(old, frozenset())
        return same, same
    prints = fingerprints(old), fingerprints(new)
    known, later = set(prints[0].values()), set(prints[1].values())
    return (
        _counted_regions(
            old, frozenset(number for number, points in prints[0].items() if points not in later)
        ),
        _counted_regions(
            new, frozenset(number for number, points in prints[1].items() if points not in known)
        ),
    )


def _counted_regions(structures: DataSet, changed: Container[str]) -> _Regions:
    wanted = _wanted(regions(structures, ()), changed)
    return {region.name: region for region in regions(structures, wanted) if region.contours}


def _curves(sides: tuple[_Regions, _Regions], old_dose: Grid, new_dose: Grid) -> Iterator[Curve]:
    for name in {**sides[0], **sides[1]}:
        before, after = sides[0].get(name), sides[1].get(name)
        region = after or before
        if region is not None:
            old = _counted(before, old_dose)
            unchanged = (
                new_dose is old_dose and before is not None and after is not None and _alike(before, after)
            )
            yield Curve(name, region.target, old, old if unchanged else _counted(after, new_dose))


def _alike(one: Region, other: Region) -> bool:
    """Whether two regions have the same contours."""
    pairs = zip(one.contours, other.contours, strict=False)
    return len(one.contours) == len(other.contours) and all(
        np.array_equal(a.points, b.points) for a, b in pairs
    )


def _counted(region: Region | None, grid: Grid) -> Histogram | None:
    """A region's histogram; None where it encloses no volume."""
    try:
        return histogram(region.slices(), grid, samples=SAMPLES) if region else None
    except GeometryError:
        return None


def _outside(curve: Curve) -> float:
    return max(side.outside if side else 0.0 for side in (curve.before, curve.after))


def _wanted(found: list[Region], changed: Container[str]) -> set[str]:
    """The numbers of the regions that are counted."""
    named = [
        region for region in found if region.interpreted_type not in _NOT_COUNTED or region.number in changed
    ]
    first = [region for region in named if region.number in changed]
    targets = [region for region in named if region.target and region not in first][:TARGETS_COUNTED]
    others = [region for region in named if not region.target and region not in first]
    return {region.number for region in [*first, *targets, *others][:REGIONS_COUNTED]}
