"""What an object is filed under, read quickly, within bounds, and never ambiguously."""

import os
import time
from pathlib import Path

import pydicom
import pytest
from dicom_kit import BIG, DEFLATED, EXPLICIT, IMPLICIT, Element, Style, write
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from vault.dicom.header import read_header
from vault.dicom.part10 import NotDicom, file_head
from vault.model import ObjectKey

FILES = sorted((Path(__file__).parent.parent / "data").rglob("*.dcm"))
ELEMENTS = (
    Element(0x00080016, "UI", "1.2.840.10008.5.1.4.1.1.481.5"),
    Element(0x00080018, "UI", "1.2.3.4"),
    Element(0x00080060, "CS", "RTPLAN"),
    Element(0x00081140, "SQ", ((Element(0x00100020, "LO", "another"),), ())),
    Element(0x00100020, "LO", "Zoë-1"),
    Element(0x0020000D, "UI", "1.2.3"),
    Element(0x0020000E, "UI", "1.2.3.5"),
    Element(0x30060050, "DS", "1\\2\\3"),
)


def read(tmp_path, data):
    path = tmp_path / "object.dcm"
    path.write_bytes(data)
    return read_header(path)


@pytest.mark.parametrize("syntax", [IMPLICIT, EXPLICIT, BIG, DEFLATED])
@pytest.mark.parametrize("undefined", [False, True])
@pytest.mark.parametrize("charset", ["ISO_IR 100", "ISO_IR 192"])
def test_however_it_is_encoded(tmp_path, syntax, undefined, charset):
    header = read(tmp_path, write(ELEMENTS, Style(syntax, undefined=undefined, charset=charset)))
    assert header.patient_id == "Zoë-1"
    assert header.study_uid == "1.2.3"
    assert header.key == ObjectKey("RTPLAN", "1.2.3.5", "1.2.3.4")
    assert header.sop_class_uid == "1.2.840.10008.5.1.4.1.1.481.5"
    assert header.transfer_syntax == syntax


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_as_pydicom_reads_it(file):
    header, dataset = read_header(file), pydicom.dcmread(file, force=True)
    assert header.patient_id == dataset.get("PatientID", "")
    assert header.key.modality == dataset.get("Modality", "")
    assert header.key.series_uid == dataset.get("SeriesInstanceUID", "")
    assert header.key.sop_uid == dataset.get("SOPInstanceUID", "")


def test_what_is_absent_is_empty(tmp_path):
    header = read(tmp_path, write((Element(0x30060050, "DS", "1"),), Style()))
    assert (header.patient_id, header.study_uid, header.key) == ("", "", ObjectKey("", "", ""))


def test_unreadable_bytes_stay_visible_and_can_be_written_down(tmp_path):
    header = read(tmp_path, write((Element(0x00100020, "LO", b"M\xfc1 "),), Style()))
    assert header.patient_id == "M\\xfc1"


def test_two_patient_ids_are_refused(tmp_path):
    twice = write((*ELEMENTS, Element(0x00100020, "LO", "B")), Style())
    with pytest.raises(NotDicom, match=r"\(0010,0020\) stands in it twice"):
        read(tmp_path, twice)


@pytest.mark.parametrize("cut", [150, 330, 400])
def test_a_file_that_breaks_off_before_the_series_is_refused(tmp_path, cut):
    data = write(ELEMENTS, Style())
    with pytest.raises(NotDicom) as raised:
        read(tmp_path, data[:cut])
    assert "Zoë" not in str(raised.value)


def test_what_breaks_later_does_not_matter(tmp_path):
    assert read(tmp_path, write(ELEMENTS, Style())[:-5]).patient_id == "Zoë-1"


def test_pixels_are_not_read(tmp_path):
    path = tmp_path / "huge.dcm"
    data = write(ELEMENTS, Style()) + b"\xe0\x7f\x10\0OW\0\0" + (1 << 31).to_bytes(4, "little")
    path.write_bytes(data)
    os.truncate(path, len(data) + (1 << 31))
    start = time.process_time()
    assert read_header(path).patient_id == "Zoë-1"
    assert time.process_time() - start < 0.1


def test_a_deflated_bomb_is_inflated_to_its_header_only(tmp_path):
    bomb = write((*ELEMENTS, Element(0x7FE00010, "OW", bytes(40 << 20))), Style(DEFLATED))
    assert read(tmp_path, bomb).patient_id == "Zoë-1"


@given(st.binary(max_size=300), st.sampled_from([IMPLICIT, EXPLICIT, BIG, DEFLATED, "1.2"]))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_bytes_have_a_header_or_are_not_dicom(tmp_path, data, syntax):
    try:
        header = read(tmp_path, file_head("1.2", "1.3", syntax) + data)
    except NotDicom:
        return
    header.patient_id.encode()
