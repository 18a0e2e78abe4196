"""Mutations of plans, structure sets, records, doses and images: each yields what a physicist would say, no more."""

from __future__ import annotations

import io
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pydicom
import pytest
from pydicom.dataset import Dataset

from vault.compare.findings import findings, of_whole
from vault.compare.lines import attribute_changes
from vault.compare.rules import load
from vault.normal.dicom import normal_form

DATA = Path(__file__).parents[1] / "data" / "dicom"
PLAN, PLAN_2 = DATA / "RTPLAN/04d88aa29f74.dcm", DATA / "RTPLAN/18585dbbd6f7.dcm"
ION = DATA / "RTIONPLAN/07d1fc0b70b6.dcm"
STRUCTURES = DATA / "RTSTRUCT/f358b8ee95f4.dcm"
RECORD = DATA / "RTRECORD/beams-fraction-1.dcm"
DOSE = DATA / "RTDOSE/a96cfd3c8d4c.dcm"
CT = DATA / "CT/02b0af20eeae.dcm"

RULES = load()

Mutation = Callable[[Dataset], object]


def form(dataset: Dataset, path: Path) -> bytes:
    dataset.save_as(path)
    out = io.BytesIO()
    normal_form(path, out)
    return out.getvalue()


@cache
def original(path: Path) -> bytes:
    out = io.BytesIO()
    normal_form(path, out)
    return out.getvalue()


def told(tmp_path: Path, path: Path, mutation: Mutation) -> list[tuple[str, str]]:
    dataset = pydicom.dcmread(path)
    mutation(dataset)
    new = form(dataset, tmp_path / "x.dcm")
    attributes = attribute_changes(original(path), new)
    assert attributes
    weighed = map(RULES.weigh, findings(str(dataset.Modality), attributes, original(path), new))
    return [(one.severity, one.text) for one in weighed]


def put(item: Callable[[Dataset], Dataset], **values: object) -> Mutation:
    """Set attributes of an item."""

    def mutation(dataset: Dataset) -> None:
        for keyword, value in values.items():
            setattr(item(dataset), keyword, value)

    return mutation


def top(dataset: Dataset) -> Dataset:
    return dataset


def beam(number: int) -> Callable[[Dataset], Dataset]:
    return lambda dataset: dataset.BeamSequence[number - 1]


def point(number: int, index: int = 0) -> Callable[[Dataset], Dataset]:
    return lambda dataset: dataset.BeamSequence[number - 1].ControlPointSequence[index]


def group(dataset: Dataset) -> Dataset:
    return dataset.FractionGroupSequence[0]


def referenced(number: int) -> Callable[[Dataset], Dataset]:
    return lambda dataset: dataset.FractionGroupSequence[0].ReferencedBeamSequence[number - 1]


def positions(number: int, device: int, shifts: dict[int, float]) -> Mutation:
    """Move jaws (device 0 or 1) or leaves (device 2) of the first control point; places count from 0."""

    def mutation(dataset: Dataset) -> None:
        item = point(number)(dataset).BeamLimitingDevicePositionSequence[device]
        values = [float(value) for value in item.LeafJawPositions]
        for place, shift in shifts.items():
            values[place] += shift
        item.LeafJawPositions = values

    return mutation


def all_beams(**values: object) -> Mutation:
    def mutation(dataset: Dataset) -> None:
        for item in dataset.BeamSequence:
            for keyword, value in values.items():
                setattr(item, keyword, value)

    return mutation


def beam_removed(dataset: Dataset) -> None:
    del dataset.BeamSequence[1]
    del dataset.FractionGroupSequence[0].ReferencedBeamSequence[1]
    dataset.FractionGroupSequence[0].NumberOfBeams = 1


def beam_not_referenced(dataset: Dataset) -> None:
    del dataset.FractionGroupSequence[0].ReferencedBeamSequence[1]


def wedge_added(dataset: Dataset) -> None:
    wedge = Dataset()
    wedge.WedgeNumber, wedge.WedgeType, wedge.WedgeID = 1, "STANDARD", "W30"
    wedge.WedgeAngle, wedge.WedgeOrientation = 30, 90
    dataset.BeamSequence[0].WedgeSequence = [wedge]
    dataset.BeamSequence[0].NumberOfWedges = 1


