from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from picture_kit import Nights, data, mutated, patient
from pydicom.dataset import Dataset, FileDataset

from vault.compare.geometry.datasets import read
from vault.compare.geometry.grids import PLANES_MAXIMUM, Grid, dose, image
from vault.department.beams import original
from vault.department.ct import ct_slice
from vault.department.dose import dose_object
from vault.report.pictures import Picture, of_grids, pictures_for
from vault.report.pictures.planes import difference, draw, scales, spread
from vault.report.pictures.sources import Sources


def grid(values: np.ndarray, unit: str = "Gy", pitch: float = 2.0, start: float = 0.0) -> Grid:
    axes = [start + pitch * np.arange(size, dtype=np.float64) for size in values.shape]
    return Grid(values, axes[2], axes[1], axes[0], 1.0, 0.0, unit)


def test_the_point_and_the_values_of_greatest_difference() -> None:
    before = np.full((5, 6, 7), 10.0)
    after = before.copy()
    after[3, 2, 4], after[1, 1, 1] = 17.5, 8.0
    found = difference(grid(before), grid(after))
    assert found is not None
    assert found.point == (8.0, 4.0, 6.0)
    assert found.values == (10.0, 17.5)
    assert found.maxima == (10.0, 17.5)
    assert found.changed == pytest.approx(2 / before.size)
    assert found.greatest == "greatest difference +7.50 Gy (10.00 → 17.50 Gy) at x 8.0, y 4.0, z 6.0 mm"
    axial, coronal, sagittal = found.planes
    assert np.array_equal(axial.difference, after[3] - before[3])
    assert np.array_equal(coronal.difference, (after - before)[::-1, 2, :])  # the head is at the top
    assert np.array_equal(sagittal.difference, (after - before)[::-1, :, 4])
    assert [plane.named for plane in found.planes] == ["RLAP", "RLHF", "APHF"]
    assert (coronal.down[0], coronal.down[-1]) == (8.0, 0.0)


def test_grids_that_lie_elsewhere_are_compared_where_both_have_values() -> None:
    ramp = np.arange(10.0)[None, None, :] + np.zeros((4, 5, 10))
    same = difference(grid(ramp), grid(ramp))
    assert same is None
    later = grid(ramp, start=1.0)  # half a voxel on: what lay at x is half a unit more
    found = difference(grid(ramp), later)
    assert found is not None
    assert found.values[1] - found.values[0] == pytest.approx(-0.5)
    apart = found.planes[0].difference
    assert np.isnan(apart[:, -1]).all()
    assert draw(found, "moved").startswith(b"\x89PNG")
    assert difference(grid(ramp), grid(ramp + 1, start=100.0)) is None


def test_the_same_difference_is_the_same_bytes() -> None:
    rng = np.random.default_rng(1)
    found = difference(grid(rng.random((4, 9, 8))), grid(rng.random((4, 9, 8))))
    assert found is not None
    assert draw(found, "title") == draw(found, "title")


@pytest.mark.parametrize("shape", [(1, 1, 1), (2, 1, 300), (200, 2, 2), (1, 400, 400)])
def test_grids_of_any_shape_are_drawn(shape: tuple[int, int, int]) -> None:
    found = difference(grid(np.zeros(shape)), grid(np.ones(shape)))
    assert found is not None
    assert draw(found, "title").startswith(b"\x89PNG")


def pictures(folder: Path, before: bytes, after: bytes) -> list[Picture]:
    nights = Nights(folder, [before], [after])
    (change,) = nights.changes
    return pictures_for(nights.repository, nights.old, nights.new, change)


def test_a_dose_of_which_some_voxels_were_raised(tmp_path: Path) -> None:
    before = data(dose_object(original(patient())))

    def raise_some(dataset: Dataset) -> None:
        values = dataset.pixel_array.copy()
        values[8, 10, 5:7] -= 4000
        dataset.PixelData = values.tobytes()

    after = mutated(before, raise_some)
    grids = [dose(read(one)) for one in (before, after)]
    expected = 4000 * grids[0].slope
    (picture,) = pictures(tmp_path, before, after)
    assert picture.drawn
    assert f"greatest difference \N{MINUS SIGN}{expected:.2f} Gy" in picture.caption
    assert f"at x {grids[0].x[5]:.1f}".replace("-", "\N{MINUS SIGN}") in picture.caption
    assert "under 0.1 % of the voxels differ" in picture.caption


