"""What findings say of pixels and contours, against numbers that come from elsewhere: formulas and numpy."""

from __future__ import annotations

import math
from io import BytesIO
from pathlib import Path
from random import Random

import numpy as np
import pydicom
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mutations import DATA, mutated, pixels, top, written

from vault.compare.findings import contents, volumes
from vault.compare.findings import pixels as measured
from vault.compare.findings.contents import Contents, raw
from vault.compare.findings.volumes import region, surface
from vault.model import AttributeChange

DOSE = DATA / "RTDOSE/f326ebecc34a.dcm"
CT = DATA / "CT/84da2833a324.dcm"
STRUCTURES = DATA / "RTSTRUCT/f358b8ee95f4.dcm"
FILES = [DOSE, CT, STRUCTURES, DATA / "RTIONPLAN/07d1fc0b70b6.dcm", DATA / "RTDOSE/a96cfd3c8d4c.dcm"]


def circle(radius: float, z: float, points: int = 720, at: tuple[float, float] = (0.0, 0.0)) -> np.ndarray:
    turn = np.linspace(0, 2 * np.pi, points, endpoint=False)
    return np.column_stack([at[0] + radius * np.cos(turn), at[1] + radius * np.sin(turn), np.full(points, z)])


def box(x: float, y: float, z: float, at: tuple[float, float] = (0.0, 0.0)) -> np.ndarray:
    (a, b) = at
    return np.array([[a, b, z], [a + x, b, z], [a + x, b + y, z], [a, b + y, z]])


def heights(extent: float, distance: float) -> np.ndarray:
    """Slices that cover an extent around nought, each in the middle of its slab."""
    return np.arange(-extent / 2 + distance / 2, extent / 2, distance)


def test_a_cylinder() -> None:
    found = region([circle(20, z, at=(31.7, -4.3)) for z in heights(60, 2.5)])
    assert found is not None
    assert found.volume == pytest.approx(math.pi * 20**2 * 60 / 1000, rel=1e-4)
    assert found.centre == pytest.approx((31.7, -4.3, 0), abs=1e-6)


def test_a_sphere() -> None:
    radius = 25.0
    slices = [circle(math.sqrt(radius**2 - z**2), z) for z in heights(2 * radius, 1)]
    found = region(slices)
    assert found is not None
    assert found.volume == pytest.approx(4 / 3 * math.pi * radius**3 / 1000, rel=2e-3)


def test_a_box_off_the_grid_in_any_order() -> None:
    slices = [box(30.3, 17.7, z + 0.123, at=(-3.21, 8.9)) for z in heights(21, 3)]
    found = region([*slices[3:], *slices[:3]])
    assert found is not None
    assert found.volume == pytest.approx(30.3 * 17.7 * 21 / 1000, rel=1e-9)
    assert found.centre == pytest.approx((-3.21 + 30.3 / 2, 8.9 + 17.7 / 2, 0.123), abs=1e-9)


def test_a_hole_is_taken_out_and_an_island_in_it_put_back() -> None:
    rings = [
        contour
        for z in heights(10, 2)
        for contour in (circle(30, z), circle(20, z)[::-1], circle(5, z, at=(3, 0)))
    ]
    found = region(rings)
    assert found is not None
    assert found.volume == pytest.approx(math.pi * (30**2 - 20**2 + 5**2) * 10 / 1000, rel=1e-4)


def test_two_parts_of_one_slice_and_another_plane() -> None:
    parts = [part for z in heights(10, 2) for part in (box(10, 10, z), box(10, 10, z, at=(40, 0)))]
    sagittal = [part[:, [2, 0, 1]] for part in parts]
    for drawn, centre in ((parts, (25, 5, 0)), (sagittal, (0, 25, 5))):
        found = region(drawn)
        assert found is not None
        assert found.volume == pytest.approx(2 * 10 * 10 * 10 / 1000)
        assert found.centre == pytest.approx(centre, abs=1e-9)


@pytest.mark.parametrize("grown", [0.0, 0.5, 3.0, -2.0])
def test_outlines_of_circles_lie_apart_by_their_radii_however_many_points_they_have(grown: float) -> None:
    old = [circle(20, z) for z in heights(10, 2)]
    new = [circle(20 + grown, z, points=500) for z in heights(10, 2)]
    assert surface(old, new) == pytest.approx(abs(grown), abs=2e-3)


def test_outlines_moved_gone_and_in_other_planes() -> None:
    old = [box(10, 10, z) for z in heights(10, 2)]
    moved = [box(10, 10, z, at=(3, 0)) for z in heights(10, 2)]
    assert surface(old, moved) == pytest.approx(3)
    assert surface(old, [*old, box(5, 5, 99)]) == 0
    assert surface(old, [*old[1:], circle(3, old[0][0, 2], at=(30, 5))]) == pytest.approx(30 - 3, abs=6)
    assert surface([part[:, [2, 0, 1]] for part in old], [part[:, [2, 0, 1]] for part in moved]) == 0
    huge = [circle(20, 0, points=3000)]
    assert surface(huge, [circle(21, 0, points=3000)]) is None


def test_one_slice_has_a_centre_and_no_volume_and_a_point_has_neither() -> None:
    (one,) = [region([box(10, 10, 5)])]
    assert one is not None
    assert (one.volume, one.centre) == (None, pytest.approx((5, 5, 5)))
    assert region([np.array([[1.0, 2, 3]])]) is None
    assert region([]) is None