def bolus_added(dataset: Dataset) -> None:
    bolus = Dataset()
    bolus.ReferencedROINumber = 9
    dataset.BeamSequence[0].ReferencedBolusSequence = [bolus]
    dataset.BeamSequence[0].NumberOfBoli = 1


def fluence(dataset: Dataset) -> None:
    mode = Dataset()
    mode.FluenceMode, mode.FluenceModeID = "NON_STANDARD", "FFF"
    dataset.BeamSequence[0].PrimaryFluenceModeSequence = [mode]


def isocentre(dataset: Dataset) -> None:
    for item in dataset.BeamSequence:
        x, y, z = item.ControlPointSequence[0].IsocenterPosition
        item.ControlPointSequence[0].IsocenterPosition = [float(x) + 3, float(y) + 4, z]


def control_point_removed(dataset: Dataset) -> None:
    del dataset.BeamSequence[0].ControlPointSequence[1]
    dataset.BeamSequence[0].NumberOfControlPoints = 1


def structure_set(dataset: Dataset) -> None:
    dataset.ReferencedStructureSetSequence[0].ReferencedSOPInstanceUID = "1.2.3"


def private(dataset: Dataset) -> None:
    dataset.private_block(0x3249, "VENDOR", create=True).add_new(0x10, "LO", "x")


def spot_moved(dataset: Dataset) -> None:
    item = dataset.IonBeamSequence[0].IonControlPointSequence[0]
    values = list(item.ScanSpotPositionMap)
    values[2] += 1.5
    item.ScanSpotPositionMap = values


BEAM_1, BEAM_2 = "beam 1 LEFT LAT", "beam 2 RIGHT LAT"

