from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from pydicom.fileset import FileSet
from treatments import NOW, Department, edits_of, made_object

from vault.archive.bare import BareRepository
from vault.archive.blobs import Bytes
from vault.archive.repository import PatientRepository
from vault.archive.signing import Signer
from vault.emergency.export import Report, export
from vault.emergency.plan import Request
from vault.errors import ExitCode, UsageError, VaultError
from vault.progress import Silent

Export = Callable[..., Report]

SUPPORT = Path(__file__).resolve().parent.parent / "support"


def stock_check(folder: Path) -> None:
    """Stock sha256sum agrees, and lists every file but its own list."""
    done = subprocess.run(
        ["sha256sum", "-c", "--strict", "--quiet", "SHA256SUMS"], cwd=folder, capture_output=True, check=False
    )
    assert done.returncode == 0, done.stderr
    listed = {line.split("  ", 1)[1] for line in (folder / "SHA256SUMS").read_text().splitlines()}
    assert listed == {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()} - {
        "SHA256SUMS"
    }


def contents(folder: Path) -> dict[str, bytes]:
    """The patients' files: path to bytes."""
    own = {"DICOMDIR", "README.txt", "SHA256SUMS", "manifest.json"}
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and path.name not in own and "DICOM" not in path.relative_to(folder).parts
    }


