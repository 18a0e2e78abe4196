"""What `vault sync` prints: who has something new, what failed, and the same failure once."""

from cli.sync_text import render
from vault.model import Failure, PatientOutcome
from vault.sync_report import Delivery, SyncReport

SILENT = Failure("", "the ROIS is silent")


def test_what_changed_stands_out():
    outcome = PatientOutcome(
        old_commit="a",
        new_commit="b",
        added=["dicom/RTRECORD/1/2.dcm", "dicom/RTRECORD/1/3.dcm"],
        changed=["dicom/RTPLAN/1/4.dcm"],
        removed=["dicom/CT/1/5.dcm"],
        unchanged=7,
        reencoded=1,
        not_due=120,
    )
    text = render(SyncReport("R", patients={"P1": outcome, "P2": PatientOutcome(unchanged=1)}))
    assert text.splitlines() == [
        "Run R: 2 patients, 1 with something new.",
        "  P1  added: 2 RTRECORD; CHANGED: 1 RTPLAN; REMOVED: 1 CT; 7 unchanged; 1 re-encoded; 120 not due",
    ]


def test_a_failure_that_many_share_is_said_once():
    own = Failure("CT series 1.2", "120 found but not retrieved")
    patients = {f"P{n}": PatientOutcome(failed=[SILENT]) for n in range(200)}
    patients["P7"].failed.append(own)
    lines = render(SyncReport("R", patients=patients)).splitlines()
    assert lines[1:] == [
        "  P7  nothing retrieved",
        "    FAILED CT series 1.2: 120 found but not retrieved",
        "FAILED for 200 patients: the ROIS is silent",
    ]


def test_what_waits_for_the_share_is_said():
    delivered = Delivery(sent=1, waiting=3, failed=[Failure("share", "is it mounted?")])
    assert "Share: 1 ciphertext delivered, 3 waiting for the next run." in render(
        SyncReport("R", delivered=delivered)
    )


def test_an_interrupted_run_is_named():
    earlier = SyncReport("R0", patients={"P1": PatientOutcome(new_commit="b", added=["dicom/CT/1/5.dcm"])})
    assert render(SyncReport("R1", resumed=[earlier])).startswith(
        "Finished run R0, which had been interrupted.\n  P1  added: 1 CT\nRun R1"
    )
