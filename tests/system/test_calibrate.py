"""`vault calibrate`: what a ROIS changes by itself between two retrievals, ready to paste into the configuration."""

from datetime import UTC, datetime

import peers
import pytest
from vaults import TestVault

from vault.calibrate import calibrate
from vault.errors import PeerError
from vault.progress import Silent

pytestmark = pytest.mark.system


class BetweenRounds(Silent):
    """Does something between the two retrievals."""

    def __init__(self, action):
        self.action = action

    def start(self, label, total=None):
        if "round 2" in label:
            self.action()


@pytest.fixture
def orthanc(tmp_path):
    reason = peers.missing_tools("Orthanc", "dcmodify")
    if reason:
        pytest.skip(reason)
    port = peers.free_port()
    with peers.orthanc(tmp_path / "orthanc", move_to=("VAULT", "127.0.0.1", port)) as peer:
        peer.receiver_port = port
        yield peer


@pytest.fixture
def plan(orthanc):
    """The one object that the archive holds."""
    path = next(file for file in peers.corpus() if peers.dataset(file).get("Modality") == "RTPLAN")
    orthanc.load([path])
    return peers.dataset(path)


def test_what_differs_is_listed_and_then_ignored_once_it_is_configured(orthanc, plan, tmp_path):
    vault = TestVault(tmp_path / "vault", orthanc, [plan.PatientID])
    modify = BetweenRounds(
        lambda: orthanc.modify(plan.SOPInstanceUID, {"StationName": "EXPORT7", "RTPlanLabel": "x"})
    )
    found = calibrate(vault.config, plan.PatientID, now=datetime.now(UTC), progress=modify)
    assert (found.objects, found.identical) == (1, 0)
    assert set(found.volatile) == {"StationName", "RTPlanLabel"}
    assert found.volatile["StationName"].examples[0][1] == '"EXPORT7"'
    assert not (vault.folder / "work" / "calibrate").exists()

    vault.sync()
    with vault.toml.open("a") as file:
        file.write(
            '[[normal.volatile]]\nattribute = "StationName"\nreason = "stamped by the export server"\n'
        )
    orthanc.modify(plan.SOPInstanceUID, {"StationName": "EXPORT8"})
    outcome = vault.sync().patients[plan.PatientID]
    assert (outcome.changed, outcome.reencoded) == ([], 1)
    orthanc.modify(plan.SOPInstanceUID, {"StationName": "EXPORT9", "RTPlanLabel": "y"})
    outcome = vault.sync().patients[plan.PatientID]
    assert len(outcome.changed) == 1


def test_the_command_prints_toml_that_the_configuration_takes(orthanc, plan, tmp_path):
    vault = TestVault(tmp_path / "vault", orthanc, [plan.PatientID])
    done = vault.command("calibrate", plan.PatientID)
    assert done.returncode == 0
    assert "1 with the same bytes" in done.stdout
    assert "No attribute differed" in done.stdout


def test_a_patient_that_does_not_come_is_an_error(orthanc, plan, tmp_path):
    vault = TestVault(tmp_path / "vault", orthanc, ["NOBODY"])
    with pytest.raises(PeerError, match="no such patient"):
        calibrate(vault.config, "NOBODY", now=datetime.now(UTC))
    assert vault.command("calibrate", "NOBODY").returncode == 1


def test_a_longer_table_that_concerns_no_object_is_taken_up_once(orthanc, plan, tmp_path):
    vault = TestVault(tmp_path / "vault", orthanc, [plan.PatientID])
    vault.sync()
    with vault.toml.open("a") as file:
        file.write(
            '[[normal.volatile]]\nattribute = "AcquisitionComments"\nreason = "nowhere in this object"\n'
        )
    first = vault.sync().patients[plan.PatientID]
    assert (first.added, first.changed, first.unchanged) == ([], [], 1)
    tips = vault.tips()
    vault.sync()
    assert vault.tips() == tips
    assert "no object changed" in vault.command("log", plan.PatientID).stdout
