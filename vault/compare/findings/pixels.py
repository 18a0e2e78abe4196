"""By how much pixels differ: HU of images, Gy of doses (PS3.3 C.7.6.3, C.11.1, C.8.8.3).

The values are turned into their units a block at a time, so that an object of 100 MB does not need a gigabyte.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from vault.compare.findings.contents import Contents, Raw
from vault.compare.findings.quantities import figure, percent

if TYPE_CHECKING:  # numpy takes a while, and most nights change no pixel
    from numpy.typing import NDArray

BLOCK = 1 << 20
"""Values that are turned into their unit at once."""

_ROWS, _COLUMNS, _FRAMES, _SAMPLES = 0x00280010, 0x00280011, 0x00280008, 0x00280002
_ALLOCATED, _SIGN, _PIXELS = 0x00280100, 0x00280103, 0x7FE00010
_SLOPE, _INTERCEPT, _TYPE, _MODALITY = 0x00281053, 0x00281052, 0x00281054, 0x00080060
_SCALING, _UNITS = 0x3004000E, 0x30040002
_KINDS = {8: "1", 16: "2", 32: "4"}


@dataclass(frozen=True, slots=True)
class _Grid:
    """The pixels of one object, and what turns them into the unit that its header gives them."""

    stored: NDArray[Any]
    shape: tuple[int, int, int]
    """Frames, rows, columns."""
    slope: float
    intercept: float
    unit: str
    """With a space in front; empty for none."""

    def blocks(self) -> Iterator[NDArray[Any]]:
        """The values, as 64-bit floats."""
        for start in range(0, len(self.stored), BLOCK):
            yield self.stored[start : start + BLOCK] * self.slope + self.intercept


def image(contents: Contents) -> str:
    """`120 of 16384 pixels, by -40 to +1000 HU, on average +3.2 HU`; empty where that can't be told."""
    both = _sides(contents, _image)
    if both is None or both[0].shape != both[1].shape:
        return ""
    old, new = both
    unit = new.unit if new.unit == old.unit else ""
    count, low, high, total = 0, math.inf, -math.inf, 0.0
    for apart in _apart(old, new):
        changed = apart[abs(apart) > _least(old, new)]
        if changed.size:
            count += changed.size
            low, high = min(low, float(changed.min())), max(high, float(changed.max()))
            total += float(changed.sum())
    if not count:
        return "no pixel means another value"
    by = _signed(low)
    if low != high:
        by += f" to {_signed(high)}{unit}, on average {_signed(total / count)}"
    return f"{count} of {len(new.stored)} pixels, by {by}{unit}"


def dose(contents: Contents) -> str:
    """`maximum 70.2 → 72 Gy (+1.8 Gy, +2.56 %), mean 30.1 → 31 Gy, 40 of 200 voxels by up to 1.8 Gy`."""
    both = _sides(contents, _dose)
    if both is None or both[0].unit != both[1].unit:
        return ""
    old, new = both
    (most_old, mean_old), (most_new, mean_new) = map(_most_and_mean, both)
    said = [
        f"maximum {_became(most_old, most_new, new.unit)}",
        f"mean {_became(mean_old, mean_new, new.unit)}",
    ]
    if old.shape != new.shape:
        return ", ".join([*said, f"{len(old.stored)} → {len(new.stored)} voxels"])
    count, most = 0, 0.0
    for apart in map(abs, _apart(old, new)):
        count += int((apart > _least(old, new)).sum())
        most = max(most, float(apart.max()))
    return ", ".join([*said, f"{count} of {len(new.stored)} voxels by up to {figure(most)}{new.unit}"])


def _most_and_mean(grid: _Grid) -> tuple[float, float]:
    most, total = -math.inf, 0.0
    for block in grid.blocks():
        most, total = max(most, float(block.max())), total + float(block.sum())
    return most, total / len(grid.stored)


def _apart(old: _Grid, new: _Grid) -> Iterator[NDArray[Any]]:
    """By how much the values of two grids of one shape differ."""
    for before, after in zip(old.blocks(), new.blocks(), strict=True):
        yield after - before


def _least(old: _Grid, new: _Grid) -> float:
    """Half of what one step of a stored value means: less is how floats are reckoned."""
    return min(abs(old.slope), abs(new.slope)) / 2


def _sides(contents: Contents, reader: Callable[[Raw], _Grid | None]) -> tuple[_Grid, _Grid] | None:
    if contents.sides is None:
        return None
    old, new = (reader(side) for side in contents.sides)
    return (old, new) if old and new else None


def _image(raw: Raw) -> _Grid | None:
    slope, intercept = (raw.decimal(tag, absent) for tag, absent in ((_SLOPE, 1.0), (_INTERCEPT, 0.0)))
    if not slope or intercept is None:
        return None
    hounsfield = (
        raw.text(_MODALITY) == "CT" and raw.text(_TYPE) in {"HU", ""} and raw.value(_SLOPE) is not None
    )
    return _grid(raw, slope, intercept, " HU" if hounsfield else "")


def _dose(raw: Raw) -> _Grid | None:
    scaling = raw.decimal(_SCALING)
    return _grid(raw, scaling, 0.0, " Gy" if raw.text(_UNITS) == "GY" else "") if scaling else None


def _grid(raw: Raw, slope: float, intercept: float, unit: str) -> _Grid | None:
    """The pixels of an object; None where they are compressed, in colour, or not all there."""
    import numpy as np  # noqa: PLC0415 - see above

    rows, columns, frames = raw.number(_ROWS), raw.number(_COLUMNS), raw.text(_FRAMES) or "1"
    allocated, pixels = raw.number(_ALLOCATED), raw.value(_PIXELS)
    if not rows or not columns or not frames.isdecimal() or (raw.number(_SAMPLES) or 1) != 1:
        return None
    shape = int(frames), rows, columns
    count = math.prod(shape)
    if allocated not in _KINDS or pixels is None or not 0 < count * allocated // 8 <= len(pixels):
        return None
    kind = f"{'>' if raw.root.big_endian else '<'}{'i' if raw.number(_SIGN) else 'u'}{_KINDS[allocated]}"
    return _Grid(np.frombuffer(pixels, kind, count), shape, slope, intercept, unit)


def _signed(value: float) -> str:
    return f"{'+' if value > 0 else ''}{figure(value)}"


def _became(old: float, new: float, unit: str) -> str:
    was, now = figure(old), figure(new)
    if was == now:
        return f"{now}{unit} as before"
    share = f", {percent(old, new)}" if old else ""
    return f"{was} → {now}{unit} ({_signed(new - old)}{unit}{share})"
