"""The network phase against real archives: what they hold arrives, what goes wrong is said, and nothing is made up."""

import socket
import time
from contextlib import contextmanager

import msgspec
import peers
import pytest
from rois_kit import TODAY, configuration, run

from vault.config import Config
from vault.errors import PeerError
from vault.rois.census import census
from vault.rois.inbox import Inbox

pytestmark = pytest.mark.system


WITH_RECORDS = ["99999999", "test_LETworkshop"]
"""Patients of the corpus who have a treatment record."""


def by_patient(files):
    found = {}
    for file in files:
        found.setdefault(str(peers.dataset(file).PatientID), []).append(file)
    return found


def uids(files):
    return {str(peers.dataset(file).SOPInstanceUID) for file in files}


def reasons(retrieval):
    return " | ".join(failure.reason for failure in retrieval.failures)


@contextmanager
def archive(kind, folder, **options):
    missing = peers.missing_tools("Orthanc", "dcmqrscp", "dcmqridx")
    if missing:
        pytest.skip(missing)
    start = {"orthanc": peers.orthanc, "dcmqrscp": peers.dcmqrscp}[kind]
    with start(folder / kind, move_to=("VAULT", "127.0.0.1", peers.free_port()), **options) as rois:
        rois.load(peers.loadable())
        yield rois


def config_for(rois, folder, method="move", **options) -> Config:
    settings = {
        "ae_title": rois.ae_title,
        "port": rois.port,
        "receiver_port": rois.receiver_port,
        "method": method,
        **options,
    }
    return configuration(folder, **settings)


@pytest.mark.parametrize("method", ["move", "get"])
@pytest.mark.parametrize("kind", ["orthanc", "dcmqrscp"])
def test_everything_arrives_and_what_is_held_waits_for_its_turn(kind, method, tmp_path):
    with archive(kind, tmp_path) as rois:
        config = config_for(rois, tmp_path, method)
        patients = {patient: uids(files) for patient, files in by_patient(peers.loadable()).items()}
        inbox = Inbox(tmp_path / "inbox" / "1")
        done = run(config, inbox, list(patients))
        held = set()
        for patient, expected in patients.items():
            retrieval = done[patient]
            assert retrieval == inbox.retrieval(patient)
            assert {item.key.sop_uid for item in retrieval.found} == expected, patient
            arrived = {item.key for item in inbox.objects(patient)}
            assert {key.sop_uid for key in arrived} == expected, patient
            assert not retrieval.not_due
            assert retrieval.complete, (patient, reasons(retrieval))
            held |= arrived
        assert inbox.patients() == sorted(patients)
        assert not inbox.refusals()
        assert not list((tmp_path / "inbox" / "1" / "spool").iterdir())

        again = Inbox(tmp_path / "inbox" / "2")
        second = run(config, again, list(patients), held=held, last_complete=TODAY)
        for patient, expected in patients.items():
            later = {
                key
                for key in held
                if key.sop_uid in expected and config.retrieve.policy(key.modality) == "weekly"
            }
            assert second[patient].complete
            assert set(second[patient].found) == set(done[patient].found)
            assert second[patient].not_due == later
            assert {item.key for item in again.objects(patient)} == {
                key for key in held if key.sop_uid in expected
            } - later


@pytest.mark.parametrize("method", ["move", "get"])
@pytest.mark.parametrize("kind", ["orthanc", "dcmqrscp"])
def test_a_patient_whom_the_archive_does_not_know_is_a_failure_of_that_patient_alone(kind, method, tmp_path):
    with archive(kind, tmp_path) as rois:
        inbox = Inbox(tmp_path / "inbox" / "1")
        done = run(config_for(rois, tmp_path, method), inbox, ["NOBODY-77", "SYN-BR-2"])
    assert done["NOBODY-77"].found is None
    assert "no such patient" in reasons(done["NOBODY-77"])
    assert "NOBODY" not in reasons(done["NOBODY-77"])
    assert done["SYN-BR-2"].complete
    assert inbox.patients() == ["NOBODY-77", "SYN-BR-2"]


