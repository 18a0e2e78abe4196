"""Pictures of doses and images: their differences, and what they mean for the regions."""

from __future__ import annotations

from collections.abc import Container, Iterator

from vault.compare.dvh import Histogram, histogram
from vault.compare.geometry import GeometryError
from vault.compare.geometry.grids import Grid, dose, image
from vault.compare.geometry.regions import Region, fingerprints, regions
from vault.report.pictures import Picture, histograms, links, planes
from vault.report.pictures.histograms import Curve
from vault.report.pictures.sources import Sources
from vault.report.pictures.style import plain

REGIONS_COUNTED = 14
TARGETS_COUNTED = 6
"""Regions whose histograms are counted: those that changed, some targets, and others in the structure set's order."""

SAMPLES = 40_000
"""Samples of a region's dose: enough that a curve drawn does not tell them from more."""

_NOT_COUNTED = frozenset({"EXTERNAL", "SUPPORT", "FIXATION", "MARKER", "ISOCENTER", "REGISTRATION", "BOLUS"})


def dose_difference(sources: Sources) -> Iterator[Picture]:
    """A dose before and after, on three planes."""
    old, new = sources.pair()
    yield from _differing_doses(dose(old), dose(new))


def doses_of_revision(sources: Sources) -> Iterator[Picture]:
    """The doses of a plan that was issued anew and of its predecessor, on three planes."""
    if sources.change.kind != "revised":
        return
    paths = _doses_of_plans(sources)
    if paths is not None:
        old, new = (
            dose(sources.read(path, late=late)) for path, late in zip(paths, (False, True), strict=True)
        )
        yield from _differing_doses(old, new)


def _differing_doses(old: Grid, new: Grid) -> Iterator[Picture]:
    if old.unit != new.unit:
        raise GeometryError("one of the two doses is in Gy and the other is relative")
    found = planes.difference(old, new)
    if found is not None:
        yield Picture(
            "Dose before, after and difference",
            f"Dose on axial, coronal and sagittal planes before and after. {found.greatest}; {found.overall}.",
            planes.draw(found, "Dose before, after and difference"),
            f"Planes through the point of greatest difference, which the short lines point at: {found.greatest}; "
            f"{found.overall}. R, L, A, P, H and F are the patient's right, left, front, back, head and feet.",
        )


def image_difference(sources: Sources) -> Iterator[Picture]:
    """An image before and after."""
    old, new = (image(side) for side in sources.pair())
    found = planes.difference(old, new)
    if found is not None:
        yield Picture(
            "Image before, after and difference",
            f"One {sources.change.modality} slice before and after. {found.greatest}; {found.overall}.",
            planes.draw(found, f"{sources.change.modality} before, after and difference"),
            f"The short lines point at the greatest difference: {found.greatest}; {found.overall}. R, L, A and P are "
            "the patient's right, left, front and back.",
        )


def dose_volume_histograms(sources: Sources) -> Iterator[Picture]:
    """Dose-volume histograms where a dose, its structure set or its plan changed, and both of them are there."""
    changed = _changed(sources)
    sides = [_side(sources, changed[late], late=late) for late in (False, True)]
    if None in sides:
        return
    (old_dose, old_regions), (new_dose, new_regions) = (side for side in sides if side is not None)
    if old_dose.unit != new_dose.unit:
        raise GeometryError("one of the two doses is in Gy and the other is relative")
    curves = []
    for name in {**old_regions, **new_regions}:
        before, after = old_regions.get(name), new_regions.get(name)
        region = after or before
        if region is not None:
            curves.append(Curve(name, region.target, _counted(before, old_dose), _counted(after, new_dose)))
    shown = histograms.chosen(curves)
    if shown:
        names = ", ".join(plain(curve.name) for curve in shown)
        outside = [plain(curve.name) for curve in shown if _outside(curve) > 0.01]
        note = (
            f" Partly outside of the dose grid, where it counts as no dose: {', '.join(outside)}."
            if outside
            else ""
        )
        yield Picture(
            "Dose-volume histograms",
            f"Dose-volume histograms of {names}, before and after.",
            histograms.draw(shown, new_dose.unit),
            "Before is dashed, after is solid; targets are drawn wider. D95 % is the dose that 95 % of the volume gets "
            f"at least, D2 % the near-maximum dose. Counted from the contours and the dose as archived.{note}",
        )


def _changed(sources: Sources) -> tuple[frozenset[str], frozenset[str]]:
    """Numbers of the regions whose contours differ, before and after."""
    if sources.change.modality != "RTSTRUCT":
        return frozenset(), frozenset()
    old, new = (fingerprints(side) for side in sources.pair())
    known, later = set(old.values()), set(new.values())
    return (
        frozenset(number for number, prints in old.items() if prints not in later),
        frozenset(number for number, prints in new.items() if prints not in known),
    )


def _outside(curve: Curve) -> float:
    return max(side.outside if side else 0.0 for side in (curve.before, curve.after))


def _counted(region: Region | None, grid: Grid) -> Histogram | None:
    """A region's histogram; None where it encloses no volume."""
    try:
        return histogram(region.slices(), grid, samples=SAMPLES) if region else None
    except GeometryError:
        return None


def _wanted(found: list[Region], changed: Container[str]) -> set[str]:
    """The numbers of the regions that are counted."""
    named = [
        region for region in found if region.interpreted_type not in _NOT_COUNTED or region.number in changed
    ]
    first = [region for region in named if region.number in changed]
    targets = [region for region in named if region.target and region not in first][:TARGETS_COUNTED]
    others = [region for region in named if not region.target and region not in first]
    return {region.number for region in [*first, *targets, *others][:REGIONS_COUNTED]}


def _side(sources: Sources, changed: Container[str], *, late: bool) -> tuple[Grid, dict[str, Region]] | None:
    """The dose of one side and its regions by name; None where the archive does not have both."""
    paths = _paths(sources, late=late)
    if paths is None:
        return None
    structures, of_dose = paths
    if not links.same_frame(sources, structures, of_dose, late=late):
        raise GeometryError("the dose and the structure set lie in different frames of reference")
    data = sources.read(structures, late=late)
    wanted = _wanted(regions(data, ()), changed)
    found = {region.name: region for region in regions(data, wanted) if region.contours}
    return dose(sources.read(of_dose, late=late)), found


def _paths(sources: Sources, *, late: bool) -> tuple[str, str] | None:
    """The structure set and the dose that a histogram is made of, on one side of the change."""
    path = sources.path(late=late)
    if sources.change.modality == "RTDOSE":
        structures, of_dose = links.structures_under_dose(sources, path, late=late), path
    elif sources.change.modality == "RTSTRUCT":
        structures, found = path, links.dose_on_structures(sources, path, late=late)
        of_dose = found or ""
    else:
        doses = _doses_of_plans(sources) if sources.change.kind == "revised" else None
        of_dose = doses[late] if doses else ""
        structures = links.structures_of_plan(sources, _uid(path), late=late) if of_dose else None
    return (structures, of_dose) if structures and of_dose else None


def _doses_of_plans(sources: Sources) -> tuple[str, str] | None:
    """The doses of a revised plan's predecessor and of itself; None where one has none."""
    old, new = (
        links.dose_of_plan(sources, _uid(sources.path(late=late)), late=late) for late in (False, True)
    )
    return (old, new) if old and new else None


def _uid(path: str) -> str:
    return path.rpartition("/")[2].removesuffix(".dcm")
