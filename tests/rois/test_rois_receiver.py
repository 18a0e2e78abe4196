"""The receiver against a real SCU on loopback: what it takes, what it refuses, and what is left of either."""

import io
import os
import signal
import socket
import struct
import subprocess
import sys
import time
from pathlib import Path

import pynetdicom
import pytest
from peers import dataset, free_port
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)
from pynetdicom import AE
from rois_kit import CT, PRIVATE_PLAN, configuration, image

from vault.errors import UsageError
from vault.rois.inbox import Inbox
from vault.rois.receiver import Receiver


@pytest.fixture
def inbox(tmp_path):
    return Inbox(tmp_path / "inbox" / "run")


@pytest.fixture
def start(tmp_path, inbox, monkeypatch):
    monkeypatch.setattr(pynetdicom._config, "LOG_HANDLER_LEVEL", "none")

    def receiver(**options):
        config = configuration(
            tmp_path, receiver_port=options.pop("receiver_port", None) or free_port(), **options
        )
        return Receiver(config, inbox, ["P1"])

    return receiver


def associate(port, *, calling="ROIS", called="VAULT", sop_class=CT, syntax=ExplicitVRLittleEndian):
    client = AE(ae_title=calling)
    client.acse_timeout = client.dimse_timeout = client.network_timeout = 10
    client.add_requested_context(sop_class, syntax)
    return client.associate("127.0.0.1", port, ae_title=called)


def send(port, *objects, **options):
    association = associate(port, **options)
    assert association.is_established
    statuses = [association.send_c_store(item).get("Status") for item in objects]
    association.release()
    return statuses


def until(condition):
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def nothing_spooled(inbox):
    return not list((inbox.folder / "spool").glob("*"))


def quarantined(inbox):
    return sorted(inbox.quarantine.reasons())


@pytest.mark.parametrize(
    "syntax",
    [ExplicitVRLittleEndian, ImplicitVRLittleEndian, DeflatedExplicitVRLittleEndian, ExplicitVRBigEndian],
)
def test_any_class_in_any_encoding_is_kept_with_our_own_head(start, inbox, syntax):
    made = image(sop_class=PRIVATE_PLAN)
    made.file_meta.TransferSyntaxUID = syntax
    with start() as receiver:
        assert send(receiver.port, made, made, sop_class=PRIVATE_PLAN, syntax=syntax) == [0, 0]
        assert nothing_spooled(inbox)
    (kept,) = inbox.objects("P1")
    assert kept.key.sop_uid == made.SOPInstanceUID
    assert dataset(kept.path).file_meta.TransferSyntaxUID == syntax
    assert dataset(kept.path).file_meta.ImplementationVersionName == "VAULT_1"
    assert kept.path.stat().st_mode & 0o777 == 0o600
    assert inbox.refusals() == []


@pytest.mark.parametrize(
    ("changes", "status", "reason"),
    [
        ({"patient_id": "P2"}, 0x0124, "not asked for"),
        ({"patient_id": ""}, 0x0124, "not asked for"),
        ({"SeriesInstanceUID": "../../etc/passwd"}, 0xC000, "no valid"),
        ({"StudyInstanceUID": ""}, 0xC000, "no valid"),
    ],
)
@pytest.mark.filterwarnings("ignore:.*:UserWarning")
def test_what_was_not_asked_for_or_has_impossible_uids_is_quarantined(start, inbox, changes, status, reason):
    with start() as receiver:
        assert send(receiver.port, image(**changes)) == [status]
        assert nothing_spooled(inbox)
    assert reason in quarantined(inbox)[0]
    assert "P2" not in str(inbox.refusals())
    assert "Secret" not in str(inbox.refusals())
    assert inbox.patients() == []


def test_a_command_that_contradicts_its_data_set_is_quarantined(start, inbox, monkeypatch):
    other = image()
    plain = pynetdicom.association.encode
    monkeypatch.setattr(
        pynetdicom.association,
        "encode",
        lambda item, *rest: plain(other if "StudyInstanceUID" in item else item, *rest),
    )
    with start() as receiver:
        assert send(receiver.port, image()) == [0xA900]
    assert "another SOP Instance UID" in quarantined(inbox)[0]


def test_other_bytes_under_the_same_uid_are_quarantined(start, inbox):
    made = image()
    with start() as receiver:
        assert send(receiver.port, made) == [0]
        made.PatientName = "Other"
        assert send(receiver.port, made) == [0x0111]
    assert "different bytes" in quarantined(inbox)[0]
    (kept,) = inbox.objects("P1")
    assert str(dataset(kept.path).PatientName) == "Secret^Name"


def test_unknown_titles_are_rejected_and_unknown_addresses_cut_off(start, inbox):
    with start() as receiver:
        assert associate(receiver.port, calling="EVIL").is_rejected
        assert associate(receiver.port, called="OTHER").is_rejected
        assert send(receiver.port, image()) == [0]
    lines = inbox.refusals()
    assert any("has an AE title that is not in [receiver] peers" in line for line in lines)
    assert any("called another AE title" in line for line in lines)
    assert "EVIL" not in str(lines)  # a title may hold anything, such as a patient's ID
    assert "OTHER" not in str(lines)
    elsewhere = '[[receiver.peers]]\nae_title = "ROIS"\nhost = "192.0.2.1"'
    with start(receiver=elsewhere) as receiver:
        assert not associate(receiver.port).is_established
    assert any("127.0.0.1, which is not in [receiver] peers" in line for line in inbox.refusals())


