"""The EMR against what is held: by key and not by path, removed only by an answered query, never by a failure."""

import json
from contextlib import nullcontext
from datetime import UTC, date, datetime
from io import BytesIO

import pytest
from document_kit import docx, paragraph, pdf
from hypothesis import given
from hypothesis import strategies as st
from test_archive_stage import plan, record

from vault.archive.blobs import Bytes
from vault.archive.emr import UNSTAMPED, Anomaly, stage_emr
from vault.archive.emr_forms import renormalized
from vault.archive.emr_paths import file_name, held_documents, is_document
from vault.archive.repository import PatientRepository
from vault.archive.stage import Stage, Staged
from vault.digests import digest_file
from vault.model import FoundObject, ObjectKey, Retrieval, Row
from vault.normal.volatile import SHIPPED
from vault.rois.document_folder import FolderStore
from vault.rois.documents import fetch_all
from vault.rois.emr_inbox import EmrInbox
from vault.rois.inbox import InboxObject

PATIENT = "P1"
CONSENT = "documents/7-1/Consent.pdf"
RECORD = "documents/7-1/record.txt"
NO_DICOM = Retrieval(PATIENT, ())


def listed(key="7-1", file="2026Q3\\Consent.pdf", title="Consent", at="2026-09-01", by="smith", **more):
    fields = {"document_key": key, "file": file, "title": title, "changed_at": at, "changed_by": by, **more}
    return Row("documents", {"patient_id": PATIENT, **fields})


def prescribed(key="1", dose="78", at="2026-09-01", **more):
    fields = {
        "prescription_key": key,
        "site": "Prostate",
        "total_dose_gy": dose,
        "fractions": "39",
        "changed_at": at,
    }
    return Row("prescriptions", {"patient_id": PATIENT, **fields, **more})


class Department:
    """A patient's tree as a dictionary, a folder of documents, and nights on which both are looked at."""

    def __init__(self, folder):
        self.folder = folder
        self.store = folder / "store"
        self.store.mkdir()
        self.tree, self.blobs = {}, {}
        self.nights = 0

    def put(self, file, data):
        path = self.store / file.replace("\\", "/")
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(data)

    def night(self, rows, *, objects=(), failures=(), fetch=True, stale=False, today=date(2026, 11, 25)):
        """Fetch, stage and commit a night on which the database answers `rows`."""
        self.nights += 1
        run = self.folder / f"run-{self.nights}"
        workspace = run / "work"
        workspace.mkdir(parents=True)
        self.inbox = EmrInbox(run)
        if rows is not None:
            self.inbox.write_rows(PATIENT, rows, failures)
        if fetch:
            held = held_documents(self.tree.items())
            fetch_all(FolderStore(str(self.store)), self.inbox, [PATIENT], lambda _: held)
        staged = self._dicom(objects, workspace)
        self.anomalies = stage_emr(
            staged, self.tree, self.open, run, PATIENT, workspace, today=today, stale=stale
        )
        for path, blob in staged.edits.items():
            if blob is None:
                del self.tree[path]
            else:
                self.tree[path] = blob.oid
                self.blobs[blob.oid] = blob.data if isinstance(blob, Bytes) else blob.path.read_bytes()
        return staged

    def _dicom(self, objects, workspace):
        items = []
        for number, data in enumerate(objects):
            path = workspace / f"{number}.dcm"
            data.save_as(path, enforce_file_format=True)
            key = ObjectKey(data.Modality, data.SeriesInstanceUID, data.SOPInstanceUID)
            items.append(InboxObject(path, key, digest_file(path)))
        found = tuple(FoundObject("1.2", item.key) for item in items)
        return Stage(self.tree, self.open, workspace, SHIPPED).stage(items, Retrieval(PATIENT, found))

    def open(self, oid):
        return nullcontext(BytesIO(self.blobs[oid]))

    def text(self, path):
        return self.blobs[self.tree[path]].decode()

    @property
    def patient(self):
        return json.loads(self.text("patient.json"))


