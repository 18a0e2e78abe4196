from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from picture_kit import FIRST_NIGHT, Nights, data, mutated, patient
from pydicom.dataset import Dataset

from vault.compare.dvh import Histogram
from vault.department.beams import original, revised
from vault.department.dose import dose_object
from vault.department.plan import plan_object
from vault.department.structures import structure_set
from vault.report.pictures import Picture, pictures_for
from vault.report.pictures.histograms import CURVES_SHOWN, Curve, chosen, draw, figures


def step(dose: float, volume: float = 100.0) -> Histogram:
    """All of the volume gets one dose."""
    edges = np.linspace(0, 80, 801)
    return Histogram(edges, np.where(edges <= dose, volume, 0.0), dose, dose, dose, 0.0)


def test_targets_come_first_then_what_changed_most() -> None:
    curves = [
        Curve("still", False, step(10), step(10)),
        Curve("a little", False, step(10), step(11)),
        Curve("PTV", True, step(60), step(60)),
        Curve("much", False, step(10), step(20)),
        Curve("gone", False, step(30), None),
    ]
    assert [curve.name for curve in chosen(curves)] == ["PTV", "gone", "much", "a little"]
    assert curves[3].apart == pytest.approx(10, abs=0.1)
    assert chosen([curve for curve in curves if curve.name in {"still", "PTV"}]) == []
    assert len(chosen([Curve(str(n), True, step(n), step(n + 1)) for n in range(9)])) <= CURVES_SHOWN


def test_the_figures_under_the_curves() -> None:
    volume, d95, mean, d2 = figures(Curve("PTV", True, step(60, 112.71), step(62, 112.68)))
    assert volume == ("112.7", "112.7")
    assert (mean[0], mean[1]) == ("60.00", "62.00")
    assert [float(value) for value in (*d95, *d2)] == pytest.approx([60, 62, 60, 62], abs=0.11)
    assert figures(Curve("new", True, None, step(60)))[0] == ("none", "100.0")


def test_the_same_curves_are_the_same_bytes() -> None:
    curves = [
        Curve("$\\frac{a}{b$\x00\u202e" * 20, True, step(60), step(61)),
        Curve("", False, None, step(0)),
    ]
    assert draw(curves) == draw(curves)


@pytest.fixture(scope="module")
def department() -> tuple[bytes, bytes, bytes]:
    """Structure set, plan and dose."""
    plan = original(patient())
    return data(structure_set(patient())), data(plan_object(plan)), data(dose_object(plan))


def histograms(nights: Nights, modality: str) -> Picture:
    (change,) = (one for one in nights.changes if one.modality == modality)
    found = pictures_for(nights.repository, nights.old, nights.new, change)
    (picture,) = (one for one in found if one.title == "Dose-volume histograms")
    return picture


def raised(dataset: Dataset) -> None:
    dataset.DoseGridScaling = f"{float(dataset.DoseGridScaling) * 1.1:.8e}"


def smaller(dataset: Dataset) -> None:
    for contour in dataset.ROIContourSequence[1].ContourSequence:
        points = [float(value) for value in contour.ContourData]
        points[0::3] = [0.8 * value for value in points[0::3]]
        contour.ContourData = [f"{value:.2f}" for value in points]


@pytest.mark.parametrize(("modality", "changed"), [("RTDOSE", raised), ("RTSTRUCT", smaller)])
def test_a_dose_or_a_structure_set_that_changes_moves_the_histograms(
    department: tuple[bytes, bytes, bytes], tmp_path: Path, modality: str, changed: Callable[[Dataset], None]
) -> None:
    structures, plan, dose = department
    after = mutated(dose if modality == "RTDOSE" else structures, changed)
    picture = histograms(Nights(tmp_path, [structures, plan, dose], [after]), modality)
    assert picture.drawn
    assert picture.alt_text.startswith("Dose-volume histograms of PTV")
    assert "BODY" not in picture.alt_text


def test_a_revised_plan_shows_its_predecessors_dose_and_its_own(
    department: tuple[bytes, bytes, bytes], tmp_path: Path
) -> None:
    structures, plan, dose = department
    anew = revised(original(patient()))
    nights = Nights(
        tmp_path,
        [structures, plan, dose],
        [data(plan_object(anew, FIRST_NIGHT)), data(dose_object(anew, FIRST_NIGHT))],
        gone=[plan, dose],
    )
    (change,) = (one for one in nights.changes if one.modality == "RTPLAN")
    assert change.kind == "revised"
    found = pictures_for(nights.repository, nights.old, nights.new, change)
    assert [picture.title for picture in found] == [
        "Dose before, after and difference",
        "Dose-volume histograms",
    ]
    assert all(picture.drawn for picture in found)
    assert "maximum 63.00 → 65.70 Gy" in found[0].caption