def test_a_slice_with_other_pixels_is_shown_in_hounsfield_units(tmp_path: Path) -> None:
    before = data(ct_slice(patient(), 4))

    def paint(dataset: Dataset) -> None:
        values = dataset.pixel_array.copy()
        values[30:34, 40:44] += 500
        dataset.PixelData = values.tobytes()

    (picture,) = pictures(tmp_path, before, mutated(before, paint))
    assert picture.title == "Image before, after and difference"
    assert "greatest difference +500 HU" in picture.alt_text


def test_a_dose_that_can_not_be_drawn_is_a_sentence(tmp_path: Path) -> None:
    before = data(dose_object(original(patient())))

    def cut(dataset: Dataset) -> None:
        dataset.Rows = 30000

    (picture,) = pictures(tmp_path, before, mutated(before, cut))
    assert not picture.drawn
    assert picture.caption == "No picture: the object has fewer pixels than it says."


def test_a_header_alone_that_changes_shows_nothing(tmp_path: Path) -> None:
    before = data(dose_object(original(patient())))

    def comment(dataset: Dataset) -> None:
        dataset.DoseComment = "x"

    assert pictures(tmp_path, before, mutated(before, comment)) == []


def test_a_slice_is_shown_across_its_neighbours_too(tmp_path: Path) -> None:
    slices = [data(ct_slice(patient(), index)) for index in range(2, 9)]

    def paint(dataset: Dataset) -> None:
        dataset.PixelData = (dataset.pixel_array + 100).tobytes()

    nights = Nights(tmp_path, slices, [mutated(slices[3], paint)])
    (change,) = nights.changes
    sources = Sources(nights.repository, nights.old, nights.new, change)
    old, new = (image(side) for side in sources.pair())
    around = of_grids._around(sources, old, new)
    assert around is not None
    heights = [patient().scale.z(index) for index in range(2, 9)]
    assert around[1].z == pytest.approx(heights)
    found = difference(old, new, around)
    assert found is not None
    assert found.point[2] == pytest.approx(heights[3])
    coronal = found.planes[1].difference
    assert (coronal[3] == 100).all()  # 3 from the top is 3 from the bottom
    assert not np.delete(coronal, 3, axis=0).any()
    (picture,) = pictures_for(nights.repository, nights.old, nights.new, change)
    assert picture.drawn
    assert "6 slices on either side" in picture.caption


def test_an_image_that_is_not_axial_is_shown_in_its_own_plane(tmp_path: Path) -> None:
    def turn(dataset: Dataset) -> None:
        dataset.ImageOrientationPatient = [0, 1, 0, 0, 0, -1]
        dataset.Modality = "MR"

    def paint(dataset: Dataset) -> None:
        values = dataset.pixel_array.copy()
        values[30, 40] += 500
        dataset.PixelData = values.tobytes()

    before = mutated(data(ct_slice(patient(), 4)), turn)
    (picture,) = pictures(tmp_path, before, mutated(before, paint))
    pixel = patient().scale.pixel
    assert picture.drawn
    assert "+500 stored values" in picture.caption
    assert f"at x {40 * pixel:.1f}, y {30 * pixel:.1f} mm from its first pixel" in picture.caption


def test_planes_that_are_not_evenly_apart_are_drawn_where_they_lie() -> None:
    """A picture has rows of one height: planes at 0, 3, 6, 60 and 63 mm are not five of them."""
    before = np.zeros((5, 4, 4))
    after = before.copy()
    after[3, 1, 2] = 5.0
    heights = np.array([0.0, 3.0, 6.0, 60.0, 63.0])
    grids = [replace(grid(values), z=heights) for values in (before, after)]
    found = difference(*grids)
    assert found is not None
    for plane in found.planes[1:]:
        assert np.allclose(np.diff(plane.down), -3.0)
        row, column = np.unravel_index(np.nanargmax(plane.difference), plane.difference.shape)
        assert (plane.across[column], plane.down[row]) == pytest.approx(plane.point)


