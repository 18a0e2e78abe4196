from __future__ import annotations

import io
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from picture_kit import Nights, data, mutated, patient
from pydicom.dataset import Dataset
from pydicom.filereader import dcmread

from vault.compare.geometry.grids import Grid
from vault.department.ct import ct_slice
from vault.department.structures import structure_set
from vault.report.pictures import Picture, pictures_for
from vault.report.pictures.contours import (
    SLICES_SHOWN,
    WINDOW,
    Heights,
    Outlines,
    draw,
    extent,
    greatest,
    sides,
    window,
)


def square(size: float, at: float = 0.0) -> np.ndarray:
    return np.array([(at, 0.0), (at + size, 0.0), (at + size, size), (at, size)])


def test_the_slices_of_greatest_change_are_chosen_apart_and_told_in_square_millimetres() -> None:
    before = {float(z): [square(20.0)] for z in range(0, 60, 3)}
    after = {z: [square(20.0 + (4 if z == 30 else 3 if z == 33 else 2 if z == 9 else 0))] for z in before}
    (low, middle, next_to_it) = greatest([Outlines("PTV", before, after)])
    assert [low.z, middle.z, next_to_it.z] == [9.0, 30.0, 33.0]
    assert middle.gained == pytest.approx(24**2 - 20**2, rel=0.01)
    assert middle.lost == pytest.approx(0, abs=0.5)
    assert [name for name, *_ in middle.regions] == ["PTV"]


def test_what_moved_sideways_is_gained_and_lost() -> None:
    (shown,) = greatest([Outlines("PTV", {0.0: [square(20.0)]}, {0.0: [square(20.0, at=5.0)]})])
    assert (shown.gained, shown.lost) == pytest.approx((100.0, 100.0), rel=0.01)


def test_contours_that_came_or_went_are_all_gained_or_lost() -> None:
    gone, come = greatest(
        [Outlines("A", {0.0: [square(10.0)]}, {}), Outlines("B", {}, {50.0: [square(30.0)]})]
    )
    assert (gone.gained, gone.lost) == pytest.approx((0, 100.0))
    assert (come.gained, come.lost) == pytest.approx((900.0, 0))


def test_contours_that_start_at_another_point_do_not_differ() -> None:
    points = square(20.0)
    assert greatest([Outlines("A", {0.0: [points]}, {0.0: [np.roll(points, 1, axis=0)]})]) == []


def test_names_stand_away_from_the_other_regions() -> None:
    over, under, left = square(20.0), square(20.0) + np.array((0, 40)), square(20.0) - np.array((90, 0))
    assert sides([[over]]) == [0]
    assert sides([[over], [under]]) == [0, 1]
    assert sides([[left], [over]]) == [2, 3]
    assert len(set(sides([[over], [over * 1.1], [over * 0.9]]))) == 3


def test_the_same_slices_are_the_same_bytes() -> None:
    shown = greatest([Outlines("<b>$x_1$\u202e", {0.0: [square(20.0)]}, {0.0: [square(25.0)]})])
    assert draw(shown) == draw(shown)


def test_an_images_edges_lie_half_a_pixel_beyond_its_middles() -> None:
    assert extent(np.array([0.0, 2.0, 4.0]), np.array([10.0, 11.0])) == (-1.0, 5.0, 11.5, 9.5)


@pytest.fixture(scope="module")
def structures() -> bytes:
    return data(structure_set(patient()))


def pictures(folder: Path, before: bytes, change: Callable[[Dataset], None], *images: bytes) -> list[Picture]:
    nights = Nights(folder, [before, *images], [mutated(before, change)])
    (found,) = nights.changes
    return [
        picture
        for picture in pictures_for(nights.repository, nights.old, nights.new, found)
        if picture.title.startswith("Contours")
    ]


def widen(dataset: Dataset) -> None:
    """Slices 4 to 9 of the PTV, half as wide again."""
    for contour in dataset.ROIContourSequence[1].ContourSequence[4:10]:
        points = [float(value) for value in contour.ContourData]
        points[0::3] = [1.5 * value for value in points[0::3]]
        contour.ContourData = [f"{value:.2f}" for value in points]


def test_changed_contours_are_shown_over_their_images_with_their_volumes(
    structures: bytes, tmp_path: Path
) -> None:
    images = [data(ct_slice(patient(), index)) for index in range(patient().scale.slices)]
    (picture,) = pictures(tmp_path, structures, widen, *images)
    assert picture.drawn
    assert picture.title == "Contours, PTV"
    organ = next(organ for organ in patient().site.organs if organ.name == "PTV")
    before = 4 / 3 * math.pi * math.prod(organ.radii) / 1000
    words = picture.caption.split()
    assert float(words[1]) == pytest.approx(before, rel=0.01)
    assert 1.2 * before < float(words[3]) < 1.5 * before
    without = pictures(tmp_path / "b", structures, widen)
    assert without[0].drawn
    assert without[0].png != picture.png


def test_a_region_that_was_removed_or_renumbered_is_found_by_its_name(
    structures: bytes, tmp_path: Path
) -> None:
    def remove(dataset: Dataset) -> None:
        del dataset.ROIContourSequence[2], dataset.StructureSetROISequence[2]
        dataset.StructureSetROISequence[2].ROINumber = "9"
        dataset.ROIContourSequence[2].ReferencedROINumber = "9"

    (picture,) = pictures(tmp_path, structures, remove)
    assert picture.title == "Contours, Rectum"
    assert "→ none cm³" in picture.caption