@pytest.fixture
def department(tmp_path):
    found = Department(tmp_path)
    found.put("2026Q3\\Consent.pdf", pdf(["I agree", "to 39 fractions"]))
    return found


@pytest.fixture
def held(department):
    """A department whose consent the vault has."""
    department.night({"documents": [listed()]})
    return department


def counts(staged):
    outcome = staged.outcome
    return (
        outcome.added,
        outcome.changed,
        outcome.removed,
        outcome.unchanged,
        outcome.reencoded,
        len(outcome.failed),
    )


def test_a_new_document_is_added_with_its_row_and_text(department):
    staged = department.night({"documents": [listed()]})
    assert counts(staged) == ([CONSENT], [], [], 0, 0, 0)
    assert set(department.tree) == {CONSENT, RECORD, "patient.json"}
    assert department.blobs[department.tree[CONSENT]] == pdf(["I agree", "to 39 fractions"])
    assert 'record.title UT "Consent"\n' in department.text(RECORD)
    assert 'text UT "to 39 fractions"\n' in department.text(RECORD)


def test_the_same_document_is_unchanged_and_never_parsed_or_kept_again(held, monkeypatch):
    def no(*_):
        raise AssertionError("parsed")

    monkeypatch.setattr("vault.normal.document.read", no)
    staged = held.night({"documents": [listed()]})
    assert counts(staged) == ([], [], [], 1, 0, 0)
    assert staged.edits == {}
    assert list(held.inbox.documents(PATIENT)) == []


def test_saved_again_it_is_re_encoded_and_the_first_bytes_are_kept(held):
    held.put("2026Q3\\Consent.pdf", pdf(["I agree", "to 39 fractions"], ident="ff", date="D:20261101000000Z"))
    staged = held.night({"documents": [listed()]})
    assert counts(staged) == ([], [], [], 0, 1, 0)
    assert staged.edits == {}


def test_a_stamp_that_moves_alone_is_re_encoded_and_waits_for_a_commit_that_is_made_anyway(held):
    staged = held.night({"documents": [listed(at="2026-10-01")]})
    assert counts(staged) == ([], [], [], 0, 1, 0)
    assert staged.edits == {}
    held.night({"documents": [listed(at="2026-10-01")], "prescriptions": [prescribed()]})
    assert 'stamp.changed_at UT "2026-10-01"' in held.text(RECORD)


def test_a_revised_document_that_moved_keeps_its_key(held):
    held.put("2026Q4\\Consent.pdf", pdf(["I agree", "to 20 fractions"]))
    (held.store / "2026Q3" / "Consent.pdf").unlink()
    staged = held.night({"documents": [listed(file="2026Q4\\Consent.pdf", at="2026-10-01")]})
    assert counts(staged) == ([], [CONSENT], [], 0, 0, 0)
    assert held.anomalies == []
    assert 'text UT "to 20 fractions"\n' in held.text(RECORD)


def test_moved_without_another_word_it_is_re_encoded(held):
    held.put("2026Q4\\Consent.pdf", pdf(["I agree", "to 39 fractions"]))
    staged = held.night({"documents": [listed(file="2026Q4\\Consent.pdf")]})
    assert counts(staged) == ([], [], [], 0, 1, 0)


def test_a_revision_under_another_name_replaces_the_file(held):
    held.put("b.docx", docx([paragraph("I agree to 20 fractions")]))
    staged = held.night({"documents": [listed(file="b.docx", at="2026-10-01")]})
    assert staged.outcome.changed == ["documents/7-1/b.docx"]
    assert {path for path in held.tree if path.startswith("documents")} == {"documents/7-1/b.docx", RECORD}


