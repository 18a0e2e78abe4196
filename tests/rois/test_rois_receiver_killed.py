"""A receiver that is killed in mid-run: that is what is said, and nobody waits for time-outs."""

import os
import signal
import time
from pathlib import Path

import pytest
from hostile_peers import HostileRois
from peers import free_port
from rois_kit import configuration, image, run

from vault.rois.inbox import Inbox


def receiver():
    """The pid of the receiver of this process."""
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            parent = int(status.read_text().rpartition(")")[2].split()[1])
            command = (status.parent / "cmdline").read_bytes()
        except (OSError, ValueError, IndexError):
            continue
        if parent == os.getpid() and b"vault.rois.server" in command:
            return int(status.parent.name)
    raise AssertionError("there is no receiver")


@pytest.mark.parametrize("status", [0xC000, 0xA702])
def test_it_is_said_promptly_and_for_every_patient(tmp_path, status):
    patients = [f"P{number}" for number in range(5)]
    objects = [
        image(
            patient, StudyInstanceUID=f"1.2.{number}", SeriesInstanceUID=f"1.2.{number}.5", Modality="RTPLAN"
        )
        for number, patient in enumerate(patients)
    ]

    def kill(link, request):
        os.kill(receiver(), signal.SIGKILL)
        time.sleep(0.1)
        link.answer(request, status)

    port = free_port()
    with HostileRois(objects, retrieve={"P1": kill}, receiver_port=port) as rois:
        config = configuration(tmp_path, port=rois.port, receiver_port=port)
        began = time.monotonic()
        done = run(config, Inbox(tmp_path / "inbox" / "run"), patients)
        assert time.monotonic() - began < 8
    assert done["P0"].complete
    for patient in patients[1:]:
        assert len(done[patient].missing) == 1 or done[patient].found is None
        assert "The receiver ended in mid-run" in str(done[patient].failures)