def test_contours_that_are_not_axial_are_a_sentence(structures: bytes, tmp_path: Path) -> None:
    def tilt(dataset: Dataset) -> None:
        for contour in dataset.ROIContourSequence[1].ContourSequence:
            contour.ContourData = [
                f"{float(value) + (index % 9 if index % 3 == 2 else 0):.1f}"
                for index, value in enumerate(contour.ContourData)
            ]

    (picture,) = pictures(tmp_path, structures, tilt)
    assert not picture.drawn
    assert picture.caption == "No picture: PTV: the contours of the ROI do not lie in axial planes."


def test_many_small_changes_show_no_more_than_fits() -> None:
    before = {float(z): [square(20.0)] for z in range(100)}
    outlines = [
        Outlines(f"ROI {number}", before, {z: [square(21.0)] for z in before}) for number in range(12)
    ]
    shown = greatest(outlines)
    assert len(shown) == SLICES_SHOWN
    assert draw(shown).startswith(b"\x89PNG")


def test_an_image_of_another_slice_or_frame_is_not_put_under_contours(
    structures: bytes, tmp_path: Path
) -> None:
    """Whoever wrote the structure set may name any image: only one at the contour's height lies under it."""
    images = [data(ct_slice(patient(), index)) for index in range(patient().scale.slices)]
    (bare,) = pictures(tmp_path / "bare", structures, widen)

    def misname(dataset: Dataset) -> None:
        widen(dataset)
        contours = dataset.ROIContourSequence[1].ContourSequence
        named = [contour.ContourImageSequence[0].ReferencedSOPInstanceUID for contour in contours]
        for contour, uid in zip(contours, reversed(named), strict=True):
            contour.ContourImageSequence[0].ReferencedSOPInstanceUID = uid

    (shown,) = pictures(tmp_path / "misnamed", structures, misname, *images)
    assert shown.png == bare.png
    elsewhere = [mutated(one, lambda ct: setattr(ct, "FrameOfReferenceUID", "1.2.3")) for one in images]
    (shown,) = pictures(tmp_path / "elsewhere", structures, widen, *elsewhere)
    assert shown.png == bare.png


def test_an_image_that_has_no_hounsfield_units_is_not_shown_as_if_it_had() -> None:
    axis = np.arange(0.0, 60.0, 1.0)
    bright = Grid(np.full((1, 60, 60), 900.0) + axis, axis, axis, np.zeros(1), 1.0, 0.0, "stored values")
    (shown,) = greatest([Outlines("A", {0.0: [square(20.0)]}, {0.0: [square(25.0)]})])
    assert window(bright) == pytest.approx((900.0, 959.0), abs=2)
    assert window(replace(bright, unit="HU")) == WINDOW
    assert draw([replace(shown, image=bright)]) != draw([replace(shown, image=replace(bright, unit="HU"))])


def test_a_region_that_can_not_be_measured_hides_no_other(
    structures: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Contours without end in one region must not be a way to have none of the others' pictures drawn."""
    monkeypatch.setattr("vault.compare.dvh.CROSSINGS_MAXIMUM", 2000)

    def tangle(dataset: Dataset) -> None:
        widen(dataset)
        for contour in dataset.ROIContourSequence[2].ContourSequence[:1]:
            z = contour.ContourData[2]
            points = [(x, y, z) for x, y in ((0, -50), (1, 50)) * 300]
            contour.ContourData = [value for point in points for value in point]
            contour.NumberOfContourPoints = len(points)

    (picture,) = pictures(tmp_path, structures, tangle)
    assert picture.drawn
    assert picture.title == "Contours, PTV"
    assert "Rectum: the contours of a plane cross themselves without end" in picture.caption


def test_heights_that_are_written_otherwise_are_the_same_slice(structures: bytes, tmp_path: Path) -> None:
    """-12.499 and -12.5 are one slice: as two, all of a region would have gone from one and come to the other."""

    def rewritten(dataset: Dataset) -> None:
        widen(dataset)
        for contour in dataset.ROIContourSequence[1].ContourSequence:
            points = [float(value) for value in contour.ContourData]
            points[2::3] = [value + 0.004 for value in points[2::3]]
            contour.ContourData = [f"{value:.3f}" for value in points]

    images = [data(ct_slice(patient(), index)) for index in range(patient().scale.slices)]
    (plainly,) = pictures(tmp_path / "plainly", structures, widen, *images)
    (otherwise,) = pictures(tmp_path / "otherwise", structures, rewritten, *images)
    assert otherwise.alt_text == plainly.alt_text
    assert otherwise.png == plainly.png


def test_heights_are_known_again() -> None:
    known = Heights()
    assert [known.same(z) for z in (10.0, 10.04, 9.96, 10.08, -3.0, 10.06)] == [
        10.0,
        10.0,
        10.0,
        10.08,
        -3.0,
        10.08,
    ]


def test_regions_that_were_not_looked_at_are_counted(
    structures: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of very many changed regions a target comes first, and the others are no secret."""
    monkeypatch.setattr("vault.report.pictures.of_structures.REGIONS_COMPARED", 1)

    def shift(dataset: Dataset) -> None:
        for roi in dataset.ROIContourSequence:
            for contour in roi.ContourSequence:
                points = [float(value) for value in contour.ContourData]
                points[0::3] = [value + 4 for value in points[0::3]]
                contour.ContourData = [f"{value:.2f}" for value in points]

    (picture,) = pictures(tmp_path, structures, shift)
    assert picture.title == "Contours, PTV"
    others = len(dcmread(io.BytesIO(structures), force=True).ROIContourSequence) - 1
    assert f"Not looked at: {others} more regions that changed." in picture.caption
