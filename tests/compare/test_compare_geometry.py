from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from picture_kit import data, mutated, patient
from pydicom.dataset import Dataset

from vault.compare.dvh import volume
from vault.compare.geometry import GeometryError
from vault.compare.geometry.datasets import read
from vault.compare.geometry.grids import Grid, dose, image
from vault.compare.geometry.regions import PLANES_MAXIMUM, Contour, Region, fingerprints, regions
from vault.department.beams import original
from vault.department.ct import ct_slice
from vault.department.dose import dose_object
from vault.department.structures import structure_set

DATA = Path(__file__).parents[1] / "data" / "dicom"


@pytest.fixture(scope="module")
def structures() -> bytes:
    return data(structure_set(patient()))


@pytest.fixture(scope="module")
def doses() -> bytes:
    return data(dose_object(original(patient())))


def test_the_departments_organs_have_the_volumes_of_their_ellipsoids(structures: bytes) -> None:
    organs = {organ.name: organ for organ in patient().site.organs}
    for region in regions(read(structures)):
        organ = organs[region.name]
        assert region.interpreted_type == organ.interpreted_type
        assert region.target == (region.name == "PTV")
        if organ.radii[2]:
            found = volume(region.slices())
            assert found.cubic_centimetres == pytest.approx(
                4 / 3 * np.pi * np.prod(organ.radii) / 1000, rel=0.01
            )
            assert found.centre[:2] == pytest.approx(organ.centre[:2], abs=0.05)
            assert found.centre[2] == pytest.approx(organ.centre[2], abs=0.5)


def test_only_the_wanted_contours_are_read_and_differing_ones_are_known_by_their_bytes(
    structures: bytes,
) -> None:
    bladder, rectum = (
        item.number for item in regions(read(structures)) if item.name in {"Bladder", "Rectum"}
    )
    only = {item.number: len(item.contours) for item in regions(read(structures), {rectum})}
    assert only[rectum] > 0
    assert only[bladder] == 0

    def shift(dataset: Dataset) -> None:
        contour = dataset.ROIContourSequence[int(rectum) - 1].ContourSequence[3]
        contour.ContourData = [float(value) + 1 for value in contour.ContourData]

    before, after = fingerprints(read(structures)), fingerprints(read(mutated(structures, shift)))
    assert {number for number in before if before[number] != after[number]} == {rectum}


@pytest.mark.parametrize(
    ("points", "kind", "reason"),
    [
        ([0, 0, 0, 9, 0, 5, 0, 9, 0], "CLOSED_PLANAR", "do not lie in axial planes"),
        ([0, 0, 0, 9, 0, 0, 0, 9, 0], "OPEN_PLANAR", "enclose nothing"),
        ([0, 0, 0], "POINT", "enclose nothing"),
        ([0, 0, 0, 9, 0, 0], "CLOSED_PLANAR", "no contours"),
    ],
)
def test_a_region_without_axial_areas_has_no_volume(
    structures: bytes, points: list[int], kind: str, reason: str
) -> None:
    def change(dataset: Dataset) -> None:
        contour = dataset.ROIContourSequence[1].ContourSequence[0]
        contour.ContourData, contour.ContourGeometricType = points, kind
        dataset.ROIContourSequence[1].ContourSequence = [contour]

    region = regions(read(mutated(structures, change)))[1]
    with pytest.raises(GeometryError, match=reason):
        region.slices()


def test_contours_in_more_planes_than_a_scan_has_are_refused() -> None:
    square = np.array([(0.0, 0.0), (9.0, 0.0), (9.0, 9.0), (0.0, 9.0)])
    planes = [np.column_stack((square, np.full(4, float(z)))) for z in range(PLANES_MAXIMUM + 1)]
    contours = [Contour(points, "CLOSED_PLANAR") for points in planes]
    assert len(Region("1", "x", "", tuple(contours[1:])).slices()) == PLANES_MAXIMUM
    with pytest.raises(GeometryError, match="more than 1024 planes"):
        Region("1", "x", "", tuple(contours)).slices()


