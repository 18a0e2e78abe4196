"""Jaws and leaves of a plan's beams, control point by control point (PS3.3 C.8.8.14).

Positions are in mm at the isocentre in the coordinates of the beam limiting device (IEC 61217), as seen from the
source: X to the right, Y towards the gantry. A control point that says nothing of a device or an angle keeps what the
one before it said.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from vault.compare.geometry import GeometryError
from vault.compare.geometry.datasets import DataSet, Floats

CONTROL_POINTS_MAXIMUM = 4096
"""Control points of one beam; an arc has some hundreds."""

PAIRS_MAXIMUM = 512
"""Leaf pairs of one device; collimators have up to 160."""

BEAMS_MAXIMUM = 256

FARTHEST = 1e4
"""mm from the axis within which all jaws and leaves are."""

_KINDS = (
    ("BeamSequence", "ControlPointSequence", "BeamLimitingDeviceSequence"),
    ("IonBeamSequence", "IonControlPointSequence", "IonBeamLimitingDeviceSequence"),
)
_ANGLES = ("GantryAngle", "BeamLimitingDeviceAngle", "PatientSupportAngle")


def axis(kind: str) -> str:
    """Along which axis a device moves: `Y` for `Y`, `ASYMY`, `MLCY`, else `X`; layers of leaves are numbered."""
    return "Y" if kind.rstrip("0123456789").endswith("Y") else "X"


@dataclass(frozen=True, slots=True, eq=False)
class Device:
    """Jaws, or a multileaf collimator, over all control points of a beam."""

    kind: str
    """RT Beam Limiting Device Type (300A,00B8): `X`, `ASYMY`, `MLCX` …"""
    boundaries: Floats
    """The edges of the leaves, one more than there are pairs, across their travel; empty for jaws."""
    positions: Floats
    """Control points by two banks by pairs; NaN where no control point has said anything yet."""

    @property
    def pairs(self) -> int:
        """Leaf pairs; 1 for jaws."""
        return int(self.positions.shape[2])

    @property
    def leaves(self) -> bool:
        """Whether it is a multileaf collimator."""
        return self.kind.startswith("MLC")

    @property
    def axis(self) -> str:
        """Along which axis it moves: `X` or `Y`."""
        return axis(self.kind)


@dataclass(frozen=True, slots=True, eq=False)
class Beam:
    """One beam's collimation; the arrays have a row for each control point."""

    number: str
    name: str
    machine: str
    control_points: tuple[str, ...]
    """Control Point Index (300A,0112) of each."""
    gantry: Floats
    collimator: Floats
    couch: Floats
    """Angles in degrees; NaN where nothing has been said yet."""
    devices: Mapping[str, Device]


@dataclass(frozen=True, slots=True)
class Shift:
    """The greatest move of one leaf or jaw between two versions of a beam."""

    device: str
    row: int
    """Row of the control point in both beams' arrays."""
    bank: int
    """0 is X1 or Y1, 1 is X2 or Y2."""
    pair: int
    """0-based."""
    by: float
    """mm; positive is towards greater coordinates."""


def beams(plan: DataSet) -> list[Beam]:
    """The beams of a plan that have control points. Raises GeometryError for one that nobody would plan."""
    found = []
    for sequence, points, limiting in _KINDS:
        items = plan.items(sequence)
        if len(items) > BEAMS_MAXIMUM:
            raise GeometryError(f"the plan has more than {BEAMS_MAXIMUM} beams")
        for beam in items:
            control_points = beam.items(points)
            if len(control_points) > CONTROL_POINTS_MAXIMUM:
                raise GeometryError(f"a beam has more than {CONTROL_POINTS_MAXIMUM} control points")
            if control_points:
                found.append(_beam(beam, control_points, beam.items(limiting)))
    return found


