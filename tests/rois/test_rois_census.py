"""The census against a scripted ROIS: who can't be asked for is counted, and an empty department is not believed."""

from contextlib import contextmanager

import msgspec
import pytest
from pydicom.dataset import Dataset
from pynetdicom import AE, evt
from rois_kit import TODAY, configuration

from vault.errors import PeerError
from vault.rois.association import MODELS
from vault.rois.census import census

IDS = ["P1", "P*", "", "x" * 65, "P2"]


@contextmanager
def holding(ids):
    """A ROIS that holds one study with a treatment record of each of `ids`."""

    def find(event):
        level = event.identifier.QueryRetrieveLevel
        for number, patient_id in enumerate(ids, 1):
            answer = Dataset()
            answer.PatientID = patient_id
            answer.StudyInstanceUID = f"1.{number}"
            answer.ModalitiesInStudy = ["CT", "RTRECORD"]
            if level != "STUDY":
                answer.SeriesInstanceUID = f"1.{number}.1"
                answer.SOPInstanceUID = f"1.{number}.1.1"
                answer.Modality = "RTRECORD"
                answer.TreatmentDate = f"{TODAY:%Y%m%d}"
            if event.identifier.get("StudyInstanceUID") in (None, "", answer.StudyInstanceUID):
                yield 0xFF00, answer

    server = AE(ae_title="ROIS")
    server.add_supported_context(MODELS["study"]["find"])
    server.add_supported_context(MODELS["study"]["get"])
    running = server.start_server(("127.0.0.1", 0), block=False, evt_handlers=[(evt.EVT_C_FIND, find)])
    try:
        yield running.server_address[1]
    finally:
        running.shutdown()


def asking(folder, port, *, relational=False):
    retrieve = f'timeout = "10s"\nrelational = {str(relational).lower()}'
    config = configuration(folder, port=port, method="get", retrieve=retrieve)
    return msgspec.structs.replace(config, census=msgspec.structs.replace(config.census, source="dicom"))


@pytest.mark.filterwarnings("ignore:.*:UserWarning")
@pytest.mark.parametrize("relational", [True, False])
def test_patients_who_cannot_be_asked_for_are_counted_and_not_named(tmp_path, relational):
    refused = []
    with holding(IDS) as port:
        assert census(asking(tmp_path, port, relational=relational), today=TODAY, refused=refused) == [
            "P1",
            "P2",
        ]
    (failure,) = refused
    assert failure.subject == "census"
    assert failure.reason.startswith("3 patient IDs from the ROIS can't be asked for")
    assert "P*" not in failure.reason


@pytest.mark.parametrize("relational", [True, False])
@pytest.mark.parametrize("ids", [[], ["P?"]])
def test_a_census_that_finds_nobody_is_no_empty_department(tmp_path, ids, relational):
    refused = []
    with holding(ids) as port, pytest.raises(PeerError, match="the last 30 days"):
        census(asking(tmp_path, port, relational=relational), today=TODAY, refused=refused)
    assert len(refused) == len(ids)
