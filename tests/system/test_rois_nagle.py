"""A sender that waits for acknowledgements (Nagle, the default of DCMTK) is served like one that does not."""

import os
import subprocess
import time

import peers
import pytest
from peers import free_port
from rois_kit import configuration, image

from vault.rois.inbox import Inbox
from vault.rois.receiver import Receiver

pytestmark = pytest.mark.system

OBJECTS = 60
DELAYED = 0.040
"""Seconds by which Linux delays an acknowledgement: what each object would cost at least."""


@pytest.fixture
def files(tmp_path):
    missing = peers.missing_tools("storescu")
    if missing:
        pytest.skip(missing)
    folder = tmp_path / "files"
    folder.mkdir()
    for number in range(OBJECTS):
        made = image()
        made.PixelData = bytes(20_000)
        made["PixelData"].VR = "OW"
        made.save_as(folder / f"{number}.dcm", enforce_file_format=True)
    return folder


def seconds(tmp_path, files, name, **environment):
    inbox = Inbox(tmp_path / "inbox" / name)
    clean = {key: value for key, value in os.environ.items() if key != "TCP_NODELAY"}
    with Receiver(configuration(tmp_path, receiver_port=free_port()), inbox, ["P1"]) as receiver:
        began = time.monotonic()
        subprocess.run(
            ["storescu", "-aet", "ROIS", "-aec", "VAULT", "+sd", "127.0.0.1", str(receiver.port), files],
            check=True,
            capture_output=True,
            env={**clean, **environment},
        )
        took = time.monotonic() - began
    assert len(list(inbox.objects("P1"))) == OBJECTS
    return took


def test_a_sender_with_nagles_algorithm_is_not_kept_waiting(tmp_path, files):
    quick = seconds(tmp_path, files, "quick", TCP_NODELAY="1")
    assert seconds(tmp_path, files, "nagle") < quick + OBJECTS * DELAYED / 2
