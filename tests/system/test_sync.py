"""The night against real servers: everything is committed, nothing changes unless something changed."""

from pathlib import Path

import peers
import pytest
from vaults import TestVault

from vault.archive.repository import PatientRepository, all_repositories
from vault.compare.diff import compare
from vault.events import hookimpl, plugin_manager

pytestmark = pytest.mark.system


def committed(vault):
    """SOP file name to commit-side bytes, over all patients."""
    held = {}
    for repository in all_repositories(vault.config.vault.root):
        for path, oid in repository.tree(repository.tip()).items():
            if path.endswith(".dcm"):
                held[repository.patient_id, Path(path).stem] = oid
    return held


@pytest.fixture(params=["move", "get"])
def retrieve(request):
    return request.param


@pytest.fixture(params=["orthanc", "dcmqrscp"])
def rois(request, tmp_path):
    """A real archive that holds the corpus, and a vault that knows it."""
    reason = peers.missing_tools("Orthanc", "dcmqrscp", "dcmqridx")
    if reason:
        pytest.skip(reason)
    port = peers.free_port()
    serve = {"orthanc": peers.orthanc, "dcmqrscp": peers.dcmqrscp}[request.param]
    with serve(tmp_path / request.param, move_to=("VAULT", "127.0.0.1", port)) as peer:
        peer.receiver_port = port
        yield peer


def test_every_object_is_committed_and_a_second_night_changes_nothing(rois, retrieve, tmp_path):
    files = peers.loadable()
    rois.load(files)
    vault = TestVault(tmp_path / "vault", rois, peers.patients_in(files), retrieve=retrieve)
    first = vault.sync()
    assert first.exit_code == 0, first
    expected = {(str(d.PatientID).strip(), str(d.SOPInstanceUID)) for d in map(peers.dataset, files)}
    held = committed(vault)
    assert set(held) == expected
    tips = vault.tips()
    second = vault.sync()
    assert second.exit_code == 0
    assert vault.tips() == tips
    assert all(not outcome.added and not outcome.changed for outcome in second.patients.values())


def test_one_modified_attribute_is_one_change(rois, tmp_path):
    plan = next(file for file in peers.loadable() if peers.dataset(file).Modality == "RTPLAN")
    rois.load([plan])
    data = peers.dataset(plan)
    vault = TestVault(tmp_path / "vault", rois, [str(data.PatientID)])
    vault.sync()
    rois.modify(data.SOPInstanceUID, {"RTPlanLabel": "TAMPERED"})
    report = vault.sync()
    outcome = report.patients[data.PatientID]
    assert (len(outcome.changed), outcome.added, outcome.removed) == (1, [], [])
    repository = PatientRepository.open(vault.config.vault.root, data.PatientID)
    changes = [
        change for change in compare(repository, outcome.old_commit, outcome.new_commit) if change.modality
    ]
    assert [change.path for change in changes] == outcome.changed
    (attribute,) = changes[0].attributes
    assert attribute.path == attribute.keyword == "RTPlanLabel"
    assert attribute.tag == "(300a,0002)"
    assert attribute.new == '"TAMPERED"'
    assert attribute.old == f'"{data.RTPlanLabel}"'


class Guest:
    """A site's hook that fails."""

    @hookimpl
    def commit_made(self):
        raise RuntimeError("the pager's server is away")

    @hookimpl
    def run_finished(self):
        raise KeyError("report")


def test_a_hook_that_fails_is_said_and_stops_nothing(rois, tmp_path):
    rois.load(peers.loadable())
    vault = TestVault(tmp_path / "vault", rois, peers.patients_in(peers.loadable()))
    events = plugin_manager()
    events.register(Guest())
    report = vault.sync(events=events)
    assert set(vault.tips()) == set(report.patients)
    assert {failure.subject for failure in report.failed} == {"a hook"}
    assert any("pager" in failure.reason for failure in report.failed)
    assert report.exit_code == 3
