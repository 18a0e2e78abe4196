"""Pictures of doses and images: their differences."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from vault.compare.geometry import GeometryError
from vault.compare.geometry.datasets import DataSet, Floats
from vault.compare.geometry.grids import Grid, dose, image
from vault.report.pictures import Picture, links, planes
from vault.report.pictures.sources import Sources
from vault.report.pictures.style import plain

NEIGHBOURS = 6
"""Slices on either side of a changed image that are read, for the planes across it."""


def dose_difference(sources: Sources) -> Iterator[Picture]:
    """A dose before and after, on three planes."""
    old, new = sources.pair()
    yield from _differing_doses(dose(old), dose(new), summation(old, new))


def doses_of_revision(sources: Sources) -> Iterator[Picture]:
    """The doses of a plan that was issued anew and of its predecessor, on three planes."""
    if sources.change.kind != "revised":
        return
    paths = links.doses_of_plans(sources)
    if paths is not None:
        old, new = (
            dose(sources.read(path, late=late)) for path, late in zip(paths, (False, True), strict=True)
        )
        yield from _differing_doses(old, new)


def summation(old: DataSet, new: DataSet) -> str:
    """A sentence on what doses are summed over that are not one whole plan's; empty for those that are."""
    before, after = (plain(side.text("DoseSummationType"), 16) for side in (old, new))
    if before != after:
        return f" Dose summation type {before or 'not said'} before, {after or 'not said'} after."
    return (
        f" Dose summation type {after}: not the dose of one whole plan." if after not in {"", "PLAN"} else ""
    )


def _differing_doses(old: Grid, new: Grid, note: str = "") -> Iterator[Picture]:
    if old.unit != new.unit:
        raise GeometryError("one of the two doses is in Gy and the other is relative")
    found = planes.difference(old, new)
    if found is None:
        _refuse_elsewhere(old, new, "dose")
    else:
        yield Picture(
            "Dose before, after and difference",
            f"Dose on axial, coronal and sagittal planes before and after. {found.greatest}; {found.overall}.",
            planes.draw(found, "Dose before, after and difference"),
            f"Planes through the point of greatest difference, which the short lines point at: {found.greatest}; "
            f"{found.overall}. R, L, A, P, H and F are the patient's right, left, front, back, head and feet.{note}",
        )


def _refuse_elsewhere(old: Grid, new: Grid, what: str) -> None:
    """Raise GeometryError where two grids show no difference because they have nothing in common."""
    if planes.beyond(old, new) == 1.0:
        raise GeometryError(f"the {what} lies elsewhere than before, and shares no point with it")


def image_difference(sources: Sources) -> Iterator[Picture]:
    """An image before and after, and across the slices of its series next to it."""
    old, new = (image(side) for side in sources.pair())
    if old.named != new.named:
        raise GeometryError("the image lies in another plane than before")
    around = _around(sources, old, new) if new.axial else None
    found = planes.difference(old, new, around)
    if found is None:
        _refuse_elsewhere(old, new, "image")
    else:
        modality = sources.change.modality
        strips = f"Above and below it the {NEIGHBOURS} slices on either side. " if around else ""
        yield Picture(
            "Image before, after and difference",
            f"One {modality} slice before and after. {found.greatest}; {found.overall}.",
            planes.draw(found, f"{modality} before, after and difference"),
            f"The short lines point at the greatest difference of the slice: {found.greatest}; {found.overall}. "
            f"{strips}R, L, A, P, H and F are the patient's right, left, front, back, head and feet.",
        )


def _around(sources: Sources, old: Grid, new: Grid) -> tuple[Grid, Grid] | None:
    """The slice with its neighbours before and after; None where they are no even stack."""
    stacks = [_stack(sources, one, late=late) for one, late in ((old, False), (new, True))]
    return (stacks[0], stacks[1]) if stacks[0] is not None and stacks[1] is not None else None


def _stack(sources: Sources, middle: Grid, *, late: bool) -> Grid | None:
    """An image and those next to it in its series, as one grid; None where there are none of its geometry."""
    planes_by_height: dict[float, Floats] = {float(middle.z[0]): middle.plane(0)}
    for path in links.slices_near(sources, float(middle.z[0]), NEIGHBOURS, late=late):
        try:
            one = image(sources.read(path, late=late))
        except GeometryError:
            continue
        same = len(one.x) == len(middle.x) and len(one.y) == len(middle.y)
        if same and np.allclose(one.x, middle.x, atol=1e-3) and np.allclose(one.y, middle.y, atol=1e-3):
            planes_by_height.setdefault(float(one.z[0]), one.plane(0))
    if len(planes_by_height) < 2:
        return None
    heights = sorted(planes_by_height)
    stored = np.stack([planes_by_height[z].astype(np.float32) for z in heights])
    return Grid(stored, middle.x, middle.y, np.array(heights), 1.0, 0.0, middle.unit)
