"""By how much pixels differ: HU of images, Gy of doses (PS3.3 C.7.6.3, C.11.1, C.8.8.3)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from vault.compare.findings.contents import Contents, Raw
from vault.compare.findings.quantities import figure, percent

if TYPE_CHECKING:  # numpy takes a while, and most nights change no pixel
    from numpy import ndarray
    from numpy.typing import NDArray

_ROWS, _COLUMNS, _FRAMES, _SAMPLES = 0x00280010, 0x00280011, 0x00280008, 0x00280002
_ALLOCATED, _STORED, _SIGN, _PIXELS = 0x00280100, 0x00280101, 0x00280103, 0x7FE00010
_SLOPE, _INTERCEPT, _TYPE, _MODALITY = 0x00281053, 0x00281052, 0x00281054, 0x00080060
_SCALING, _UNITS = 0x3004000E, 0x30040002
_KINDS = {8: "1", 16: "2", 32: "4"}


@dataclass(frozen=True, slots=True)
class _Grid:
    """The pixels of one object, in the unit that its header gives them."""

    values: NDArray[Any]
    shape: tuple[int, int, int]
    """Frames, rows, columns."""
    unit: str
    step: float
    """By how much two neighbouring values of a pixel differ."""


def image(contents: Contents) -> str:
    """`120 of 16384 pixels, by -40 to +1000 HU, on average +3.2 HU`; empty where that can't be told."""
    both = _sides(contents, _image)
    if both is None or both[0].shape != both[1].shape:
        return ""
    old, new = both
    unit = f" {new.unit}" if new.unit and new.unit == old.unit else ""
    apart = new.values - old.values
    changed = apart[abs(apart) > min(old.step, new.step) / 2]
    if not changed.size:
        return "no pixel means another value"
    low, high, mean = float(changed.min()), float(changed.max()), float(changed.mean())
    by = (
        _signed(low)
        if low == high
        else f"{_signed(low)} to {_signed(high)}{unit}, on average {_signed(mean)}"
    )
    return f"{changed.size} of {apart.size} pixels, by {by}{unit}"


def dose(contents: Contents) -> str:
    """`maximum 70.2 → 72 Gy (+1.8 Gy, +2.56 %), mean 30.1 → 31 Gy, 40 of 200 voxels by up to 1.8 Gy`."""
    both = _sides(contents, _dose)
    if both is None:
        return ""
    old, new = both
    if old.unit != new.unit:
        return ""
    said = [
        f"maximum {_became(float(old.values.max()), float(new.values.max()), new.unit)}",
        f"mean {_became(float(old.values.mean()), float(new.values.mean()), new.unit)}",
    ]
    if old.shape == new.shape:
        apart = abs(new.values - old.values)
        count = int((apart > min(old.step, new.step) / 2).sum())
        most = figure(float(apart.max()))
        said.append(f"{count} of {apart.size} voxels by up to {most}{new.unit}")
    else:
        said.append(f"{old.values.size} → {new.values.size} voxels")
    return ", ".join(said)


def _sides(contents: Contents, reader: Any) -> tuple[_Grid, _Grid] | None:
    sides = contents.sides
    if sides is None:
        return None
    old, new = reader(sides[0]), reader(sides[1])
    return (old, new) if old and new else None


def _image(raw: Raw) -> _Grid | None:
    values, shape = _stored(raw), _shape(raw)
    slope, intercept = (raw.decimal(tag, absent) for tag, absent in ((_SLOPE, 1.0), (_INTERCEPT, 0.0)))
    if values is None or shape is None or not slope or intercept is None:
        return None
    hounsfield = (
        raw.text(_MODALITY) == "CT" and raw.text(_TYPE) in {"HU", ""} and raw.value(_SLOPE) is not None
    )
    unit = "HU" if hounsfield else ""
    return _Grid(values * slope + intercept, shape, unit, abs(slope))


def _dose(raw: Raw) -> _Grid | None:
    values, shape, scaling = _stored(raw), _shape(raw), raw.decimal(_SCALING)
    if values is None or shape is None or not scaling:
        return None
    unit = " Gy" if raw.text(_UNITS) == "GY" else ""
    return _Grid(values * scaling, shape, unit, abs(scaling))


def _shape(raw: Raw) -> tuple[int, int, int] | None:
    rows, columns, frames = raw.number(_ROWS), raw.number(_COLUMNS), raw.text(_FRAMES) or "1"
    if not rows or not columns or not frames.isdecimal() or (raw.number(_SAMPLES) or 1) != 1:
        return None
    return int(frames), rows, columns


def _stored(raw: Raw) -> ndarray[Any, Any] | None:
    """The values as they are stored, as 64-bit floats; None where the pixels are compressed, or not all there."""
    import numpy as np  # noqa: PLC0415 - see above

    shape, allocated, pixels = _shape(raw), raw.number(_ALLOCATED), raw.value(_PIXELS)
    if shape is None or allocated not in _KINDS or pixels is None:
        return None
    count = math.prod(shape)
    if not 0 < count * allocated // 8 <= len(pixels):
        return None
    kind = f"{'>' if raw.root.big_endian else '<'}{'i' if raw.number(_SIGN) else 'u'}{_KINDS[allocated]}"
    return np.frombuffer(pixels, kind, count).astype(np.float64)


def _signed(value: float) -> str:
    return f"{'+' if value > 0 else ''}{figure(value)}"


def _became(old: float, new: float, unit: str) -> str:
    was, now = figure(old), figure(new)
    if was == now:
        return f"{now}{unit} as before"
    share = f", {percent(old, new)}" if old else ""
    return f"{was} → {now}{unit} ({_signed(new - old)}{unit}{share})"