def test_a_row_that_changes_alone_needs_no_parsing(held, monkeypatch):
    monkeypatch.setattr("vault.normal.document.read", None)
    staged = held.night({"documents": [listed(title="Consent (void)", at="2026-10-01")]})
    assert counts(staged) == ([], [CONSENT], [], 0, 0, 0)
    assert set(staged.edits) == {RECORD}
    assert 'text UT "I agree"' in held.text(RECORD)


def test_content_that_changes_while_its_stamp_does_not_is_an_anomaly(held):
    held.put("2026Q3\\Consent.pdf", pdf(["I agree", "to 3 fractions"]))
    held.night({"documents": [listed()], "prescriptions": [prescribed()]})
    assert held.anomalies == [Anomaly(CONSENT, UNSTAMPED)]
    held.night({"documents": [listed()], "prescriptions": [prescribed(dose="87")]})
    assert held.anomalies == [Anomaly("prescriptions[1]", UNSTAMPED)]


def test_without_stamps_there_is_nothing_to_tell(department):
    department.night({"documents": [listed(at=None, by=None)]})
    department.put("2026Q3\\Consent.pdf", pdf(["other"]))
    department.night({"documents": [listed(at=None, by=None)]})
    assert department.anomalies == []


# what is gone, and what only seems to be


def test_a_document_that_an_answered_query_no_longer_lists_is_removed(held):
    staged = held.night({"documents": []})
    assert counts(staged) == ([], [], [CONSENT], 0, 0, 0)
    assert set(held.tree) == {"patient.json"}


@pytest.mark.parametrize("rows", [None, {}, {"prescriptions": []}])
def test_a_query_that_failed_removes_nothing(held, rows):
    staged = held.night(rows)
    assert staged.outcome.removed == []
    assert CONSENT in held.tree


def test_a_document_whose_file_is_missing_is_not_retrieved_and_never_removed(held):
    (held.store / "2026Q3" / "Consent.pdf").unlink()
    staged = held.night({"documents": [listed(title="other")]})
    assert counts(staged) == ([], [], [], 0, 0, 1)
    assert staged.outcome.failed[0].subject == "document 7-1"
    assert "not retrieved" in staged.outcome.failed[0].reason
    assert CONSENT in held.tree


def test_a_document_that_the_fetch_did_not_get_to_is_not_retrieved(held):
    staged = held.night({"documents": [listed(), listed("7-2")]}, fetch=False)
    assert [(failure.subject, failure.reason[:15]) for failure in staged.outcome.failed] == [
        ("documents", "2 not retrieved")
    ]
    assert staged.edits == {}
    staged = held.night({"documents": [listed()]}, fetch=False)
    assert [failure.subject for failure in staged.outcome.failed] == ["document 7-1"]


def test_without_a_store_of_documents_those_held_are_left_alone(held):
    staged = Staged()
    run = held.folder / "run-1"
    stage_emr(staged, held.tree, held.open, run, PATIENT, run, today=date(2026, 11, 25), documents=False)
    assert (counts(staged), staged.edits) == (([], [], [], 0, 0, 0), {})


def test_two_rows_of_one_key_are_one_document_and_a_failure(department):
    staged = department.night({"documents": [listed(), listed(title="other")]})
    assert counts(staged) == ([CONSENT], [], [], 0, 0, 1)
    assert "two rows" in staged.outcome.failed[0].reason


def test_what_a_later_run_committed_is_neither_overwritten_nor_removed(held):
    held.put("2026Q3\\Consent.pdf", pdf(["older"]))
    before = dict(held.tree)
    held.put("n.txt", b"new")
    staged = held.night({"documents": [listed(at="2026-08-01"), listed("8", "n.txt")]}, stale=True)
    assert staged.outcome.added == ["documents/8/n.txt"]
    assert "a later run" in staged.outcome.failed[0].reason
    assert held.night({"documents": []}, stale=True).outcome.removed == []
    assert before.items() <= {**held.tree, "patient.json": before["patient.json"]}.items()


