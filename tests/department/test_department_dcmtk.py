"""DCMTK's clients, which nobody here wrote, understand the embedded ROIS."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydicom import dcmread
from pydicom.dataset import FileDataset

from vault.department.modules import part10
from vault.department.ports import free_ports
from vault.department.server import Department

Objects = tuple[FileDataset, ...]

TOOLS = ("echoscu", "findscu", "movescu", "getscu")
pytestmark = [
    pytest.mark.system,
    pytest.mark.skipif(
        any(shutil.which(tool) is None for tool in TOOLS), reason="DCMTK not installed: apt-get install dcmtk"
    ),
]


@pytest.fixture(scope="module")
def move_port() -> int:
    return free_ports(1)[0]


@pytest.fixture(scope="module")
def rois(tmp_path_factory: pytest.TempPathFactory, night1: Objects, move_port: int) -> Iterator[Department]:
    folder = tmp_path_factory.mktemp("rois")
    with Department(folder, destinations={"MOVESCU": ("127.0.0.1", move_port)}) as department:
        department.put(night1)
        yield department


def run(tool: str, rois: Department, *arguments: str, cwd: Path) -> str:
    done = subprocess.run(
        [tool, "-v", "-aec", rois.ae_title, *arguments, "127.0.0.1", str(rois.port)],
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def keys(level: str, *pairs: str) -> list[str]:
    return [word for pair in (f"QueryRetrieveLevel={level}", *pairs) for word in ("-k", pair)]


def scan_of(night1: Objects) -> list[FileDataset]:
    return [each for each in night1 if (each.PatientID, each.Modality) == ("DEMO-001", "CT")]


def test_echoscu(rois: Department, tmp_path: Path) -> None:
    run("echoscu", rois, cwd=tmp_path)


@pytest.mark.parametrize("model", ["-S", "-P"])
def test_findscu(rois: Department, night1: Objects, tmp_path: Path, model: str) -> None:
    study = night1[0].StudyInstanceUID
    run(
        "findscu",
        rois,
        model,
        "-X",
        *keys("SERIES", "PatientID=DEMO-001", f"StudyInstanceUID={study}", "SeriesInstanceUID", "Modality"),
        cwd=tmp_path,
    )
    answers = [dcmread(path, force=True) for path in tmp_path.glob("rsp*.dcm")]
    assert {each.Modality for each in answers} == {"CT", "RTSTRUCT", "RTPLAN", "RTDOSE", "RTRECORD"}
    assert {each.SeriesInstanceUID for each in answers} == {
        each.SeriesInstanceUID for each in night1 if each.PatientID == "DEMO-001"
    }


def test_movescu_gets_the_exact_bytes(
    rois: Department, night1: Objects, tmp_path: Path, move_port: int
) -> None:
    scan = scan_of(night1)
    run(
        "movescu",
        rois,
        "-S",
        "--port",
        str(move_port),
        "+B",
        *keys(
            "SERIES",
            "PatientID=DEMO-001",
            f"StudyInstanceUID={scan[0].StudyInstanceUID}",
            f"SeriesInstanceUID={scan[0].SeriesInstanceUID}",
        ),
        cwd=tmp_path,
    )
    check(tmp_path, scan)


def test_getscu_gets_the_exact_bytes(rois: Department, night1: Objects, tmp_path: Path) -> None:
    own = [each for each in night1 if each.PatientID == "DEMO-003"]
    run(
        "getscu",
        rois,
        "-S",
        "+B",
        *keys("STUDY", "PatientID=DEMO-003", f"StudyInstanceUID={own[0].StudyInstanceUID}"),
        cwd=tmp_path,
    )
    check(tmp_path, own)


def check(folder: Path, expected: list[FileDataset]) -> None:
    """The folder's files hold exactly the expected data sets' bytes."""
    received = {dcmread(path, force=True).SOPInstanceUID: path.read_bytes() for path in folder.iterdir()}
    assert set(received) == {each.SOPInstanceUID for each in expected}
    for each in expected:
        whole = part10(each)
        start = whole.index(b"\x08\x00\x05\x00CS")  # Specific Character Set begins every data set of ours
        assert received[each.SOPInstanceUID].endswith(whole[start:])
