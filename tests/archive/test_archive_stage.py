"""What arrived against what is held: added, changed, re-encoded, unchanged, removed, and never the wrong one."""

import json
from contextlib import nullcontext
from io import BytesIO

import pydicom
import pytest
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian, generate_uid

from vault.archive.blobs import Bytes, hash_file
from vault.archive.stage import Stage, modality_of, normal_form_path, object_path, objects_in
from vault.digests import digest_file
from vault.model import Failure, FoundObject, ObjectKey, Retrieval
from vault.normal.volatile import SHIPPED
from vault.rois.inbox import InboxObject

PATIENT = "P1"


def plan(label="A", *, uid="1.2.3.1", series="1.2.3", implicit=True, **more):
    data = pydicom.Dataset()
    data.SOPClassUID, data.SOPInstanceUID = "1.2.840.10008.5.1.4.1.1.481.5", uid
    data.PatientID, data.PatientName, data.PatientSex = PATIENT, "Test^Anna", "F"
    data.StudyInstanceUID, data.SeriesInstanceUID, data.Modality = "1.2", series, "RTPLAN"
    data.RTPlanLabel = label
    group = pydicom.Dataset()
    group.FractionGroupNumber, group.NumberOfFractionsPlanned = 1, 28
    data.FractionGroupSequence = [group]
    for keyword, value in more.items():
        setattr(data, keyword, value)
    data.file_meta = pydicom.dataset.FileMetaDataset()
    data.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian if implicit else ExplicitVRLittleEndian
    data.file_meta.MediaStorageSOPClassUID, data.file_meta.MediaStorageSOPInstanceUID = data.SOPClassUID, uid
    return data


def record(uid, plan_uid, date, fraction):
    data = plan(uid=uid, series="1.2.9")
    data.Modality = "RTRECORD"
    data.TreatmentDate = date
    reference = pydicom.Dataset()
    reference.ReferencedSOPInstanceUID = plan_uid
    data.ReferencedRTPlanSequence = [reference]
    beam = pydicom.Dataset()
    beam.ReferencedBeamNumber, beam.CurrentFractionNumber, beam.TreatmentTerminationStatus = (
        1,
        fraction,
        "NORMAL",
    )
    data.TreatmentSessionBeamSequence = [beam]
    return data


class Archive:
    """A patient's tree as a dictionary: what `Stage` needs to know of a repository."""

    def __init__(self, folder):
        self.folder = folder
        self.tree, self.blobs = {}, {}
        self.nights = 0

    def open(self, oid):
        return nullcontext(BytesIO(self.blobs[oid]))

    def night(self, *data_sets, found=..., modalities=(), **retrieval):
        """Stage a night in which `data_sets` arrive; `found` is by default what was held and what arrived."""
        self.nights += 1
        workspace = self.folder / str(self.nights)
        workspace.mkdir()
        objects = []
        for number, data in enumerate(data_sets):
            path = workspace / f"{number}.dcm"
            data.save_as(path, enforce_file_format=True)
            key = ObjectKey(data.Modality, data.SeriesInstanceUID, data.SOPInstanceUID)
            objects.append(InboxObject(path, key, digest_file(path)))
        if found is ...:
            held = [path.split("/") for path in objects_in(self.tree)]
            found = [ObjectKey(part[1], part[2], part[3][:-4]) for part in held] + [
                item.key for item in objects
            ]
        listed = None if found is None else tuple(FoundObject("1.2", key) for key in found)
        stage = Stage(self.tree, self.open, workspace, SHIPPED, modalities)
        staged = stage.stage(objects, Retrieval(PATIENT, listed, **retrieval))
        for path, blob in staged.edits.items():
            if blob is None:
                del self.tree[path]
            else:
                self.tree[path] = blob.oid
                self.blobs[blob.oid] = blob.data if isinstance(blob, Bytes) else blob.path.read_bytes()
        return staged

    @property
    def patient(self):
        return json.loads(self.blobs[self.tree["patient.json"]])