PLANS: dict[str, tuple[Path, Mutation, list[tuple[str, str]]]] = {
    "prescription": (
        PLAN_2,
        put(lambda ds: ds.DoseReferenceSequence[1], TargetPrescriptionDose=40),
        [("critical", "dose reference 2 PTV: prescribed dose 30.826 → 40 Gy (+9.174 Gy, +29.8 %)")],
    ),
    "beam dose": (
        PLAN_2,
        put(referenced(1), BeamDose=2),
        [("critical", "beam 1 Field 1: beam dose 1.028 → 2 Gy (+0.972 Gy, +94.6 %)")],
    ),
    "fractions": (
        PLAN_2,
        put(group, NumberOfFractionsPlanned=25),
        [("critical", "planned fractions 30 → 25 (-5, -16.7 %)")],
    ),
    "monitor units": (
        PLAN_2,
        put(referenced(1), BeamMeterset=120),
        [("critical", "beam 1 Field 1: monitor units 116.004 → 120 MU (+3.996 MU, +3.45 %)")],
    ),
    "monitor units by less than a thousandth": (
        PLAN_2,
        put(referenced(1), BeamMeterset="116.0036698"),
        [("critical", "beam 1 Field 1: monitor units 116.0036697 → 116.0036698 MU (+1e-07 MU, +8.62e-08 %)")],
    ),
    "meterset weight": (
        PLAN,
        put(point(1, 1), CumulativeMetersetWeight=90),
        [("critical", f"{BEAM_1}: cumulative meterset weight 100 → 90 (-10) at control point 1")],
    ),
    "machine of both beams": (
        PLAN,
        all_beams(TreatmentMachineName="EX2"),
        [("critical", "beams 1 LEFT LAT and 2 RIGHT LAT: machine EX1 → EX2")],
    ),
    "machine of one beam": (
        PLAN,
        put(beam(2), TreatmentMachineName="EX2"),
        [("critical", f"{BEAM_2}: machine EX1 → EX2")],
    ),
    "radiation": (
        PLAN,
        put(beam(1), RadiationType="ELECTRON"),
        [("critical", f"{BEAM_1}: radiation PHOTON → ELECTRON")],
    ),
    "energy": (
        PLAN,
        put(point(1), NominalBeamEnergy=18),
        [("critical", f"{BEAM_1}: energy 6 → 18 MV (+12 MV) at control point 0")],
    ),
    "fluence mode": (
        PLAN,
        fluence,
        [("critical", f"{BEAM_1}: fluence mode NON_STANDARD added: fluence mode ID FFF")],
    ),
    "gantry": (
        PLAN,
        put(point(2), GantryAngle=271.5),
        [("critical", f"{BEAM_2}: gantry angle 270 → 271.5° (+1.5°) at control point 0")],
    ),
    "gantry past zero": (
        PLAN,
        put(point(2), GantryAngle=80, GantryRotationDirection="CW"),
        [
            ("critical", f"{BEAM_2}: gantry angle 270 → 80° (+170°) at control point 0"),
            ("critical", f"{BEAM_2}: gantry rotation NONE → CW at control point 0"),
        ],
    ),
    "collimator": (
        PLAN,
        put(point(1), BeamLimitingDeviceAngle=358),
        [("critical", f"{BEAM_1}: collimator angle 0 → 358° (-2°) at control point 0")],
    ),
    "couch angle": (
        PLAN,
        put(point(1), PatientSupportAngle=10),
        [("critical", f"{BEAM_1}: couch angle 0 → 10° (+10°) at control point 0")],
    ),
    "couch height": (
        PLAN,
        put(point(1), TableTopVerticalPosition=-105.5),
        [("major", f"{BEAM_1}: couch vertical position empty → -105.5 mm at control point 0")],
    ),
    "jaw": (
        PLAN,
        positions(2, 0, {0: 21}),
        [("critical", f"{BEAM_2}: X jaws: shift 21 mm, X1, -121 → -100 mm at control point 0")],
    ),
    "both jaws": (
        PLAN,
        positions(2, 1, {0: -5, 1: 6}),
        [
            (
                "critical",
                f"{BEAM_2}: Y jaws: greatest shift 6 mm, Y2, 95 → 101 mm at control point 0; "
                "2 jaw positions changed in 1 control point",
            )
        ],
    ),
    "one leaf": (
        PLAN,
        positions(1, 2, {11: -0.5}),
        [
            (
                "critical",
                f"{BEAM_1}: MLCX leaves: shift 0.5 mm, leaf pair 12, bank X1, -13.2 → -13.7 mm at control point 0",
            )
        ],
    ),
    "leaves of both banks": (
        PLAN,
        positions(2, 2, {22: -5, 60 + 30: 2}),
        [
            (
                "critical",
                f"{BEAM_2}: MLCX leaves: greatest shift 5 mm, leaf pair 23, bank X1, -121 → -126 mm at control "
                "point 0; 2 leaf positions changed in 1 control point",
            )
        ],
    ),
    "isocentre of both beams": (
        PLAN,
        isocentre,
        [
            (
                "critical",
                "beams 1 LEFT LAT and 2 RIGHT LAT: isocentre moved by 5 mm: x 6.984 → 9.984, y 85.684 → 89.684 mm "
                "at control point 0",
            )
        ],
    ),
    "SSD": (
        PLAN,
        put(point(1), SourceToSurfaceDistance=900),
        [("major", f"{BEAM_1}: SSD 922.691 → 900 mm (-22.691 mm) at control point 0")],
    ),
    "beam removed": (
        PLAN,
        beam_removed,
        [
            (
                "critical",
                f"{BEAM_2} removed: radiation PHOTON, energy 6 MV, monitor units 0 MU, gantry angle 270°, machine EX1",
            )
        ],
    ),
    "beam that no fraction has": (
        PLAN,
        beam_not_referenced,
        [
            (
                "critical",
                f"{BEAM_2}: its entry in the referenced beam sequence removed: monitor units 0 MU",
            )
        ],
    ),
    "control point removed": (
        PLAN,
        control_point_removed,
        [("critical", f"{BEAM_1}: 1 control point removed")],
    ),
    "wedge": (
        PLAN,
        wedge_added,
        [
            (
                "critical",
                f"{BEAM_1}: wedge 1 added: wedge ID W30, wedge type STANDARD, wedge angle 30°, wedge orientation 90°",
            )
        ],
    ),
    "bolus": (PLAN, bolus_added, [("critical", f"{BEAM_1}: bolus 9 added")]),
    "blocks counted otherwise": (
        PLAN,
        put(beam(1), NumberOfBlocks=1),
        [("critical", f"{BEAM_1}: number of blocks 0 → 1 (+1)")],
    ),
    "patient position": (
        PLAN,
        put(lambda ds: ds.PatientSetupSequence[0], PatientPosition="FFS"),
        [("critical", "patient setup 1: patient position HFS → FFS")],
    ),
    "setup technique": (
        PLAN,
        put(lambda ds: ds.PatientSetupSequence[0], SetupTechnique="FIXED_SSD"),
        [("major", "patient setup 1: setup technique absent → FIXED_SSD")],
    ),
    "setup displacement": (
        PLAN,
        put(lambda ds: ds.PatientSetupSequence[0], TableTopLateralSetupDisplacement=7),
        [("major", "patient setup 1: table top lateral setup displacement absent → 7")],
    ),
    "dose rate": (
        PLAN_2,
        put(point(1), DoseRateSet=400),
        [("major", "beam 1 Field 1: dose rate 650 → 400 MU/min (-250 MU/min, -38.5 %) at control point 0")],
    ),
    "approved": (
        PLAN_2,
        put(top, ApprovalStatus="APPROVED"),
        [("routine", "approval UNAPPROVED → APPROVED")],
    ),
    "rejected": (
        PLAN_2,
        put(top, ApprovalStatus="REJECTED"),
        [("critical", "approval UNAPPROVED → REJECTED")],
    ),
    "approved and reviewed": (
        PLAN_2,
        put(top, ApprovalStatus="APPROVED", ReviewerName="Dr X", ReviewDate="20240101"),
        [
            ("routine", "approval UNAPPROVED → APPROVED"),
            ("routine", "review date absent → 2024-01-01"),
            ("routine", "reviewer absent → Dr X"),
        ],
    ),
    "approval gone": (
        PLAN_2,
        lambda ds: ds.__delattr__("ApprovalStatus"),
        [("critical", "approval UNAPPROVED → absent")],
    ),
    "energy of protons": (
        ION,
        put(lambda ds: ds.IonBeamSequence[0].IonControlPointSequence[0], NominalBeamEnergy=100),
        [("critical", "beam 1 Field_1: energy 80 → 100 MeV (+20 MeV) at control point 0")],
    ),
    "scan spots": (
        ION,
        spot_moved,
        [("critical", "beam 1 Field_1: scan spot positions differ at control point 0")],
    ),
    "label": (PLAN, put(top, RTPlanLabel="wb.1"), [("major", "plan label wb.0 → wb.1")]),
    "beam name": (PLAN, put(beam(1), BeamName="L"), [("major", "beam 1 L: beam name LEFT LAT → L")]),
    "patient": (
        PLAN,
        put(top, PatientID="88888888"),
        [("critical", "patient ID 99999999 → 88888888")],
    ),
    "other structure set": (
        PLAN,
        structure_set,
        [
            (
                "major",
                "reference to structure set 1.3.6.1.4.1.22361.48658618118952.752771718.1386779753570.5 → 1.2.3",
            )
        ],
    ),
    "software": (
        PLAN,
        put(top, SoftwareVersions="9.0"),
        [("administrative", 'software version "8.0m"\\"Version: 8.2g" → 9.0')],
    ),
    "private": (
        PLAN,
        private,
        [
            ("minor", "{VENDOR}(3249,00xx) absent → VENDOR"),
            ("minor", "{VENDOR}(3249,xx10) absent → x"),
        ],
    ),
    "what no rule names": (
        PLAN,
        put(beam(1), HighDoseTechniqueType="SRS"),
        [("critical", f"{BEAM_1}: high dose technique type absent → SRS")],
    ),
}


