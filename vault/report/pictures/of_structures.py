"""Pictures of a structure set: its contours over the images that they were drawn on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

from vault.compare.dvh import volume
from vault.compare.geometry import GeometryError
from vault.compare.geometry.datasets import DataSet
from vault.compare.geometry.regions import Region, fingerprints, regions
from vault.report.pictures import Picture, contours
from vault.report.pictures.contours import Heights, Outlines
from vault.report.pictures.sources import Sources
from vault.report.pictures.style import plain

_TOLD = 4
"""Regions whose volumes the caption gives."""

REGIONS_COMPARED = 48
"""Regions of which the slices of greatest change are looked for."""

Pair = tuple[Region | None, Region | None]


def contours_over_images(sources: Sources) -> Iterator[Picture]:
    """The contours of the regions that changed, on the slices of greatest change."""
    old_set, new_set = sources.pair()
    pairs = sorted(differing(old_set, new_set), key=lambda pair: not _target(pair))
    if not pairs:
        return
    outlines, images, refused, heights = [], dict[float, str](), list[str](), Heights()
    for old, new in pairs[:REGIONS_COMPARED]:
        region = new or old
        if region is None:
            continue
        try:
            sides = (heights.at(side.slices()) if side else {} for side in (old, new))
            outline = Outlines(region.name, *sides)
            _ = outline.changed  # refused here, so that it hides no other region
        except GeometryError as error:
            refused.append(f"{plain(region.name)}: {error}")
            continue
        outlines.append(outline)
        for side in (old, new):
            images |= {heights.same(one.z): one.image for one in side.contours} if side else {}
    shown = contours.greatest(outlines)
    if not shown:
        if refused:
            raise GeometryError("; ".join(refused[:_TOLD]))
        return
    frames = {*_frames(old_set), *_frames(new_set)}
    slices = [replace(one, image=sources.image(images.get(one.z, ""), one.z, frames)) for one in shown]
    names = ", ".join(dict.fromkeys(plain(name) for one in shown for name, *_ in one.regions))
    where = ", ".join(f"{one.z:.1f}" for one in shown)
    beyond = len(pairs) - REGIONS_COMPARED
    lacking = f" Not looked at: {beyond} more regions that changed." if beyond > 0 else ""
    lacking += f" Not drawn: {'; '.join(refused[:_TOLD])}." if refused else ""
    told = [_volumes(old, new) for old, new in pairs[:_TOLD]]
    yield Picture(
        f"Contours, {names}",
        f"Contours of {names} before and after over the image at z {where} mm.",
        contours.draw(slices),
        f"{' '.join(filter(None, told))} Blue and dashed is before, orange and solid after; what came is shaded "
        f"orange, what went blue. Seen from the feet: R and L are the patient's right and left."
        f"{lacking}".strip(),
    )


def _target(pair: Pair) -> bool:
    return any(side is not None and side.target for side in pair)


def _frames(structures: DataSet) -> Iterator[str]:
    """The frames of reference that a structure set's regions lie in."""
    for item in structures.items("StructureSetROISequence"):
        if uid := item.text("ReferencedFrameOfReferenceUID"):
            yield uid


def differing(old: DataSet, new: DataSet) -> list[Pair]:
    """The regions whose contours differ, before and after; None where one has no such region."""
    prints = fingerprints(old), fingerprints(new)
    names = [{region.number: region.name for region in regions(side, ())} for side in (old, new)]
    pairs = _paired(*names)
    changed = [
        (one, two)
        for one, two in pairs
        if prints[0].get(one or "", frozenset()) != prints[1].get(two or "", frozenset())
    ]
    before = _by_number(old, {one for one, _ in changed if one})
    after = _by_number(new, {two for _, two in changed if two})
    found: list[Pair] = [(before.get(one or ""), after.get(two or "")) for one, two in changed]
    return [pair for pair in found if any(side is not None and side.contours for side in pair)]


def _by_number(side: DataSet, wanted: set[str]) -> Mapping[str, Region]:
    return {region.number: region for region in regions(side, wanted) if region.number in wanted}


def _paired(old: Mapping[str, str], new: Mapping[str, str]) -> list[tuple[str | None, str | None]]:
    """ROI numbers before and after of the same region: the same name, whatever number; else the same number."""
    by_name = {name: number for number, name in old.items()}
    later = set(new.values())
    pairs: list[tuple[str | None, str | None]] = []
    for number, name in new.items():
        renamed = number if number in old and old[number] not in later else None
        pairs.append((number if old.get(number) == name else by_name.get(name, renamed), number))
    taken = {one for one, _ in pairs}
    return [*pairs, *((number, None) for number in old if number not in taken)]


def _volumes(old: Region | None, new: Region | None) -> str:
    """`PTV: 112.7 → 118.2 cm³.`"""
    sizes = []
    for side in (old, new):
        try:
            sizes.append(
                f"{volume(side.slices()).cubic_centimetres:.1f}" if side and side.contours else "none"
            )
        except GeometryError:
            sizes.append("?")
    region = new or old
    return f"{plain(region.name)}: {sizes[0]} → {sizes[1]} cm³." if region and "?" not in sizes else ""
