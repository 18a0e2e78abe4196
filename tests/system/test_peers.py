"""The servers that the other system tests stand on do what those tests assume."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import peers
import pynetdicom
import pytest
from pydicom.dataset import Dataset
from pynetdicom import sop_class

pytestmark = pytest.mark.system


@dataclass
class Destination:
    """A minimal receiver that remembers which SOP Instance UIDs came."""

    port: int
    received: list[str] = field(default_factory=list)


@pytest.fixture
def destination(free_port: Callable[[], int]) -> Iterator[Destination]:
    there = Destination(free_port())

    def store(event: pynetdicom.events.Event) -> int:
        there.received.append(event.request.AffectedSOPInstanceUID)
        return 0x0000

    scp = pynetdicom.AE(ae_title="VAULT")
    scp.supported_contexts = pynetdicom.AllStoragePresentationContexts
    server = scp.start_server(
        (peers.LOOPBACK, there.port), block=False, evt_handlers=[(pynetdicom.evt.EVT_C_STORE, store)]
    )
    yield there
    server.shutdown()


@pytest.fixture(params=["orthanc", "dcmqrscp"])
def peer(request: pytest.FixtureRequest, destination: Destination) -> peers.Peer:
    factory = {"orthanc": "orthanc_server", "dcmqrscp": "dcmqr_server"}[request.param]
    return request.getfixturevalue(factory)(move_to=("VAULT", peers.LOOPBACK, destination.port))


@pytest.fixture
def plan() -> Path:
    return next(path for path in peers.corpus() if peers.dataset(path).get("Modality") == "RTPLAN")


def find(peer: peers.Peer, patient_id: str) -> list[str]:
    """The Study Instance UIDs that C-FIND returns for a patient."""
    query = Dataset()
    query.QueryRetrieveLevel = "STUDY"
    query.PatientID = patient_id
    query.StudyInstanceUID = ""
    with associated(peer, sop_class.StudyRootQueryRetrieveInformationModelFind) as association:
        answers = association.send_c_find(query, sop_class.StudyRootQueryRetrieveInformationModelFind)
        return [answer.StudyInstanceUID for status, answer in answers if status.Status in {0xFF00, 0xFF01}]


def move(peer: peers.Peer, study_uid: str) -> int:
    """Ask for a study to be sent to VAULT; the final status."""
    query = Dataset()
    query.QueryRetrieveLevel = "STUDY"
    query.StudyInstanceUID = study_uid
    with associated(peer, sop_class.StudyRootQueryRetrieveInformationModelMove) as association:
        answers = association.send_c_move(
            query, "VAULT", sop_class.StudyRootQueryRetrieveInformationModelMove
        )
        return [status.Status for status, _ in answers][-1]


class associated:
    """An association for one service, released at the end."""

    def __init__(self, peer: peers.Peer, service: str) -> None:
        client = pynetdicom.AE(ae_title="VAULT")
        self.association = client.associate(
            peer.host, peer.port, contexts=[pynetdicom.build_context(service)], ae_title=peer.ae_title
        )
        assert self.association.is_established

    def __enter__(self) -> pynetdicom.association.Association:
        return self.association

    def __exit__(self, *_: object) -> None:
        self.association.release()


def test_it_finds_and_moves_what_was_loaded(peer: peers.Peer, plan: Path, destination: Destination) -> None:
    peer.load([plan])
    header = peers.dataset(plan)
    assert find(peer, header.PatientID) == [header.StudyInstanceUID]
    assert move(peer, header.StudyInstanceUID) == 0x0000
    assert destination.received == [header.SOPInstanceUID]


def test_a_change_shows_at_once_and_keeps_the_uid(peer: peers.Peer, plan: Path) -> None:
    peer.load([plan])
    (uid,) = peer.instances()
    peer.modify(uid, {"RTPlanLabel": "TAMPERED"})
    assert peer.instances() == {uid}
    edited = peer.folder / "now.dcm"
    edited.write_bytes(peer.file(uid))
    assert peers.dataset(edited).RTPlanLabel == "TAMPERED"


def test_a_deleted_object_is_no_longer_found(peer: peers.Peer, plan: Path) -> None:
    peer.load([plan])
    (uid,) = peer.instances()
    peer.delete(uid)
    assert peer.instances() == set()
    assert find(peer, peers.dataset(plan).PatientID) == []


def test_the_whole_corpus_can_be_loaded(peer: peers.Peer) -> None:
    usable = [path for path in peers.corpus() if peers.dataset(path).get("PatientID")]
    peer.load(usable)
    assert len(peer.instances()) == len({peers.dataset(path).SOPInstanceUID for path in usable})


def test_it_stops_alone_and_says_why_it_failed(tmp_path: Path, peer: peers.Peer) -> None:
    peer.stop()
    assert peer.process.poll() is not None
    assert peer.ae_title in str(peer.failed("a reason"))
