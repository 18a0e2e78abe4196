"""The embedded ROIS answers as PS3.4 C asks, to pynetdicom, and misbehaves when told to."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from pydicom.dataset import Dataset, FileDataset
from pynetdicom import AE, StoragePresentationContexts, build_role, evt
from pynetdicom.sop_class import (
    PatientRootQueryRetrieveInformationModelFind as PatientFind,
)
from pynetdicom.sop_class import (
    StudyRootQueryRetrieveInformationModelFind as StudyFind,
)
from pynetdicom.sop_class import (
    StudyRootQueryRetrieveInformationModelGet as StudyGet,
)
from pynetdicom.sop_class import (
    StudyRootQueryRetrieveInformationModelMove as StudyMove,
)
from pynetdicom.sop_class import Verification

from vault.department.modules import item, items
from vault.department.server import Department, Faults

SYNTAXES = ["1.2.840.10008.1.2.1", "1.2.840.10008.1.2"]


class Receiver:
    """A storage SCP that keeps the data sets' bytes."""

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}
        entity = AE(ae_title="RECEIVER")
        for context in StoragePresentationContexts:
            entity.add_supported_context(context.abstract_syntax, SYNTAXES)
        self.server: Any = entity.start_server(
            ("127.0.0.1", 0), block=False, evt_handlers=[(evt.EVT_C_STORE, self.store)]
        )
        self.port: int = self.server.server_address[1]

    def store(self, event: Any) -> int:
        self.objects[str(event.request.AffectedSOPInstanceUID)] = event.request.DataSet.getvalue()
        return 0


@pytest.fixture(scope="module")
def receiver() -> Iterator[Receiver]:
    receiver = Receiver()
    yield receiver
    receiver.server.shutdown()


@pytest.fixture(scope="module")
def rois(
    tmp_path_factory: pytest.TempPathFactory, night1: tuple[FileDataset, ...], receiver: Receiver
) -> Iterator[Department]:
    destinations = {"RECEIVER": ("127.0.0.1", receiver.port)}
    with Department(tmp_path_factory.mktemp("rois"), destinations=destinations) as department:
        department.put(night1)
        yield department


@pytest.fixture(autouse=True)
def well_behaved(rois: Department, receiver: Receiver) -> Iterator[None]:
    receiver.objects.clear()
    yield
    rois.faults = Faults()


@contextmanager
def connected(rois: Department, *models: str, called: str = "ROIS") -> Iterator[Any]:
    entity = AE(ae_title="TESTER")
    entity.dimse_timeout = 5
    for model in models:
        entity.add_requested_context(model)
    association = entity.associate("127.0.0.1", rois.port, ae_title=called)
    try:
        yield association
    finally:
        if association.is_established:
            association.release()


def ask(rois: Department, level: str, model: str = StudyFind, **keys: Any) -> list[Dataset]:
    query = item(QueryRetrieveLevel=level, **keys)
    with connected(rois, model) as association:
        assert association.is_established
        answers = list(association.send_c_find(query, model))
    assert answers[-1][0].Status == 0
    return [answer for _, answer in answers[:-1]]


def move(rois: Department, to: str = "RECEIVER", **keys: Any) -> Dataset:
    with connected(rois, StudyMove) as association:
        responses = list(association.send_c_move(item(**keys), to, StudyMove))
    return responses[-1][0]


def uids(objects: tuple[FileDataset, ...], patient_id: str, modality: str) -> set[str]:
    return {
        str(each.SOPInstanceUID)
        for each in objects
        if (each.PatientID, each.Modality) == (patient_id, modality)
    }


def test_echo(rois: Department) -> None:
    with connected(rois, Verification) as association:
        assert association.send_c_echo().Status == 0


def test_it_listens_on_loopback_only_and_only_to_its_name(rois: Department) -> None:
    assert rois._server.server_address[0] == "127.0.0.1"
    with connected(rois, Verification, called="OTHER") as association:
        assert association.is_rejected