def test_without_a_dose_there_is_no_histogram_and_in_another_frame_a_sentence(
    department: tuple[bytes, bytes, bytes], tmp_path: Path
) -> None:
    structures, plan, dose = department
    alone = Nights(tmp_path / "alone", [structures], [mutated(structures, smaller)])
    (change,) = alone.changes
    titles = [picture.title for picture in pictures_for(alone.repository, alone.old, alone.new, change)]
    assert titles == ["Contours, PTV"]

    def elsewhere(dataset: Dataset) -> None:
        raised(dataset)
        dataset.FrameOfReferenceUID = "1.2.3"

    picture = histograms(
        Nights(tmp_path / "else", [structures, plan, dose], [mutated(dose, elsewhere)]), "RTDOSE"
    )
    assert picture.caption == (
        "No picture: the dose and the structure set lie in different frames of reference."
    )


def part_of(dose: bytes, uid: str, share: float) -> bytes:
    """The dose of one beam."""

    def of_one_beam(dataset: Dataset) -> None:
        dataset.SOPInstanceUID = uid
        dataset.DoseSummationType = "BEAM"
        dataset.DoseGridScaling = f"{float(dataset.DoseGridScaling) * share:.8e}"

    return mutated(dose, of_one_beam)


def test_doses_of_single_beams_are_not_taken_for_the_plans(
    department: tuple[bytes, bytes, bytes], tmp_path: Path
) -> None:
    """Whose UID comes first would decide which beam is held against which."""
    structures, plan, dose = department
    anew = revised(original(patient()))
    after = data(dose_object(anew, FIRST_NIGHT))
    beams = [
        [part_of(dose, "1.2.1", 0.3), part_of(dose, "1.2.2", 0.7)],
        [part_of(after, "1.2.3", 0.7), part_of(after, "1.2.4", 0.3)],
    ]
    nights = Nights(
        tmp_path,
        [structures, plan, *beams[0]],
        [data(plan_object(anew, FIRST_NIGHT)), *beams[1]],
        gone=[plan],
    )
    (change,) = (one for one in nights.changes if one.modality == "RTPLAN")
    found = pictures_for(nights.repository, nights.old, nights.new, change)
    assert found
    assert not any(picture.drawn for picture in found)
    assert {picture.caption for picture in found} == {
        "No picture: the archive has doses of parts of the plan only."
    }


def test_a_dose_of_one_beam_that_changes_says_what_it_is(
    department: tuple[bytes, bytes, bytes], tmp_path: Path
) -> None:
    structures, plan, dose = department
    beam = part_of(dose, "1.2.1", 0.3)
    nights = Nights(tmp_path, [structures, plan, beam], [mutated(beam, raised)])
    (change,) = nights.changes
    found = pictures_for(nights.repository, nights.old, nights.new, change)
    assert len(found) == 2
    assert all("Dose summation type BEAM: not the dose of one whole plan." in one.caption for one in found)


def test_changed_contours_are_counted_in_one_dose_though_another_plan_came(
    department: tuple[bytes, bytes, bytes], tmp_path: Path
) -> None:
    """A new plan whose UID comes first must not stand for `after` where the old one's dose stood for `before`."""
    structures, plan, dose = department

    def other_plan(dataset: Dataset) -> None:
        dataset.SOPInstanceUID, dataset.RTPlanLabel = "1.2.1", "OTHER"

    def other_dose(dataset: Dataset) -> None:
        dataset.SOPInstanceUID = "1.2.2"
        dataset.ReferencedRTPlanSequence[0].ReferencedSOPInstanceUID = "1.2.1"
        dataset.DoseGridScaling = f"{float(dataset.DoseGridScaling) * 2:.8e}"

    after = mutated(structures, smaller)
    alone = histograms(Nights(tmp_path / "alone", [structures, plan, dose], [after]), "RTSTRUCT")
    beside = Nights(
        tmp_path / "beside",
        [structures, plan, dose],
        [after, mutated(plan, other_plan), mutated(dose, other_dose)],
    )
    assert histograms(beside, "RTSTRUCT").png == alone.png
    assert f"the dose of plan {original(patient()).label} as archived" in alone.caption