def test_a_flood_from_an_unknown_address_does_not_keep_the_rois_out(start, inbox):
    with start(receiver='[[receiver.peers]]\nae_title = "ROIS"\nhost = "127.0.0.1"') as receiver:
        flood = []
        for _ in range(200):
            stranger = socket.socket()
            stranger.bind(("127.0.0.2", 0))
            stranger.connect(("127.0.0.1", receiver.port))
            flood.append(stranger)
        assert send(receiver.port, image()) == [0]
        for stranger in flood:
            stranger.close()
    assert any("from 127.0.0.2" in line for line in inbox.refusals())


GARBAGE = [
    b"SSH-2.0-OpenSSH_9.2\r\n",
    bytes(range(256)) * 16,
    b"\x01\0\xff\xff\xff\xff" + b"x" * 100,
    b"\x04\0\0\0\0\x04abcd",
    b"\x01",
]


def test_garbage_on_the_port_harms_nobody(start, inbox):
    with start() as receiver:
        for garbage in GARBAGE:
            with socket.create_connection(("127.0.0.1", receiver.port)) as stranger:
                stranger.sendall(garbage)
                assert send(receiver.port, image()) == [0]
        os.kill(receiver.pid, 0)
    assert len(list(inbox.objects("P1"))) == len(GARBAGE)


def test_a_dropped_association_leaves_no_plain_text(start, inbox):
    made = image()
    made.PixelData = bytes(4 << 20)
    made["PixelData"].VR = "OW"
    with start() as receiver:
        association = associate(receiver.port)
        plain, sent = association.dul.socket.send, []

        def cut_off(data):
            sent.append(len(data))
            if sum(sent) > 1 << 20:
                association.dul.socket.socket.shutdown(socket.SHUT_RDWR)
            return plain(data)

        association.dul.socket.send = cut_off
        association.send_c_store(made)
        association.abort()
        until(lambda: receiver.report.bytes > 1 << 19 and receiver.report.open == 0)
        until(lambda: nothing_spooled(inbox))
    assert inbox.patients() == []


def test_too_large_an_object_is_cut_off(start, inbox):
    made = image()
    made.PixelData = bytes(3 << 20)
    made["PixelData"].VR = "OW"
    with start(receiver='max_object_size = "1MiB"') as receiver:
        assert send(receiver.port, made) == [None]
        until(lambda: nothing_spooled(inbox))
    assert any("max_object_size" in line for line in inbox.refusals())
    assert inbox.patients() == []


def test_memory_stays_flat_however_large_the_object(start, inbox):
    """300 MB in small P-DATA PDUs, written by hand so that the sender needs no memory either."""
    made = image()
    made.PixelData = b""
    made["PixelData"].VR = "OW"
    size = 300 << 20
    with start() as receiver:
        association = associate(receiver.port)
        context = association.accepted_contexts[0].context_id
        head = pynetdicom.dsutils.encode(made, False, True)[:-4] + struct.pack("<I", size)
        command = pynetdicom.dimse_messages.C_STORE_RQ()
        request = pynetdicom.dimse_primitives.C_STORE()
        request.MessageID, request.AffectedSOPClassUID, request.Priority = 1, CT, 2
        request.AffectedSOPInstanceUID = made.SOPInstanceUID
        request.DataSet = io.BytesIO(b"x")
        command.primitive_to_message(request)
        encoded = pynetdicom.dsutils.encode(command.command_set, True, True)
        wire = association.dul.socket.socket

        def pdu(control, data):
            item = struct.pack(">IBB", len(data) + 2, context, control) + data
            wire.sendall(struct.pack(">BBI", 4, 0, len(item)) + item)

        pdu(3, encoded)
        pdu(0, head)
        block = bytes(1 << 16)
        for _ in range(size // len(block)):
            pdu(0, block)
        pdu(2, b"")
        until(lambda: receiver.report.stored == 1)
        status = Path(f"/proc/{receiver.pid}/status").read_text()
        peak = int(status.split("VmHWM:")[1].split()[0]) >> 10
        association.abort()
        assert peak <= 80
    (kept,) = inbox.objects("P1")
    assert kept.path.stat().st_size > size


def test_a_port_that_is_taken_is_a_clear_error(start):
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with (
            pytest.raises(UsageError, match=rf"127.0.0.1:{port}: address already in use"),
            start(receiver_port=port),
        ):
            pass


def test_the_port_is_closed_when_the_block_ends(start):
    with start() as receiver:
        port = receiver.port
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port))


def test_it_ends_with_its_parent(tmp_path):
    port = free_port()
    script = f"""
import sys, time
from pathlib import Path
sys.path.insert(0, {str(Path(__file__).parents[1] / "support")!r})
from rois_kit import configuration
from vault.rois.inbox import Inbox
from vault.rois.receiver import Receiver
folder = Path({str(tmp_path)!r})
with Receiver(configuration(folder, receiver_port={port}), Inbox(folder / "inbox" / "1"), ["P1"]) as receiver:
    print(receiver.pid, flush=True)
    time.sleep(60)
"""
    parent = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE)
    pid = int(parent.stdout.readline())
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    parent.stdout.close()
    until(lambda: not Path(f"/proc/{pid}/cmdline").exists() or not Path(f"/proc/{pid}/cmdline").read_bytes())