def test_differences_that_are_small_or_all_alike_are_told_as_they_are() -> None:
    small = difference(grid(np.full((2, 3, 3), 0.001)), grid(np.full((2, 3, 3), 0.004)))
    assert small is not None
    assert "+0.003 Gy (0.001 → 0.004 Gy)" in small.greatest
    large = difference(grid(np.zeros((2, 3, 3))), grid(np.full((2, 3, 3), 4e15)))
    assert large is not None
    assert "+4e+15 Gy" in large.greatest
    assert len(large.overall) < 100
    assert spread(np.full((2, 2), -4.0), "Gy") == "difference: \N{MINUS SIGN}4.00 to \N{MINUS SIGN}4.00 Gy"
    assert spread(np.full((2, 2), np.nan), "Gy") == "difference: none"
    assert scales(large)[0]["vmin"] == 0.0
    negative = difference(grid(np.zeros((2, 3, 3))), grid(np.full((2, 3, 3), -3.0)))
    assert negative is not None
    assert scales(negative)[0]["vmin"] == -3.0


def test_a_grid_that_became_smaller_says_so() -> None:
    """What lay outside of it can't be shown as different, and must not be passed over."""
    before = np.full((6, 6, 6), 10.0)
    found = difference(grid(before), grid(before[:, :3, :3] + 1))
    assert found is not None
    assert found.overall.endswith(
        "; 75.0 % of the grid before lies outside of that after and is not compared"
    )
    same = difference(grid(before), grid(before + 1))
    assert same is not None
    assert "outside" not in same.overall


@pytest.mark.parametrize(
    ("keyword", "value", "reason"),
    [
        ("PixelSpacing", ["1e200", "1e200"], "farther from the patient"),
        ("ImagePositionPatient", ["1e9", "0", "0"], "farther from the patient"),
        ("DoseGridScaling", "1e200", "no dose and no image has"),
    ],
)
def test_a_grid_that_no_room_holds_is_a_sentence(
    keyword: str, value: str | list[str], reason: str, tmp_path: Path
) -> None:
    before = data(dose_object(original(patient())))

    def blow_up(dataset: Dataset) -> None:
        dataset[keyword]._value = value

    (picture,) = pictures(tmp_path, before, mutated(before, blow_up))
    assert not picture.drawn
    assert reason in picture.caption


def test_planes_without_end_are_a_sentence(tmp_path: Path) -> None:
    """Each plane is work: a million of one pixel are a small object and minutes."""
    before = data(dose_object(original(patient())))

    def slice_up(dataset: Dataset) -> None:
        count = PLANES_MAXIMUM + 1
        dataset.Rows = dataset.Columns = 1
        dataset.NumberOfFrames = str(count)
        dataset.GridFrameOffsetVector = [str(index) for index in range(count)]
        dataset.PixelData = bytes(2 * count)

    (picture,) = pictures(tmp_path, before, mutated(before, slice_up))
    assert picture.caption == f"No picture: the dose has more than {PLANES_MAXIMUM} planes."


def test_another_image_at_the_same_height_is_not_taken_for_the_changed_one(tmp_path: Path) -> None:
    """The phases of a 4D series lie at the same heights."""
    slices = [data(ct_slice(patient(), index)) for index in range(2, 9)]

    def twin(dataset: Dataset) -> None:
        dataset.SOPInstanceUID = "1.2.3"
        dataset.PixelData = (dataset.pixel_array + 7).tobytes()

    def paint(dataset: Dataset) -> None:
        dataset.PixelData = (dataset.pixel_array + 100).tobytes()

    nights = Nights(tmp_path, [*slices, mutated(slices[3], twin)], [mutated(slices[3], paint)])
    (change,) = nights.changes
    sources = Sources(nights.repository, nights.old, nights.new, change)
    old, new = (image(side) for side in sources.pair())
    found = difference(old, new, of_grids._around(sources, old, new))
    assert found is not None
    assert (found.planes[0].difference == 100).all()
    assert (found.planes[1].difference[3] == 100).all()


@pytest.mark.parametrize(
    ("make", "what"),
    [(lambda: dose_object(original(patient())), "dose"), (lambda: ct_slice(patient(), 4), "image")],
)
def test_what_lies_elsewhere_than_before_is_a_sentence(
    make: Callable[[], FileDataset], what: str, tmp_path: Path
) -> None:
    before = data(make())

    def move(dataset: Dataset) -> None:
        dataset.ImagePositionPatient = ["0", "0", "2000"]

    (picture,) = pictures(tmp_path, before, mutated(before, move))
    assert (
        picture.caption == f"No picture: the {what} lies elsewhere than before, and shares no point with it."
    )
