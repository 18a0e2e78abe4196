"""A night is data; the tampered plan differs in the intended values and in nothing else."""

from __future__ import annotations

from datetime import date
from itertools import islice

import numpy as np
from pydicom.dataset import Dataset, FileDataset

from vault.department.beams import TAMPER_SHIFT, TAMPERED_BEAM, tampered_control_point
from vault.department.nights import night, play, revised_patient, tampered_patient
from vault.department.patients import Patient, roster

Objects = tuple[FileDataset, ...]
Patients = tuple[Patient, ...]


def differences(old: Dataset, new: Dataset, where: str = "") -> list[str]:
    """The paths of all elements that differ, by position."""
    found = []
    for tag in sorted({*old.keys(), *new.keys()}):
        left, right = old.get(tag), new.get(tag)
        name = f"{where}{(left or right).keyword}"
        if left is not None and right is not None and left.VR == "SQ" and len(left.value) == len(right.value):
            for number, (before, after) in enumerate(zip(left.value, right.value, strict=True)):
                found += differences(before, after, f"{name}[{number}].")
        elif left != right:
            found.append(name)
    return found


def plan(objects: Objects, patient: Patient) -> FileDataset:
    (found,) = [
        each for each in objects if each.Modality == "RTPLAN" and each.PatientID == patient.patient_id
    ]
    return found


def test_the_tampered_plan_differs_in_one_leaf_bank_of_one_control_point(
    night1: Objects, night2: Objects, patients: Patients
) -> None:
    victim = tampered_patient(patients)
    before, after = plan(night1, victim), plan(night2, victim)
    point = tampered_control_point(victim)
    path = f"BeamSequence[{TAMPERED_BEAM - 1}].ControlPointSequence[{point}].BeamLimitingDevicePositionSequence[0]"
    assert differences(before, after) == [f"{path}.LeafJawPositions"]
    assert before.SOPInstanceUID == after.SOPInstanceUID
    old, new = (
        np.array(
            each.BeamSequence[TAMPERED_BEAM - 1]
            .ControlPointSequence[point]
            .BeamLimitingDevicePositionSequence[0]
            .LeafJawPositions,
            dtype=float,
        )
        for each in (before, after)
    )
    np.testing.assert_allclose(new[:60] - old[:60], TAMPER_SHIFT)
    np.testing.assert_array_equal(new[60:], old[60:])
    assert new.min() >= -200


def test_the_revision_is_a_plan_of_its_own(night1: Objects, night2: Objects, patients: Patients) -> None:
    patient = revised_patient(patients)
    before, after = plan(night1, patient), plan(night2, patient)
    assert after.SOPInstanceUID != before.SOPInstanceUID
    assert after.RTPlanLabel == f"{before.RTPlanLabel}:1"
    predecessor = after.ReferencedRTPlanSequence[0]
    assert predecessor.ReferencedSOPInstanceUID == before.SOPInstanceUID
    assert predecessor.RTPlanRelationship == "PREDECESSOR"
    assert (after.ApprovalStatus, after.ReviewDate) == ("APPROVED", "20261123")
    for old, new in zip(
        before.FractionGroupSequence[0].ReferencedBeamSequence,
        after.FractionGroupSequence[0].ReferencedBeamSequence,
        strict=True,
    ):
        assert new.BeamMeterset > old.BeamMeterset
    assert not any(name.startswith("BeamSequence") for name in differences(before, after))
    (dose,) = [each for each in night2 if each.Modality == "RTDOSE"]
    assert dose.ReferencedRTPlanSequence[0].ReferencedSOPInstanceUID == after.SOPInstanceUID


def test_night_two_brings_a_fraction_for_each_a_revision_and_a_tampered_plan(
    patients: Patients, first_night: date
) -> None:
    steps = [(step.patient_id, step.modality, step.action) for step in night(patients, 2, first_night).steps]
    assert steps == [
        *((patient.patient_id, "RTRECORD", "added") for patient in patients),
        ("DEMO-003", "RTPLAN", "added"),
        ("DEMO-003", "RTDOSE", "added"),
        ("DEMO-002", "RTPLAN", "replaced"),
    ]


def test_only_the_tampered_plan_replaces_an_object(patients: Patients, first_night: date) -> None:
    held: set[str] = set()
    for each in islice(play(patients, first_night), 5):
        for step in each.steps:
            uid = step.make().SOPInstanceUID
            assert (uid in held) == (step.action == "replaced"), (each.number, step)
            held.add(uid)


def test_later_nights_bring_fractions_until_the_prescription_is_given(first_night: date) -> None:
    (patient,) = roster(1, first_night)
    left = patient.site.fractions - patient.delivered
    assert [step.modality for step in night((patient,), left + 1, first_night).steps] == ["RTRECORD"]
    assert night((patient,), left + 2, first_night).steps == ()


def test_fractions_after_the_revision_are_given_with_it(
    night2: Objects, patients: Patients, first_night: date
) -> None:
    patient = revised_patient(patients)
    uid = plan(night2, patient).SOPInstanceUID
    (record,) = [
        step.make() for step in night(patients, 3, first_night).steps if step.patient_id == patient.patient_id
    ]
    assert record.ReferencedRTPlanSequence[0].ReferencedSOPInstanceUID == uid


def test_one_patient_suffices_for_all_that_happens(first_night: date) -> None:
    actions = [(step.modality, step.action) for step in night(roster(1, first_night), 2, first_night).steps]
    assert actions == [
        ("RTRECORD", "added"),
        ("RTPLAN", "added"),
        ("RTDOSE", "added"),
        ("RTPLAN", "replaced"),
    ]
