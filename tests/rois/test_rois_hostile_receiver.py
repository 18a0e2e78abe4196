"""Senders that break every rule: the receiver goes on to serve the ROIS, keeps nothing of theirs, and ends on time."""

import os
import queue
import random
import struct
import subprocess
import sys
import time
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import SimpleNamespace

import hostile_peers as wire
import pytest
from hostile_peers import (
    ASSOCIATE_AC,
    ASSOCIATE_RQ,
    CT,
    DATA,
    EXPLICIT,
    RELEASE_RQ,
    GoneError,
    Sender,
    association,
    encoded,
    pdu,
    pdv,
    proposal,
    store_request,
    until_gone,
    user_information,
)
from peers import free_port
from rois_kit import configuration, image

from vault.errors import PeerError
from vault.rois.inbox import Inbox
from vault.rois.receiver import Receiver
from vault.rois.scp import ASSOCIATIONS, SILENCE
from vault.rois.sockets import QuickSocket

TIMEOUT = 1.0
"""Seconds of patience that the receiver has here."""

REPORTED = 0.3
"""Seconds after which its report is about what was done before them."""

MOST_MEMORY = 80
"""MiB that it may take at any time."""


LEAST_SHARE = 0.2
"""Of the objects per second that a ROIS may send alone, what it has at least during a flood."""

MEASUREMENTS = 4
"""At most, of the objects per second during a flood: other tests take the cores meanwhile."""


class Ground:
    """A receiver that listens, and what the attackers leave open."""

    def __init__(self, folder, receiver):
        self.folder, self.receiver, self.inbox = folder, receiver, Inbox(folder / "inbox" / "run")
        self.sent, self.open = set(), []

    def sender(self, *contexts, source=wire.LOOPBACK, **titles):
        """An attacker's connection, associated if `contexts` or `titles` are given."""
        link = Sender(self.receiver.port, source)
        self.open.append(link)
        if contexts or titles:
            link.associate(*contexts, **titles)
        return link

    def associated(self):
        return self.sender((CT, EXPLICIT))

    def serve_the_rois(self):
        """What the ROIS sends meanwhile; it takes no more than a moment."""
        began, made = time.monotonic(), image()
        with Sender(self.receiver.port) as link:
            assert link.associate() == ASSOCIATE_AC
            assert link.store(made) == 0
            link.raw(pdu(RELEASE_RQ, bytes(4)))
        self.sent.add(made.SOPInstanceUID)
        assert time.monotonic() - began < 3

    def memory(self):
        """The most that the receiver took so far, in MiB."""
        status = Path(f"/proc/{self.receiver.pid}/status").read_text()
        return int(status.split("VmHWM:")[1].split()[0]) >> 10

    def said(self):
        reasons = {**self.receiver.refused, **self.inbox.quarantine.reasons()}
        return "\n".join(map(str, reasons))

    def until(self, condition, within=TIMEOUT * 4):
        deadline = time.monotonic() + within
        while not condition():
            assert time.monotonic() < deadline
            time.sleep(0.02)


@contextmanager
def listening(folder, timeout):
    """A receiver, until the block ends."""
    folder.mkdir()
    config = configuration(
        folder, receiver_port=free_port(), retrieve=f'timeout = "{timeout:.0f}s"', receiver=LIMIT + ROIS
    )
    with Receiver(config, Inbox(folder / "inbox" / "run"), ["P1"]) as receiver:
        made = Ground(folder, receiver)
        yield made
        for link in made.open:
            link.close()


@pytest.fixture(scope="module")
def ground(tmp_path_factory):
    """One receiver for all of them, so that what one left behind meets the next."""
    with listening(tmp_path_factory.mktemp("ground") / "root", TIMEOUT) as made:
        yield made


@pytest.fixture
def patient_ground(tmp_path):
    """A receiver that no time-out helps while the test lasts."""
    with listening(tmp_path / "root", 60) as made:
        yield made


LIMIT = 'max_object_size = "8MiB"\n'
ROIS = '[[receiver.peers]]\nae_title = "ROIS"\nhost = "127.0.0.1"\n'


