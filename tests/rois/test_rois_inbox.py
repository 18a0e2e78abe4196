"""The inbox: whatever an object calls itself, it lies inside, once, and survives the process."""

import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset
from rois_kit import image

from vault.dicom.header import Header
from vault.dicom.part10 import file_head
from vault.errors import IntegrityError
from vault.model import Failure, FoundObject, ObjectKey, PatientID, Retrieval
from vault.rois.inbox import Filed, Inbox, unfinished
from vault.rois.quarantine import MOST_OBJECTS, Quarantine, Quarantined

KEY = ObjectKey("CT", "1.2", "1.2.3")
TEXT = st.one_of(st.sampled_from(["../x", "/etc", "..", "CON", "a\0b", "ü", "\udce9"]), st.text(max_size=80))


def header(patient="P1", key=KEY):
    return Header(patient, "1", key, "1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.1.2.1")


def spooled(inbox, data=b"bytes"):
    path = inbox.spool() / "arriving"
    path.write_bytes(data)
    return path


@given(patient=TEXT.filter(bool), key=st.builds(ObjectKey, TEXT, TEXT, TEXT))
def test_any_name_stays_inside_and_keeps_its_patient(patient, key):
    with tempfile.TemporaryDirectory() as folder:
        inbox = Inbox(Path(folder) / "inbox" / "run")
        assert inbox.file(spooled(inbox), header(patient, key)) is Filed.NEW
        inside = inbox.path(patient, key).resolve()
        assert inside.is_relative_to(inbox.folder.resolve())
        assert inside.read_bytes() == b"bytes"
        assert inbox.patients() == [patient]
        inbox.clear(PatientID(patient))
        assert inbox.patients() == []


def test_the_same_object_twice_is_one_and_other_bytes_never_replace_it(tmp_path):
    inbox = Inbox(tmp_path / "inbox" / "run")
    assert inbox.file(spooled(inbox), header()) is Filed.NEW
    assert inbox.file(spooled(inbox), header()) is Filed.AGAIN
    assert inbox.file(spooled(inbox, b"other"), header()) is Filed.CONFLICT
    assert inbox.path("P1", KEY).read_bytes() == b"bytes"


def test_a_patient_of_whom_only_a_record_exists_is_a_patient_of_the_inbox(tmp_path):
    inbox = Inbox(tmp_path / "inbox" / "run")
    found = FoundObject("1", KEY, "1.2")
    for retrieval in (
        Retrieval(PatientID("ü/1"), None, failures=(Failure("", "away"),)),
        Retrieval(PatientID("P2"), (found,), frozenset([KEY]), (found,)),
    ):
        inbox.record(retrieval)
        assert Inbox(inbox.folder).retrieval(retrieval.patient_id) == retrieval
    assert inbox.patients() == ["P2", "ü/1"]
    assert inbox.retrieval(PatientID("P3")) is None
    assert list(inbox.objects(PatientID("P2"))) == []


def test_unfinished_inboxes_come_oldest_first_and_go_when_removed(tmp_path):
    for run in ("2", "1"):
        Inbox(tmp_path / "inbox" / run).record(Retrieval(PatientID("P"), ()))
    assert [inbox.run for inbox in unfinished(tmp_path)] == ["1", "2"]
    for inbox in unfinished(tmp_path):
        inbox.remove()
        inbox.remove()
    assert unfinished(tmp_path) == []
    assert unfinished(tmp_path / "absent") == []


def test_an_object_that_changed_on_the_disk_is_an_integrity_error(tmp_path):
    inbox = Inbox(tmp_path / "inbox" / "run")
    inbox.file(spooled(inbox), header())
    inbox.record(Retrieval(PatientID("P1"), ()))
    with pytest.raises(IntegrityError, match="not what was received"):
        list(inbox.objects(PatientID("P1")))


def encoded_image(**values):
    """A whole Part 10 file, and the key that its data set has."""
    good = image(**values)
    head = file_head(good.SOPClassUID, good.SOPInstanceUID, good.file_meta.TransferSyntaxUID)
    encoded = DicomBytesIO()
    encoded.is_little_endian, encoded.is_implicit_VR = True, False
    del good.file_meta
    write_dataset(encoded, good)
    return head + encoded.getvalue(), ObjectKey("CT", good.SeriesInstanceUID, good.SOPInstanceUID)


