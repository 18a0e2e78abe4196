"""From a real archive into the vault, out to a folder, and into a spare archive: the same bytes all the way."""

from __future__ import annotations

import io
import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import peers
import pydicom
import pynetdicom
import pytest
from pydicom.dataset import Dataset
from pydicom.fileset import FileSet
from pynetdicom import sop_class
from vaults import TestVault

from vault.dicom.part10 import dataset_offset

pytestmark = pytest.mark.system

PatientMove = sop_class.PatientRootQueryRetrieveInformationModelMove


@pytest.fixture
def rois(orthanc_server: Callable[..., peers.Orthanc]) -> peers.Orthanc:
    """An Orthanc that holds the corpus."""
    peer = orthanc_server(move_to=("VAULT", peers.LOOPBACK, peers.free_port()))
    peer.load(peers.loadable())
    return peer


@pytest.fixture
def vault(rois: peers.Orthanc, tmp_path: Path) -> TestVault:
    """A vault that has retrieved all of it."""
    made = TestVault(tmp_path / "vault", rois, peers.patients_in(peers.loadable()))
    report = made.sync()
    assert [failure for outcome in report.patients.values() for failure in outcome.failed] == []
    return made


def data_set(file: bytes) -> bytes:
    """A file's bytes after preamble and file meta."""
    return file[dataset_offset(io.BytesIO(file))[1] :]


def exported_files(folder: Path) -> list[Path]:
    """The readable tree's DICOM files."""
    return [path for path in folder.rglob("*.dcm") if path.relative_to(folder).parts[0] != "DICOM"]


def moved(rois: peers.Orthanc, patients: list[str]) -> dict[tuple[str, str], set[bytes]]:
    """What a receiver that is not ours gets by C-MOVE: data sets by patient and SOP Instance UID, as on the wire."""
    received: dict[tuple[str, str], set[bytes]] = {}
    current = ""

    def store(event: pynetdicom.events.Event) -> int:
        key = (current, str(event.request.AffectedSOPInstanceUID))
        received.setdefault(key, set()).add(event.request.DataSet.getvalue())
        return 0x0000

    scp = pynetdicom.AE(ae_title="VAULT")
    for context in pynetdicom.AllStoragePresentationContexts:
        scp.add_supported_context(context.abstract_syntax, pynetdicom.ALL_TRANSFER_SYNTAXES)
    server = scp.start_server(
        (peers.LOOPBACK, rois.receiver_port), block=False, evt_handlers=[(pynetdicom.evt.EVT_C_STORE, store)]
    )
    scu = pynetdicom.AE(ae_title="VAULT")
    association = scu.associate(
        rois.host, rois.port, contexts=[pynetdicom.build_context(PatientMove)], ae_title=rois.ae_title
    )
    try:
        assert association.is_established
        for current in patients:
            query = Dataset()
            query.QueryRetrieveLevel = "PATIENT"
            query.PatientID = current
            assert [status.Status for status, _ in association.send_c_move(query, "VAULT", PatientMove)][
                -1
            ] == 0
    finally:
        association.release()
        server.shutdown()
    return received


def test_exported_bytes_are_those_that_the_rois_sent(
    rois: peers.Orthanc, vault: TestVault, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    done = vault.command("--json", "export", "--all", "--to", str(out))
    assert done.returncode == 0, done.stderr
    manifest = json.loads((out / "manifest.json").read_text())
    sent = moved(rois, [patient["patient_id"] for patient in manifest["patients"]])
    exported = {
        (patient["patient_id"], Path(file["source"]).stem): data_set((out / file["path"]).read_bytes())
        for patient in manifest["patients"]
        for file in patient["files"]
    }
    assert len(exported) == len(exported_files(out)) == len(sent)
    assert exported.keys() == sent.keys()
    assert [key for key, data in exported.items() if data not in sent[key]] == []


def test_stock_tools_check_it_and_read_its_index(
    vault: TestVault, tmp_path: Path, need: Callable[..., None]
) -> None:
    need("dcmdump", "sha256sum")
    out = tmp_path / "out"
    report = json.loads(vault.command("--json", "export", "--all", "--to", str(out)).stdout)
    done = subprocess.run(["sha256sum", "--strict", "--quiet", "-c", "SHA256SUMS"], cwd=out, check=False)
    assert done.returncode == 0
    dump = subprocess.run(
        ["dcmdump", "+P", "ReferencedFileID", "DICOMDIR"], cwd=out, capture_output=True, check=False
    )
    assert dump.returncode == 0, dump.stderr
    assert len(dump.stdout.splitlines()) == report["dicomdir"]["objects"]
    for item in FileSet(out / "DICOMDIR"):
        file = pydicom.dcmread(item.path, stop_before_pixels=True)
        assert (file.SOPInstanceUID, file.SOPClassUID) == (
            item.ReferencedSOPInstanceUIDInFile,
            item.ReferencedSOPClassUIDInFile,
        )
        assert file.file_meta.TransferSyntaxUID == item.ReferencedTransferSyntaxUIDInFile
    assert report["dicomdir"]["objects"] + len(report["dicomdir"]["left_out"]) == len(exported_files(out))


def test_a_spare_archive_takes_all_of_it(
    vault: TestVault, tmp_path: Path, orthanc_server: Callable[..., peers.Orthanc]
) -> None:
    out = tmp_path / "out"
    assert vault.command("export", "--all", "--to", str(out)).returncode == 0
    spare = orthanc_server(move_to=("VAULT", peers.LOOPBACK, peers.free_port()), ae_title="SRC")
    spare.load(sorted(exported_files(out)))
    assert spare.instances() == {str(peers.dataset(path).SOPInstanceUID) for path in peers.loadable()}


def test_a_tampered_repository_is_exit_code_4_and_the_others_are_exported(
    vault: TestVault, tmp_path: Path
) -> None:
    repositories = sorted((vault.folder / "repos").glob("*.git"))
    (pack,) = (repositories[0] / "objects" / "pack").glob("*.pack")
    pack.chmod(0o600)
    data = bytearray(pack.read_bytes())
    for offset in range(200, len(data) - 40, 97):
        data[offset] ^= 0x10
    pack.write_bytes(data)
    done = vault.command("--json", "export", "--all", "--to", str(tmp_path / "out"))
    assert done.returncode == 4, done.stderr
    results = json.loads(done.stdout)["patients"].values()
    assert sum(bool(result["failed"]) for result in results) == 1
    assert sum(result["files"] > 0 for result in results) >= len(repositories) - 1


def test_an_export_can_be_moved_to_a_stick_and_still_checks(vault: TestVault, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert vault.command("export", "--all", "--to", str(out)).returncode == 0
    stick = tmp_path / "stick"
    shutil.copytree(out, stick)
    shutil.rmtree(out)
    assert (
        subprocess.run(["sha256sum", "--quiet", "-c", "SHA256SUMS"], cwd=stick, check=False).returncode == 0
    )
    again = vault.command("--json", "export", "--all", "--to", str(stick))
    assert again.returncode == 0, again.stderr
    results = json.loads(again.stdout)["patients"].values()
    assert all(result["kept"] == result["files"] for result in results)
