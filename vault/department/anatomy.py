"""Disease sites: the phantom, the prescription and the technique that the rest of a patient follows from.

Coordinates are DICOM patient coordinates in mm for a patient lying head first supine (PS3.3 C.7.6.2.1.1): x to the
patient's left, y to the back, z to the head. The origin is the isocentre of the scan, not of the plan.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Organ:
    """An ellipsoid with a name, or an elliptic cylinder along z where `radii[2]` is 0."""

    name: str
    interpreted_type: str
    """RT ROI Interpreted Type (3006,00A4): EXTERNAL, PTV or ORGAN."""
    centre: tuple[float, float, float]
    radii: tuple[float, float, float]
    hounsfield: int
    colour: tuple[int, int, int]

    def scale(self, z: float) -> float:
        """How large the cross-section at `z` is against the equator's: 1 to 0, and 0 outside."""
        if not self.radii[2]:
            return 1.0
        return float(np.sqrt(max(0.0, 1.0 - ((z - self.centre[2]) / self.radii[2]) ** 2)))

    def inside(self, x: Floats, y: Floats, z: float) -> NDArray[np.bool_]:
        """Which of the points (x, y) of the plane at `z` lie in the organ."""
        scale = self.scale(z)
        if not scale:
            return np.zeros(np.broadcast(x, y).shape, dtype=bool)
        across = (x - self.centre[0]) / (self.radii[0] * scale)
        down = (y - self.centre[1]) / (self.radii[1] * scale)
        return np.asarray(across**2 + down**2 <= 1.0)


@dataclass(frozen=True, slots=True)
class Site:
    """What a department does for one disease: anatomy, prescription, technique."""

    name: str
    plan_label: str
    body_part: str
    """Body Part Examined (0018,0015), a defined term of PS3.16 Annex L."""
    laterality: str | None
    """Laterality (0020,0060) where the body part is one of a pair."""
    organs: tuple[Organ, ...]
    """BODY first, PTV second, then the organs at risk."""
    dose_per_fraction: float
    """Gy."""
    fractions: int
    technique: str
    """`VMAT` or `IMRT` (sliding window)."""
    energy: int
    """Nominal beam energy in MV."""
    meterset: tuple[float, float]
    """Monitor units of the two beams."""
    gantry: tuple[tuple[float, float], tuple[float, float]]
    """Start and stop angle of the two beams in degrees (IEC 61217)."""

    @property
    def ptv(self) -> Organ:
        """The target."""
        return self.organs[1]


def _body(across: float, down: float) -> Organ:
    return Organ("BODY", "EXTERNAL", (0.0, 0.0, 0.0), (across, down, 0.0), 20, (0, 255, 0))


def _ptv(centre: tuple[float, float, float], radii: tuple[float, float, float], hounsfield: int) -> Organ:
    return Organ("PTV", "PTV", centre, radii, hounsfield, (255, 0, 0))


def _risk(
    name: str, centre: tuple[float, float, float], radii: tuple[float, float, float], hounsfield: int
) -> Organ:
    return Organ(name, "ORGAN", centre, radii, hounsfield, (0, 128, 255))


_ARCS = ((181.0, 179.0), (179.0, 181.0))

PROSTATE = Site(
    name="prostate",
    plan_label="PROSTATE_1A",
    body_part="PROSTATE",
    laterality=None,
    organs=(
        _body(175.0, 115.0),
        _ptv((0.0, 10.0, 0.0), (32.0, 28.0, 30.0), 45),
        _risk("Rectum", (0.0, 52.0, 0.0), (16.0, 15.0, 48.0), 15),
        _risk("Bladder", (0.0, -30.0, 22.0), (34.0, 24.0, 26.0), 5),
    ),
    dose_per_fraction=3.0,
    fractions=20,
    technique="VMAT",
    energy=10,
    meterset=(312.4, 298.7),
    gantry=_ARCS,
)

BREAST = Site(
    name="breast",
    plan_label="BREAST_L",
    body_part="BREAST",
    laterality="L",
    organs=(
        _body(165.0, 110.0),
        _ptv((85.0, -62.0, 0.0), (42.0, 22.0, 45.0), -20),
        _risk("Heart", (30.0, -15.0, -18.0), (40.0, 35.0, 36.0), 40),
        _risk("Lung_L", (80.0, 15.0, 5.0), (45.0, 52.0, 52.0), -720),
    ),
    dose_per_fraction=2.67,
    fractions=15,
    technique="IMRT",
    energy=6,
    meterset=(141.8, 137.2),
    gantry=((305.0, 305.0), (130.0, 130.0)),
)

LUNG = Site(
    name="lung",
    plan_label="LUNG_R",
    body_part="LUNG",
    laterality="R",
    organs=(
        _body(170.0, 112.0),
        _ptv((-72.0, -5.0, 8.0), (24.0, 22.0, 24.0), 10),
        _risk("SpinalCord", (0.0, 62.0, 0.0), (8.0, 8.0, 0.0), 30),
        _risk("Lung_R", (-80.0, 0.0, 0.0), (55.0, 68.0, 54.0), -740),
    ),
    dose_per_fraction=2.0,
    fractions=33,
    technique="VMAT",
    energy=6,
    meterset=(238.9, 251.3),
    gantry=_ARCS,
)

HEAD_AND_NECK = Site(
    name="head and neck",
    plan_label="HN_OROPHARYNX",
    body_part="HEADNECK",
    laterality=None,
    organs=(
        _body(85.0, 105.0),
        _ptv((-12.0, -12.0, 0.0), (38.0, 32.0, 44.0), 50),
        _risk("SpinalCord", (0.0, 48.0, 0.0), (7.0, 7.0, 0.0), 30),
        _risk("Parotid_R", (-56.0, 12.0, 22.0), (13.0, 18.0, 22.0), 35),
    ),
    dose_per_fraction=2.12,
    fractions=33,
    technique="VMAT",
    energy=6,
    meterset=(376.5, 361.0),
    gantry=_ARCS,
)

SITES = (PROSTATE, BREAST, LUNG, HEAD_AND_NECK)
