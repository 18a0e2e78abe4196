from __future__ import annotations

import pytest

from vault.compare.titles import series_title, title

SOP = "SOPClassUID UI 1.2.840.10008.5.1.4.1.1.481.5 RT Plan Storage"


@pytest.mark.parametrize(
    ("modality", "lines", "expected"),
    [
        ("RTPLAN", ['RTPlanLabel SH "PROSTATE_1A"', 'RTPlanName LO "x"'], "PROSTATE_1A"),
        ("RTPLAN", ['RTPlanLabel SH ""'], "RT Plan Storage"),
        ("RTSTRUCT", ['StructureSetLabel SH "CT 1"'], "CT 1"),
        (
            "RTDOSE",
            ['DoseUnits CS "GY"', 'DoseType CS "PHYSICAL"', 'DoseSummationType CS "PLAN"'],
            "PLAN PHYSICAL GY",
        ),
        (
            "RTRECORD",
            [
                'TreatmentDate DA "20261124"',
                "TreatmentSessionBeamSequence[1].CurrentFractionNumber IS 13",
            ],
            "treatment 2026-11-24, fraction 13",
        ),
        ("RTRECORD", ['TreatmentDate DA "someday"'], "treatment someday"),
        ("RTRECORD", [], "RT Plan Storage"),
        ("CT", ['SeriesDescription LO "Planning"', "InstanceNumber IS 42"], "Planning, image 42"),
        ("CT", ["InstanceNumber IS 42"], "image 42"),
        ("CT", [], "RT Plan Storage"),
        ("RTIMAGE", ['RTImageLabel SH "DRR 1"'], "DRR 1"),
        ("OTHER", ["RequestedSequence[1].SeriesDescription LO x"], "RT Plan Storage"),
    ],
)
def test_titles(modality: str, lines: list[str], expected: str) -> None:
    form = "\n".join(["normal-form 1", SOP, *lines, ""])
    assert title(modality, form.encode()) == expected


def test_never_empty_and_never_an_error() -> None:
    for form in (b"", b"\n", b"\nRTPlanLabel ", b"\nRTPlanLabel SH", b"\xff\nRTPlanLabel SH \xff"):
        assert title("RTPLAN", form)


@pytest.mark.parametrize(
    ("image", "series"),
    [("A, image 1, image 2", "A, image 1"), ("image 3", ""), ("CT Image Storage", "CT Image Storage")],
)
def test_series_of_an_image(image: str, series: str) -> None:
    assert series_title(image) == series