def greatest_shift(old: Beam, new: Beam) -> Shift | None:
    """The leaf or jaw that moved most, of those that both versions of a beam have; None where none moved.

    Of several that moved as far the one of the earliest control point is taken, and of those in it the leaf pair in
    the middle of them.
    """
    best: Shift | None = None
    for kind, device in new.devices.items():
        by = shifts(old.devices.get(kind), device)
        if by is None or not np.any(by):
            continue
        size = np.abs(by)
        row = int(np.argmax(size.max(axis=(1, 2))))
        top = size[row].max()
        candidates = np.argwhere(size[row] >= top * (1 - 1e-9))
        bank, pair = (
            int(value) for value in candidates[len(candidates[candidates[:, 0] == candidates[0, 0]]) // 2]
        )
        if best is None or top > abs(best.by):
            best = Shift(kind, row, bank, pair, float(by[row, bank, pair]))
    return best


def alike(old: Device, new: Device) -> bool:
    """Whether two devices have the same leaves."""
    return old.pairs == new.pairs and (
        not new.leaves or np.allclose(old.boundaries, new.boundaries, rtol=0, atol=0.01)
    )


def shifts(old: Device | None, new: Device | None) -> Floats | None:
    """By how much each leaf moved, control points by banks by pairs; None where the two can't be set side by side.

    That is where they are not the same leaves: as many of another width are another machine's.
    Control points that only one has are left out at the end; where a position is not known, it counts as not moved.
    """
    if old is None or new is None or not alike(old, new):
        return None
    rows = min(len(old.positions), len(new.positions))
    return np.nan_to_num(new.positions[:rows] - old.positions[:rows], nan=0.0)


def _beam(beam: DataSet, control_points: Sequence[DataSet], limiting: Sequence[DataSet]) -> Beam:
    edges = {
        item.text("RTBeamLimitingDeviceType"): item.numbers("LeafPositionBoundaries") for item in limiting
    }
    said = [_positions(point) for point in control_points]
    kinds = list(dict.fromkeys(kind for positions in said for kind in positions))
    devices = {
        kind: _device(kind, edges.get(kind, np.empty(0)), [positions.get(kind) for positions in said])
        for kind in kinds
    }
    gantry, collimator, couch = (_held(control_points, keyword) for keyword in _ANGLES)
    return Beam(
        number=beam.text("BeamNumber"),
        name=beam.text("BeamName"),
        machine=beam.text("TreatmentMachineName"),
        control_points=tuple(
            point.text("ControlPointIndex") or str(row) for row, point in enumerate(control_points)
        ),
        gantry=gantry,
        collimator=collimator,
        couch=couch,
        devices=devices,
    )


def _positions(point: DataSet) -> dict[str, Floats]:
    return {
        item.text("RTBeamLimitingDeviceType"): item.numbers("LeafJawPositions")
        for item in point.items("BeamLimitingDevicePositionSequence")
    }


def _device(kind: str, boundaries: Floats, said: Sequence[Floats | None]) -> Device:
    counts = {len(positions) for positions in said if positions is not None and len(positions)}
    count = counts.pop() if len(counts) == 1 else 0
    if not count or count % 2:
        raise GeometryError(
            "the positions of jaws or leaves differ in number from control point to control point"
        )
    pairs = count // 2
    if pairs > PAIRS_MAXIMUM:
        raise GeometryError(f"a collimator has more than {PAIRS_MAXIMUM} leaf pairs")
    if kind.startswith("MLC") and (len(boundaries) != pairs + 1 or not np.all(np.diff(boundaries) > 0)):
        raise GeometryError("the boundaries of the leaves are missing or do not fit their number")
    if (
        max(np.abs(values).max(initial=0.0) for values in (boundaries, *said) if values is not None)
        > FARTHEST
    ):
        raise GeometryError("a leaf or jaw is farther from the axis than any room is wide")
    positions = np.full((len(said), 2, pairs), np.nan)
    for row, values in enumerate(said):
        if values is not None and len(values):
            positions[row] = values.reshape(2, pairs)
        elif row:
            positions[row] = positions[row - 1]
    return Device(kind, boundaries, positions)


def _held(control_points: Sequence[DataSet], keyword: str) -> Floats:
    found, last = np.empty(len(control_points)), np.nan
    for row, point in enumerate(control_points):
        value = point.number(keyword)
        found[row] = last = last if value is None else value
    return found
