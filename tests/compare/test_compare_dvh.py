"""Volumes and dose-volume histograms against shapes and doses whose answers are known on paper."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from vault.compare.dvh import area, coverage, histogram, slabs, volume
from vault.compare.geometry import GeometryError
from vault.compare.geometry.grids import Grid

Points = NDArray[np.float64]


def circle(radius: float, centre: tuple[float, float] = (0.0, 0.0), corners: int = 360) -> Points:
    angles = np.linspace(0, 2 * np.pi, corners, endpoint=False)
    # corners a little outside, so that the polygon's area is the circle's
    outer = radius * math.sqrt(2 * math.pi / corners / math.sin(2 * math.pi / corners))
    return np.column_stack((centre[0] + outer * np.cos(angles), centre[1] + outer * np.sin(angles)))


def rectangle(left: float, front: float, right: float, back: float) -> Points:
    return np.array([(left, front), (right, front), (right, back), (left, back)])


def stacked(heights: Sequence[float], polygons: Callable[[float], list[Points]]) -> dict[float, list[Points]]:
    return {float(z): found for z in heights if (found := polygons(float(z)))}


def sphere(
    radius: float, step: float, centre: tuple[float, float, float] = (0.0, 0.0, 0.0)
) -> dict[float, list[Points]]:
    """Contours in the middle of slices that divide the sphere evenly."""
    count = round(2 * radius / step)
    heights = centre[2] - radius + step * (np.arange(count) + 0.5)
    return stacked(heights, lambda z: [circle(math.sqrt(radius**2 - (z - centre[2]) ** 2), centre[:2])])


def linear(
    gradient: tuple[float, float, float], offset: float, pitch: float = 2.5, reach: float = 60.0
) -> Grid:
    """A dose that rises linearly: offset + gradient · position, in Gy, on a grid that is off the shapes."""
    axes = [np.arange(-reach - shift, reach + pitch, pitch) for shift in (0.3, 0.7, 0.9)]
    x, y, z = axes
    values = (
        offset
        + gradient[0] * x[None, None, :]
        + gradient[1] * y[None, :, None]
        + gradient[2] * z[:, None, None]
    )
    return Grid(values, x, y, z, 1.0, 0.0, "Gy")


@pytest.mark.parametrize(("radius", "step"), [(30.0, 3.0), (25.0, 2.5), (10.0, 1.0), (5.0, 1.0)])
def test_a_sphere(radius: float, step: float) -> None:
    found = volume(sphere(radius, step, (12.3, -7.7, 101.1)))
    exact = 4 / 3 * math.pi * radius**3 / 1000
    # the slabs themselves are π·step²·radius/6 more than the sphere
    assert found.cubic_centimetres == pytest.approx(exact + math.pi * step**2 * radius / 6000, rel=1e-3)
    assert found.cubic_centimetres == pytest.approx(exact, rel=0.011)
    assert found.centre == pytest.approx((12.3, -7.7, 101.1), abs=0.02)
    assert found.gaps == 0


@pytest.mark.parametrize("slices", [2, 3, 10])
def test_a_cylinder_reaches_half_a_slice_beyond_its_ends(slices: int) -> None:
    heights = 3.0 * np.arange(slices)
    found = volume(stacked(heights, lambda z: [circle(20.0)]))
    assert found.cubic_centimetres == pytest.approx(math.pi * 400 * 3 * slices / 1000, rel=1e-3)
    assert found.centre[2] == pytest.approx(1.5 * (slices - 1), abs=1e-6)


@given(
    st.floats(-300, 300),
    st.floats(-300, 300),
    st.floats(-900, 900),
    st.floats(0.7, 90),
    st.floats(0.7, 90),
    st.integers(2, 12),
    st.floats(0.5, 5),
)
@settings(max_examples=60)
def test_a_box_anywhere_off_the_grid_is_exact(
    x: float, y: float, z: float, width: float, depth: float, slices: int, step: float
) -> None:
    box = stacked(z + step * np.arange(slices), lambda _: [rectangle(x, y, x + width, y + depth)])
    found = volume(box)
    assert found.cubic_centimetres == pytest.approx(width * depth * step * slices / 1000, rel=1e-6)
    assert found.centre == pytest.approx(
        (x + width / 2, y + depth / 2, z + step * (slices - 1) / 2), abs=1e-4
    )


def test_a_box_turned_by_45_degrees() -> None:
    diamond = np.array([(0, -20), (20, 0), (0, 20), (-20, 0)], dtype=np.float64)
    assert area([diamond]) == pytest.approx(800, rel=1e-3)


def test_a_cone() -> None:
    height, radius, step = 60.0, 24.0, 2.0
    heights = step * (np.arange(30) + 0.5)
    cone = stacked(heights, lambda z: [circle(radius * (1 - z / height))])
    found = volume(cone)
    assert found.cubic_centimetres == pytest.approx(math.pi * radius**2 * height / 3000, rel=2e-3)
    assert found.centre[2] == pytest.approx(height / 4, abs=0.05)


def test_a_hole_is_not_inside_and_what_is_in_the_hole_is() -> None:
    ring = [circle(30.0), circle(20.0), circle(5.0)]
    expected = math.pi * (900 - 400 + 25)
    assert area(ring) == pytest.approx(expected, rel=1e-3)
    assert area(list(reversed(ring))) == pytest.approx(expected, rel=1e-3)
    turned = [ring[0], ring[1][::-1], ring[2]]
    assert area(turned) == pytest.approx(expected, rel=1e-3)
    assert volume({0.0: ring, 3.0: ring}).cubic_centimetres == pytest.approx(expected * 6 / 1000, rel=1e-3)


def test_a_keyhole_is_the_same_as_a_hole() -> None:
    """One contour that runs in to the hole, round it and out again."""
    outer, inner = circle(30.0, corners=720), circle(20.0, corners=720)[::-1]
    keyhole = np.concatenate((outer, outer[:1], inner[-1:], inner))
    assert area([keyhole]) == pytest.approx(area([outer, inner]), rel=1e-3)


def test_two_parts_on_one_slice_are_both_counted() -> None:
    parts = [rectangle(0, 0, 10, 10), rectangle(100, 40, 110, 45)]
    assert area(parts) == pytest.approx(150, rel=2e-2)


def test_contours_at_uneven_distances_meet_half_way() -> None:
    assert [slab.thickness for slab in slabs([0, 3, 6, 10])] == [3, 3, 3.5, 4]


def test_a_contour_taken_out_of_the_middle_is_volume_that_is_missing() -> None:
    heights = [z for z in range(0, 30, 3) if z != 15]
    whole, cut = (volume(stacked(z, lambda _: [circle(20.0)])) for z in (range(0, 30, 3), heights))
    assert (whole.gaps, cut.gaps) == (0, 1)
    assert cut.cubic_centimetres == pytest.approx(whole.cubic_centimetres * 9 / 10, rel=1e-9)


def test_one_plane_needs_to_be_told_its_thickness() -> None:
    with pytest.raises(GeometryError, match="one plane only"):
        volume({5.0: [circle(10.0)]})
    assert volume({5.0: [circle(10.0)]}, single=2.0).cubic_centimetres == pytest.approx(
        0.2 * math.pi, rel=1e-3
    )


def test_what_encloses_nothing_is_refused() -> None:
    line = np.array([(0.0, 0.0), (10.0, 0.0), (5.0, 0.0)])
    with pytest.raises(GeometryError, match="no volume"):
        volume({0.0: [line], 3.0: [line]})
    with pytest.raises(GeometryError, match="no contours"):
        volume({})


def test_cells_that_are_partly_inside_count_partly() -> None:
    axis = np.arange(-19.5, 20.0)
    covered = coverage([rectangle(-10.25, -5.0, 10.5, 5.0)], axis, axis)
    assert covered.sum() == pytest.approx(20.75 * 10)
    assert covered[20, 9] == pytest.approx(0.25)
    assert covered[20, 30] == pytest.approx(0.5)
    assert covered[20, 10:30] == pytest.approx(1.0)


# --- dose


def test_a_uniform_dose_is_a_step() -> None:
    found = histogram(sphere(20.0, 2.0), linear((0, 0, 0), 2.0))
    assert found.mean == pytest.approx(2.0)
    assert (found.least, found.greatest) == pytest.approx((2.0, 2.0))
    assert found.share_of(1.99) == pytest.approx(1.0)
    assert found.outside == 0
    assert found.cubic_centimetres == pytest.approx(volume(sphere(20.0, 2.0)).cubic_centimetres, rel=1e-3)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_linear_dose_in_a_box_is_a_straight_line(axis: int) -> None:
    """Dose rises from end to end: the share that gets at least d falls linearly from 1 to 0."""
    box = stacked(np.arange(-18.5, 20, 1.0), lambda _: [rectangle(-20, -20, 20, 20)])
    low, high = -19.0 - (axis != 2), 20.0  # half a slice beyond the first and the last contour
    gradient = [0.0, 0.0, 0.0]
    gradient[axis] = 0.5
    found = histogram(box, linear((gradient[0], gradient[1], gradient[2]), 40.0))
    least, most = 40 + 0.5 * low, 40 + 0.5 * high
    for share in (0.05, 0.25, 0.5, 0.75, 0.95):
        exact = least + (most - least) * (1 - share)
        assert found.dose_to(share) == pytest.approx(exact, abs=0.26)  # half a sample, at 0.5 Gy/mm
        assert found.share_of(exact) == pytest.approx(share, abs=0.015)
    assert found.mean == pytest.approx((least + most) / 2, abs=0.02)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_linear_dose_in_a_sphere_is_a_cubic(axis: int) -> None:
    """The share beyond a plane at height h is that of a spherical cap: (2 - 3t + t³) / 4 with t = h / radius."""
    radius = 30.0
    gradient = [0.0, 0.0, 0.0]
    gradient[axis] = 1.0
    found = histogram(sphere(radius, 1.5), linear((gradient[0], gradient[1], gradient[2]), 70.0))
    for t in (-0.8, -0.4, 0.0, 0.4, 0.8):
        exact = (2 - 3 * t + t**3) / 4
        assert found.share_of(70.0 + t * radius) == pytest.approx(exact, abs=0.01)
    assert found.mean == pytest.approx(70.0, abs=0.05)
    assert (found.least, found.greatest) == pytest.approx((40.0, 100.0), abs=1.2)


def test_a_linear_dose_in_a_cylinder_with_a_hole() -> None:
    """Dose that rises along the axis does not notice the hole."""
    ring = stacked(np.arange(-20, 20.1, 2.0), lambda _: [circle(20.0), circle(10.0)])
    found = histogram(ring, linear((0, 0, 1.0), 60.0))
    assert found.cubic_centimetres == pytest.approx(math.pi * 300 * 42 / 1000, rel=2e-3)
    assert found.dose_to(0.5) == pytest.approx(60.0, abs=0.6)


def test_what_lies_outside_of_the_dose_gets_none_and_is_said() -> None:
    box = stacked(np.arange(-30, 31, 3.0), lambda _: [rectangle(40.0, -10, 80.0, 10)])
    grid = linear((0, 0, 0), 5.0, reach=60.0)
    found = histogram(box, grid)
    share = (80.0 - grid.x[-1]) / 40.0
    assert found.outside == pytest.approx(share, abs=0.02)
    assert found.share_of(4.9) == pytest.approx(1 - share, abs=0.02)
    assert found.least == 0.0


@given(
    st.floats(3, 25),
    st.floats(-20, 20),
    st.floats(-20, 20),
    st.floats(-0.5, 0.5),
    st.floats(-0.5, 0.5),
    st.integers(2, 9),
)
@settings(max_examples=30)
def test_every_histogram_is_monotone_within_its_bounds_and_of_the_whole_volume(
    radius: float, x: float, y: float, across: float, along: float, slices: int
) -> None:
    region = stacked(3.0 * np.arange(slices), lambda _: [circle(radius, (x, y), 48)])
    dose = linear((across, 0.1, along), 60.0)
    found = histogram(region, dose, samples=4000)
    assert (np.diff(found.volumes) <= 1e-12).all()
    assert found.least - 1e-9 <= found.mean <= found.greatest + 1e-9
    assert found.greatest <= dose.stored.max() + 1e-9
    assert found.cubic_centimetres == pytest.approx(volume(region).cubic_centimetres, rel=5e-3)
    assert found.cubic_centimetres <= (2 * radius) ** 2 * 3 * slices / 1000 * 1.01


@given(st.floats(-400, 400), st.floats(-400, 400), st.floats(-1000, 1000))
@settings(max_examples=25)
def test_moving_region_and_dose_together_changes_nothing(x: float, y: float, z: float) -> None:
    region, dose = sphere(15.0, 3.0), linear((0.3, -0.2, 0.4), 60.0, pitch=4.0, reach=30.0)
    moved = {
        height + z: [points + np.array((x, y)) for points in polygons] for height, polygons in region.items()
    }
    there = Grid(dose.stored, dose.x + x, dose.y + y, dose.z + z, 1.0, 0.0, "Gy")
    here, gone = histogram(region, dose, samples=3000), histogram(moved, there, samples=3000)
    assert gone.cubic_centimetres == pytest.approx(here.cubic_centimetres, rel=1e-6)
    assert gone.mean == pytest.approx(here.mean, rel=1e-4)
    assert gone.dose_to(0.95) == pytest.approx(here.dose_to(0.95), abs=0.1)


def test_a_million_points_that_cross_themselves_are_refused_in_time() -> None:
    zigzag = np.column_stack((np.arange(1_000_000.0) % 400, np.arange(1_000_000.0) % 2 * 300))
    with pytest.raises(GeometryError, match="cross themselves"):
        area([zigzag])