def test_a_damaged_inbox_is_a_failure_and_costs_the_dicom_objects_nothing(department):
    department.inbox = None
    run = department.folder / "run-1"
    (run / "emr" / PATIENT).mkdir(parents=True)
    (run / "emr" / PATIENT / "rows.jsonl").write_text("{")
    staged = department.night(None, objects=[plan()], fetch=False)
    assert staged.outcome.added == ["dicom/RTPLAN/1.2.3/1.2.3.1.dcm"]
    assert staged.outcome.failed[0].subject == "database and documents"


# rows


def test_rows_are_filed_by_query_and_compared_by_field(department):
    staged = department.night(
        {"prescriptions": [prescribed()], "contacts": [], "history": [], "documents": []}
    )
    assert sorted(staged.outcome.added) == ["database/contacts.txt", "database/prescriptions.txt"]
    assert 'prescriptions[1].total_dose_gy UT "78"\n' in department.text("database/prescriptions.txt")
    staged = department.night({"prescriptions": [prescribed(at="2026-10-10")], "contacts": []})
    assert counts(staged) == ([], [], [], 1, 1, 0)
    staged = department.night({"prescriptions": [prescribed(dose="70", at="2026-10-11")]})
    assert counts(staged) == ([], ["database/prescriptions.txt"], [], 0, 0, 0)
    assert "database/contacts.txt" in department.tree


def appointments(*days, machine="A"):
    return [Row("schedule", {"starts": f"2026-11-{day:02}T08:00:00", "machine": machine}) for day in days]


def test_a_schedule_that_only_moves_on_makes_no_commit_and_rides_along(department):
    department.night({"schedule": appointments(25, 26, 27)})
    staged = department.night({"schedule": appointments(26, 27, 28)}, today=date(2026, 11, 26))
    assert (counts(staged), staged.edits) == (([], [], [], 0, 1, 0), {})
    department.night({"schedule": appointments(26, 27, 28), "contacts": []}, today=date(2026, 11, 26))
    assert '"2026-11-28T08:00:00"' in department.text("database/schedule.txt")


@pytest.mark.parametrize(
    "schedule",
    [appointments(27, 28), appointments(26, 28), appointments(26, 27, machine="B"), appointments(28), []],
)
def test_an_appointment_ahead_that_changes_or_goes_is_a_change(department, schedule):
    department.night({"schedule": appointments(25, 26, 27)})
    staged = department.night({"schedule": schedule}, today=date(2026, 11, 26))
    assert staged.outcome.changed == ["database/schedule.txt"]


def test_a_first_appointment_after_none_is_a_change(department):
    department.night({"schedule": appointments(20)})
    assert department.night({"schedule": []}).outcome.changed == []  # all that was is over
    assert department.night({"schedule": appointments(30)}).outcome.changed == ["database/schedule.txt"]


def test_patient_json_has_what_the_rows_say_beside_what_the_objects_say(department):
    rows = {
        "demographics": [
            Row("demographics", {"patient_id": PATIENT, "name": "Test", "diagnosis": "C61", "phone": "12"})
        ],
        "contacts": [Row("contacts", {"patient_id": PATIENT, "name": "Ann", "phone": "34"})],
        "prescriptions": [prescribed(course="C1")],
        "plans": [
            Row(
                "plans",
                {
                    "plan_key": "9",
                    "plan_uid": "1.2.3.1",
                    "plan": "PROST",
                    "fractions_planned": "39",
                    "status": "x",
                },
            )
        ],
        "schedule": [
            Row("schedule", {"starts": f"2026-11-{day}T08:00:00", "activity": "treatment"})
            for day in (20, 23, 24)
        ],
        "documents": [],
    }
    objects = [plan(), record("1.2.9.1", "1.2.3.1", "20261120", 1)]
    department.night(rows, objects=objects)
    rois = department.patient["rois"]
    assert department.patient["plans"]["1.2.3.1"]["fractions_delivered"] == 1
    assert rois["demographics"] == {"name": "Test", "diagnosis": "C61", "phone": "12"}
    assert rois["contacts"] == [{"name": "Ann", "phone": "34"}]
    assert (rois["diagnoses"], rois["sites"], rois["courses"]) == (["C61"], ["Prostate"], ["C1"])
    assert rois["prescriptions"][0]["total_dose_gy"] == 78
    assert rois["plans"][0]["fractions_planned"] == 39
    assert rois["plans"][0]["fractions_delivered"] == 1
    assert rois["next_treatment"] == "2026-11-23T08:00:00"
    department.night(
        None, objects=[*objects, record("1.2.9.2", "1.2.3.1", "20261123", 2)]
    )  # the database was silent
    assert department.patient["rois"]["plans"][0]["fractions_delivered"] == 2
    assert department.patient["rois"]["next_treatment"] == "2026-11-24T08:00:00"