@pytest.mark.parametrize("name", PLANS)
def test_plans(tmp_path: Path, name: str) -> None:
    path, mutation, expected = PLANS[name]
    assert told(tmp_path, path, mutation) == expected


def region_removed(dataset: Dataset) -> None:
    for sequence in (
        dataset.StructureSetROISequence,
        dataset.ROIContourSequence,
        dataset.RTROIObservationsSequence,
    ):
        del sequence[1]


def region_added(dataset: Dataset) -> None:
    region, contours, observation = Dataset(), Dataset(), Dataset()
    region.ROINumber, region.ROIName = 7, "BOOST"
    contours.ReferencedROINumber = 7
    observation.ObservationNumber, observation.ReferencedROINumber = 17, 7
    observation.RTROIInterpretedType = "PTV"
    dataset.StructureSetROISequence.append(region)
    dataset.ROIContourSequence.append(contours)
    dataset.RTROIObservationsSequence.append(observation)


def contour_moved(dataset: Dataset) -> None:
    contour = dataset.ROIContourSequence[1].ContourSequence[2]
    points = [float(value) for value in contour.ContourData]
    points[0::3] = [x + 3 for x in points[0::3]]
    points[1::3] = [y - 4 for y in points[1::3]]
    contour.ContourData = points


def contour_removed(dataset: Dataset) -> None:
    del dataset.ROIContourSequence[1].ContourSequence[0]