@pytest.mark.parametrize(
    ("points", "reason"), [(["0"] * 4, "no whole points"), (["1e5"] * 9, "farther"), (["x"] * 9, "no number")]
)
def test_contours_that_are_none_are_refused(structures: bytes, points: list[str], reason: str) -> None:
    def change(dataset: Dataset) -> None:
        dataset.ROIContourSequence[1].ContourSequence[0]["ContourData"]._value = points

    with pytest.raises(GeometryError, match=reason):
        regions(read(mutated(structures, change)))


def test_a_dose_reads_as_pydicom_has_it(doses: bytes) -> None:
    import io

    from pydicom import dcmread

    dataset = dcmread(io.BytesIO(doses))
    grid = dose(read(doses))
    expected = dataset.pixel_array * float(dataset.DoseGridScaling)
    assert grid.stored.shape == expected.shape
    assert np.allclose(grid.plane(3), expected[3])
    assert (grid.x[0], grid.y[0], grid.z[0]) == tuple(float(value) for value in dataset.ImagePositionPatient)
    assert grid.unit == "Gy"


def test_values_between_the_points_are_interpolated_and_outside_there_are_none() -> None:
    x, y, z = np.arange(4.0), np.arange(3.0) * 2, np.arange(5.0) * 3
    values = x[None, None, :] + 10 * y[None, :, None] + 100 * z[:, None, None]
    grid = Grid(values, x, y, z, 2.0, 1.0, "Gy")
    found = grid.sampled(4.5, np.array([0.5, 4.0]), np.array([0.25, 3.0, 3.5]))
    assert found[:, :2] == pytest.approx(2 * np.array([[455.25, 458.0], [490.25, 493.0]]) + 1)
    assert np.isnan(found[:, 2]).all()
    assert np.isnan(grid.sampled(12.5, y, x)).all()
    assert not np.isnan(grid.sampled(12.0, y, x)).any()


@pytest.mark.parametrize(
    ("orientation", "flipped"),
    [((1, 0, 0, 0, 1, 0), ()), ((-1, 0, 0, 0, -1, 0), (1, 2)), ((-1, 0, 0, 0, 1, 0), (0, 2))],
)
def test_a_patient_lying_the_other_way_round_is_read_the_right_way(
    doses: bytes, orientation: tuple[int, ...], flipped: tuple[int, ...]
) -> None:
    def change(dataset: Dataset) -> None:
        dataset.ImageOrientationPatient = list(orientation)

    grid, plain = dose(read(mutated(doses, change))), dose(read(doses))
    assert np.array_equal(grid.stored, np.flip(plain.stored, flipped))
    for axis in (grid.x, grid.y, grid.z):
        assert (np.diff(axis) > 0).all()


@pytest.mark.parametrize(
    ("keyword", "value", "reason"),
    [
        ("DoseGridScaling", None, "worth"),
        ("DoseGridScaling", "NaN", "worth"),
        ("GridFrameOffsetVector", None, "plane positions"),
        ("ImageOrientationPatient", ["1", "0", "0", "0", "0", "-1"], "not axial"),
        ("ImagePositionPatient", None, "missing"),
        ("PixelSpacing", ["0", "1"], "missing"),
        ("Rows", 60000, "fewer pixels"),
        ("Columns", 0, "no voxels"),
        ("NumberOfFrames", "2147483647", "plane positions"),
        ("BitsAllocated", 1, "size"),
        ("DoseUnits", "", "unit"),
    ],
)
def test_a_dose_without_a_grid_is_refused(doses: bytes, keyword: str, value: object, reason: str) -> None:
    def change(dataset: Dataset) -> None:
        if value is None:
            delattr(dataset, keyword)
        else:
            dataset[keyword]._value = value

    with pytest.raises(GeometryError, match=reason):
        dose(read(mutated(doses, change)))


def test_pixels_that_would_fill_the_memory_are_refused(doses: bytes) -> None:
    def change(dataset: Dataset) -> None:
        dataset.Rows = dataset.Columns = 60000

    with pytest.raises(GeometryError, match="million"):
        dose(read(mutated(doses, change)))


def test_a_ct_is_in_hounsfield_units() -> None:
    plane = image(read(data(ct_slice(patient(), 10))))
    assert plane.unit == "HU"
    assert plane.plane(0).min() >= -1024
    assert np.median(plane.plane(0)[plane.plane(0) > -500]) == pytest.approx(20, abs=10)


