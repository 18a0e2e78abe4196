"""The network phase against real archives: what they hold arrives, what goes wrong is said, and nothing is made up."""

from contextlib import contextmanager

import peers
import pytest
from rois_kit import TODAY, configuration, run

from vault.config import Config
from vault.rois.inbox import Inbox

pytestmark = pytest.mark.system


def loadable():
    """What an archive can list and send: not the file whose UIDs are written as VR UN, which DCMTK can't read."""
    return [file for file in peers.corpus() if b"\x08\0\x18\0UN" not in file.read_bytes()[:4096]]


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
        rois.load(loadable())
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
        patients = {patient: uids(files) for patient, files in by_patient(loadable()).items()}
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
