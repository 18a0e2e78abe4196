"""The client side against a scripted ROIS: answers are not lost, and one lost association is not a lost night."""

import itertools
import threading
import time
from contextlib import contextmanager

import pytest
from pydicom.dataset import Dataset
from pynetdicom import AE, evt
from rois_kit import configuration, image, run

from vault.errors import PeerError
from vault.model import ObjectKey
from vault.names import safe_name
from vault.rois.association import MODELS, Connection
from vault.rois.inbox import Inbox
from vault.rois.query import Finder

STUDY = MODELS["study"]


@contextmanager
def scripted(objects, on_get, modality="RTPLAN", refuse=()):
    """A ROIS that lists `objects`, all of `modality`, at every level and answers C-GET with `on_get`.

    It refuses queries for the patients in `refuse`.
    """

    def find(event):
        if event.identifier.get("PatientID") in refuse:
            yield 0xA700, None
            return
        level = event.identifier.QueryRetrieveLevel
        for item in objects if level == "IMAGE" else objects[:1]:
            answer = Dataset()
            for keyword in (
                "PatientID",
                "StudyInstanceUID",
                "SeriesInstanceUID",
                "SOPInstanceUID",
                "SOPClassUID",
            ):
                setattr(answer, keyword, item[keyword].value)
            answer.StudyDescription = item.get("StudyDescription")
            answer.Modality = modality
            yield 0xFF00, answer

    server = AE(ae_title="ROIS")
    for uid in (STUDY["find"], STUDY["get"]):
        server.add_supported_context(uid)
    for item in objects:
        server.add_supported_context(item.SOPClassUID, scu_role=True, scp_role=True)
    running = server.start_server(
        ("127.0.0.1", 0), block=False, evt_handlers=[(evt.EVT_C_FIND, find), (evt.EVT_C_GET, on_get)]
    )
    try:
        yield running.server_address[1]
    finally:
        running.shutdown()


def give(objects):
    def get(event):
        yield len(objects)
        for item in objects:
            yield 0xFF00, item

    return get


def test_an_answer_is_only_for_who_waits_for_it(tmp_path):
    """The association's own thread looks for messages too; one that it took would be an object less."""
    with scripted([image()], give([])) as port:
        connection = Connection(configuration(tmp_path, port=port, method="get"))
        association = connection.open()
        association.dimse.msg_queue.put((1, "an answer"))
        assert association.dimse.get_msg(block=False) == (None, None)
        assert association.dimse.get_msg(block=True) == (1, "an answer")
        connection.close()


@pytest.mark.parametrize("number", [1, 300])
def test_every_answer_of_many_is_found(tmp_path, number):
    objects = [image(Modality="RTPLAN") for _ in range(number)]
    with scripted(objects, give([])) as port:
        config = configuration(tmp_path, port=port, method="get", retrieve='retries = 0\ntimeout = "10s"')
        retrieval = run(config, Inbox(tmp_path / "inbox" / "1"), ["P1"])["P1"]
    assert {item.key.sop_uid for item in retrieval.found} == {item.SOPInstanceUID for item in objects}
    assert len(retrieval.missing) == number


def test_an_association_lost_once_costs_nothing(tmp_path):
    made, calls = image(Modality="RTPLAN"), []

    def get(event):
        calls.append(event)
        if len(calls) == 1:
            event.assoc.abort()
            return
        yield from give([made])(event)

    with scripted([made], get) as port:
        retrieval = run(
            configuration(tmp_path, port=port, method="get"), Inbox(tmp_path / "inbox" / "1"), ["P1"]
        )["P1"]
    assert len(calls) == 2
    assert retrieval.complete


