"""Three nights of the department's charts, from its database and its documents to what would be committed."""

from __future__ import annotations

from contextlib import nullcontext
from datetime import date, datetime, timedelta
from io import BytesIO
from pathlib import Path

import databases
import pytest
from sql_kit import configuration

from vault.archive.blobs import Bytes
from vault.archive.emr import Anomaly, stage_emr
from vault.archive.emr_paths import held_documents
from vault.archive.stage import Staged
from vault.department.database import DOCUMENTS, connection_string, write
from vault.department.nights import revised_patient, tampered_patient
from vault.department.patients import Patient, cast
from vault.model import PatientOutcome
from vault.rois.document_folder import FolderStore
from vault.rois.documents import fetch_all
from vault.rois.emr_inbox import EmrInbox
from vault.rois.sql.fetch import fetch

QUERIES = Path(__file__).parents[2] / "config" / "queries" / "demo.toml"

pytestmark = [
    pytest.mark.system,
    pytest.mark.skipif(bool(databases.missing_sqlite()), reason=databases.missing_sqlite()),
]


class Vault:
    """What is held of every patient, without a repository."""

    def __init__(self, folder: Path, people: tuple[Patient, ...], first_night: date) -> None:
        self.folder, self.people, self.first_night = folder, people, first_night
        self.trees: dict[str, dict[str, str]] = {patient.patient_id: {} for patient in people}
        self.blobs: dict[str, bytes] = {}
        self.anomalies: list[Anomaly] = []

    def night(self, number: int) -> dict[str, PatientOutcome]:
        now = datetime.combine(self.first_night, datetime.min.time()) + timedelta(days=number - 1, hours=2)
        self.today = now.date()
        write(self.folder, self.people, self.first_night, now)
        run = self.folder / "inbox" / str(number)
        inbox, ids = EmrInbox(run), [patient.patient_id for patient in self.people]
        config = configuration(self.folder, connection_string(self.folder), QUERIES)
        fetch(config, inbox, ids, since=datetime(1900, 1, 1), until=now)
        store = FolderStore(str(self.folder / DOCUMENTS))
        failed = fetch_all(store, inbox, ids, lambda each: held_documents(self.trees[each].items()))
        assert failed == []
        return {patient_id: self._commit(run, patient_id) for patient_id in ids}

    def _commit(self, run: Path, patient_id: str) -> PatientOutcome:
        staged, tree = Staged(), self.trees[patient_id]
        self.anomalies += stage_emr(
            staged,
            tree,
            lambda oid: nullcontext(BytesIO(self.blobs[oid])),
            run,
            patient_id,
            run,
            today=self.today,
        )
        for path, blob in staged.edits.items():
            tree.pop(path, None)
            if blob is not None:
                tree[path] = blob.oid
                self.blobs[blob.oid] = blob.data if isinstance(blob, Bytes) else blob.path.read_bytes()
        return staged.outcome


def documents(paths: list[str]) -> list[str]:
    return [path.split("/")[1] for path in paths if path.startswith("documents/")]


def test_three_nights_of_charts(tmp_path: Path, patients: tuple[Patient, ...], first_night: date) -> None:
    people = cast(4, first_night, scale=patients[0].scale)
    vault = Vault(tmp_path, people, first_night)
    first, second = vault.night(1), vault.night(2)

    assert all(outcome.failed == [] for outcome in [*first.values(), *second.values()])
    assert all(len(documents(outcome.added)) >= 3 for outcome in list(first.values())[:3])
    assert not any(documents(outcome.changed + outcome.removed) for outcome in first.values())

    (check,) = documents(second[people[0].patient_id].added)
    assert "check" in check
    assert second[tampered_patient(people).patient_id].reencoded >= 1
    assert not documents(second[tampered_patient(people).patient_id].changed)
    rescheduled = {each for each, outcome in second.items() if "database/schedule.txt" in outcome.changed}
    assert rescheduled == {patient.patient_id for patient in people if patient.arrives == 2}  # who starts
    (setup,) = documents(second[revised_patient(people).patient_id].changed)
    record = f"documents/{setup}/record.txt"
    assert "text UT" in vault.blobs[vault.trees[revised_patient(people).patient_id][record]].decode()
    assert vault.anomalies == []

    again = vault.night(2)
    assert not any(outcome.added + outcome.changed + outcome.removed for outcome in again.values())