def test_find_walks_down_the_hierarchy(rois: Department, night1: tuple[FileDataset, ...]) -> None:
    (study,) = ask(
        rois, "STUDY", PatientID="DEMO-001", StudyInstanceUID="", ModalitiesInStudy="", PatientName=""
    )
    assert study.PatientName == "Demo^Albert"
    assert set(study.ModalitiesInStudy) == {"CT", "RTSTRUCT", "RTPLAN", "RTDOSE", "RTRECORD"}
    series = ask(
        rois,
        "SERIES",
        PatientID="DEMO-001",
        StudyInstanceUID=study.StudyInstanceUID,
        SeriesInstanceUID="",
        Modality="",
        NumberOfSeriesRelatedInstances=None,
    )
    assert len(series) == 5
    for each in series:
        images = ask(
            rois,
            "IMAGE",
            PatientID="DEMO-001",
            StudyInstanceUID=study.StudyInstanceUID,
            SeriesInstanceUID=each.SeriesInstanceUID,
            SOPInstanceUID="",
            SOPClassUID="",
        )
        assert {image.SOPInstanceUID for image in images} == uids(night1, "DEMO-001", each.Modality)
        assert len(images) == each.NumberOfSeriesRelatedInstances


def test_find_at_patient_level_in_the_patient_root(rois: Department) -> None:
    names = ask(rois, "PATIENT", PatientFind, PatientID="", PatientName="")
    assert [(each.PatientID, str(each.PatientName)) for each in names] == [
        ("DEMO-001", "Demo^Albert"),
        ("DEMO-002", "Demo^Anna"),
        ("DEMO-003", "Demo^Jürgen"),
        ("DEMO-004", "Demo^Λουκία"),
    ]
    assert not ask(rois, "PATIENT", PatientFind, PatientID="DEMO-0")
    assert len(ask(rois, "PATIENT", PatientFind, PatientID="DEMO-00?")) == 4


def test_relational_queries_by_modality_date_and_reference(
    rois: Department, night1: tuple[FileDataset, ...]
) -> None:
    since = ask(
        rois, "IMAGE", Modality="RTRECORD", TreatmentDate="20261122-", SOPInstanceUID="", PatientID=""
    )
    assert {each.PatientID for each in since} == {"DEMO-001", "DEMO-002", "DEMO-003", "DEMO-004"}
    assert {each.TreatmentDate for each in since} == {"20261122"}
    assert not ask(rois, "IMAGE", Modality="RTRECORD", TreatmentDate="20261123-20261130", SOPInstanceUID="")
    (plan,) = uids(night1, "DEMO-002", "RTPLAN")
    given = ask(
        rois,
        "IMAGE",
        Modality="RTRECORD",
        SOPInstanceUID="",
        ReferencedRTPlanSequence=items(item(ReferencedSOPInstanceUID=plan)),
    )
    assert {each.SOPInstanceUID for each in given} == uids(night1, "DEMO-002", "RTRECORD")
    labels = ask(rois, "IMAGE", Modality="RTPLAN", RTPlanLabel="", ApprovalStatus="", SOPInstanceUID="")
    assert {each.RTPlanLabel for each in labels} >= {"PROSTATE_1A", "BREAST_L"}
    assert {each.ApprovalStatus for each in labels} == {"APPROVED"}


def test_move_sends_the_stored_bytes_by_series_and_by_instance(
    rois: Department, receiver: Receiver, night1: tuple[FileDataset, ...]
) -> None:
    scan = next(each for each in night1 if each.Modality == "CT" and each.PatientID == "DEMO-001")
    keys = {
        "PatientID": "DEMO-001",
        "StudyInstanceUID": scan.StudyInstanceUID,
        "SeriesInstanceUID": scan.SeriesInstanceUID,
    }
    assert move(rois, QueryRetrieveLevel="SERIES", **keys).Status == 0
    assert set(receiver.objects) == uids(night1, "DEMO-001", "CT")
    for entry in rois.entries:
        if entry.sop_uid in receiver.objects:
            assert entry.path.read_bytes().endswith(receiver.objects[entry.sop_uid])
    receiver.objects.clear()
    response = move(rois, QueryRetrieveLevel="IMAGE", SOPInstanceUID=scan.SOPInstanceUID, **keys)
    assert (response.Status, response.NumberOfCompletedSuboperations) == (0, 1)
    assert set(receiver.objects) == {scan.SOPInstanceUID}


def test_move_to_a_stranger_of_nothing_and_of_everything(rois: Department, receiver: Receiver) -> None:
    assert move(rois, to="STRANGER", QueryRetrieveLevel="STUDY", StudyInstanceUID="1.2").Status == 0xA801
    assert move(rois, QueryRetrieveLevel="STUDY", StudyInstanceUID="1.2.3").Status == 0
    assert move(rois, QueryRetrieveLevel="STUDY", StudyInstanceUID="", PatientID="").Status == 0xA900
    assert not receiver.objects


