"""A run's exit code and JSON: what the caller may rely on."""

import pytest

from vault.errors import ExitCode
from vault.model import Anomaly, Failure, PatientOutcome
from vault.sync_report import Delivery, SyncReport, counts

SILENT = Failure("", "the ROIS is silent")


def report(*outcomes, **more):
    return SyncReport("run", patients={str(n): outcome for n, outcome in enumerate(outcomes)}, **more)


def new(**more):
    return PatientOutcome(new_commit="a", added=["dicom/CT/1/2.dcm"], **{"complete": True, **more})


def held(**more):
    return PatientOutcome(old_commit="a", new_commit="a", **more)


@pytest.mark.parametrize(
    ("made", "code"),
    [
        (report(), ExitCode.DONE),
        (report(new(), held(unchanged=3)), ExitCode.DONE),
        (report(new(), PatientOutcome(failed=[SILENT])), ExitCode.PARTIAL),
        (report(new(failed=[SILENT])), ExitCode.PARTIAL),
        (report(held(unchanged=3, failed=[SILENT])), ExitCode.PARTIAL),
        (report(held(not_due=3), held(failed=[SILENT])), ExitCode.PARTIAL),
        (report(PatientOutcome(failed=[SILENT])), ExitCode.FAILED),
        (report(held(failed=[SILENT]), held(failed=[SILENT])), ExitCode.FAILED),
        (report(failed=[SILENT]), ExitCode.FAILED),
        (report(failed=[SILENT], stopped_by=ExitCode.USAGE), ExitCode.USAGE),
        (report(new(), failed=[SILENT], stopped_by=ExitCode.USAGE), ExitCode.PARTIAL),
        (report(new(), delivered=Delivery(failed=[SILENT])), ExitCode.PARTIAL),
        (report(new(), anomalies=[Anomaly("refused", "major", "2 quarantined: …")]), ExitCode.PARTIAL),
        (report(new(), resumed=[report(new(complete=False))]), ExitCode.DONE),
        (report(new(), resumed=[report(PatientOutcome(failed=[SILENT]))]), ExitCode.PARTIAL),
        (report(new(), integrity=True), ExitCode.INTEGRITY),
    ],
)
def test_exit_code(made, code):
    assert made.exit_code == code


def test_json_has_what_it_promises():
    made = report(new(failed=[SILENT]), held(unchanged=2), delivered=Delivery(sent=1)).as_json()
    assert set(made) >= {"run", "patients", "anomalies", "delivered"}
    first, second = made["patients"].values()
    assert {"commit", "added", "changed", "removed", "unchanged", "reencoded", "not_due", "failed"} <= set(
        first
    )
    assert (first["commit"], first["added"]) == ("a", 1)
    assert first["failed"] == [{"subject": "", "reason": "the ROIS is silent"}]
    assert (second["commit"], second["previous"], second["unchanged"]) == ("a", None, 2)


def test_counts_hold_no_path_and_no_text():
    assert all(isinstance(value, int) for value in counts(new(failed=[SILENT])).values())
