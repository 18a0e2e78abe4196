"""What a plan delivers, as numbers: beams, control points, leaves. `plan` and `record` write it down as DICOM.

Angles are in degrees and positions in mm at the isocentre, IEC 61217. The leaf bank of a control point has 120
values: the 60 leaves of the X1 side, then the 60 of the X2 side, as in Leaf/Jaw Positions (300A,011C).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from vault.department.anatomy import Floats, Organ
from vault.department.patients import Patient

LEAVES = 60
"""Leaf pairs of MLCX."""

BOUNDARIES: Floats = np.concatenate(
    (np.arange(-200, -100, 10), np.arange(-100, 100, 5), np.arange(100, 201, 10))
).astype(np.float64)
"""The 61 edges of the leaves: ten of 10 mm, forty of 5 mm, ten of 10 mm."""

_MIDDLES: Floats = (BOUNDARIES[:-1] + BOUNDARIES[1:]) / 2
_MARGIN = 6.0
_REVISED_METERSET = 1.043
_COLLIMATOR = (30.0, 330.0)


@dataclass(frozen=True, slots=True, eq=False)
class Beam:
    """One beam; the arrays have a row for each control point."""

    number: int
    name: str
    gantry: Floats
    collimator: float
    meterset: float
    """Monitor units."""
    weights: Floats
    """Cumulative meterset weight, 0 to 1."""
    jaws_x: tuple[float, float]
    jaws_y: tuple[float, float]
    leaves: Floats
    """Control points by 120."""

    @property
    def arc(self) -> str:
        """Gantry Rotation Direction (300A,011F) while the beam is on: CW, CC or NONE."""
        if self.gantry[0] == self.gantry[-1]:
            return "NONE"
        return "CW" if (self.gantry[1] - self.gantry[0]) % 360 < 180 else "CC"


@dataclass(frozen=True, slots=True, eq=False)
class PlanModel:
    """A plan of a patient; `revision` 0 is the first."""

    patient: Patient
    revision: int
    beams: tuple[Beam, ...]

    @property
    def uid(self) -> str:
        """SOP Instance UID of the plan."""
        return self.patient.uid("plan", self.revision)

    @property
    def label(self) -> str:
        """RT Plan Label (300A,0002); a revision has a suffix."""
        label = self.patient.site.plan_label
        return f"{label}:{self.revision}" if self.revision else label


@lru_cache(maxsize=8)
def original(patient: Patient) -> PlanModel:
    """Return the plan that the patient starts treatment with."""
    return PlanModel(patient, 0, tuple(_beam(patient, index) for index in range(2)))


def revised(plan: PlanModel) -> PlanModel:
    """Return the next revision of a plan: every beam with more monitor units, all else as it was."""
    beams = tuple(replace(beam, meterset=round(beam.meterset * _REVISED_METERSET, 1)) for beam in plan.beams)
    return PlanModel(plan.patient, plan.revision + 1, beams)


TAMPERED_BEAM = 2
"""Beam Number of the beam that `tampered` touches."""

TAMPER_SHIFT = -5.0
"""By how much `tampered` moves the X1 bank, in mm: the aperture opens."""


def tampered_control_point(patient: Patient) -> int:
    """Control Point Index of the control point that `tampered` touches."""
    return patient.scale.control_points // 2


def tampered(plan: PlanModel) -> PlanModel:
    """Return the same plan with the X1 leaf bank shifted in one control point of one beam, and nothing else."""
    beams = list(plan.beams)
    beam = beams[TAMPERED_BEAM - 1]
    leaves = beam.leaves.copy()
    leaves[tampered_control_point(plan.patient), :LEAVES] += TAMPER_SHIFT
    beams[TAMPERED_BEAM - 1] = replace(beam, leaves=leaves)
    return replace(plan, beams=tuple(beams))


def _beam(patient: Patient, index: int) -> Beam:
    site = patient.site
    count = patient.scale.control_points
    arc = site.technique == "VMAT"
    start, stop = site.gantry[index]
    sweep = (stop - start if stop > start else stop - start + 360) if index == 0 else -((start - stop) % 360)
    gantry = np.round((start + sweep * np.linspace(0, 1, count)) % 360 if arc else np.full(count, start), 1)
    collimator = _COLLIMATOR[index] if arc else 0.0
    random = np.random.default_rng(patient.number_of("beam", index))
    leaves = (
        _arc_leaves(site.ptv, gantry, collimator, random) if arc else _window_leaves(site.ptv, gantry, random)
    )
    open_pairs = np.any(leaves[:, LEAVES:] - leaves[:, :LEAVES] > 0, axis=0)
    return Beam(
        number=index + 1,
        name=f"{index + 1}-{'ARC' if arc else 'TANG'}",
        gantry=gantry,
        collimator=collimator,
        meterset=site.meterset[index],
        weights=_weights(count, random if arc else None),
        jaws_x=(float(np.floor(leaves.min()) - 1), float(np.ceil(leaves.max()) + 1)),
        jaws_y=(float(BOUNDARIES[:-1][open_pairs].min()), float(BOUNDARIES[1:][open_pairs].max())),
        leaves=leaves,
    )


def _weights(count: int, random: np.random.Generator | None) -> Floats:
    """Cumulative meterset weights: even for a sliding window, uneven for an arc."""
    steps = random.uniform(0.7, 1.3, count - 1) if random else np.ones(count - 1)
    weights = np.concatenate(([0.0], np.cumsum(steps)))
    return np.asarray(np.round(weights / weights[-1], 6))


def _outline(ptv: Organ, gantry: float, collimator: float) -> tuple[Floats, Floats, NDArray[np.bool_]]:
    """The target as the beam sees it, with a margin: left and right edge for each leaf, and which leaves see it.

    The target is an ellipse of half width `across` and half height `along` seen through a turned collimator; its
    edges are the two roots of a quadratic in x.
    """
    turn, tilt = np.radians(gantry), np.radians(collimator)
    across = np.hypot(ptv.radii[0] * np.cos(turn), ptv.radii[1] * np.sin(turn)) + _MARGIN
    along = ptv.radii[2] + _MARGIN
    cosine, sine = np.cos(tilt), np.sin(tilt)
    a = (cosine / across) ** 2 + (sine / along) ** 2
    b = 2 * _MIDDLES * sine * cosine * (1 / along**2 - 1 / across**2)
    c = _MIDDLES**2 * ((sine / across) ** 2 + (cosine / along) ** 2) - 1
    root = b**2 - 4 * a * c
    seen = root > 0
    half = np.sqrt(np.where(seen, root, 0.0)) / (2 * a)
    middle = np.where(seen, -b / (2 * a), 0.0)
    return middle - half, middle + half, seen


def _bank(left: Floats, right: Floats, seen: NDArray[np.bool_]) -> Floats:
    """One control point's 120 positions; leaves that see nothing are closed on the axis."""
    return np.round(np.concatenate((np.where(seen, left, 0.0), np.where(seen, right, 0.0))), 1)