def test_get_sends_over_the_same_association(rois: Department, night1: tuple[FileDataset, ...]) -> None:
    arrived: list[str] = []

    def store(event: Any) -> int:
        arrived.append(str(event.request.AffectedSOPInstanceUID))
        return 0

    entity = AE(ae_title="TESTER")
    entity.add_requested_context(StudyGet)
    wanted = {str(each.SOPClassUID) for each in night1}
    for sop_class in wanted:
        entity.add_requested_context(sop_class, SYNTAXES)
    association = entity.associate(
        "127.0.0.1",
        rois.port,
        ae_title="ROIS",
        ext_neg=[build_role(sop_class, scp_role=True) for sop_class in wanted],
        evt_handlers=[(evt.EVT_C_STORE, store)],
    )
    study = next(each.StudyInstanceUID for each in night1 if each.PatientID == "DEMO-003")
    query = item(QueryRetrieveLevel="STUDY", PatientID="DEMO-003", StudyInstanceUID=study)
    responses = list(association.send_c_get(query, StudyGet))
    association.release()
    assert responses[-1][0].Status == 0
    assert set(arrived) == {str(each.SOPInstanceUID) for each in night1 if each.PatientID == "DEMO-003"}


def test_refuse(rois: Department) -> None:
    rois.faults.refuse = True
    with connected(rois, Verification) as association:
        assert association.is_rejected
    rois.faults.refuse = False
    with connected(rois, Verification) as association:
        assert association.is_established


def test_silent_until_it_ends(tmp_path: Path) -> None:
    with Department(tmp_path / "rois", faults=Faults(silent=True)) as silent:
        entity = AE(ae_title="TESTER")
        entity.dimse_timeout = 0.3
        entity.add_requested_context(StudyFind)
        association = entity.associate("127.0.0.1", silent.port, ae_title="ROIS")
        assert association.is_established
        query = item(QueryRetrieveLevel="STUDY", PatientID="DEMO-001", StudyInstanceUID="")
        statuses = [status for status, _ in association.send_c_find(query, StudyFind)]
        assert not any("Status" in status for status in statuses)
        started = time.monotonic()
    assert time.monotonic() - started < 5


def test_skipped_objects_are_found_but_never_come(
    rois: Department, receiver: Receiver, night1: tuple[FileDataset, ...]
) -> None:
    (plan,) = uids(night1, "DEMO-001", "RTPLAN")
    rois.faults.skip = {plan}
    assert ask(rois, "IMAGE", SOPInstanceUID=plan)
    study = next(each.StudyInstanceUID for each in night1 if each.PatientID == "DEMO-001")
    assert move(rois, QueryRetrieveLevel="STUDY", StudyInstanceUID=study).Status == 0
    assert plan not in receiver.objects
    assert uids(night1, "DEMO-001", "CT") <= set(receiver.objects)


def test_a_transfer_breaks_off(rois: Department, receiver: Receiver, night1: tuple[FileDataset, ...]) -> None:
    rois.faults.break_after = 3
    study = next(each.StudyInstanceUID for each in night1 if each.PatientID == "DEMO-001")
    assert "Status" not in move(rois, QueryRetrieveLevel="STUDY", StudyInstanceUID=study)
    assert len(receiver.objects) == 3


def test_objects_are_added_replaced_removed_and_found_again(
    tmp_path: Path, night1: tuple[FileDataset, ...], night2: tuple[FileDataset, ...]
) -> None:
    rois = Department(tmp_path / "rois")
    assert rois.put(night1) == len(night1)
    assert rois.put(night2) == len(night2)
    assert len(rois.entries) == len(night1) + len(night2) - 1  # the tampered plan took the place of the plan
    again = Department(tmp_path / "rois")
    assert {entry.sop_uid for entry in again.entries} == {entry.sop_uid for entry in rois.entries}
    gone = str(night1[0].SOPInstanceUID)
    again.remove({gone})
    assert gone not in {entry.sop_uid for entry in Department(tmp_path / "rois").entries}


def test_objects_are_private_files(tmp_path: Path, night1: tuple[FileDataset, ...]) -> None:
    rois = Department(tmp_path / "rois")
    rois.put(night1[:1])
    (path,) = (tmp_path / "rois").rglob("*.dcm")
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 5
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_nagle_is_off_on_accepted_connections(rois: Department) -> None:
    import socket

    with connected(rois, Verification) as association:
        assert association.is_established
        wait_for(lambda: bool(rois._server.active_associations))
        (accepted,) = [each for each in rois._server.active_associations if each.is_established]
        assert accepted.dul.socket.socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
