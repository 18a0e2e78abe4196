"""Part 10 files: a head that never changes, and data sets found behind any head."""

import hashlib
import io
import struct

import pydicom
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vault.dicom.part10 import (
    EXPLICIT_BIG,
    EXPLICIT_LITTLE,
    IMPLICIT_LITTLE,
    NotDicom,
    dataset_offset,
    file_head,
)

PLAN = "1.2.840.10008.5.1.4.1.1.481.5"


def test_the_head_is_the_same_for_ever():
    head = file_head(PLAN, "1.2.3", IMPLICIT_LITTLE)
    assert (
        hashlib.sha256(head).hexdigest() == "261de2495660c5e03f1e8e5f7b529beb541a3964bc242d3f5a9d118273a2d992"
    )


def test_the_head_is_what_pydicom_reads():
    meta = pydicom.dcmread(io.BytesIO(file_head(PLAN, "1.2.345", EXPLICIT_LITTLE))).file_meta
    assert meta.MediaStorageSOPClassUID == PLAN
    assert meta.MediaStorageSOPInstanceUID == "1.2.345"
    assert meta.TransferSyntaxUID == EXPLICIT_LITTLE
    assert meta.ImplementationVersionName == "VAULT_1"
    assert meta.FileMetaInformationVersion == b"\0\1"


@pytest.mark.parametrize("uid", ["", "1" * 65, "1.2 3", "1.2\n", "1.é", "1\0"])
def test_what_can_be_no_uid_is_refused(uid):
    with pytest.raises(ValueError, match="UID"):
        file_head(PLAN, uid, EXPLICIT_LITTLE)


@pytest.mark.parametrize("size", [0, 100, 3700, 3900, 5000, 1 << 19])
def test_the_data_set_begins_after_group_2_whatever_its_length_says(size):
    private = struct.pack("<HH2sHI", 2, 0x102, b"OB", 0, size) + bytes(size)
    data = file_head(PLAN, "1.2.3", EXPLICIT_LITTLE) + private
    data = data[:140] + struct.pack("<I", 7) + data[144:]
    assert dataset_offset(io.BytesIO(data + b"\x08\0\x05\0CS\0\0")) == (EXPLICIT_LITTLE, len(data))


@pytest.mark.parametrize(
    ("first", "syntax"),
    [
        (b"\x08\0\x05\0CS\x0a\0ISO_IR 100", EXPLICIT_LITTLE),
        (b"\x08\0\x05\0\x0a\0\0\0ISO_IR 100", IMPLICIT_LITTLE),
        (b"\0\x08\0\x05CS\0\x0aISO_IR 100", EXPLICIT_BIG),
    ],
)
@pytest.mark.parametrize("preamble", [b"", bytes(128) + b"DICM"])
def test_without_a_transfer_syntax_the_first_element_tells(first, syntax, preamble):
    assert dataset_offset(io.BytesIO(preamble + first)) == (syntax, len(preamble))


@pytest.mark.parametrize("data", [b"", b"DICM", b"%PDF-1.7 and more", b"GET / HTTP/1.1\r\n", bytes(200)])
def test_what_is_no_file_of_ours_is_not_dicom(data):
    with pytest.raises(NotDicom):
        dataset_offset(io.BytesIO(data))


@pytest.mark.parametrize("size", [1 << 21, 0xFFFFFFF0])
def test_a_head_without_end_is_not_read(size):
    data = bytes(128) + b"DICM" + struct.pack("<HH2sHI", 2, 1, b"OB", 0, size) + bytes(5000)
    with pytest.raises(NotDicom):
        dataset_offset(io.BytesIO(data))


@given(st.binary(max_size=300), st.booleans())
def test_any_bytes_have_a_data_set_or_are_not_dicom(data, prefixed):
    whole = bytes(128) + b"DICM" + data if prefixed else data
    try:
        _, offset = dataset_offset(io.BytesIO(whole))
    except NotDicom:
        return
    assert 0 <= offset <= len(whole)