@pytest.mark.parametrize("seed", range(3))
def test_dose_statistics_are_those_of_numpy(tmp_path: Path, seed: int) -> None:
    random = np.random.default_rng(seed)
    old = pydicom.dcmread(DOSE)
    places = tuple(random.integers(0, 20, (3, 50)))
    by = random.integers(1, 9000, 50).astype(np.uint16)

    def hotter(stored: np.ndarray) -> None:
        stored[places] += by

    ((severity, text),) = [
        (change.severity, change.findings[0].text) for change in mutated(tmp_path, DOSE, pixels(hotter))
    ]
    before = old.pixel_array * float(old.DoseGridScaling)
    stored = old.pixel_array.copy()
    hotter(stored)
    after = stored * float(old.DoseGridScaling)
    assert severity == "critical"
    assert f"{np.count_nonzero(before != after)} of {before.size} voxels" in text
    assert f"by up to {np.abs(after - before).max():.3f}".rstrip("0") in text
    for name, one, two in (("maximum", before.max(), after.max()), ("mean", before.mean(), after.mean())):
        was, now = (f"{value:.3f}".rstrip("0").rstrip(".") for value in (one, two))
        assert f"{name} {was} → {now} Gy" in text or (was == now and f"{name} {now} Gy as before" in text)


@pytest.mark.parametrize(("slope", "intercept"), [("1", "0"), ("2", "-1024"), ("0.5", "10.25")])
def test_hounsfield_statistics_are_those_of_numpy(tmp_path: Path, slope: str, intercept: str) -> None:
    random = np.random.default_rng(7)
    where = random.random((20, 20)) < 0.3
    by = random.integers(-300, 300, (20, 20)).astype(np.int16)
    by[by == 0] = 1

    def changed(stored: np.ndarray) -> None:
        stored[where] += by[where]

    scaled = top(RescaleSlope=slope, RescaleIntercept=intercept)
    (change,) = mutated(tmp_path, CT, pixels(changed), scaled)
    apart = by[where] * float(slope)
    mean = f"{apart.mean():+.3f}".rstrip("0").rstrip(".")
    assert change.findings[0].text == (
        f"pixel values differ: {where.sum()} of 400 pixels, by {apart.min():g} to +{apart.max():g} HU, "
        f"on average {mean} HU"
    )


def both(old: bytes, new: bytes | None) -> Contents:
    return Contents(lambda: iter([old, new]))


def test_what_cannot_be_read_says_less() -> None:
    good, structures = DOSE.read_bytes(), STRUCTURES.read_bytes()
    short = pydicom.dcmread(DOSE)
    short.PixelData = short.PixelData[:100]
    compressed = (DATA / "RTDOSE/f4e7a3b7aeb3.dcm").read_bytes()
    for other in (b"", b"garbage", good[:600], written(short), compressed, None, structures):
        assert measured.dose(both(good, other)) == measured.image(both(good, other)) == ""
        assert volumes.change(both(good, other), "1") == ""
    assert volumes.change(both(structures, structures), "77") == ""


def test_hostile_numbers_say_less() -> None:
    hostile = pydicom.dcmread(STRUCTURES)
    for contour in hostile.ROIContourSequence[1].ContourSequence:
        contour.ContourData = ["1e308"] * 9
    data = written(hostile).replace(b"1e308", b"nan  ")
    assert raw(data) is not None
    assert "now" not in volumes.change(both(STRUCTURES.read_bytes(), data), "2")
    scaled = pydicom.dcmread(DOSE)
    scaled.DoseGridScaling = "1e300"
    assert isinstance(measured.dose(both(DOSE.read_bytes(), written(scaled))), str)


def test_numbers_of_which_the_normal_form_holds_a_digest() -> None:
    plan = DATA / "RTIONPLAN/07d1fc0b70b6.dcm"
    found, ours = raw(plan.read_bytes()), pydicom.dcmread(plan)
    assert found is not None
    point = ours.IonBeamSequence[2].IonControlPointSequence[0]
    path = "IonBeamSequence[3].IonControlPointSequence[0].ScanSpotPositionMap"
    assert contents.numbers(found, path) == list(point.ScanSpotPositionMap)
    for nowhere in (
        "IonBeamSequence[9].IonControlPointSequence[0].ScanSpotPositionMap",
        "IonBeamSequence[3].BeamName",
        "BeamName[x].Y",
        "PatientName",
        "",
    ):
        assert contents.numbers(found, nowhere) == []


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(FILES), st.randoms(use_true_random=False))
def test_whatever_was_damaged_is_measured_or_left(file: Path, random: Random) -> None:
    good = file.read_bytes()
    damaged = bytearray(good)
    for _ in range(random.randint(1, 30)):
        damaged[random.randrange(len(damaged))] = random.randrange(256)
    found = both(
        good, bytes(damaged[: random.randrange(1, len(damaged))] if random.random() < 0.3 else damaged)
    )
    assert all(isinstance(said, str) for said in (measured.dose(found), measured.image(found)))
    assert all(isinstance(volumes.change(found, str(number)), str) for number in (1, 2, 4))
    path = "IonBeamSequence[1].IonControlPointSequence[0].ScanSpotPositionMap"
    change = AttributeChange(path, "", "", "FL", f"9{contents.DIGEST}0", f"9{contents.DIGEST}1")
    assert found.written_out(change).path == path


def test_raw_values() -> None:
    found = raw(DOSE.read_bytes())
    assert found is not None
    assert (found.number(0x00280010), found.text(0x30040002)) == (20, "GY")
    assert found.decimal(0x3004000E) == pytest.approx(0.00038274088486)
    assert (found.decimal(0x00281053, 1.0), found.number(0x00080060), found.text(0x00100000)) == (
        1.0,
        None,
        "",
    )
    assert contents.raw(BytesIO(b"x" * 500).getvalue()) is None
