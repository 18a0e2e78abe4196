"""Volume and centre of a region of interest, from its planar contours (PS3.3 C.8.8.6).

The area of each slice, holes taken out, times the distance of the slices: what planning systems do to within what
they do at the ends. Contours in any plane will do, as long as a region's are parallel.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from vault.compare.findings.contents import Contents, Raw
from vault.compare.findings.quantities import figure, pair, percent

if TYPE_CHECKING:
    from numpy.typing import NDArray

_CONTOURS, _NUMBER, _SEQUENCE, _TYPE, _DATA = 0x30060039, 0x30060084, 0x30060040, 0x30060042, 0x30060050
_PLANAR = frozenset({"CLOSED_PLANAR", "CLOSEDPLANAR_XOR"})
_SAME_SLICE = 0.01  # mm by which contours of one slice may lie apart
# points of one outline, times those of the other on a slice, that are held against each other
_PAIRS = 4_000_000
_MM3_PER_CM3 = 1000.0
_EQUAL = 1e-5  # share by which a volume may differ without a word: how many digits a contour is written with


@dataclass(frozen=True, slots=True)
class Region:
    """What a region's contours enclose."""

    volume: float | None
    """In cm³; None for a single slice, whose thickness nobody says."""
    centre: tuple[float, float, float]
    """Of its volume, in mm, in the patient's coordinates."""


def change(contents: Contents, number: str, *, outline: bool = True) -> str:
    """`volume 12.3 → 13.1 cm³ (+6.5 %), centre moved by 0.8 mm, outline by up to 3 mm` for an ROI number.

    Empty where that can't be told. Without `outline`, how far that moved is left out: the points say it.
    """
    sides = contents.sides
    if sides is None:
        return ""
    before, after = (_points(raw, number) for raw in sides)
    old, new = region(before), region(after)
    if old is None or new is None:
        only = old or new
        return (
            ""
            if only is None or only.volume is None
            else f"volume {'was' if old else 'now'} {_size(only.volume)}"
        )
    moved = f"centre moved by {figure(math.dist(old.centre, new.centre))} mm"
    if outline and (apart := surface(before, after)):
        moved += f", outline by up to {figure(apart)} mm"
    if old.volume is None or new.volume is None:
        return moved
    if math.isclose(old.volume, new.volume, rel_tol=_EQUAL):
        return f"volume {_size(new.volume)} as before, {moved}"
    was, now = pair(old.volume, new.volume)
    return f"volume {was} → {now} cm³ ({percent(old.volume, new.volume)}), {moved}"


def _size(volume: float) -> str:
    return f"{figure(volume)} cm³"


def region(contours: Sequence[NDArray[Any]]) -> Region | None:
    """Volume and centre of contours, each an array of points (n, 3) in mm; None where they enclose nothing."""
    import numpy as np  # noqa: PLC0415 - most nights move no contour

    planar = [points for points in contours if len(points) > 2]
    if not planar:
        return None
    areas = [np.cross(points, np.roll(points, -1, axis=0)).sum(axis=0) / 2 for points in planar]
    largest = max(areas, key=lambda area: float(np.linalg.norm(area)))
    size = float(np.linalg.norm(largest))
    if not math.isfinite(size) or size == 0:
        return None
    normal = largest / size
    flat = _axes(normal)
    slices: dict[int, list[tuple[Any, Any]]] = {}
    for points in planar:
        height = float(points.mean(axis=0) @ normal)
        slices.setdefault(round(height / _SAME_SLICE), []).append((points, points @ flat.T))
    thickness = _thickness(sorted(slices))
    total, moment = 0.0, np.zeros(3)
    for members in slices.values():
        for points, drawn in members:
            area, centre = _area_and_centre(drawn)
            inside = sum(_within(drawn[0], other) for _, other in members if other is not drawn)
            sign = -1 if inside % 2 else 1  # a contour within another one is a hole
            total += sign * area
            moment += sign * area * (centre @ flat + float(points.mean(axis=0) @ normal) * normal)
    if total <= 0:
        return None
    x, y, z = (float(value) for value in moment / total)
    return Region(total * thickness / _MM3_PER_CM3 if thickness else None, (x, y, z))