@pytest.mark.parametrize("change", ["cut off", "flipped", "no receipt"])
def test_what_is_not_what_came_is_left_out_where_the_retrieval_was_interrupted(tmp_path, change):
    inbox = Inbox(tmp_path / "inbox" / "run")
    (whole, key), (torn, other) = encoded_image(SOPInstanceUID="1.2.5"), encoded_image(SOPInstanceUID="1.2.6")
    inbox.file(spooled(inbox, whole), header(key=key))
    inbox.file(spooled(inbox, torn), header(key=other))
    path = inbox.path("P1", other)
    if change == "cut off":
        path.write_bytes(torn[:-1])
    elif change == "flipped":
        path.write_bytes(torn[:-1] + bytes([torn[-1] ^ 1]))
    else:
        receipts = path.parents[2] / ".receipts"
        receipts.write_bytes(receipts.read_bytes()[:-1])  # a line cut off by a power cut
    damaged = []
    assert [item.key for item in inbox.objects(PatientID("P1"), damaged)] == [key]
    assert ["not whole" in failure.reason for failure in damaged] == [True]
    inbox.record(Retrieval(PatientID("P1"), ()))
    assert [item.key for item in inbox.objects(PatientID("P1"), damaged)] == [key]
    assert len(damaged) == 2


def test_of_two_that_differ_the_receipt_is_of_the_one_that_is_filed(tmp_path):
    inbox = Inbox(tmp_path / "inbox" / "run")
    data, key = encoded_image(SOPInstanceUID="1.2.5")
    assert inbox.file(spooled(inbox, data), header(key=key)) is Filed.NEW
    assert inbox.file(spooled(inbox, b"other"), header(key=key)) is Filed.CONFLICT
    (item,) = inbox.objects(PatientID("P1"))
    assert item.key == key


def test_what_the_vault_has_is_told_by_its_receipt_and_not_read(tmp_path):
    inbox = Inbox(tmp_path / "inbox" / "run")
    data, key = encoded_image(SOPInstanceUID="1.2.5")
    inbox.file(spooled(inbox, data), header(key=key))
    (read,) = inbox.objects(PatientID("P1"), held={}.get)
    inbox.path("P1", key).chmod(0)
    name = f"CT/{key.series_uid}/{key.sop_uid}.dcm"
    (item,) = inbox.objects(PatientID("P1"), held={name: read.digest.oid}.get)
    assert (item.key, item.digest) == (key, None)


@pytest.mark.parametrize("share", [MOST_OBJECTS, 0])
def test_a_damaged_object_is_quarantined_and_the_others_are_there(tmp_path, monkeypatch, share):
    monkeypatch.setattr("vault.rois.quarantine.MOST_OBJECTS", share)
    inbox = Inbox(tmp_path / "inbox" / "run")
    data, whole = encoded_image(SOPInstanceUID="1.2.5")
    inbox.file(spooled(inbox, data), header(key=whole))
    inbox.file(spooled(inbox), header())
    inbox.file(spooled(inbox, data), header(key=ObjectKey("CT", "1.2", "1.2.4")))
    inbox.record(Retrieval(PatientID("P1"), ()))
    damaged = []
    assert [item.key for item in inbox.objects(PatientID("P1"), damaged)] == [whole]
    assert [failure.subject for failure in damaged] == ["object", "object"]
    assert all(("put into the quarantine" in failure.reason) is bool(share) for failure in damaged)
    assert "P1" not in str(damaged)
    assert sum(inbox.quarantine.reasons().values()) == (2 if share else 0)
    assert inbox.path("P1", KEY).exists() is not bool(share)
    assert [item.key for item in inbox.objects(PatientID("P1"), [])] == [whole]


def test_the_quarantine_is_bounded_and_its_sentences_name_no_patient(tmp_path, monkeypatch):
    monkeypatch.setattr("vault.rois.quarantine.MOST_BYTES", 10)
    inbox = Inbox(tmp_path / "inbox" / "run")
    quarantine = Quarantine(tmp_path, inbox.run)
    note = Quarantined("a reason", "ROIS", {"patient_id": "Secret"})
    assert quarantine.put(spooled(inbox), note)
    assert quarantine.put(spooled(inbox), note)
    assert not quarantine.put(spooled(inbox), note)
    inbox.note_refusals({"a connection from 192.0.2.1": 2})
    text = " ".join(inbox.refusals())
    assert "2 quarantined: a reason" in text
    assert "2 refused: a connection from 192.0.2.1" in text
    assert "Secret" not in text
    assert MOST_OBJECTS == 200
