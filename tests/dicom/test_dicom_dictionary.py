"""The frozen dictionary: what it says, and that it costs nothing."""

import subprocess
import sys

import pydicom.datadict
import pytest

from vault.dicom import dictionary


@pytest.mark.parametrize(
    ("tag", "entry"),
    [
        (0x300A00B2, ("SH", "TreatmentMachineName", False)),
        (0x00280106, ("US or SS", "SmallestImagePixelValue", False)),
        (0x7FE00010, ("OB or OW", "PixelData", False)),
        (0x60020010, ("US", "OverlayRows", True)),
        (0x50003000, ("OB or OW", "CurveData", True)),
    ],
)
def test_elements(tag, entry):
    assert dictionary.element(tag) == entry


@pytest.mark.parametrize("tag", [0x00091001, 0x60010010, 0x00010001, 0xFFFEE000])
def test_private_and_unknown_elements_have_no_entry(tag):
    assert dictionary.element(tag) is None


def test_it_agrees_with_pydicom_on_what_matters():
    for keyword in ("PatientID", "BeamSequence", "ContourData", "LeafJawPositions", "DoseGridScaling"):
        tag = dictionary.tags_by_keyword()[keyword]
        assert (dictionary.element(tag).vr, keyword) == (
            pydicom.datadict.dictionary_VR(tag),
            pydicom.datadict.keyword_for_tag(tag),
        )


def test_uids():
    assert dictionary.uid_name("1.2.840.10008.5.1.4.1.1.481.5") == "RT Plan Storage"
    assert dictionary.uid_name("1.2.3") == ""


def test_nothing_is_loaded_before_it_is_needed():
    code = (
        "import sys, vault.dicom.header, vault.normal.dicom; "
        "sys.exit(any(m in sys.modules for m in ('pydicom', 'numpy', 'gdcm')))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
