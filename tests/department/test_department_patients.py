"""The synthetic patients are coherent: every reference resolves, every number is one a physicist would believe."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator, Sequence
from datetime import date
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset, FileDataset

from vault.department.modules import part10
from vault.department.nights import night
from vault.department.patients import Patient, Scale, roster

Objects = tuple[FileDataset, ...]

BOGUS = "Unrecognized enumerated value <VERIFIED> for value 1 of attribute <Treatment Verification Status>"
"""dciodvfy of 2022 does not know the first value that PS3.3 C.8.8.21 lists."""


def of(objects: Sequence[FileDataset], modality: str, patient_id: str = "") -> list[FileDataset]:
    return [
        each
        for each in objects
        if each.Modality == modality and each.PatientID in (patient_id or each.PatientID)
    ]


def references(dataset: Dataset) -> Iterator[tuple[str, str]]:
    for element in dataset.iterall():
        if element.keyword == "ReferencedSOPInstanceUID":
            yield element.keyword, str(element.value)


@pytest.fixture(scope="module")
def every(night1: Objects, night2: Objects) -> Objects:
    return night1 + night2


def test_every_reference_resolves_within_the_patient(every: Objects) -> None:
    for patient_id in {each.PatientID for each in every}:
        own = [each for each in every if each.PatientID == patient_id]
        held = {each.SOPInstanceUID for each in own} | {own[0].StudyInstanceUID}
        for each in own:
            assert {uid for _, uid in references(each)} <= held


def test_the_chain_of_a_patient(night1: Objects) -> None:
    for patient_id in {each.PatientID for each in night1}:
        (plan,) = of(night1, "RTPLAN", patient_id)
        (structures,) = of(night1, "RTSTRUCT", patient_id)
        (dose,) = of(night1, "RTDOSE", patient_id)
        slices = {each.SOPInstanceUID for each in of(night1, "CT", patient_id)}
        assert plan.ReferencedStructureSetSequence[0].ReferencedSOPInstanceUID == structures.SOPInstanceUID
        assert dose.ReferencedRTPlanSequence[0].ReferencedSOPInstanceUID == plan.SOPInstanceUID
        for record in of(night1, "RTRECORD", patient_id):
            assert record.ReferencedRTPlanSequence[0].ReferencedSOPInstanceUID == plan.SOPInstanceUID
        drawn = {
            contour.ContourImageSequence[0].ReferencedSOPInstanceUID
            for roi in structures.ROIContourSequence
            for contour in roi.ContourSequence
        }
        assert drawn == slices  # BODY is on every slice
        frames = {
            each.FrameOfReferenceUID
            for each in night1
            if each.PatientID == patient_id and "FrameOfReferenceUID" in each
        }
        assert len(frames) == 1


def test_uids_are_valid_and_used_once(every: Objects) -> None:
    assert all(each.SOPInstanceUID.startswith("2.25.") and each.SOPInstanceUID.is_valid for each in every)
    assert all(each.SeriesInstanceUID.is_valid and each.StudyInstanceUID.is_valid for each in every)
    series = {(each.SeriesInstanceUID, each.Modality, each.PatientID) for each in every}
    assert len({uid for uid, _, _ in series}) == len(series)


def test_plans_are_plausible(night1: Objects) -> None:
    for plan in of(night1, "RTPLAN"):
        group = plan.FractionGroupSequence[0]
        reference = plan.DoseReferenceSequence[0]
        given = sum(beam.BeamDose for beam in group.ReferencedBeamSequence) * group.NumberOfFractionsPlanned
        assert given == pytest.approx(reference.TargetPrescriptionDose, rel=0.01)
        assert plan.ApprovalStatus == "APPROVED"
        assert len(plan.BeamSequence) == 2
        assert all(80 <= beam.BeamMeterset <= 400 for beam in group.ReferencedBeamSequence)
        for beam in plan.BeamSequence:
            points = beam.ControlPointSequence
            weights = [float(point.CumulativeMetersetWeight) for point in points]
            assert weights[0] == 0
            assert weights[-1] == beam.FinalCumulativeMetersetWeight == 1
            assert all(before < after for before, after in pairwise(weights))
            first = {
                each.RTBeamLimitingDeviceType: each for each in points[0].BeamLimitingDevicePositionSequence
            }
            low, high = map(float, first["ASYMX"].LeafJawPositions)
            for point in points:
                leaves = np.array(point.BeamLimitingDevicePositionSequence[-1].LeafJawPositions, dtype=float)
                assert leaves.size == 120
                assert low <= leaves.min() <= leaves.max() <= high
                assert np.all(leaves[:60] <= leaves[60:])
                assert -200 <= low < high <= 200
            assert points[0].NominalBeamEnergy in (6, 10)


def test_arcs_turn_the_way_they_say(night1: Objects) -> None:
    for plan in of(night1, "RTPLAN"):
        for beam in plan.BeamSequence:
            angles = [
                float(point.GantryAngle) for point in beam.ControlPointSequence if "GantryAngle" in point
            ]
            turn = beam.ControlPointSequence[0].GantryRotationDirection
            steps = [(after - before) % 360 for before, after in pairwise(angles)]
            if turn == "NONE":
                assert len(angles) == 1
            elif turn == "CW":
                assert sum(steps) == pytest.approx(358, abs=0.5)
            else:
                assert sum(360 - step for step in steps) == pytest.approx(358, abs=0.5)


def test_contours_are_closed_planar_and_lie_on_their_slice(night1: Objects) -> None:
    position = {each.SOPInstanceUID: float(each.ImagePositionPatient[2]) for each in of(night1, "CT")}
    for structures in of(night1, "RTSTRUCT"):
        assert [roi.ROIName for roi in structures.StructureSetROISequence][:2] == ["BODY", "PTV"]
        assert len(structures.StructureSetROISequence) == 4
        for roi in structures.ROIContourSequence:
            assert len(roi.ContourSequence) >= 3
            for contour in roi.ContourSequence:
                assert contour.ContourGeometricType == "CLOSED_PLANAR"
                heights = {float(value) for value in contour.ContourData[2::3]}
                assert heights == {position[contour.ContourImageSequence[0].ReferencedSOPInstanceUID]}
                assert len(contour.ContourData) == 3 * contour.NumberOfContourPoints


def test_the_dose_covers_the_target(night1: Objects, patients: tuple[Patient, ...]) -> None:
    for dose, patient in zip(of(night1, "RTDOSE"), patients, strict=True):
        grid = np.frombuffer(dose.PixelData, "<u2").reshape(int(dose.NumberOfFrames), dose.Rows, dose.Columns)
        gray = grid * float(dose.DoseGridScaling)
        prescribed = patient.site.dose_per_fraction * patient.site.fractions
        assert gray.max() == pytest.approx(prescribed * 1.05, rel=0.01)
        corner = np.array(dose.ImagePositionPatient, dtype=float)
        assert np.all(corner <= np.array(patient.site.ptv.centre) - np.array(patient.site.ptv.radii))
        middle = gray[tuple(size // 2 for size in gray.shape)]
        assert middle == pytest.approx(gray.max())


def test_records_count_the_fractions(night1: Objects, night2: Objects, patients: tuple[Patient, ...]) -> None:
    for patient in patients:
        records = of(night1, "RTRECORD", patient.patient_id)
        numbers = [record.TreatmentSessionBeamSequence[0].CurrentFractionNumber for record in records]
        assert numbers == list(range(1, patient.delivered + 1))
        assert records[-1].TreatmentDate == "20261122"
        (new,) = of(night2, "RTRECORD", patient.patient_id)
        assert new.TreatmentDate == "20261123"
        assert new.TreatmentSessionBeamSequence[1].CurrentFractionNumber == patient.delivered + 1


def test_names_are_synthetic_and_survive_their_character_set(every: Objects, tmp_path: Path) -> None:
    names = set()
    for number, each in enumerate(every):
        path = tmp_path / f"{number}.dcm"
        path.write_bytes(part10(each))
        names.add(str(dcmread(path).PatientName))
    assert names == {"Demo^Albert", "Demo^Anna", "Demo^Jürgen", "Demo^Λουκία"}


def test_the_same_seed_gives_the_same_bytes_and_another_seed_other_uids(
    night1: Objects, patients: tuple[Patient, ...], first_night: date
) -> None:
    again = roster(4, first_night, scale=patients[0].scale)
    assert [part10(step.make()) for step in night(again, 1, first_night).steps] == [
        part10(each) for each in night1
    ]
    other = roster(4, first_night, seed=2, scale=patients[0].scale)
    uids = {step.make().SOPInstanceUID for step in night(other, 1, first_night).steps}
    assert not uids & {each.SOPInstanceUID for each in night1}


def test_the_scale_is_the_callers(first_night: date) -> None:
    (patient,) = roster(1, first_night, scale=Scale(matrix=32, slices=20, control_points=6))
    objects = [step.make() for step in night((patient,), 1, first_night).steps]
    scan = of(objects, "CT")
    assert len(scan) == 20
    assert scan[0].Rows == scan[0].Columns == 32
    assert len(scan[0].PixelData) == 32 * 32 * 2
    (plan,) = of(objects, "RTPLAN")
    assert {beam.NumberOfControlPoints for beam in plan.BeamSequence} == {6}


@pytest.mark.system
@pytest.mark.skipif(
    shutil.which("dciodvfy") is None, reason="dciodvfy not installed: apt-get install dicom3tools"
)
def test_dciodvfy_finds_no_fault(every: Objects, tmp_path: Path) -> None:
    for number, each in enumerate(every):
        if each.Modality == "CT" and each.InstanceNumber != 1:
            continue
        path = tmp_path / f"{number}.dcm"
        path.write_bytes(part10(each))
        said = subprocess.run(["dciodvfy", path], capture_output=True, text=True, check=False).stderr
        faults = [
            line for line in said.splitlines() if line.startswith(("Error", "Warning")) and BOGUS not in line
        ]
        assert not faults, f"{each.Modality}: {faults}"