@pytest.fixture
def archive(tmp_path):
    return Archive(tmp_path)


PATH = "dicom/RTPLAN/1.2.3/1.2.3.1.dcm"


def test_a_new_object_is_added_with_its_normal_form(archive):
    staged = archive.night(plan())
    assert staged.outcome.added == [PATH]
    assert set(archive.tree) == {PATH, normal_form_path(PATH), "patient.json"}
    assert archive.blobs[archive.tree[normal_form_path(PATH)]].startswith(b"normal-form 1\n")


def test_the_same_bytes_are_unchanged_and_edit_nothing(archive):
    archive.night(plan())
    staged = archive.night(plan())
    assert (staged.outcome.unchanged, staged.edits) == (1, {})


def test_another_encoding_is_re_encoded_and_the_first_bytes_are_kept(archive):
    archive.night(plan())
    staged = archive.night(plan(implicit=False, InstanceCreationTime="101010"))
    assert (staged.outcome.reencoded, staged.outcome.changed, staged.edits) == (1, [], {})


def test_another_content_is_changed(archive):
    archive.night(plan())
    before = dict(archive.tree)
    staged = archive.night(plan("B"))
    assert staged.outcome.changed == [PATH]
    assert all(archive.tree[path] != before[path] for path in (PATH, normal_form_path(PATH), "patient.json"))


def test_removed_is_only_what_a_complete_query_no_longer_finds(archive):
    archive.night(plan(), plan(uid="1.2.3.2"))
    gone = archive.night(plan(), found=[ObjectKey("RTPLAN", "1.2.3", "1.2.3.1")])
    assert gone.outcome.removed == ["dicom/RTPLAN/1.2.3/1.2.3.2.dcm"]
    assert objects_in(archive.tree) == [PATH]


def test_nothing_is_removed_when_the_query_failed(archive):
    archive.night(plan())
    staged = archive.night(found=None, failures=(Failure("", "the ROIS was silent"),))
    assert staged.outcome.removed == []
    assert staged.edits == {}
    assert not staged.outcome.complete


def test_what_was_found_but_did_not_arrive_is_missing_and_not_removed(archive):
    archive.night(plan())
    key = ObjectKey("RTPLAN", "1.2.3", "1.2.3.1")
    staged = archive.night(found=[key], missing=(FoundObject("1.2", key),))
    assert staged.outcome.removed == []
    assert "not retrieved" in staged.outcome.failed[0].reason


def test_an_interrupted_retrieval_keeps_what_arrived_and_removes_nothing(archive, tmp_path):
    archive.night(plan())
    stage = Stage(archive.tree, archive.open, tmp_path, SHIPPED)
    staged = stage.stage([], None)
    assert staged.outcome.removed == []
    assert "interrupted" in staged.outcome.failed[0].reason
    assert not staged.outcome.complete


def test_modalities_that_are_no_longer_asked_for_stay(archive):
    archive.night(plan())
    staged = archive.night(found=[], modalities=("CT",))
    assert staged.outcome.removed == []


def test_an_object_that_moved_to_another_series_is_filed_once(archive):
    archive.night(plan())
    staged = archive.night(plan(series="1.2.7"), found=[ObjectKey("RTPLAN", "1.2.7", "1.2.3.1")])
    assert staged.outcome.added == ["dicom/RTPLAN/1.2.7/1.2.3.1.dcm"]
    assert staged.outcome.removed == [PATH]
    assert objects_in(archive.tree) == ["dicom/RTPLAN/1.2.7/1.2.3.1.dcm"]


