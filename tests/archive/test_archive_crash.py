"""Whatever step of a commit fails or never happens: the branch is old or new, never in between, and the next works."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from archive_kit import NIGHT, Keys

from vault.archive import consolidate
from vault.archive.blobs import Bytes
from vault.archive.repository import PatientRepository, all_repositories
from vault.errors import VaultError

Sound = Callable[[Path], None]

STEPS = ("fsync", "replace", "rename", "link", "unlink", "fchmod", "mkdir", "open")


class PowerCutError(BaseException):
    """Not an Exception: no handler may tidy up, as none would run."""


@contextmanager
def failing(
    monkeypatch: pytest.MonkeyPatch, number: int, failure: BaseException, *, dead: bool
) -> Iterator[list[str]]:
    """Let the `number`th call that changes the disk fail; where `dead`, every later one too, as in a killed process."""
    calls: list[str] = []

    def wrap(name: str) -> Callable[..., Any]:
        real = getattr(os, name)

        def call(*args: Any, **options: Any) -> Any:
            if name == "open" and not args[1] & os.O_CREAT:
                return real(*args, **options)
            calls.append(name)
            if len(calls) == number or (dead and len(calls) > number):
                raise failure
            return real(*args, **options)

        return call

    with monkeypatch.context() as patch:
        for name in STEPS:
            patch.setattr(os, name, wrap(name))
        yield calls


def commit(repository: PatientRepository, keys: Keys, night: int) -> str:
    return repository.commit(
        parent=repository.tip(),
        edits={"patient.json": Bytes(b"%d" % night), f"dicom/CT/{night}/1.dcm": Bytes(os.urandom(5000))},
        message=f"Night {night}",
        when=NIGHT + timedelta(days=night),
        signer=keys.signer,
    )


def clean(repository: PatientRepository) -> bool:
    """No temporary file, and no pack without its index, is left."""
    names = {path.name for path in repository.path.rglob("*")}
    packs = {name[:-5] for name in names if name.endswith(".pack")}
    return not any(name.startswith(".tmp") for name in names) and packs == {
        name[:-4] for name in names if name.endswith(".idx")
    }


@pytest.mark.parametrize("many", [128, 2], ids=["apart", "joined"])
@pytest.mark.parametrize("dead", [False, True], ids=["error", "killed"])
def test_a_commit_that_fails_at_any_step(
    tmp_path: Path, keys: Keys, monkeypatch: pytest.MonkeyPatch, sound: Sound, dead: bool, many: int
) -> None:
    number, finished, message = 0, False, ""
    while not finished:
        number += 1
        repository = PatientRepository.create(tmp_path / str(number), "4711")
        commit(repository, keys, 0)
        old = commit(repository, keys, 1)
        monkeypatch.setattr(consolidate, "MANY", many)
        failure = PowerCutError() if dead else OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        with failing(monkeypatch, number, failure, dead=dead):
            try:
                new = commit(repository, keys, 2)
                finished = True
            except PowerCutError:
                new = None
            except VaultError as error:
                new, message = None, str(error)
        if not dead and not finished:
            assert "No space left" in message
            assert "free space" in message
            assert "4711" not in message
        again = PatientRepository.open(tmp_path / str(number), "4711")
        assert again
        tip = again.tip()
        assert tip == new if finished else tip
        assert tip == old or again.commit_info(tip or "").parent == old
        sound(again.path)
        assert len(again.read(again.tree(tip)["dicom/CT/0/1.dcm"])) == 5000
        third = commit(again, keys, 3)
        assert again.commit_info(third).parent == tip
        assert "dicom/CT/1/1.dcm" in again.tree(third)
        sound(again.path)
        assert clean(again)
        shutil.rmtree(tmp_path / str(number))
    assert number > 8  # files, their fsyncs, renames, folders


@pytest.mark.parametrize("dead", [False, True], ids=["error", "killed"])
def test_a_creation_that_fails_at_any_step(
    tmp_path: Path, keys: Keys, monkeypatch: pytest.MonkeyPatch, sound: Sound, dead: bool
) -> None:
    number, finished = 0, False
    while not finished:
        number += 1
        root = tmp_path / str(number)
        failure = PowerCutError() if dead else OSError(errno.EIO, os.strerror(errno.EIO))
        with failing(monkeypatch, number, failure, dead=dead):
            try:
                PatientRepository.create(root, "4711", keys.allowed)
                finished = True
            except (PowerCutError, VaultError):
                pass
        found = PatientRepository.open(root, "4711") or PatientRepository.create(root, "4711", keys.allowed)
        assert [one.path.name for one in all_repositories(root)] == ["4711.git"]
        commit(found, keys, 1)
        sound(found.path)
        assert [path.name for path in (root / "repos").iterdir()] == ["4711.git"]
    assert number > 12


def test_a_process_killed_while_it_packs(tmp_path: Path, keys: Keys, sound: Sound) -> None:
    repository = PatientRepository.create(tmp_path, "4711")
    old = commit(repository, keys, 1)
    script = textwrap.dedent(
        """
        import os, signal, sys
        from datetime import datetime, UTC
        from pathlib import Path
        from vault.archive.blobs import Bytes
        from vault.archive.repository import PatientRepository
        from vault.archive.signing import Signer
        class Killer(Bytes):
            def chunks(self):
                os.kill(os.getpid(), signal.SIGKILL)
                yield b""
        repository = PatientRepository.open(Path(sys.argv[1]), "4711")
        edits = {f"{n}": Bytes(os.urandom(100000)) for n in range(99)} | {"last": Killer(b"x")}
        repository.commit(parent=repository.tip(), edits=edits, message="m", when=datetime.now(UTC),
            signer=Signer.load(Path(sys.argv[2])))
        """
    )
    done = subprocess.run(
        [sys.executable, "-c", script, tmp_path, keys.private], check=False, capture_output=True
    )
    assert done.returncode == -9, done.stderr
    assert repository.tip() == old
    assert not clean(repository)
    commit(repository, keys, 2)
    assert clean(repository)
    sound(repository.path)


@pytest.mark.parametrize("reopened", [False, True])
def test_a_pack_that_is_lost_while_its_index_stays(
    repository: PatientRepository, keys: Keys, monkeypatch: pytest.MonkeyPatch, sound: Sound, reopened: bool
) -> None:
    """A power cut before the branch moved, on a disk that kept the later name: what is in no pack is written again."""
    old = commit(repository, keys, 1)
    kept = set(repository.path.rglob("*.pack"))
    edits = {"dicom/CT/2/1.dcm": Bytes(os.urandom(5000))}

    def again(repository: PatientRepository) -> str:
        when = NIGHT + timedelta(days=2)
        return repository.commit(parent=old, edits=edits, message="Night 2", when=when, signer=keys.signer)

    def cut(*_: object) -> None:
        raise PowerCutError

    with monkeypatch.context() as patch:
        patch.setattr(PatientRepository, "_move_ref", cut)
        with pytest.raises(PowerCutError):
            again(repository)
    (lost,) = set(repository.path.rglob("*.pack")) - kept
    lost.unlink()
    sound(repository.path)
    if reopened:
        repository = PatientRepository.open(repository.path.parent.parent, "4711") or repository
    new = again(repository)
    sound(repository.path)
    assert clean(repository)
    assert repository.read(repository.tree(new)["dicom/CT/2/1.dcm"]) == edits["dicom/CT/2/1.dcm"].data


def test_packs_that_are_joined_under_a_reader(
    repository: PatientRepository, keys: Keys, monkeypatch: pytest.MonkeyPatch
) -> None:
    for night in range(4):
        commit(repository, keys, night)
    tip = repository.tip()
    reader = PatientRepository.open(repository.path.parent.parent, "4711")
    assert reader
    tree = reader.tree(tip)
    monkeypatch.setattr(consolidate, "MANY", 2)
    before = set(repository.path.rglob("*.pack"))
    commit(repository, keys, 4)
    assert not before & set(repository.path.rglob("*.pack"))
    assert all(reader.read(oid) for oid in tree.values())
    assert [len(reader.tree(info.oid)) > 0 for info in reader.log()] == [True] * 5


def test_everything_is_on_disk_before_the_branch_moves(
    repository: PatientRepository, keys: Keys, monkeypatch: pytest.MonkeyPatch
) -> None:
    events: list[str] = []
    real_fsync, real_replace = os.fsync, os.replace

    def fsync(descriptor: int) -> None:
        events.append("fsync " + Path(f"/proc/self/fd/{descriptor}").readlink().name.split("-")[0])
        real_fsync(descriptor)

    def replace(source: str, target: str) -> None:
        events.append("rename " + (Path(target).suffix or Path(target).name))
        real_replace(source, target)

    commit(repository, keys, 1)
    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(os, "replace", replace)
    commit(repository, keys, 2)
    assert events == [
        "fsync .tmp",
        "fsync .tmp",
        "rename .pack",
        "fsync pack",
        "rename .idx",
        "fsync pack",
        "fsync .tmp",
        "rename main",
        "fsync heads",
    ]