def test_an_association_that_is_always_lost_is_a_failure_but_no_removal_and_ends_the_night_soon(tmp_path):
    made = image(Modality="RTPLAN")
    calls = []

    def get(event):
        calls.append(event)
        event.assoc.abort()
        yield 0

    with scripted([made], get) as port:
        config = configuration(tmp_path, port=port, method="get")
        done = run(config, Inbox(tmp_path / "inbox" / "1"), ["P1"])["P1"]
    assert [item.key.sop_uid for item in done.found] == [made.SOPInstanceUID]
    assert len(done.missing) == 1
    assert "ended the connection" in done.failures[0].reason
    assert "Secret" not in str(done.failures)


@pytest.mark.parametrize(
    ("modality", "held", "wanted"),
    [("", False, True), ("XX", True, True), ("XX", False, False), ("RTPLAN", False, True)],
)
def test_what_the_rois_calls_an_object_does_not_take_a_held_one_out_of_sight(
    tmp_path, modality, held, wanted
):
    made = image(Modality="RTPLAN")
    keys = [ObjectKey("RTPLAN", safe_name(made.SeriesInstanceUID), safe_name(made.SOPInstanceUID))]
    with scripted([made], give([made]), modality) as port:
        config = configuration(tmp_path, port=port, method="get", census='modalities = ["RTPLAN"]')
        inbox = Inbox(tmp_path / "inbox" / "1")
        retrieval = run(config, inbox, ["P1"], held=keys if held else [])["P1"]
    assert retrieval.complete
    assert bool(inbox.arrived("P1")) is wanted


@pytest.mark.parametrize("kind", [ValueError, RuntimeError])
def test_whatever_the_library_raises_over_a_request_is_a_lost_connection(tmp_path, monkeypatch, kind):
    def fails(*_, **__):
        raise kind("about Secret")

    with scripted([image()], give([])) as port:
        config = configuration(tmp_path, port=port, method="get")
        monkeypatch.setattr("pynetdicom.association.Association.send_c_get", fails)
        done = run(config, Inbox(tmp_path / "inbox" / "1"), ["P1"])["P1"]
    assert len(done.missing) == 1
    assert f"lost during a C-GET ({kind.__name__})" in done.failures[0].reason
    assert "Secret" not in str(done.failures)


def test_a_rois_that_refuses_some_patients_is_not_away(tmp_path):
    made = image(patient_id="P5", Modality="RTPLAN")
    refused = ["P1", "P2", "P3", "P4"]
    with scripted([made], give([made]), refuse=refused) as port:
        config = configuration(tmp_path, port=port, method="get")
        done = run(config, Inbox(tmp_path / "inbox" / "1"), [*refused, "P5"])
    assert all("0xA700" in done[patient].failures[0].reason for patient in refused)
    assert done["P5"].complete


@pytest.fixture
def hurry(monkeypatch):
    """A request may take a second, and half a second per object."""
    monkeypatch.setattr("vault.rois.association.TIMEOUTS", 1)
    monkeypatch.setattr("vault.rois.association.LEAST_TIME", 1.0)
    monkeypatch.setattr("vault.rois.association.TIME_PER_OBJECT", 0.5)


IMPATIENT = 'retries = 0\ntimeout = "1s"'


@pytest.mark.usefixtures("hurry")
def test_objects_that_nobody_asked_for_one_after_the_other_do_not_make_a_request_endless(tmp_path):
    made = image(Modality="RTPLAN")

    def drip(event):
        yield 200
        for _ in range(200):
            time.sleep(0.05)
            yield 0xFF00, image(Modality="RTPLAN")

    with scripted([made], drip) as port:
        config = configuration(tmp_path, port=port, method="get", retrieve=IMPATIENT)
        began = time.monotonic()
        done = run(config, Inbox(tmp_path / "inbox" / "1"), ["P1"])["P1"]
        assert time.monotonic() - began < 6
    assert "did not finish within 2 s during a C-GET" in done.failures[0].reason
    assert len(done.missing) == 1