def contours_removed(dataset: Dataset) -> None:
    del dataset.ROIContourSequence[1]


def contours_swapped(dataset: Dataset) -> None:
    contours = dataset.ROIContourSequence[1].ContourSequence
    contours[0], contours[2] = contours[2], contours[0]


def observation_removed(dataset: Dataset) -> None:
    del dataset.RTROIObservationsSequence[1]


STRUCTURE_SETS: dict[str, tuple[Mutation, list[tuple[str, str]]]] = {
    "renamed": (
        put(lambda ds: ds.StructureSetROISequence[2], ROIName="RIGHT LUNG"),
        [("critical", "ROI 3 RIGHT LUNG: renamed RIGHT → RIGHT LUNG")],
    ),
    "removed": (region_removed, [("critical", "ROI 2 LEFT removed")]),
    "added": (region_added, [("critical", "ROI 7 BOOST added: type PTV")]),
    "type": (
        put(lambda ds: ds.RTROIObservationsSequence[2], RTROIInterpretedType="PTV"),
        [("critical", "ROI 3 RIGHT: type empty → PTV")],
    ),
    "entry of observations removed": (
        observation_removed,
        [("critical", "ROI 2 LEFT: its entry in the RTROI observations sequence removed")],
    ),
    "contour moved": (
        contour_moved,
        [
            (
                "critical",
                "ROI 2 LEFT: 1 of 3 contours differ, on 1 slice (z 31 mm), points moved by up to 5 mm",
            )
        ],
    ),
    "contour removed, and the others move up": (
        contour_removed,
        [
            (
                "critical",
                "ROI 2 LEFT: 1 of 3 contours differ, number of contours 3 → 2, on 1 slice (z 37 mm)",
            )
        ],
    ),
    "all contours removed": (
        contours_removed,
        [("critical", "ROI 2 LEFT: all 3 contours removed, on 3 slices (z 31 to 37 mm)")],
    ),
    "contours in another order": (
        contours_swapped,
        [("minor", "ROI 2 LEFT: 2 contours in another place of their sequence, the same contours")],
    ),
    "colour": (
        put(lambda ds: ds.ROIContourSequence[1], ROIDisplayColor=[1, 2, 3]),
        [("administrative", "ROI 2 LEFT: colour 255\\0\\0 → 1\\2\\3")],
    ),
    "approved": (put(top, ApprovalStatus="APPROVED"), [("routine", "approval absent → APPROVED")]),
    "frame of reference": (
        put(lambda ds: ds.StructureSetROISequence[2], ReferencedFrameOfReferenceUID="1.2.3"),
        [
            (
                "critical",
                "ROI 3 RIGHT: frame of reference 1.3.6.1.4.1.22361.48658618118952.752771718.1386779753570.4 → 1.2.3",
            )
        ],
    ),
    "label": (put(top, StructureSetLabel="wb2"), [("major", "structure set label wb → wb2")]),
}


@pytest.mark.parametrize("name", STRUCTURE_SETS)
def test_structure_sets(tmp_path: Path, name: str) -> None:
    mutation, expected = STRUCTURE_SETS[name]
    assert told(tmp_path, STRUCTURES, mutation) == expected