@pytest.mark.parametrize("relational", ["true", "false"])
@pytest.mark.parametrize("model", ["study", "patient"])
@pytest.mark.parametrize("kind", ["orthanc", "dcmqrscp"])
def test_each_way_of_asking_finds_the_same(kind, model, relational, tmp_path):
    with archive(kind, tmp_path) as rois:
        settings = (
            f'model = "{model}"\nrelational = {relational}\nretries = 1\ntimeout = "10s"\nbackoff = "0s"'
        )
        config = config_for(rois, tmp_path, "get", retrieve=settings)
        patients = by_patient(peers.loadable())
        done = run(config, Inbox(tmp_path / "inbox" / "1"), list(patients))
    for patient, files in patients.items():
        assert {item.key.sop_uid for item in done[patient].found} == uids(files)
        assert done[patient].complete, reasons(done[patient])


def test_what_the_archive_lists_but_lost_is_missing_and_never_removed(tmp_path):
    with archive("dcmqrscp", tmp_path) as rois:
        lost = next(file for file in peers.loadable() if file.name == "brachytherapy.dcm")
        for path in rois.database.glob("*.dcm"):
            if uids([path]) == uids([lost]):
                path.unlink()
        inbox = Inbox(tmp_path / "inbox" / "1")
        retrieval = run(config_for(rois, tmp_path), inbox, ["SYN-BR-2"])["SYN-BR-2"]
    assert {item.key.sop_uid for item in retrieval.missing} == uids([lost])
    assert {item.key.sop_uid for item in retrieval.found} == uids([lost])
    assert not retrieval.complete
    assert retrieval.failures


def test_a_rois_that_cannot_reach_the_receiver_is_named_with_what_to_check(tmp_path):
    with archive("dcmqrscp", tmp_path) as rois:
        elsewhere = config_for(rois, tmp_path, receiver_port=peers.free_port())
        retrieval = run(elsewhere, Inbox(tmp_path / "inbox" / "1"), ["SYN-BR-2"])["SYN-BR-2"]
        assert "could not reach the receiver" in reasons(retrieval)
        unknown = config_for(rois, tmp_path, own="STRANGER")
        retrieval = run(unknown, Inbox(tmp_path / "inbox" / "2"), ["SYN-BR-2"])["SYN-BR-2"]
        assert "does not know where to send" in reasons(retrieval)
        assert retrieval.missing


def test_wrong_ae_titles_are_named(tmp_path):
    with archive("orthanc", tmp_path) as rois:
        called = run(
            config_for(rois, tmp_path, ae_title="WRONG"), Inbox(tmp_path / "inbox" / "1"), ["SYN-BR-2"]
        )
        assert "correct [rois.dicom] ae_title" in reasons(called["SYN-BR-2"])
        calling = run(
            config_for(rois, tmp_path, own="STRANGER"), Inbox(tmp_path / "inbox" / "2"), ["SYN-BR-2"]
        )
        assert "'STRANGER'" in reasons(calling["SYN-BR-2"])
        assert called["SYN-BR-2"].found is calling["SYN-BR-2"].found is None


def test_an_absent_rois_is_asked_three_times_and_a_silent_one_for_as_long_as_the_time_out(tmp_path):
    four = ["P1", "P2", "P3", "P4"]
    done = run(
        configuration(tmp_path, port=peers.free_port(), method="get"), Inbox(tmp_path / "inbox" / "1"), four
    )
    assert "nothing listens there" in reasons(done["P1"])
    assert reasons(done["P4"]) == reasons(done["P3"])
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        settings = 'retries = 0\ntimeout = "1s"\nbackoff = "0s"'
        config = configuration(tmp_path, port=silent.getsockname()[1], method="get", retrieve=settings)
        began = time.monotonic()
        done = run(config, Inbox(tmp_path / "inbox" / "2"), four)
        assert time.monotonic() - began < 15
    assert "did not answer the association request" in reasons(done["P1"])
    assert all(retrieval.found is None for retrieval in done.values())


@pytest.mark.parametrize("kind", ["orthanc", "dcmqrscp"])
def test_the_census_names_those_with_a_recent_treatment_record(kind, tmp_path):
    with archive(kind, tmp_path) as rois:
        config = config_for(rois, tmp_path, census="days = 3650")
        config = msgspec.structs.replace(
            config, census=msgspec.structs.replace(config.census, source="dicom")
        )
        assert census(config, today=TODAY) == WITH_RECORDS
        # dcmqrscp does not say when a treatment was: then its patient is not left out.
        later = TODAY.replace(year=2100)
        if kind == "dcmqrscp":
            assert census(config, today=later) == WITH_RECORDS
        else:
            with pytest.raises(PeerError, match="found nobody"):
                census(config, today=later)
