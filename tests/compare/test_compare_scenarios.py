"""What happens to objects among others: slices, treatment records and their plan, the same correction in many files."""

from __future__ import annotations

import json
from io import BytesIO
from pathlib import Path

import pydicom
import pytest
from history_kit import History
from mutations import DATA, at, compared, each, filed, told, top, written
from pydicom.dataset import Dataset

from vault.compare.diff import compare
from vault.compare.findings.delivered import in_sequence, predecessors_of
from vault.compare.groups import grouped
from vault.model import Change

SLICES = [
    (DATA / f"CT/{name}.dcm").read_bytes()
    for name in (
        "8e8b249367df",
        "84da2833a324",
        "9c961149c90a",
        "8c0264f631dc",
        "c5289061a09f",
        "acf1e2d47769",
    )
]
"""Of a water phantom, 13 to 18 mm."""

RECORD = DATA / "RTRECORD/beams-fraction-1.dcm"
PLAN = "1.3.6.1.4.1.22361.48658618118952.752771718.1386779753570.0"


def edited(data: bytes, **values: object) -> bytes:
    dataset = pydicom.dcmread(BytesIO(data))
    top(**values)(dataset)
    return written(dataset)


def plan() -> bytes:
    dataset = pydicom.dcmread(DATA / "RTPLAN/04d88aa29f74.dcm")
    for beam in dataset.FractionGroupSequence[0].ReferencedBeamSequence:
        beam.BeamMeterset = 100
    return written(dataset)


def test_a_slice_out_of_the_middle(tmp_path: Path) -> None:
    (change,) = compared(tmp_path, SLICES, [*SLICES[:2], *SLICES[3:]])
    assert (change.kind, change.severity) == ("removed", "critical")
    assert [finding.text for finding in change.findings] == [
        "slice at 15 mm is missing: the ROIS has 5 others of its series, "
        "2 mm between its neighbours where 1 mm is usual"
    ]


def test_the_last_slice(tmp_path: Path) -> None:
    said = told(compared(tmp_path, SLICES, SLICES[:-1]))
    assert said == [("critical", "slice at 18 mm is missing: the ROIS has 5 others of its series")]


def test_a_slice_that_came_to_a_series(tmp_path: Path) -> None:
    said = told(compared(tmp_path, SLICES[1:], SLICES))
    assert said == [("critical", "slice at 13 mm added to a series of which the vault had 5 others")]


def test_a_new_series_is_routine_and_one_that_went_is_not(tmp_path: Path) -> None:
    others = [plan()]
    (new,) = grouped(compared(tmp_path, others, [*others, *SLICES]))
    assert (new.severity, new.text) == ("routine", "CT OpenTPS created image: 6 images added")
    (gone,) = grouped(compared(tmp_path / "2", [*others, *SLICES], others))
    assert (gone.severity, gone.text) == ("critical", "CT OpenTPS created image: 6 images removed")


def test_a_slice_whose_plane_is_not_said_is_counted(tmp_path: Path) -> None:
    unplaced = [edited(data, ImagePositionPatient=None) for data in SLICES]
    said = told(compared(tmp_path, unplaced, unplaced[:-1]))
    assert said == [("critical", "slice is missing: the ROIS has 5 others of its series")]


def test_a_corrected_name_is_one_group_and_what_else_differs_is_not_lost_in_it(tmp_path: Path) -> None:
    objects = [*SLICES, RECORD.read_bytes(), plan()]
    after = [edited(data, PatientName="Right^Name") for data in objects[:-2]]
    after += [
        edited(objects[-2], PatientName="Right^Name"),
        edited(objects[-1], PatientName="Right^Name", RTPlanLabel="x"),
    ]
    groups = grouped(compared(tmp_path, objects, after))
    name = "patient name {} → Right^Name (the same in {} objects)"
    plans, record, images = groups
    assert [finding.text for finding in plans.findings] == [
        name.format("Johnny Anonymous", 2),
        "plan label wb.0 → x",
    ]
    assert [finding.text for finding in record.findings] == [name.format("Johnny Anonymous", 2)]
    assert images.text == ("patient name changed in 6 objects: exported_Simple_Patient → Right^Name (6 CT)")
    assert images.severity == "critical"


def test_images_of_a_series_whose_pixels_changed_are_one_group(tmp_path: Path) -> None:
    def darker(data: bytes, number: int) -> bytes:
        dataset = pydicom.dcmread(BytesIO(data))
        stored = dataset.pixel_array.copy()
        stored[0, 0] -= 10 + number
        dataset.PixelData = stored.tobytes()
        return written(dataset)

    changed = [darker(data, number) for number, data in enumerate(SLICES)]
    (group,) = grouped(compared(tmp_path, SLICES, changed))
    assert group.text == "CT OpenTPS created image: 6 images changed in pixel data"
    assert group.attributes == ()
    assert sorted(change.findings[0].text for change in group.changes) == [
        f"pixel values differ: 1 of 400 pixels, by -{10 + number} HU" for number in range(6)
    ]


def record(fraction: int, day: str, number: int = 0, **beam: object) -> bytes:
    dataset: Dataset = pydicom.dcmread(RECORD)
    top(SOPInstanceUID=f"1.2.9.{fraction}.{number}", TreatmentDate=day)(dataset)
    each("TreatmentSessionBeamSequence", CurrentFractionNumber=fraction)(dataset)
    at("TreatmentSessionBeamSequence[0]", **beam)(dataset)
    return written(dataset)


