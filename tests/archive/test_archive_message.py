"""The subject of a night's commit says what changed, in words."""

from vault.archive.message import night_message
from vault.model import PatientOutcome, RunID


def test_documents_and_rows_are_named_beside_modalities() -> None:
    outcome = PatientOutcome(
        added=["dicom/RTRECORD/1.2/1.2.3.dcm", "documents/7/a.pdf", "documents/8/b.pdf"],
        changed=["database/prescriptions.txt"],
        removed=["documents/9/c.pdf"],
    )
    message = night_message(outcome, RunID("20261125T020000Z-0000"), "ROIS@127.0.0.1:104", "1")
    subject, _, *body = message.split("\n")
    assert subject == "1 prescriptions changed; 1 document removed; 1 RTRECORD, 2 document added"
    assert "added   documents/7/a.pdf" in body