def chatter(ground):
    for text in (
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"GET / HTTP/1.1\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    ):
        ground.sender().raw(text)


def noise(ground):
    chance = random.Random(1)
    for _ in range(10):
        ground.sender().raw(chance.randbytes(1 << 14))


def half_a_request(ground):
    whole = pdu(ASSOCIATE_RQ, association("VAULT", "ROIS", proposal(1, CT, EXPLICIT), user_information()))
    ground.sender().raw(whole[: len(whole) // 2])
    ground.sender().raw(whole[:3])


def empty_pdus(ground):
    for kind in range(9):
        ground.sender().raw(pdu(kind, b""))
        link = ground.associated()
        link.raw(pdu(kind, b""))


def pdus_of_4_gib(ground):
    for kind in (ASSOCIATE_RQ, DATA, RELEASE_RQ):
        ground.sender().raw(pdu(kind, bytes(1000), 0xFFFFFFFF))
        ground.associated().raw(pdu(kind, bytes(1000), 0xFFFFFFFF))


def items_longer_than_their_pdu(ground):
    body = association("VAULT", "ROIS", struct.pack(">BxH", 0x20, 0xFFFF) + b"\1\0\0\0", user_information())
    ground.sender().raw(pdu(ASSOCIATE_RQ, body))
    ground.sender().raw(pdu(ASSOCIATE_RQ, bytes(4)))
    ground.sender().raw(pdu(ASSOCIATE_RQ, association("VAULT", "ROIS", b"\xff" * 60_000)))


def odd_contexts(ground):
    for numbers in ([1] * 200, range(256), [0, 2, 4]):
        offers = [proposal(number, CT, EXPLICIT) for number in numbers]
        offers += [proposal(1, "../../x", "\0" * 64), proposal(3, "1." * 5000, "1." * 5000)]
        body = association("VAULT", "ROIS", *offers, user_information())
        ground.sender().raw(pdu(ASSOCIATE_RQ, body))


def data_without_an_association(ground):
    ground.sender().raw(pdu(DATA, pdv(1, 3, store_request("1.2"))))


def half_a_pdu_of_an_object(ground):
    link = ground.associated()
    link.raw(pdu(DATA, pdv(1, 3, store_request("1.2"))) + pdu(DATA, pdv(1, 0, bytes(1000)), 100_000))


def a_byte_at_a_time(ground):
    link = ground.associated()

    def trickle():
        link.raw(b"\0")
        time.sleep(0.05)

    link.raw(struct.pack(">BxI", DATA, 100_000))
    with pytest.raises(GoneError):
        until_gone(trickle, TIMEOUT * 5)


def a_command_without_end(ground):
    link = ground.associated()
    with pytest.raises(GoneError):
        until_gone(lambda: link.raw(pdu(DATA, pdv(1, 1, bytes(1 << 15)))))


def an_object_without_end(ground):
    link = ground.associated()
    link.raw(pdu(DATA, pdv(1, 3, store_request("1.2.3"))))
    with pytest.raises(GoneError):
        until_gone(lambda: link.raw(pdu(DATA, pdv(1, 0, bytes(1 << 16)))))


def empty_pieces_without_end(ground):
    link = ground.associated()
    link.raw(pdu(DATA, pdv(1, 3, store_request("1.2.3"))))
    pieces = pdu(DATA, pdv(1, 0, b"") * 1000)
    with pytest.raises(GoneError):
        until_gone(lambda: link.raw(pieces))


def messages_without_waiting(ground):
    link = ground.associated()
    message = pdu(DATA, pdv(1, 3, store_request("1.2"))) + pdu(DATA, pdv(1, 2, bytes(10)))
    with pytest.raises(GoneError):
        until_gone(lambda: link.raw(message))


def pieces_of_wrong_lengths(ground):
    for length in (0, 1, 3, 0xFFFF, 0xFFFFFFFF):
        ground.associated().raw(pdu(DATA, pdv(1, 3, store_request("1.2"), length)))
        ground.associated().raw(pdu(DATA, pdv(1, 3, store_request("1.2")) + pdv(1, 2, bytes(8), length)))


def a_context_that_was_never_proposed(ground):
    made = image()
    for context in (0, 2, 99, 255):
        link = ground.associated()
        link.message(context, store_request(made.SOPInstanceUID), encoded(made))


def an_object_before_its_command(ground):
    made = image()
    link = ground.associated()
    link.raw(pdu(DATA, pdv(1, 2, encoded(made))) + pdu(DATA, pdv(1, 3, store_request(made.SOPInstanceUID))))
    link = ground.associated()  # two objects' pieces in turns
    link.raw(
        pdu(DATA, pdv(1, 3, store_request("1.5")) + pdv(1, 0, encoded(made)[:50]))
        + pdu(DATA, pdv(1, 3, store_request("1.6")) + pdv(1, 2, encoded(made)[50:]))
    )


def other_commands(ground):
    made = image()
    for field in (0x8001, 0x0020, 0x0021, 0x0010, 0x0FFF, 0x0140, 0x1234):
        link = ground.associated()
        link.message(1, wire.command(field, sop_class=CT, message=1, answers=1, data_set=1), encoded(made))
    for rubbish in (
        b"",
        b"\0" * 12,
        bytes(range(256)),
        store_request("1.2")[:20],
        struct.pack("<HHI", 0, 0, 1 << 31),
    ):
        ground.associated().message(1, rubbish, encoded(made))


def resets(ground):
    for _ in range(20):
        link = ground.associated()
        link.raw(pdu(DATA, pdv(1, 3, store_request("1.2.3"))) + pdu(DATA, pdv(1, 0, bytes(5000)))[:3000])
        link.reset()


def releases_and_aborts(ground):
    for kind in (wire.RELEASE_RQ, wire.RELEASE_RP, wire.ABORT, wire.ASSOCIATE_AC, wire.ASSOCIATE_RJ):
        ground.associated().raw(pdu(kind, bytes(4)) * 50)
        link = ground.associated()
        link.raw(pdu(DATA, pdv(1, 3, store_request("1.2"))) + pdu(DATA, pdv(1, 0, bytes(1000))))
        link.raw(pdu(kind, bytes(4)) * 50)


CONTRADICTS = "a message whose parts contradict each other"
ATTACKS = {
    chatter: "",
    noise: "",
    half_a_request: "",
    empty_pdus: "",
    pdus_of_4_gib: "a PDU longer than any that was negotiated",
    items_longer_than_their_pdu: "",
    odd_contexts: "",
    data_without_an_association: "",
    half_a_pdu_of_an_object: "",
    a_byte_at_a_time: "",
    a_command_without_end: "a message that is no object is too long",
    an_object_without_end: "max_object_size",
    empty_pieces_without_end: CONTRADICTS,
    messages_without_waiting: "it does not wait for answers",
    pieces_of_wrong_lengths: "",
    a_context_that_was_never_proposed: CONTRADICTS,
    an_object_before_its_command: CONTRADICTS,
    other_commands: "a message that can't be understood",
    resets: "",
    releases_and_aborts: "",  # a connection that its sender has closed already needs no reason
}
"""What a sender does, and what the run says about it; where that is nothing, it is no more than a broken connection."""


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.__name__)
def test_the_rois_is_served_whatever_else_is_sent(ground, attack):
    attack(ground)
    ground.serve_the_rois()
    assert ground.memory() <= MOST_MEMORY
    time.sleep(REPORTED)
    ground.until(lambda: ground.receiver.report.open == 0)
    ground.until(lambda: ATTACKS[attack] in ground.said())
    ground.until(lambda: not list((ground.inbox.folder / "spool").glob("*")))
    assert ground.inbox.arrived("P1").keys() == ground.sent
    assert ground.inbox.patients() == ["P1"]
    assert "ended unexpectedly" not in ground.said()
    os.kill(ground.receiver.pid, 0)


@pytest.mark.parametrize("associated", [False, True], ids=["connected", "associated"])
def test_idle_connections_make_way_for_the_rois(patient_ground, associated):
    ground = patient_ground
    links = [ground.associated() if associated else ground.sender() for _ in range(ASSOCIATIONS)]
    ground.until(lambda: ground.receiver.report.open == ASSOCIATIONS)
    with pytest.raises(GoneError):  # none of them has been idle for long
        ground.associated()
    time.sleep(SILENCE)
    for _ in range(3):
        ground.serve_the_rois()
    assert sum(link.closed(0.05) for link in links) <= 3
    ground.until(lambda: "a connection that was idle made way for another" in ground.said())
    assert "ended unexpectedly" not in ground.said()


def test_connections_in_the_middle_of_a_message_do_not_make_way(patient_ground):
    ground = patient_ground
    links = [ground.associated() for _ in range(ASSOCIATIONS)]
    for link in links[1:]:
        link.raw(pdu(DATA, pdv(1, 3, store_request("1.2"))) + pdu(DATA, pdv(1, 0, bytes(1000))))
    time.sleep(SILENCE * 1.1)
    ground.serve_the_rois()
    assert [link.closed(0.05) for link in links] == [True] + [False] * (ASSOCIATIONS - 1)


def test_a_connection_is_not_idle_while_it_waits_for_us():
    link = QuickSocket.__new__(QuickSocket)
    link._assoc = SimpleNamespace(dimse=SimpleNamespace(message=None, msg_queue=queue.Queue()))
    link.reset()
    time.sleep(0.05)
    assert link.idle >= 0.05
    with link.handling():
        assert link.idle == 0
    assert link.idle < 0.05  # its silence begins when it has its answer
    link.assoc.dimse.msg_queue.put((1, None))
    time.sleep(0.01)
    assert link.idle == 0


FLOOD = """
import socket, struct, sys
port, source, request = int(sys.argv[1]), sys.argv[2], bytes.fromhex(sys.argv[3])
while True:
    try:
        with socket.create_connection(("127.0.0.1", port), 5, (source, 0)) as link:
            link.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            link.sendall(request)
            link.recv(100)
    except OSError:
        pass
"""


@contextmanager
def flood(port, source, calling):
    """Connections and association requests without end, from a process of its own, until the block ends."""
    request = pdu(ASSOCIATE_RQ, association("VAULT", calling, proposal(1, CT, EXPLICIT), user_information()))
    flooding = subprocess.Popen([sys.executable, "-c", FLOOD, str(port), source, request.hex()])
    try:
        yield
    finally:
        flooding.kill()
        flooding.wait()


def objects_per_second(ground, enough):
    """How quickly an associated ROIS is served until `enough` says so, and for no less than a second."""
    with Sender(ground.receiver.port) as link:
        assert link.associate() == ASSOCIATE_AC
        count, began = 0, time.monotonic()
        while time.monotonic() < began + 1 or not enough():
            made = image()
            assert link.store(made) == 0
            ground.sent.add(made.SOPInstanceUID)
            count += 1
            assert time.monotonic() < began + 20
        return count / (time.monotonic() - began)


@pytest.mark.parametrize(
    ("source", "calling", "turned_away"),
    [("127.0.0.2", "ROIS", 3000), (wire.LOOPBACK, "STRANGER", 200)],
    ids=["unknown_address", "unknown_ae_title"],
)
def test_a_flood_leaves_the_rois_a_fair_share(tmp_path, capsys, source, calling, turned_away):
    with ExitStack() as window:
        ground = window.enter_context(listening(tmp_path / "root", 10))
        receiver = ground.receiver
        alone = objects_per_second(ground, lambda: True)
        with flood(receiver.port, source, calling):
            flooded = 0.0
            for _ in range(MEASUREMENTS):
                flooded = max(
                    flooded,
                    objects_per_second(ground, lambda: sum(receiver.refused.values()) >= turned_away),
                )
                if flooded >= LEAST_SHARE * alone:
                    break
            ground.serve_the_rois()  # over an association of its own
            most = ground.memory()
            closing = time.monotonic()
            window.close()  # while the flood goes on
            took = time.monotonic() - closing
            with pytest.raises(OSError):
                Sender(receiver.port)
    refused = sum(receiver.refused.values())
    with capsys.disabled():
        print(
            f"\n  {refused} associations of {calling} at {source} turned away: {flooded:.0f} objects/s, "
            f"{alone:.0f} without them, ratio {flooded / alone:.2f}; {most} MiB; gone in {took:.2f} s"
        )
    assert ground.inbox.arrived("P1").keys() == ground.sent
    assert flooded >= LEAST_SHARE * alone
    assert most <= MOST_MEMORY
    assert took < 5
    assert not receiver.running
    assert "ended unexpectedly" not in ground.said()


def test_an_inbox_that_can_not_be_written_is_said_without_a_traceback(tmp_path, capfd):
    (tmp_path / "inbox").write_bytes(b"")  # a file, where a folder is wanted
    config = configuration(tmp_path, receiver_port=free_port())
    with (
        pytest.raises(PeerError, match="can't write to the inbox"),
        Receiver(config, Inbox(tmp_path / "inbox" / "run"), ["P1"]),
    ):
        pass
    assert "Traceback" not in capfd.readouterr().err