def region(*contours: tuple[str, str, str]) -> bytes:
    lines = ["normal-form 1", 'StructureSetROISequence[1].ROIName LO "PTV"']
    for number, (kind, image, data) in enumerate(contours, 1):
        path = f"ROIContourSequence[1].ContourSequence[{number}]."
        lines += [
            f"{path}ContourImageSequence[{image}].ReferencedSOPInstanceUID UI {image}",
            f'{path}ContourGeometricType CS "{kind}"',
            f"{path}ContourData DS {data}",
        ]
    return "\n".join([*lines, ""]).encode()


LONG = "{} bytes sha256:00"
PLANAR = [("CLOSED_PLANAR", f"1.2.{n}", LONG.format(n)) for n in range(1, 9)]


@pytest.mark.parametrize(
    ("new", "expected"),
    [
        (
            [*PLANAR[:4], ("CLOSED_PLANAR", "1.2.5", LONG.format(99)), *PLANAR[5:]],
            ["ROI 1 PTV: 1 of 8 contours differ, on 1 slice"],
        ),
        (PLANAR[2:], ["ROI 1 PTV: 2 of 8 contours differ, number of contours 8 → 6, on 2 slices"]),
        (
            [PLANAR[1], ("POINT", *PLANAR[0][1:]), *PLANAR[2:]],
            [
                "ROI 1 PTV: 2 contours in another place of their sequence, the same contours",
                "ROI 1 PTV: type of contours CLOSED_PLANAR → POINT at contour 2",
            ],
        ),
    ],
)
def test_contours_of_which_the_normal_form_has_digests(
    new: list[tuple[str, str, str]], expected: list[str]
) -> None:
    old, later = region(*PLANAR), region(*new)
    said = findings("RTSTRUCT", attribute_changes(old, later), old, later)
    assert [one.text for one in said] == expected


def session(number: int) -> Callable[[Dataset], Dataset]:
    return lambda dataset: dataset.TreatmentSessionBeamSequence[number - 1]


OTHERS: dict[str, tuple[Path, Mutation, list[tuple[str, str]]]] = {
    "delivered": (
        RECORD,
        put(session(1), DeliveredPrimaryMeterset=90),
        [("critical", f"{BEAM_1}: delivered monitor units 100 → 90 MU (-10 MU, -10 %)")],
    ),
    "fraction": (
        RECORD,
        put(session(1), CurrentFractionNumber=2),
        [("critical", f"{BEAM_1}: fraction number 1 → 2 (+1)")],
    ),
    "termination": (
        RECORD,
        put(session(2), TreatmentTerminationStatus="MACHINE"),
        [("critical", f"{BEAM_2}: termination status NORMAL → MACHINE")],
    ),
    "gantry of a record": (
        RECORD,
        put(lambda ds: session(1)(ds).ControlPointDeliverySequence[0], GantryAngle=95),
        [("critical", f"{BEAM_1}: gantry angle 90 → 95° (+5°) at control point 0")],
    ),
    "day": (
        RECORD,
        put(top, TreatmentDate="20240106"),
        [("critical", "treatment date 2024-01-05 → 2024-01-06")],
    ),
    "machine of a record": (
        RECORD,
        put(lambda ds: ds.TreatmentMachineSequence[0], TreatmentMachineName="LINAC2"),
        [("critical", "machine LINAC1 → LINAC2")],
    ),
    "dose scaling": (
        DOSE,
        put(top, DoseGridScaling="0.000002"),
        [("critical", "dose scaling 0.000001 → 0.000002, every dose 2 times what it was")],
    ),
    "dose values": (DOSE, put(top, PixelData=bytes(400)), [("critical", "dose values differ")]),
    "dose units": (DOSE, put(top, DoseUnits="GY"), [("critical", "dose units RELATIVE → GY")]),
    "dose grid": (
        DOSE,
        put(top, ImagePositionPatient=["189.43125", "199.43125", "-760.87"]),
        [("critical", "image position moved by 1 mm: z -761.87 → -760.87 mm")],
    ),
    "pixels": (
        CT,
        lambda ds: setattr(ds, "PixelData", bytes(len(ds.PixelData))),
        [("critical", "pixel values differ")],
    ),
    "intercept": (
        CT,
        put(top, RescaleIntercept="-1000"),
        [("critical", "rescale intercept -1024 → -1000 (+24)")],
    ),
    "kVp": (CT, put(top, KVP="80"), [("minor", "kVp 120 → 80 (-40)")]),
}