def new_records(folder: Path, held: list[bytes], came: list[bytes], planned: int = 30) -> list[Change]:
    """The changes of a night that brought records, with the patient.json that the archive keeps."""
    history, files, commits = History(folder / "root"), {}, []
    for objects in (held, came):
        for data in objects:
            files |= filed(data, folder)
        treatments = {}
        for path, data in files.items():
            if path.startswith("dicom/RTRECORD/") and path.endswith(".dcm"):
                dataset = pydicom.dcmread(BytesIO(data))
                treatments[dataset.SOPInstanceUID] = {
                    "plan": PLAN,
                    "date": dataset.TreatmentDate,
                    "fractions": [int(dataset.TreatmentSessionBeamSequence[0].CurrentFractionNumber)],
                    "termination": ["NORMAL"],
                }
        summary = {"plans": {PLAN: {"fractions_planned": planned}}, "treatments": treatments}
        files["patient.json"] = json.dumps(summary).encode()
        commits.append(history.night(files))
    changes = compare(history.repository, *commits)
    assert {change.modality for change in changes} == {"RTRECORD"}
    return changes


ROUTINE = ("routine", "new treatment record: fraction {}, 2 beams, 200 MU delivered")


def odd(changes: list[Change]) -> list[tuple[str, str]]:
    return [one for one in told(changes) if one[0] != "routine"]


def test_the_next_fraction_is_routine(tmp_path: Path) -> None:
    changes = new_records(tmp_path, [plan(), record(1, "20240105")], [record(2, "20240106")])
    assert told(changes) == [("routine", "new treatment record: fraction 2, 2 beams, 200 MU delivered")]


@pytest.mark.parametrize(
    ("fraction", "expected"),
    [
        (3, "fraction 3, but fraction 2 has no treatment record"),
        (5, "fraction 5, but fractions 2 to 4 have no treatment record"),
    ],
)
def test_a_gap_in_the_sequence_of_fractions(tmp_path: Path, fraction: int, expected: str) -> None:
    changes = new_records(tmp_path, [plan(), record(1, "20240105")], [record(fraction, "20240106")])
    assert odd(changes) == [("major", expected)]


def test_a_revised_plan_goes_on_where_its_predecessor_was() -> None:
    def entry(plan: str, fraction: int) -> dict[str, object]:
        return {
            "plan": plan,
            "date": f"2024010{fraction}",
            "fractions": [fraction],
            "termination": ["NORMAL"],
        }

    treatments = {"1.1": entry("1.2.3", 1), "1.2": entry("1.2.4", 2)}
    (said,) = in_sequence("1.2", treatments, {})
    assert said.text == "fraction 2, but fraction 1 has no treatment record"
    plan = b'\nReferencedRTPlanSequence[1.2.3].RTPlanRelationship CS "PREDECESSOR"\n'
    assert predecessors_of(plan) == ["1.2.3"]
    assert predecessors_of(plan.replace(b"PREDECESSOR", b"ALTERNATE")) == []
    assert list(in_sequence("1.2", treatments, {}, predecessors_of(plan))) == []


def test_a_fraction_beyond_the_plan(tmp_path: Path) -> None:
    held = [plan(), record(1, "20240105")]
    assert odd(new_records(tmp_path, held, [record(2, "20240106")], planned=1)) == [
        ("major", "fraction 2 of 1 planned")
    ]


def test_a_fraction_given_on_two_days(tmp_path: Path) -> None:
    held = [plan(), record(1, "20240105")]
    assert odd(new_records(tmp_path, held, [record(1, "20240106", 1)])) == [
        ("major", "fraction 1 has a record of another day, too: 2024-01-05")
    ]
    assert odd(new_records(tmp_path / "same", held, [record(1, "20240105", 1)])) == []


def test_delivered_against_planned(tmp_path: Path) -> None:
    wrong = record(2, "20240106", SpecifiedPrimaryMeterset=120, DeliveredPrimaryMeterset=120)
    assert odd(new_records(tmp_path, [plan(), record(1, "20240105")], [wrong])) == [
        ("major", "beam 1 LEFT LAT: 120 MU were to be delivered, its plan has 100 MU")
    ]
    short = record(2, "20240106", DeliveredPrimaryMeterset=57.3, TreatmentTerminationStatus="MACHINE")
    assert odd(new_records(tmp_path / "short", [plan(), record(1, "20240105")], [short])) == [
        ("major", "beam 1 LEFT LAT: 57.3 of 100 MU delivered, ended MACHINE")
    ]


def test_a_beam_that_the_plan_does_not_have(tmp_path: Path) -> None:
    foreign = record(2, "20240106", ReferencedBeamNumber=9)
    assert ("major", "beam 9 LEFT LAT: its plan has no such beam") in odd(
        new_records(tmp_path, [plan(), record(1, "20240105")], [foreign])
    )


def test_a_record_that_was_lost(tmp_path: Path) -> None:
    (change,) = compared(tmp_path, [plan(), RECORD.read_bytes()], [plan()])
    assert (change.modality, change.severity) == ("RTRECORD", "critical")
    assert told([change]) == [("critical", "the ROIS no longer has this treatment record")]