def test_patient_json_counts_what_is_planned_and_delivered(archive):
    archive.night(
        plan(), record("1.2.9.1", "1.2.3.1", "20261120", 1), record("1.2.9.2", "1.2.3.1", "20261121", 2)
    )
    assert archive.patient["patient"] == {"patient_id": PATIENT, "name": "Test^Anna", "sex": "F"}
    assert archive.patient["plans"]["1.2.3.1"]["fractions_planned"] == 28
    assert archive.patient["plans"]["1.2.3.1"]["fractions_delivered"] == 2
    assert archive.patient["last_treatment"] == "20261121"
    archive.night(record("1.2.9.3", "1.2.3.1", "20261122", 3))
    assert archive.patient["plans"]["1.2.3.1"]["fractions_delivered"] == 3
    assert archive.patient["last_treatment"] == "20261122"


def test_the_same_tree_has_the_same_summary_however_it_came_about(tmp_path):
    for folder in ("at-once", "bit-by-bit"):
        (tmp_path / folder).mkdir()
    at_once, bit_by_bit = Archive(tmp_path / "at-once"), Archive(tmp_path / "bit-by-bit")
    records = [record(f"1.2.9.{n}", "1.2.3.1", f"2026112{n}", n) for n in range(1, 4)]
    at_once.night(plan("B"), *records)
    bit_by_bit.night(plan("A"), records[1])
    bit_by_bit.night(plan("B"), records[0])
    bit_by_bit.night(records[2])
    assert at_once.tree == bit_by_bit.tree


def test_hostile_identifiers_never_leave_their_folder():
    key = ObjectKey("../..", "/etc/passwd", "1.2\0.3")
    path = object_path(key)
    assert path.count("/") == 3
    assert ".." not in path.split("/")
    assert "\0" not in path
    assert modality_of(path) == path.split("/")[1]


def test_generated_uids_are_filed_as_they_are(tmp_path):
    uid = generate_uid()
    assert object_path(ObjectKey("CT", uid, uid)) == f"dicom/CT/{uid}/{uid}.dcm"
    (tmp_path / "x").write_bytes(b"")
    assert hash_file(tmp_path / "x").size == 0


def test_one_sop_instance_in_two_series_is_two_objects(archive):
    twins = [plan(), plan("B", series="1.2.7")]
    archive.night(*twins)
    for _ in range(2):
        staged = archive.night(*twins)
        assert (staged.outcome.unchanged, staged.outcome.removed, staged.edits) == (2, [], {})


def test_what_came_before_a_later_run_only_adds(archive, tmp_path):
    archive.night(plan("NEW"))
    old = tmp_path / "old"
    old.mkdir()
    items = []
    for number, data in enumerate([plan("OLD"), plan(uid="1.2.3.2")]):
        data.save_as(old / f"{number}.dcm", enforce_file_format=True)
        filed = old / f"{number}.dcm"
        items.append(
            InboxObject(filed, ObjectKey("RTPLAN", "1.2.3", data.SOPInstanceUID), digest_file(filed))
        )
    stage = Stage(archive.tree, archive.open, old, SHIPPED, resumed=True, stale=True)
    staged = stage.stage(items, Retrieval(PATIENT, ()))
    assert (staged.outcome.changed, staged.outcome.removed) == ([], [])
    assert staged.outcome.added == ["dicom/RTPLAN/1.2.3/1.2.3.2.dcm"]
    assert "a later run has committed another version" in staged.outcome.failed[0].reason


def test_what_arrives_without_having_been_listed_is_kept_and_said(archive):
    listed = [ObjectKey("RTPLAN", "1.2.3", "1.2.3.1")]
    staged = archive.night(plan(), plan(uid="1.2.3.2"), found=listed)
    assert staged.outcome.added == [PATH, "dicom/RTPLAN/1.2.3/1.2.3.2.dcm"]
    (said,) = staged.outcome.anomalies
    assert said.startswith("1 of what arrived, dicom/RTPLAN/1.2.3/1.2.3.2.dcm for one, C-FIND did not list")
    assert archive.night(plan(), plan(uid="1.2.3.2")).outcome.anomalies == []
