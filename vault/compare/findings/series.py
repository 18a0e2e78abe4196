"""Slices that went missing from an image series, or came to one that was there before (PS3.3 C.7.6.2)."""

from __future__ import annotations

import re
from collections.abc import Iterable
from itertools import pairwise

from vault.compare.findings.quantities import figure, numbers
from vault.compare.findings.said import Said

MODALITIES = frozenset({"CT", "MR", "PT"})
"""Images of which a series is a volume."""

_PLANE = re.compile(rb"\n(ImagePositionPatient|ImageOrientationPatient) DS ([^\n]+)")
_EVEN = 0.01  # mm by which distances of slices may differ


def height(form: bytes) -> float | None:
    """Where a slice lies along the normal of its plane, in mm; None for an image that does not say."""
    found = {key: numbers(value.decode("ascii", "replace")) for key, value in _PLANE.findall(form)}
    position, plane = found.get(b"ImagePositionPatient", []), found.get(b"ImageOrientationPatient", [])
    if len(position) != 3 or len(plane) != 6:
        return None
    (a, b, c), (d, e, f) = plane[:3], plane[3:]
    normal = (b * f - c * e, c * d - a * f, a * e - b * d)
    return sum(along * where for along, where in zip(normal, position, strict=True))


def told(kind: str, own: float | None, others: Iterable[float | None]) -> Said:
    """What it means that a slice at `own` mm was added to or removed from a series whose `others` are still there."""
    rest = list(others)
    heights = sorted({each for each in rest if each is not None})
    where = "" if own is None else f" at {figure(own)} mm"
    count = f"{len(rest)} other{'s' if len(rest) > 1 else ''}"
    if kind == "added":
        return Said("image.slice-added", f"slice{where} added to a series of which the vault had {count}")
    text = f"slice{where} is missing: the ROIS has {count} of its series"
    gap = _gap(own, heights)
    return Said("removed.image", f"{text}, {gap}" if gap else text)


def _gap(own: float | None, heights: list[float]) -> str:
    """How far its neighbours lie apart now, where other slices lie closer."""
    below = [each for each in heights if own is not None and each < own]
    above = [each for each in heights if own is not None and each > own]
    if not below or not above:
        return ""
    usual = sorted(after - before for before, after in pairwise(heights))[(len(heights) - 1) // 2]
    now = above[0] - below[-1]
    usual = min(usual, now)
    return f"{figure(now)} mm between its neighbours" + (
        f" where {figure(usual)} mm is usual" if now - usual > _EVEN else ""
    )
