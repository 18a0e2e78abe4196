"""A fault anywhere in `vault restore` and `vault repair`, which are run on a bad day: run again, they end well."""

from __future__ import annotations

import random
import shutil
import subprocess
from pathlib import Path

import pytest
from retention_kit import ToldVault
from share_kit import SharedVault
from share_kit import refs as refs_of
from test_faults_sweep import LIMIT, disturbed

from vault.archive.ledger import Ledger
from vault.archive.repository import PatientRepository, all_repositories

pytestmark = LIMIT


def unsound(folder: Path) -> list[str]:
    """The repositories below a vault's folder in which stock git finds something wrong."""
    paths = [*folder.glob("repos/[!.]*.git"), *folder.glob("*.git")]
    done = [
        subprocess.run(["git", "-C", path, "fsck", "--strict", "--full"], capture_output=True, check=False)
        for path in paths
    ]
    return [f"git fsck of {path.name}" for path, one in zip(paths, done, strict=True) if one.returncode]


def beside(folder: Path) -> dict[str, bytes]:
    """What lies beside the repositories."""
    found = (
        path for path in folder.rglob("*") if path.is_file() and ".git" not in str(path.relative_to(folder))
    )
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in found}


def test_restore(runner, tmp_path, told):
    made = SharedVault(tmp_path / "vault").usual()
    expected: dict[str, bytes] = {}

    def begin() -> Path:
        shutil.rmtree(tmp_path / "new", ignore_errors=True)
        return tmp_path / "new"

    def check(to: Path):
        yield from unsound(to)
        if refs_of(to) != refs_of(made.folder):
            yield f"the refs differ: {refs_of(to)}"
        found = beside(to)
        if not expected:
            expected.update(found)
        yield from (f"{name} differs" for name in expected if found.get(name) != expected[name])
        yield from (f"{name} was left behind" for name in found.keys() - expected)

    disturbed(
        runner,
        told,
        "restore",
        begin=begin,
        command=lambda to: [
            *("--json", "restore", "--from", made.share.as_uri()),
            *("--identity", made.identity, "--to", to),
        ],
        watched=lambda to: [to],
        check=check,
        halfway=lambda to: iter(unsound(to)),
        wanted=3,
    )


@pytest.fixture(scope="module")
def damaged(tmp_path_factory, place_at):
    """A's repository is damaged; the ledger has its tips, and the share all of it."""
    place = ToldVault(tmp_path_factory.mktemp("damaged") / "vault")
    for night in range(2):
        place.commit("A", night, **{f"documents/{night}/a.bin": random.Random(night).randbytes(3000)})
        tip = PatientRepository.open(place.root, "A").tip()
        entry = {"old_commit": None, "new_commit": tip, "complete": True, "failed": 0}
        place.record(night, ["A"], patients={place.pseudonyms.of("A"): entry})
    place.deliver()
    whole = refs_of(place.root)
    for pack in (place.root / "repos/A.git").glob("objects/pack/*.pack"):
        pack.chmod(0o600)
        with pack.open("r+b") as file:
            file.seek(pack.stat().st_size // 2)
            file.write(bytes(8))
    return place_at(place.root, place.share), whole, place.at(2)


def test_repair(runner, damaged, tmp_path, told):
    place, whole, now = damaged

    def content(path: Path) -> dict[str, bytes]:
        return {at.relative_to(path).as_posix(): at.read_bytes() for at in path.rglob("*") if at.is_file()}

    was = content(place.folder / "repos/A.git")
    events = Ledger(place.folder).repository.tip()

    def halfway(swept):
        path = swept.folder / "repos/A.git"
        if not path.exists():
            yield "A is gone"
        elif content(path) != was and unsound(swept.folder):
            yield "A is neither old nor new"

    def check(swept):
        yield from unsound(swept.folder)
        yield from swept.left_behind()
        if refs_of(swept.folder) != whole:
            yield f"the refs differ: {refs_of(swept.folder)}"
        if Ledger(swept.folder).repository.tip() != events:
            yield "the ledger changed"
        kept = [content(path) for path in (swept.folder / "damaged").iterdir()]
        if kept.count(was) != 1:
            yield "the damaged one was not set aside"
        if len(list(all_repositories(swept.folder))) != 1:
            yield "there are other repositories"

    disturbed(
        runner,
        told,
        "repair",
        begin=lambda: place.copy(tmp_path / "swept"),
        command=lambda swept: [
            *("-c", swept.toml, "--json", "repair", "A", "--from-share"),
            *("--identity", swept.folder / "keys/identity.txt"),
        ],
        watched=lambda swept: [swept.folder],
        check=check,
        halfway=halfway,
        wanted=3,
        now=now,
    )
