"""Jaws and leaves: by how much, at which control point, which leaf pair, which bank.

LeafJawPositions lists the first bank's positions, pair by pair, then the second's (PS3.3 C.8.8.14.5): X1 and X2, or
Y1 and Y2.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from vault.compare.findings.quantities import apart, figure, numbers, pair

_FEWEST_LEAVES = 2


@dataclass(frozen=True, slots=True)
class Positions:
    """The positions of one device at one control point, before and after."""

    control_point: str
    old: str | None
    new: str | None


@dataclass(frozen=True, slots=True)
class _Shift:
    by: float
    control_point: str
    place: int
    pairs: int
    old: float
    new: float


def is_leaves(device: str) -> bool:
    """Whether a device is a multileaf collimator (`MLCX`, `MLCY`, `MLCX1` …), not a pair of jaws."""
    return device.startswith("MLC")


def told(device: str, positions: Sequence[Positions]) -> str:
    """The sentence for all control points of one device whose positions differ."""
    comparable = [one for one in positions if len(numbers(one.old)) == len(numbers(one.new)) > 0]
    shifts = [shift for one in comparable for shift in _shifts(one)]
    noun = f"{device} leaves" if is_leaves(device) else f"{device} jaws"
    if len(comparable) < len(positions) or not shifts:
        return _not_comparable(noun, positions)
    greatest = max(shifts, key=lambda shift: abs(shift.by))
    old, new = pair(greatest.old, greatest.new)
    which = "greatest shift " if len(shifts) > 1 else "shift "
    said = (
        f"{noun}: {which}{figure(abs(greatest.by))} mm, {_where(device, greatest)}, {old} → {new} mm "
        f"at control point {greatest.control_point}"
    )
    if len(shifts) == 1:
        return said
    kind = "leaf" if is_leaves(device) else "jaw"
    return f"{said}; {len(shifts)} {kind} positions changed in {_points(positions)}"


def _shifts(one: Positions) -> list[_Shift]:
    before, after = numbers(one.old), numbers(one.new)
    return [
        _Shift(new - old, one.control_point, place, len(before) // 2, old, new)
        for place, (old, new) in enumerate(zip(before, after, strict=True))
        if old != new
    ]


def _where(device: str, shift: _Shift) -> str:
    axis = "Y" if device.rstrip("0123456789").endswith("Y") else "X"  # ASYMX has a Y, too
    bank = f"{axis}{1 if shift.place < shift.pairs else 2}"
    return bank if shift.pairs < _FEWEST_LEAVES else f"leaf pair {shift.place % shift.pairs + 1}, bank {bank}"


def _points(positions: Sequence[Positions]) -> str:
    count = len({one.control_point for one in positions})
    return f"{count} control point{'s' if count > 1 else ''}"


def _not_comparable(noun: str, positions: Sequence[Positions]) -> str:
    first = positions[0]
    said = f"{noun} {' → '.join(apart(first.old, first.new))} at control point {first.control_point}"
    return said if len(positions) == 1 else f"{said}, and at {len(positions) - 1} more"