def test_the_same_tree_has_the_same_summary_however_it_came_about(tmp_path):
    trees = []
    for name, nights in (("at-once", 1), ("bit-by-bit", 2)):
        (tmp_path / name).mkdir()
        one = Department(tmp_path / name)
        objects, rows = [plan()], {"prescriptions": [prescribed()]}
        if nights == 2:
            one.night(rows)
        one.night(rows, objects=objects)
        trees.append(one.tree)
    assert trees[0] == trees[1]


# names


@pytest.mark.parametrize(
    ("original", "name"),
    [
        ("Consent.pdf", "Consent.pdf"),
        ("setup notes.docx", "setup%20notes.docx"),
        ("Müller.PDF", "M%C3%BCller.PDF"),
        ("SHA256SUMS", "~SHA256SUMS"),
        ("record.txt", "~record.txt"),
        ("RECORD.TXT", "~RECORD.TXT"),
        ("con.pdf", "%63on.pdf"),
        (".hidden", "%2Ehidden"),
        ("", "~"),
    ],
)
def test_names_of_documents(original, name):
    assert file_name(original) == name


@given(st.text(max_size=300))
def test_any_name_of_a_document_is_safe(original):
    name = file_name(original)
    assert 0 < len(name.encode()) <= 140
    assert name.isascii()
    assert not set(name) & set('/\\:*?"<>|\0')
    assert not name.startswith(".")
    assert name.lower() not in ("record.txt", "sha256sums")
    assert is_document(f"documents/x/{name}")


def test_a_commit_holds_the_sums_of_every_folder(tmp_path, keys, sound, sums_hold):
    department = Department(tmp_path)
    department.put("SHA256SUMS", b"no sums")
    staged = department.night({"documents": [listed(file="SHA256SUMS")], "prescriptions": [prescribed()]})
    repository = PatientRepository.create(tmp_path / "root", PATIENT, keys.allowed)
    when = datetime(2026, 11, 25, tzinfo=UTC)
    repository.commit(parent=None, edits=staged.edits, message="x", when=when, signer=keys.signer)
    sound(repository.path)
    assert sums_hold(repository.path, tmp_path / "out") == 3  # the root, the document's folder, database/


def test_normal_forms_are_written_anew_only_where_they_would_differ(held, monkeypatch, tmp_path):
    held.night({"documents": [listed()], "prescriptions": [prescribed()]})
    assert list(renormalized(held.tree, held.open, tmp_path)) == []
    form, path = held.text(RECORD), "database/prescriptions.txt"
    monkeypatch.setattr("vault.normal.rows.HEADER", "normal-form 2")
    made = {name: blob.data.decode() for name, blob in renormalized(held.tree, held.open, tmp_path)}
    assert made == {
        RECORD: form.replace("normal-form 1", "normal-form 2"),
        path: held.text(path).replace("normal-form 1", "normal-form 2"),
    }


def test_an_empty_staging_stays_empty(department):
    assert department.night(None).edits == {}
    assert Staged().edits == {}