@pytest.mark.usefixtures("hurry")
@pytest.mark.parametrize(("objects", "allowed"), [(0, 1), (2, 2)])
def test_a_trickle_of_bytes_without_a_response_does_not_make_a_request_endless(tmp_path, objects, allowed):
    ended = threading.Event()

    def silent(event):
        ended.wait(10)
        yield 0

    with scripted([image()], silent) as port:
        config = configuration(tmp_path, port=port, method="get", retrieve=IMPATIENT)
        connection = Connection(config)
        alive = itertools.count().__next__
        answers = connection.responses("get", "study", Dataset(), "a C-GET", alive, objects)
        with pytest.raises(PeerError, match=f"did not finish within {allowed} s"):
            list(answers)
        ended.set()


def interrupted_query(config, dul):
    with Connection(config) as connection:
        dul.append(connection.open().dul)
        next(iter(Finder(connection, "get", relational=False).query("IMAGE", {"SOPInstanceUID": ""})))
        time.sleep(0.5)
        raise KeyboardInterrupt


def test_leaving_while_many_answers_wait_unread_takes_a_moment(tmp_path):
    """More than may wait unread: then the vault looks at nothing that comes, and would miss the peer's end."""
    objects, dul = [image(Modality="RTPLAN") for _ in range(100)], []
    with scripted(objects, give([])) as port:
        config = configuration(tmp_path, port=port, method="get", retrieve='timeout = "20s"')
        began = time.monotonic()
        with pytest.raises(KeyboardInterrupt):
            interrupted_query(config, dul)
        assert time.monotonic() - began < 8
    assert not dul[0].is_alive()


@pytest.mark.filterwarnings("ignore:.*:UserWarning")
def test_answers_of_too_many_bytes_are_a_failure_of_that_patient(tmp_path, monkeypatch):
    monkeypatch.setattr("vault.rois.query.MOST_BYTES", 1 << 20)
    objects = [image(Modality="RTPLAN", StudyDescription="x" * 60_000) for _ in range(30)]
    with scripted(objects, give([])) as port:
        config = configuration(tmp_path, port=port, method="get")
        done = run(config, Inbox(tmp_path / "inbox" / "1"), ["P1"])["P1"]
    assert done.found is None
    assert "more than 1 MiB" in done.failures[0].reason


@pytest.mark.filterwarnings("ignore:.*:UserWarning")
def test_of_an_answer_only_short_texts_are_kept(tmp_path):
    made = image(Modality="RTPLAN", StudyDescription="x" * 60_000)
    with scripted([made], give([]), modality="M" * 1000) as port:
        connection = Connection(configuration(tmp_path, port=port, method="get"))
        (entry,) = Finder(connection, "get", relational=False).query("IMAGE", {"SOPInstanceUID": ""})
        connection.close()
    assert entry["SOPInstanceUID"] == made.SOPInstanceUID
    assert entry["Modality"] == "M" * 17
    assert "x" not in str(entry)


@pytest.mark.filterwarnings("ignore:.*:UserWarning")
@pytest.mark.parametrize("patient_id", ["P1" + " " * 62 + "x", "P1\\P2", "P2"])
def test_an_object_of_another_patient_is_left_out_however_it_is_spelled(tmp_path, patient_id):
    with scripted([image(patient_id=patient_id)], give([])) as port:
        config = configuration(tmp_path, port=port, method="get")
        done = run(config, Inbox(tmp_path / "inbox" / "1"), ["P1"])["P1"]
    assert done.found is None
    assert "no such patient" in done.failures[0].reason


def test_a_c_get_that_ends_for_want_of_room_sends_nobody_to_look_for_a_receiver(tmp_path):
    def get(event):
        yield 1
        yield 0xA702, None

    with scripted([image(Modality="RTPLAN")], get) as port:
        config = configuration(tmp_path, port=port, method="get")
        done = run(config, Inbox(tmp_path / "inbox" / "1"), ["P1"])["P1"]
    assert "ended with status 0xA702" in done.failures[0].reason
    assert "receiver" not in str(done.failures)