def test_big_endian_doses_are_read() -> None:
    grid = dose(read((DATA / "RTDOSE" / "a96cfd3c8d4c.dcm").read_bytes()))
    assert grid.stored.shape == (1, 10, 10)
    assert grid.stored.dtype.byteorder == ">"


@pytest.mark.parametrize("junk", [b"", b"DICM", b"\0" * 132, b"\x89PNG" * 100])
def test_what_is_no_dicom_is_refused(junk: bytes) -> None:
    with pytest.raises(GeometryError, match="the object is no DICOM file"):
        dose(read(junk))


def test_pixels_compressed_without_loss_are_decoded() -> None:
    import io

    from pydicom import dcmread

    compressed = (DATA / "RTDOSE" / "f4e7a3b7aeb3.dcm").read_bytes()
    grid, dataset = dose(read(compressed)), dcmread(io.BytesIO(compressed))
    assert dataset.file_meta.TransferSyntaxUID.name == "RLE Lossless"
    expected = dataset.pixel_array.reshape(grid.stored.shape)
    assert np.array_equal(grid.stored, expected)
    assert expected.any()


def test_signed_pixels_compressed_without_loss_keep_their_sign() -> None:
    def compress(dataset: Dataset) -> None:
        from pydicom.uid import RLELossless

        dataset.PixelRepresentation = 1
        dataset.PixelData = (dataset.pixel_array.astype(np.int16) - 1500).tobytes()
        dataset.compress(RLELossless)

    ct = data(ct_slice(patient(), 10))
    plain, packed = image(read(ct)), image(read(mutated(ct, compress)))
    assert np.array_equal(packed.plane(0), plain.plane(0) - 1500)


@pytest.mark.parametrize("damage", [slice(-400, -200), slice(-300, None)])
def test_compressed_pixels_that_are_damaged_are_refused(damage: slice) -> None:
    compressed = bytearray((DATA / "RTDOSE" / "f4e7a3b7aeb3.dcm").read_bytes())
    del compressed[damage]
    with pytest.raises(GeometryError, match="decoded|fewer"):  # noqa: RUF043
        dose(read(bytes(compressed)))


def test_the_dose_of_a_patient_on_the_side_is_read_the_right_way(doses: bytes) -> None:
    """The same dose with rows along y: columns and rows change places, and so do their spacings."""

    def turn(dataset: Dataset) -> None:
        values = dataset.pixel_array
        dataset.ImageOrientationPatient = [0, 1, 0, 1, 0, 0]
        dataset.Rows, dataset.Columns = values.shape[2], values.shape[1]
        dataset.PixelData = values.transpose(0, 2, 1).tobytes()

    plain, turned = dose(read(doses)), dose(read(mutated(doses, turn)))
    assert np.array_equal(turned.x, plain.x)
    assert np.array_equal(turned.y, plain.y)
    # the planes' normal points to the feet
    assert np.array_equal(turned.z, 2 * plain.z[0] - plain.z[::-1])
    assert np.array_equal(turned.stored, plain.stored[::-1])


@pytest.mark.parametrize(
    ("orientation", "named"),
    [
        ((1, 0, 0, 0, 0, -1), "RLHF"),
        ((0, 1, 0, 0, 0, -1), "APHF"),
        ((-1, 0, 0, 0, 0, -1), "LRHF"),
        ((0.98, 0.199, 0, 0, 0, -1), "RLHF"),
    ],
)
def test_an_image_that_is_not_axial_is_read_in_its_own_plane(
    orientation: tuple[float, ...], named: str
) -> None:
    def turn(dataset: Dataset) -> None:
        dataset.ImageOrientationPatient = list(orientation)

    found = image(read(mutated(data(ct_slice(patient(), 10)), turn)))
    assert (found.named, found.axial) == (named, False)
    assert found.x[0] == found.y[0] == found.z[0] == 0


def test_an_orientation_that_is_none_is_refused() -> None:
    def break_it(dataset: Dataset) -> None:
        dataset.ImageOrientationPatient = [0, 0, 0, 0, 0, 0]

    with pytest.raises(GeometryError, match="orientation of the image is none"):
        image(read(mutated(data(ct_slice(patient(), 10)), break_it)))
