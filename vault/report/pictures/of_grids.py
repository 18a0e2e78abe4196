"""Pictures of doses and images: their differences."""

from __future__ import annotations

from collections.abc import Iterator

from vault.compare.geometry import GeometryError
from vault.compare.geometry.grids import Grid, dose, image
from vault.report.pictures import Picture, links, planes
from vault.report.pictures.sources import Sources


def dose_difference(sources: Sources) -> Iterator[Picture]:
    """A dose before and after, on three planes."""
    old, new = sources.pair()
    yield from _differing_doses(dose(old), dose(new))


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