def _arc_leaves(ptv: Organ, gantry: Floats, collimator: float, random: np.random.Generator) -> Floats:
    """Apertures of an arc: the target's outline, each side drawn in by a smoothly changing part of its width."""
    phases = random.uniform(0, 2 * np.pi, (2, LEAVES))
    banks = []
    for index, angle in enumerate(gantry):
        left, right, seen = _outline(ptv, float(angle), collimator)
        drawn_in = (right - left) * 0.35 * (0.5 + 0.5 * np.sin(phases + index * 0.45))
        banks.append(_bank(left + drawn_in[0], right - drawn_in[1], seen))
    return np.array(banks)


def _window_leaves(ptv: Organ, gantry: Floats, random: np.random.Generator) -> Floats:
    """A sliding window over the target: the leading leaf arrives as the trailing one has most of its way to go."""
    early = random.uniform(0.25, 0.40, LEAVES)
    banks = []
    for part, angle in zip(np.linspace(0, 1, len(gantry)), gantry, strict=True):
        left, right, seen = _outline(ptv, float(angle), 0.0)
        leading = left + (right - left) * np.minimum(1.0, part / (1 - early))
        trailing = left + (right - left) * np.maximum(0.0, (part - early) / (1 - early))
        banks.append(_bank(trailing, leading, seen))
    return np.array(banks)