@pytest.mark.parametrize("name", OTHERS)
def test_records_doses_and_images(tmp_path: Path, name: str) -> None:
    path, mutation, expected = OTHERS[name]
    assert told(tmp_path, path, mutation) == expected


def test_a_new_record_says_what_was_delivered_and_what_was_not(tmp_path: Path) -> None:
    assert [(one.subject, one.text) for one in of_whole("RTRECORD", "added", original(RECORD))] == [
        ("added.record", "new treatment record: fraction 1, 2 beams, 200 MU delivered")
    ]
    dataset = pydicom.dcmread(RECORD)
    put(session(2), DeliveredPrimaryMeterset=57.3, TreatmentTerminationStatus="MACHINE")(dataset)
    override = Dataset()
    override.OverrideReason = "couch"
    session(1)(dataset).OverrideSequence = [override]
    said = of_whole("RTRECORD", "added", form(dataset, tmp_path / "x.dcm"))
    assert [RULES.weigh(one).severity for one in said] == ["routine", "major", "major"]
    assert [one.text for one in said][1:] == [
        f"{BEAM_1}: delivered with an override: couch",
        f"{BEAM_2}: 57.3 of 100 MU delivered, ended MACHINE",
    ]


def test_every_attribute_that_differs_is_told(tmp_path: Path) -> None:
    """Two plans that have nothing in common: whatever differs is in some finding."""
    attributes = attribute_changes(original(PLAN), original(PLAN_2))
    said = findings("RTPLAN", attributes, original(PLAN), original(PLAN_2))
    named = frozenset[str]().union(*(one.attributes for one in said))
    counts = {"NumberOfBeams", "NumberOfControlPoints", "NumberOfWedges", "NumberOfBlocks", "NumberOfBoli"}
    assert {change.keyword for change in attributes} - named <= counts


@pytest.mark.parametrize("modality", ["RTPLAN", "RTSTRUCT", "RTDOSE", "RTRECORD", "CT", "REG", "XX"])
def test_hostile_forms_are_told_too(modality: str) -> None:
    old = b"normal-form 1\n" + b"\n".join(
        [
            b'BeamSequence[1].BeamName LO "a"',
            b"X[.Y DS \\",
            b'ROIContourSequence[1].ContourSequence[1].ContourData DS "x"',
            b'TreatmentDate DA "20240105"',
        ]
    )
    new = (
        b"normal-form 1\n"
        + "\n".join(
            [
                'BeamSequence[1].BeamName LO "<script>\u202e"',
                "BeamSequence[].GantryAngle DS 1e999",
                f'PatientName PN "{"long" * 5000}"',
                f'{{{"M" * 900}}}(0009,xx10) LO "x"',
                "zz",
            ]
        ).encode()
    )
    attributes = attribute_changes(old, new)
    said = findings(modality, attributes, old, new)
    assert len(said) >= 3
    assert any(one.subject == "any.identity" for one in said)
    assert all(len(one.text) < 700 for one in said)


def test_many_attributes_that_nothing_names_are_one_finding() -> None:
    old = b"normal-form 1\n"
    new = old + b"".join(b'(0009,10%02d) LO "x"\n' % n for n in range(10, 60))
    (one,) = findings("RTPLAN", attribute_changes(old, new), old, new)
    assert one.text.startswith("50 changes of private attributes: (0009,1010), ")
    assert one.text.endswith(" and 38 more")


@pytest.mark.parametrize("device", ["ASYMX", "X", "ASYMY", "Y", "MLCX1", "MLCY"])
def test_jaws_are_told_by_the_axis_along_which_they_move(device: str) -> None:
    from vault.compare.findings.leaves import Positions, told

    text = told(device, [Positions("0", "-50\\50", "-50\\60")])
    along = "Y" if device.endswith("Y") else "X"
    assert f"{along}2, 50 → 60 mm at control point 0" in text