def surface(old: Sequence[NDArray[Any]], new: Sequence[NDArray[Any]]) -> float | None:
    """How far outlines lie apart at most, in mm, on the slices that both have; None where that is too much to tell.

    From each point of one outline to the nearest place on the other's, and the other way round.
    """
    before, after = _by_slice(old), _by_slice(new)
    most = 0.0
    for height in before.keys() & after.keys():
        one, two = before[height], after[height]
        if len(one) == len(two) and all(map(_same, one, two)):
            continue
        if sum(map(len, one)) * sum(map(len, two)) > _PAIRS:
            return None
        most = max(most, _farthest(one, two), _farthest(two, one))
    return most


def _by_slice(contours: Sequence[NDArray[Any]]) -> dict[float, list[NDArray[Any]]]:
    """Axial contours by their height; those of other planes have none in common, and are left out."""
    slices: dict[float, list[NDArray[Any]]] = {}
    for points in contours:
        if float(points[:, 2].max() - points[:, 2].min()) <= _SAME_SLICE:
            slices.setdefault(round(float(points[0, 2]), 2), []).append(points[:, :2])
    return slices


def _same(one: NDArray[Any], two: NDArray[Any]) -> bool:
    return one.shape == two.shape and bool((one == two).all())


def _farthest(points: Sequence[NDArray[Any]], outlines: Sequence[NDArray[Any]]) -> float:
    """From which point the nearest outline is farthest, in mm."""
    import numpy as np  # noqa: PLC0415

    asked = np.concatenate(points)[:, None, :]
    start = np.concatenate(outlines)
    along = np.concatenate([np.roll(outline, -1, axis=0) for outline in outlines]) - start
    length = (along**2).sum(axis=1)
    share = ((asked - start) * along).sum(axis=2) / np.where(length > 0, length, 1)
    nearest = start + np.clip(share, 0, 1)[..., None] * along
    return float(np.sqrt(((asked - nearest) ** 2).sum(axis=2).min(axis=1)).max())


def _points(raw: Raw, number: str) -> list[NDArray[Any]]:
    """The closed planar contours of a region."""
    import numpy as np  # noqa: PLC0415

    found = []
    for item in raw.items(_CONTOURS):
        if raw.text(_NUMBER, item) != number:
            continue
        for contour in raw.items(_SEQUENCE, item):
            data = raw.value(_DATA, contour)
            if data is None or raw.text(_TYPE, contour) not in _PLANAR:
                continue
            try:
                values = np.array(list(map(float, bytes(data).strip(b" \0").split(b"\\"))))
            except ValueError:
                continue
            if len(values) % 3 == 0 and bool(np.isfinite(values).all()):
                found.append(values.reshape(-1, 3))
    return found


def _axes(normal: NDArray[Any]) -> NDArray[Any]:
    """Two directions in the plane of a normal."""
    import numpy as np  # noqa: PLC0415

    away = np.eye(3)[int(abs(normal).argmin())]
    one = np.cross(normal, away)
    one /= np.linalg.norm(one)
    return np.array([one, np.cross(normal, one)])


def _thickness(heights: Sequence[int]) -> float | None:
    """Distance of the slices in mm: the usual one, so that a slice that is missing makes no other slice thick."""
    apart = sorted(after - before for before, after in pairwise(heights))
    return apart[len(apart) // 2] * _SAME_SLICE if apart else None


def _area_and_centre(drawn: NDArray[Any]) -> tuple[float, NDArray[Any]]:
    """Area and centroid of a polygon (n, 2)."""
    import numpy as np  # noqa: PLC0415

    origin = drawn[0]
    points = drawn - origin
    following = np.roll(points, -1, axis=0)
    cross = points[:, 0] * following[:, 1] - following[:, 0] * points[:, 1]
    area = float(cross.sum()) / 2
    if area == 0:
        return 0.0, drawn.mean(axis=0)
    return abs(area), origin + ((points + following) * cross[:, None]).sum(axis=0) / (6 * area)


def _within(point: NDArray[Any], polygon: NDArray[Any]) -> bool:
    """Whether a point lies in a polygon: how often a ray from it crosses the outline."""
    x, y = point
    ends = zip(polygon, (*polygon[1:], polygon[0]), strict=True)
    crossed = (
        (y1 > y) != (y2 > y) and x < (x2 - x1) * (y - y1) / (y2 - y1) + x1 for (x1, y1), (x2, y2) in ends
    )
    return sum(map(bool, crossed)) % 2 == 1
