"""Every byte that was sent is kept, or the sender does not hear "success"; trouble is counted and leaves nothing."""

import os
import struct

import pytest
from pydicom.filewriter import write_file_meta_info
from pydicom.uid import ExplicitVRLittleEndian
from pynetdicom.dsutils import create_file_meta, encode
from rois_kit import CT, image

from vault.rois import intake
from vault.rois.inbox import Inbox
from vault.rois.intake import CANNOT_UNDERSTAND, OUT_OF_RESOURCES, SUCCESS, Arrival, Intake


@pytest.fixture
def inbox(tmp_path):
    return Inbox(tmp_path / "inbox" / "run")


@pytest.fixture
def taker(inbox):
    return Intake(inbox, ["P1"], 1 << 20)


def spooled(inbox, data, made_uid, **command):
    """A C-STORE as pynetdicom spools it: its own file head, then the data set's bytes."""
    path = inbox.spool() / "arriving.dcm"
    with path.open("wb") as file:
        file.write(bytes(128) + b"DICM")
        meta = create_file_meta(
            sop_class_uid=CT, sop_instance_uid=made_uid, transfer_syntax=ExplicitVRLittleEndian
        )
        write_file_meta_info(file, meta)
        file.write(data)
    said = {
        "sop_class_uid": CT,
        "sop_uid": str(made_uid),
        "transfer_syntax": str(ExplicitVRLittleEndian),
        **command,
    }
    return Arrival(path, peer="ROIS", **said)


def test_the_bytes_that_were_sent_are_the_bytes_that_are_kept(inbox, taker):
    made = image()
    data = encode(made, False, True)
    assert taker.accept(spooled(inbox, data, made.SOPInstanceUID)) == SUCCESS
    (kept,) = inbox.objects("P1")
    assert kept.path.read_bytes().endswith(data)
    assert not list(inbox.spool().iterdir())


@pytest.mark.parametrize(
    "smuggled",
    [
        struct.pack("<HH2sH", 0x0002, 0x0016, b"AE", 4) + b"EVIL",
        struct.pack("<HH2sH", 0x0002, 0x0010, b"UI", 18) + b"1.2.840.10008.1.2\0",
    ],
    ids=["an element", "another transfer syntax"],
)
def test_a_data_set_that_begins_like_a_file_head_is_refused_and_kept_whole(inbox, taker, smuggled):
    """Group 0002 has no place in a data set (PS3.10 7.1): taken for more of the head, it would vanish."""
    made = image()
    data = smuggled + encode(made, False, True)
    assert taker.accept(spooled(inbox, data, made.SOPInstanceUID)) == CANNOT_UNDERSTAND
    assert inbox.patients() == []
    assert taker.stored == 0
    (kept,) = (inbox.root / "quarantine").glob("*.dcm")
    assert kept.read_bytes().endswith(data)
    assert inbox.refusals() == ["1 quarantined: the data set begins like the head of a file"]


@pytest.mark.parametrize("uid", ["", "1.2 3", "1." * 40], ids=["none", "a space", "too long"])
def test_a_command_whose_uids_fit_in_no_file_head_is_quarantined(inbox, taker, uid):
    made = image()
    arrival = spooled(inbox, encode(made, False, True), made.SOPInstanceUID, sop_uid=uid)
    assert taker.accept(arrival) == CANNOT_UNDERSTAND
    assert inbox.refusals() == ["1 quarantined: the command that sent it has no valid UIDs"]
    assert not list(inbox.spool().iterdir())


def test_trouble_of_our_own_is_counted_without_its_words(inbox, taker, monkeypatch):
    def broken(_path):
        raise RuntimeError("Secret^Name")

    monkeypatch.setattr(intake, "read_header", broken)
    made = image()
    assert taker.accept(spooled(inbox, encode(made, False, True), made.SOPInstanceUID)) == CANNOT_UNDERSTAND
    assert taker.refused == {"an object could not be handled (RuntimeError)": 1}
    assert not list(inbox.spool().iterdir())


def test_a_disk_that_fills_while_an_object_is_written_is_out_of_resources(inbox, taker, monkeypatch):
    def full(*_arguments):
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr(intake, "_copy", full)
    made = image()
    arrival = spooled(inbox, encode(made, False, True), made.SOPInstanceUID)
    assert taker.accept(arrival) == OUT_OF_RESOURCES
    assert taker.refused == {"an object could not be written: No space left on device": 1}
    assert not list(inbox.spool().iterdir())
