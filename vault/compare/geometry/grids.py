"""Doses and images as numbers on a grid (PS3.3 C.7.6.2, C.8.8.3).

The pixels stay as they are stored, a view of the object's bytes, and are scaled plane by plane when they are wanted:
a dose of 100 MB needs no second 400 MB.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vault.compare.geometry import GeometryError
from vault.compare.geometry.datasets import DataSet, Floats, positive
from vault.normal import pixels

VOXELS_MAXIMUM = 64 << 20
"""Voxels of one grid: a dose of 256 planes of 512 by 512."""

PLANES_MAXIMUM = 4096
"""Planes of one grid; two metres of patient have 2000 of a millimetre."""

FARTHEST = 1e4
"""mm from the origin within which all of a grid lies; no room is so large."""

STEEPEST = 1e9
"""What a stored value may be worth at most, in Gy or Hounsfield units."""

_AXIAL = 1e-3


@dataclass(frozen=True, slots=True, eq=False)
class Grid:
    """Values at the points of a grid along the patient's axes, each axis ascending, in mm."""

    stored: NDArray[Any]
    """As the object holds them, by z, y, x."""
    x: Floats
    y: Floats
    z: Floats
    slope: float
    intercept: float
    unit: str
    """`Gy`, `HU`, or `relative`."""
    named: str = "RLAP"
    """Which sides of the patient lie at the left, right, upper and lower edge of a plane."""
    axial: bool = True
    """Whether the axes are the patient's; else x and y are the image's own, and z is nought."""

    def plane(self, index: int) -> Floats:
        """One axial plane, by y and x, in the unit."""
        return np.asarray(self.stored[index].astype(np.float64) * self.slope + self.intercept)

    def sampled(self, z: float, y: Floats, x: Floats) -> Floats:
        """Values at a height on the mesh of `y` and `x`, interpolated linearly; NaN outside of the grid."""
        low, high, share = _between(self.z, np.array([z]))
        below, above, weight = int(low[0]), int(high[0]), float(share[0])
        if np.isnan(weight):
            return np.full((len(y), len(x)), np.nan)
        rows, columns = _between(self.y, y), _between(self.x, x)
        first, last = int(rows[0].min()), int(rows[1].max()) + 1
        plane = self.stored[below, first:last].astype(np.float64)
        if weight:
            plane = (1 - weight) * plane + weight * self.stored[above, first:last]
        low, high, share = rows
        plane = plane[low - first] * (1 - share)[:, None] + plane[high - first] * share[:, None]
        low, high, share = columns
        plane = plane[:, low] * (1 - share) + plane[:, high] * share
        return np.asarray(plane * self.slope + self.intercept)


def _between(axis: Floats, at: Floats) -> tuple[NDArray[np.intp], NDArray[np.intp], Floats]:
    """For each place the grid points below and above it, and how far it is towards the upper one; NaN outside."""
    slack = 1e-6
    place = np.interp(at, axis, np.arange(len(axis), dtype=np.float64))
    place[(at < axis[0] - slack) | (at > axis[-1] + slack)] = np.nan
    low = np.nan_to_num(np.floor(place)).astype(np.intp)
    high = np.minimum(low + 1, len(axis) - 1)
    return low, high, place - low


def dose(data: DataSet) -> Grid:
    """A dose in Gy, or relative. Raises GeometryError where it has no grid along the patient's axes."""
    scaling = data.number("DoseGridScaling")
    if not positive(scaling) or scaling is None:
        raise GeometryError("the dose does not say what its values are worth (DoseGridScaling)")
    offsets = data.numbers("GridFrameOffsetVector")
    frames = int(data.number("NumberOfFrames") or 1)
    if frames > 1 and len(offsets) != frames:
        raise GeometryError("the dose has not as many plane positions as planes (GridFrameOffsetVector)")
    if frames > PLANES_MAXIMUM:
        raise GeometryError(f"the dose has more than {PLANES_MAXIMUM} planes")
    unit = {"GY": "Gy", "RELATIVE": "relative"}.get(data.text("DoseUnits"), "")
    if not unit:
        raise GeometryError("the dose does not say its unit (DoseUnits)")
    return _grid(data, frames, offsets if frames > 1 else np.zeros(1), (scaling, 0.0, unit))


def image(data: DataSet) -> Grid:
    """One image, a CT in Hounsfield units, in its own plane where that is not axial. Raises GeometryError."""
    if (data.number("NumberOfFrames") or 1) != 1:
        raise GeometryError("the image has several frames")
    slope, intercept = data.number("RescaleSlope"), data.number("RescaleIntercept")
    unit = "HU" if data.text("Modality") == "CT" else "stored values"
    return _grid(
        data, 1, np.zeros(1), (1.0 if slope is None else slope, intercept or 0.0, unit), own_plane=True
    )