def flip_a_byte(repository: PatientRepository) -> None:
    """Damage the middle of the newest pack."""
    pack = max(
        (repository.path / "objects" / "pack").glob("*.pack"), key=lambda path: path.stat().st_mtime_ns
    )
    pack.chmod(0o600)
    data = bytearray(pack.read_bytes())
    data[len(data) // 2] ^= 1
    pack.write_bytes(data)


def test_every_byte_comes_back(run_export: Export, department: Department, tmp_path: Path) -> None:
    repository = department.patient("12345")
    report = run_export(repository)
    assert report.exit_code == ExitCode.DONE
    tree = repository.tree(repository.tip())
    stored = sorted(
        repository.read(oid) for path, oid in tree.items() if path.endswith((".dcm", ".pdf", "/record.txt"))
    )
    assert sorted(contents(tmp_path / "out").values()) == stored
    assert report.patients[0].files == len(stored)
    stock_check(tmp_path / "out")


def test_the_folders_say_what_they_hold(run_export: Export, department: Department, tmp_path: Path) -> None:
    run_export(department.patient("12345"))
    assert sorted(contents(tmp_path / "out")) == [
        "12345 Müller^Anna/1 images/CT Planning CT (3 images)/0001.dcm",
        "12345 Müller^Anna/1 images/CT Planning CT (3 images)/0002.dcm",
        "12345 Müller^Anna/1 images/CT Planning CT (3 images)/0003.dcm",
        "12345 Müller^Anna/3 structure sets/Prostate 2026-11-01.dcm",
        "12345 Müller^Anna/4 plans/PROSTATE_1A approved 2026-11-02.dcm",
        "12345 Müller^Anna/4 plans/prostate_1a approved.dcm",
        "12345 Müller^Anna/5 doses/PROSTATE_1A PLAN dose.dcm",
        "12345 Müller^Anna/7 treatment records/2026-11-20 1432 fraction 03 PROSTATE_1A ARC1.dcm",
        "12345 Müller^Anna/8 documents/77/consent form.pdf",
        "12345 Müller^Anna/8 documents/77/record.txt",
        "12345 Müller^Anna/9 other objects/PRIVATE.dcm",
    ]


def test_the_dicomdir_leads_to_the_same_bytes(
    run_export: Export, department: Department, tmp_path: Path
) -> None:
    report = run_export(department.patient("12345"), department.patient("678", "Other^One"))
    listed = list(FileSet(tmp_path / "out" / "DICOMDIR"))
    assert len(listed) == report.listed == 16
    by_uid = {hashlib.sha256(data).hexdigest() for data in contents(tmp_path / "out").values()}
    assert {hashlib.sha256(Path(item.path).read_bytes()).hexdigest() for item in listed} <= by_uid
    assert all("PRIVATE" in path for path in report.left_out)
    assert "not in the DICOMDIR" in (tmp_path / "out" / "README.txt").read_text()


def test_the_second_place_of_a_file_costs_no_space(
    run_export: Export, department: Department, tmp_path: Path
) -> None:
    run_export(department.patient("12345"))
    placed = [path for path in (tmp_path / "out" / "DICOM").rglob("*") if path.is_file()]
    assert placed
    assert all(path.stat().st_nlink == 2 for path in placed)


def test_without_links_the_second_place_is_a_proved_copy(
    run_export: Export, department: Department, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(_self: Path, _target: Path) -> None:
        raise PermissionError(1, "Operation not permitted")  # what FAT and exFAT answer

    repository = department.patient("12345")
    monkeypatch.setattr(Path, "hardlink_to", refused)
    assert run_export(repository).exit_code == ExitCode.DONE
    stock_check(tmp_path / "out")
    assert run_export(repository).exit_code == ExitCode.DONE


def test_what_nobody_verified_says_so(run_export: Export, department: Department, tmp_path: Path) -> None:
    repository = department.patient("12345")
    first = repository.tip()
    assert first
    department.commit("12345", edits_of("RTPLAN", "1.2.3.5.9", RTPlanLabel="NEW"))
    assert not run_export(repository).patients[0].vouched
    assert "NOT VERIFIED" in (tmp_path / "out" / "README.txt").read_text()
    repository.set_ref("refs/vault/verified", first)
    report = run_export(repository, to=tmp_path / "verified")
    assert report.patients[0].vouched
    assert report.patients[0].commit == first
    assert not list((tmp_path / "verified").rglob("NEW*"))


def test_verified_where_nobody_has_verified_is_a_failure_of_that_patient(
    run_export: Export, department: Department
) -> None:
    ready, waiting = department.patient("1"), department.patient("2")
    ready.set_ref("refs/vault/verified", ready.tip() or "")
    report = run_export(ready, waiting, at="verified")
    assert report.exit_code == ExitCode.PARTIAL
    assert report.patients[0].files
    assert "verified" in report.patients[1].failures[0].reason


def test_a_flipped_byte_is_found_and_the_others_are_exported(
    run_export: Export, department: Department, tmp_path: Path
) -> None:
    repository = department.patient("12345")
    stem = "dicom/RTPLAN/1.2.3.9/1.2.3.5.7"
    data, text = made_object("RTPLAN", "1.2.3.5.7", RTPlanLabel="DAMAGED")
    department.commit("12345", {f"{stem}.dcm": Bytes(data + os.urandom(50_000)), f"{stem}.txt": Bytes(text)})
    flip_a_byte(repository)
    report = run_export(repository, department.patient("678"))
    assert report.exit_code == ExitCode.INTEGRITY
    assert [failure.subject for failure in report.patients[0].failures] == [f"{stem}.dcm"]
    assert [patient.files for patient in report.patients] == [11, 11]
    assert not list((tmp_path / "out").rglob("DAMAGED*"))
    assert not list((tmp_path / "out").rglob(".tmp-*"))
    assert f"MISSING HERE: {stem}.dcm" in (tmp_path / "out" / "README.txt").read_text()
    stock_check(tmp_path / "out")


def test_content_that_the_sums_do_not_vouch_for_is_not_exported(
    run_export: Export, department: Department, tmp_path: Path
) -> None:
    repository = department.patient("12345")
    forged, _ = made_object("RTPLAN", "1.2.3.5.1", size=501)
    BareRepository(repository.path).commit_edits(
        parent=repository.tip(),
        edits={"dicom/RTPLAN/1.2.3.9/1.2.3.5.1.dcm": Bytes(forged)},
        message="sums left as they were",
        when=NOW,
        signer=department.signer,
    )
    report = run_export(repository)
    assert report.exit_code == ExitCode.INTEGRITY
    assert not list((tmp_path / "out").rglob("PROSTATE_1A approved*"))
    assert report.patients[0].files == 10


def test_forged_sums_are_not_those_of_the_signed_root(run_export: Export, department: Department) -> None:
    repository = department.patient("12345")
    sums = "dicom/RTPLAN/1.2.3.9/SHA256SUMS"
    BareRepository(repository.path).commit_edits(
        parent=repository.tip(),
        edits={sums: Bytes(b"0" * 64 + b"  1.2.3.5.1.dcm\n")},
        message="root left as it was",
        when=NOW,
        signer=department.signer,
    )
    report = run_export(repository)
    assert report.exit_code == ExitCode.INTEGRITY
    assert report.patients[0].files == 9
    assert sums in [failure.subject for failure in report.patients[0].failures]


def test_a_commit_that_somebody_else_signed_is_refused(run_export: Export, department: Department) -> None:
    repository = department.patient("12345")
    department.commit("12345", edits_of("RTPLAN", "1.2.3.5.9"), Signer(Ed25519PrivateKey.generate()))
    report = run_export(repository, department.patient("678"))
    assert report.exit_code == ExitCode.INTEGRITY
    assert [patient.files for patient in report.patients] == [0, 11]
    assert run_export(repository, at="latest~1", to=report.to.with_name("earlier")).exit_code == ExitCode.DONE


def test_hostile_names_stay_in_the_folder(run_export: Export, department: Department, tmp_path: Path) -> None:
    evil = "../../../../tmp/x\\u202e\\u0000"
    repositories = [department.patient(patient, evil) for patient in ("../..", "a/b", "A/B", "CON", "x" * 64)]
    report = run_export(*repositories)
    assert report.exit_code == ExitCode.DONE
    folders = [patient.folder for patient in report.patients]
    assert len({folder.casefold() for folder in folders}) == 5
    assert {path.name for path in tmp_path.iterdir()} == {"allowed_signers", "out", "signing_key", "vault"}
    assert {path.name for path in (tmp_path / "out").iterdir() if path.name in folders} == set(folders)
    longest = max(len(path) for path in contents(tmp_path / "out"))
    assert longest < 240
    stock_check(tmp_path / "out")


def test_a_second_run_keeps_what_is_right_and_mends_the_rest(
    run_export: Export, department: Department, tmp_path: Path
) -> None:
    repository = department.patient("12345")
    run_export(repository)
    before = contents(tmp_path / "out")
    (tmp_path / "out" / sorted(before)[0]).write_bytes(b"changed")
    (tmp_path / "out" / sorted(before)[1]).unlink()
    report = run_export(repository)
    assert report.exit_code == ExitCode.DONE
    assert report.patients[0].kept == 9
    assert contents(tmp_path / "out") == before
    stock_check(tmp_path / "out")


def test_patients_can_be_added_to_an_export(
    run_export: Export, department: Department, tmp_path: Path
) -> None:
    run_export(department.patient("1"))
    report = run_export(department.patient("2"))
    assert report.exit_code == ExitCode.DONE
    assert len(list(FileSet(tmp_path / "out" / "DICOMDIR"))) == 16
    stock_check(tmp_path / "out")


def test_another_state_of_a_patient_is_never_mixed_in(
    run_export: Export, department: Department, tmp_path: Path
) -> None:
    repository = department.patient("12345")
    run_export(repository)
    before = contents(tmp_path / "out")
    department.commit("12345", edits_of("RTPLAN", "1.2.3.5.9", RTPlanLabel="NEW"))
    report = run_export(repository)
    assert report.exit_code == ExitCode.FAILED
    assert "empty folder" in report.patients[0].failures[0].reason
    assert contents(tmp_path / "out") == before
    stock_check(tmp_path / "out")


def test_a_file_that_is_not_of_the_export_is_named(
    run_export: Export, department: Department, tmp_path: Path
) -> None:
    repository = department.patient("12345")
    run_export(repository)
    (tmp_path / "out" / "12345 Müller^Anna" / "4 plans" / "extra.dcm").write_bytes(b"?")
    report = run_export(repository)
    assert report.exit_code == ExitCode.PARTIAL
    assert report.strangers == ["12345 Müller^Anna/4 plans/extra.dcm"]


@pytest.mark.parametrize("content", ["notes.txt", "manifest.json"])
def test_a_folder_that_holds_something_else_is_refused(
    run_export: Export, department: Department, tmp_path: Path, content: str
) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / content).write_text("{}")
    with pytest.raises(UsageError, match="empty folder"):
        run_export(department.patient("12345"))
    assert [path.name for path in out.iterdir()] == [content]


def test_a_symbolic_link_is_not_followed(run_export: Export, department: Department, tmp_path: Path) -> None:
    repository = department.patient("12345")
    run_export(repository)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    images = tmp_path / "out" / "12345 Müller^Anna" / "4 plans"
    for path in images.iterdir():
        path.unlink()
    images.rmdir()
    images.symlink_to(elsewhere)
    with pytest.raises(UsageError, match="symbolic link"):
        run_export(repository)
    assert not list(elsewhere.iterdir())


def test_too_little_space_is_said_before_anything_is_written(
    run_export: Export, department: Department, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda _path: FreeSpace(1000))
    with pytest.raises(VaultError, match=r"needs 16\.8 MB.*1\.0 kB free"):
        run_export(department.patient("12345"))
    assert contents(tmp_path / "out") == {}


class FreeSpace:
    def __init__(self, free: int) -> None:
        self.free = free


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to mount a small tmpfs")
def test_a_disk_that_fills_up_leaves_whole_files_and_is_continued(
    run_export: Export, department: Department, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    repository = department.patient("12345")
    small = tmp_path / "small"
    small.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=40k", "tmpfs", small], check=False).returncode:
        pytest.skip("may not mount here")
    try:
        monkeypatch.setattr("vault.emergency.target.MARGIN", 0)
        monkeypatch.setattr("shutil.disk_usage", lambda _path: FreeSpace(1 << 30))
        with pytest.raises(VaultError, match="no room left"):
            run_export(repository, to=small / "out")
        left = list(contents(small / "out").values())
        assert left
        tree = repository.tree(repository.tip())
        assert set(left) <= {repository.read(oid) for oid in tree.values()}
        subprocess.run(["mount", "-o", "remount,size=1m", small], check=True)
        report = run_export(repository, to=small / "out")
        assert report.exit_code == ExitCode.DONE
        assert report.patients[0].kept == len(left)
        stock_check(small / "out")
    finally:
        subprocess.run(["umount", small], check=True)


EXPORT_ALONE = """
import sys
from pathlib import Path
from treatments import NOW
from vault.archive.repository import PatientRepository
from vault.emergency.export import export
from vault.emergency.plan import Request
from vault.progress import Silent
peak = lambda: int([line for line in open('/proc/self/status') if 'VmHWM' in line][0].split()[1])  # KiB
root, patient, to = sys.argv[1:]
repository = PatientRepository.open(Path(root), patient)
before = peak()
report = export([Request(repository)], Path(to), now=NOW, allowed=None, progress=Silent())
print(report.exit_code, (peak() - before) >> 10)
"""


def export_alone(department: Department, patient: str, to: Path) -> subprocess.Popen[bytes]:
    path = os.pathsep.join([str(SUPPORT), os.environ.get("PYTHONPATH", "")])
    return subprocess.Popen(
        [sys.executable, "-c", EXPORT_ALONE, department.root, patient, to],
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": path},
    )


@pytest.fixture
def large(tmp_path: Path) -> Path:
    """300 MB that do not compress."""
    path = tmp_path / "large.dcm"
    noise = os.urandom(1 << 20)
    with path.open("wb") as file:
        for number in range(300):
            file.write(noise[number:] + noise[:number])
    return path


def test_a_large_object_is_exported_in_flat_memory_and_a_kill_is_survived(
    department: Department, large: Path, tmp_path: Path
) -> None:
    department.big("12345", large)
    process = export_alone(department, "12345", tmp_path / "out")
    deadline = time.monotonic() + 60
    while not any(path.stat().st_size > 50 << 20 for path in (tmp_path / "out").rglob(".tmp-*")):
        assert process.poll() is None, "it was done before it could be killed"
        assert time.monotonic() < deadline
        time.sleep(0.002)
    process.kill()
    process.communicate()
    assert not list((tmp_path / "out").rglob("*.dcm"))
    output, _ = export_alone(department, "12345", tmp_path / "out").communicate()
    code, grown = output.split()
    assert int(code) == 0
    assert int(grown) < 60, "MB"
    (exported,) = (tmp_path / "out").glob("*/*/*/*.dcm")
    assert hashlib.file_digest(exported.open("rb"), "sha256").digest() == (
        hashlib.file_digest(large.open("rb"), "sha256").digest()
    )
    assert not list((tmp_path / "out").rglob(".tmp-*"))
    stock_check(tmp_path / "out")


def test_the_manifest_says_where_everything_comes_from(
    run_export: Export, department: Department, tmp_path: Path
) -> None:
    repository = department.patient("12345")
    run_export(repository)
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text())
    (patient,) = manifest["patients"]
    assert (patient["patient_id"], patient["commit"]) == ("12345", repository.tip())
    assert (patient["signed"], patient["vouched"], patient["complete"]) == (True, False, True)
    tree = repository.tree(repository.tip())
    for file in patient["files"]:
        data = (tmp_path / "out" / file["path"]).read_bytes()
        assert (len(data), hashlib.sha256(data).hexdigest()) == (file["size"], file["sha256"])
        assert repository.read(tree[file["source"]]) == data


def test_signatures_are_optional_when_the_key_is_gone(department: Department, tmp_path: Path) -> None:
    repository = department.patient("12345")
    report = export([Request(repository)], tmp_path / "out", now=NOW, allowed=None, progress=Silent())
    assert report.exit_code == ExitCode.DONE
    assert json.loads((tmp_path / "out" / "manifest.json").read_text())["patients"][0]["signed"] is None
