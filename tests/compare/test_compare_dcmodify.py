"""The same with somebody else's editor: DCMTK's dcmodify rewrites the file, and only what it was told to is told."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from mutations import DATA, compared, form, told

pytestmark = [
    pytest.mark.system,
    pytest.mark.skipif(not shutil.which("dcmodify"), reason="dcmodify not installed: apt-get install dcmtk"),
]

PLAN = DATA / "RTPLAN/04d88aa29f74.dcm"
ELECTRONS = DATA / "RTPLAN/27c89d42c016.dcm"
IONS = DATA / "RTIONPLAN/07d1fc0b70b6.dcm"
STRUCTURES = DATA / "RTSTRUCT/f358b8ee95f4.dcm"
DOSE = DATA / "RTDOSE/f326ebecc34a.dcm"
CT = DATA / "CT/02b0af20eeae.dcm"
RECORD = DATA / "RTRECORD/beams-fraction-1.dcm"

# fmt: off
TABLE = {
    "patient": (PLAN, ["-m", "PatientName=X^Y"], [("critical", "patient name Johnny Anonymous → X^Y")]),
    "fractions": (ELECTRONS, ["-m", "FractionGroupSequence[0].NumberOfFractionsPlanned=26"], [("critical", "planned fractions 25 → 26 (+1, +4 %)")]),
    "monitor units": (IONS, ["-m", "FractionGroupSequence[0].ReferencedBeamSequence[3].BeamMeterset=2106"], [("critical", "beam 4 Field_4: monitor units 2340 → 2106 MU (-234 MU, -10 %)")]),
    "gantry": (PLAN, ["-m", "BeamSequence[1].ControlPointSequence[0].GantryAngle=285"], [("critical", "beam 2 RIGHT LAT: gantry angle 270 → 285° (+15°) at control point 0")]),
    "jaws": (ELECTRONS, ["-m", "BeamSequence[0].ControlPointSequence[0].BeamLimitingDevicePositionSequence[1].LeafJawPositions=-90\\100"], [("critical", "beam 1 Field 1: Y jaws: shift 10 mm, Y1, -100 → -90 mm at control point 0")]),
    "energy": (ELECTRONS, ["-m", "BeamSequence[0].ControlPointSequence[0].NominalBeamEnergy=6"], [("critical", "beam 1 Field 1: energy 9 → 6 MeV (-3 MeV) at control point 0")]),
    "machine of all beams": (IONS, [part for beam in range(4) for part in ("-m", f"IonBeamSequence[{beam}].TreatmentMachineName=TR4")], [("critical", "beams 1 Field_1, 2 Field_2, 3 Field_3 and 4 Field_4: machine TR3 → TR4")]),
    "approval": (ELECTRONS, ["-m", "ApprovalStatus=REJECTED"], [("critical", "approval UNAPPROVED → REJECTED")]),
    "block taken out": (ELECTRONS, ["-e", "BeamSequence[0].BlockSequence", "-m", "BeamSequence[0].NumberOfBlocks=0"], [("critical", "beam 1 Field 1: block 10 removed: block name Block1, block type APERTURE")]),
    "region renamed": (STRUCTURES, ["-m", "StructureSetROISequence[3].ROIName=CHIASM"], [("critical", "ROI 4 CHIASM: renamed CRIBRIFORM → CHIASM")]),
    "region's type": (STRUCTURES, ["-m", "RTROIObservationsSequence[1].RTROIInterpretedType=PTV"], [("critical", "ROI 2 LEFT: type empty → PTV")]),
    "dose scaling": (DOSE, ["-m", "DoseGridScaling=0.00076548176972"], [("critical", "dose scaling 0.00038274088486 → 0.00076548176972, every dose 2 times what it was: maximum 25.083 → 50.166 Gy (+25.083 Gy, +100 %), mean 5.267 → 10.533 Gy (+5.267 Gy, +100 %), 7090 of 8000 voxels by up to 25.083 Gy")]),
    "Hounsfield units": (CT, ["-m", "RescaleIntercept=-1014"], [("critical", "rescale intercept -1024 → -1014 (+10): 256 of 256 pixels, by +10 HU")]),
    "slice position": (CT, ["-m", "ImagePositionPatient=-72.199997\\-140\\6.2625"], [("critical", "image position moved by 3 mm: y -143 → -140 mm")]),
    "delivered": (RECORD, ["-m", "TreatmentSessionBeamSequence[1].DeliveredPrimaryMeterset=0"], [("critical", "beam 2 RIGHT LAT: delivered monitor units 100 → 0 MU (-100 MU, -100 %)")]),
}
# fmt: on


def rewritten(file: Path, folder: Path, *arguments: str) -> bytes:
    copy = folder / "copy.dcm"
    shutil.copyfile(file, copy)
    subprocess.run(["dcmodify", "--no-backup", *arguments, str(copy)], check=True, capture_output=True)
    return copy.read_bytes()


@pytest.mark.parametrize("name", TABLE)
def test_what_dcmodify_did_is_told_and_nothing_else(tmp_path: Path, name: str) -> None:
    file, arguments, expected = TABLE[name]
    changes = compared(tmp_path, [file.read_bytes()], [rewritten(file, tmp_path, *arguments)])
    assert told(changes) == expected


def test_rewriting_a_file_changes_nothing(tmp_path: Path) -> None:
    after = rewritten(ELECTRONS, tmp_path, "-m", "PatientID=2018_Comp_LT-CW-C2")
    assert after != ELECTRONS.read_bytes()
    assert form(after, tmp_path) == form(ELECTRONS.read_bytes(), tmp_path)