def _grid(
    data: DataSet, frames: int, offsets: Floats, scale: tuple[float, float, str], *, own_plane: bool = False
) -> Grid:
    position, orientation = data.numbers("ImagePositionPatient"), data.numbers("ImageOrientationPatient")
    spacing = data.numbers("PixelSpacing")
    if len(position) != 3 or len(orientation) != 6 or len(spacing) != 2 or not np.all(spacing > 0):
        raise GeometryError("the position, orientation or pixel spacing is missing")
    if max(map(abs, scale[:2])) > STEEPEST:
        raise GeometryError("the values are scaled to what no dose and no image has")
    rows, columns = (int(data.number(keyword) or 0) for keyword in ("Rows", "Columns"))
    stored = _stored(data, frames, rows, columns)
    across, down = np.arange(columns) * spacing[1], np.arange(rows) * spacing[0]
    reach = max(np.abs(position).max() + max(across[-1], down[-1]), np.abs(offsets).max())
    if not reach < FARTHEST:
        raise GeometryError("the grid reaches farther from the patient than any room is wide")
    along, normal = orientation.reshape(2, 3), float(np.cross(orientation[:3], orientation[3:])[2])
    if np.allclose(np.abs(orientation), (1, 0, 0, 0, 1, 0), atol=_AXIAL):
        x, y = position[0] + np.sign(along[0, 0]) * across, position[1] + np.sign(along[1, 1]) * down
    elif np.allclose(np.abs(orientation), (0, 1, 0, 1, 0, 0), atol=_AXIAL):  # a patient lying on the side
        x, y = position[0] + np.sign(along[1, 0]) * down, position[1] + np.sign(along[0, 1]) * across
        stored = stored.transpose(0, 2, 1)
    elif own_plane:
        return Grid(stored, across, down, np.zeros(1), *scale, _sides(along), axial=False)
    else:
        raise GeometryError("the planes of the object are not axial")
    absolute = offsets[0] != 0 and abs(offsets[0] - position[2]) < _AXIAL
    z = offsets if absolute else position[2] + np.sign(normal) * (offsets - offsets[0])
    for axis, (name, values) in enumerate((("z", z), ("y", y), ("x", x))):
        if not (np.all(np.diff(values) > 0) or np.all(np.diff(values) < 0)):
            raise GeometryError(f"the planes along {name} are in no order")
        if len(values) > 1 and values[0] > values[-1]:
            stored = np.flip(stored, axis)
    return Grid(stored, np.sort(x), np.sort(y), np.sort(z), *scale)


def _sides(along: Floats) -> str:
    """Which sides of the patient lie at the left, right, upper and lower edge of an image with these directions."""
    if not np.allclose(np.linalg.norm(along, axis=1), 1.0, atol=0.01):
        raise GeometryError("the orientation of the image is none")
    letters = ""
    for direction in along:
        axis = int(np.abs(direction).argmax())
        towards = ("LR", "PA", "HF")[axis][:: 1 if direction[axis] > 0 else -1]
        letters += towards[1] + towards[0]
    return letters


def _stored(data: DataSet, frames: int, rows: int, columns: int) -> NDArray[Any]:
    """The pixels as they are stored, by frame, row and column."""
    bits, signed = data.number("BitsAllocated"), data.number("PixelRepresentation") == 1
    if (data.number("SamplesPerPixel") or 1) != 1 or bits not in {8.0, 16.0, 32.0}:
        raise GeometryError("the pixels are in colour, or of a size that no dose or CT has")
    voxels = frames * rows * columns
    if not 0 < voxels <= VOXELS_MAXIMUM or min(frames, rows, columns) < 1:
        raise GeometryError(
            f"the object has no voxels, or more than the {VOXELS_MAXIMUM >> 20} million that are drawn"
        )
    if data.encapsulated("PixelData") is not None:
        image = _description(data, frames, rows, columns)
        return _decoded(data, image).reshape(frames, rows, columns)
    kind = np.dtype(f"{'>' if data.big_endian else '<'}{'i' if signed else 'u'}{int(bits) // 8}")
    offset, length = data.place("PixelData")
    if length < voxels * kind.itemsize:
        raise GeometryError("the object has fewer pixels than it says")
    return np.frombuffer(data.buffer, kind, voxels, offset).reshape(frames, rows, columns)


def _description(data: DataSet, frames: int, rows: int, columns: int) -> pixels.Image:
    return pixels.Image(
        rows=rows,
        columns=columns,
        samples_per_pixel=1,
        bits_allocated=int(data.number("BitsAllocated") or 0),
        bits_stored=int(data.number("BitsStored") or 0),
        pixel_representation=int(data.number("PixelRepresentation") or 0),
        photometric_interpretation=data.text("PhotometricInterpretation"),
        number_of_frames=frames,
    )


def _decoded(data: DataSet, image: pixels.Image) -> NDArray[Any]:
    """Pixels compressed without loss, decoded in a process of its own."""
    start = data.encapsulated("PixelData") or 0
    whole = pixels.decoded(data.buffer[start:], data.transfer_syntax, image)
    if whole is None:
        raise GeometryError("the pixels are compressed, and can't be decoded")
    return np.frombuffer(whole, f"<{'i' if image.pixel_representation else 'u'}{image.bits_allocated // 8}")
