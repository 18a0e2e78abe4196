"""A damaged repository is healed from the share, or left as it is; nothing is deleted."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from retention_kit import ToldVault
from test_audit import copied, full, sound  # noqa: F401  # the fixture

from vault.archive.repository import PatientRepository
from vault.archive.swap import exchange
from vault.model import PatientID
from vault.repair import repair as heal
from vault.share.envelope import parse_identities


@pytest.fixture
def place(sound: ToldVault, tmp_path: Path) -> ToldVault:  # noqa: F811
    return copied(sound, tmp_path)


def repair(place: ToldVault, patient: str = "A"):
    return place.made.command("repair", patient, "--from-share")


def damage(path: Path) -> None:
    for pack in path.glob("objects/pack/*.pack"):
        pack.chmod(0o600)
        with pack.open("r+b") as file:
            file.seek(pack.stat().st_size // 2)
            file.write(os.urandom(8))


def test_a_damaged_repository_is_healed_and_kept_aside(place):
    path = place.root / "repos" / "A.git"
    tips = {branch: PatientRepository.open(place.root, "A").tip(branch) for branch in ("main", "hourly")}
    damage(path)
    assert full(place).integrity
    done = repair(place)
    assert done.returncode == 0, done.stdout + done.stderr
    assert full(place).findings == []
    healed = PatientRepository.open(place.root, "A")
    assert {branch: healed.tip(branch) for branch in tips} == tips
    assert healed.ref("refs/vault/verified") == tips["main"]
    assert len(list((place.root / "damaged").glob("*-A.git"))) == 1
    assert not (place.root / "repair").exists()
    assert "Nothing is wrong" in repair(place).stdout
    assert "Nothing is wrong" in repair(place, "B").stdout


@pytest.mark.parametrize("how", ["missing", "behind", "foreign"])
def test_missing_rewound_or_with_a_hook_it_is_healed_too(place, how):
    path = place.root / "repos" / "A.git"
    repository = PatientRepository.open(place.root, "A")
    if how == "missing":
        shutil.rmtree(path)
    elif how == "behind":
        (path / "refs/heads/main").write_text(repository.commit_info(repository.tip()).parent + "\n")
    else:
        (path / "hooks").mkdir()
    assert repair(place).returncode == 0
    assert full(place).findings == []


def test_a_share_that_has_another_state_changes_nothing(place):
    path = place.root / "repos" / "A.git"
    damage(path)
    before = {each: each.read_bytes() for each in path.rglob("*") if each.is_file()}
    for each in place.share.glob("v1/history/*"):
        each.write_bytes(each.read_bytes()[:-1])
    done = repair(place)
    assert done.returncode == 4, done.stdout + done.stderr
    assert "nothing was changed" in done.stderr
    assert {each: each.read_bytes() for each in path.rglob("*") if each.is_file()} == before
    assert not (place.root / "damaged").exists()


def test_a_newer_manifest_that_can_t_be_used_stops_no_repair(place):
    damage(place.root / "repos" / "A.git")
    (place.share / f"v1/manifests/9999999999-{'f' * 32}.age").write_bytes(b"ransom")
    done = repair(place)
    assert done.returncode == 0, done.stdout + done.stderr
    assert {finding.subject for finding in full(place).findings} == {"share"}


def test_killed_as_it_heals_it_has_set_the_damaged_one_aside(place, monkeypatch):
    class Killed(BaseException):
        pass

    def die(one: Path, other: Path) -> bool:
        assert exchange(one, other)
        raise Killed

    damage(place.root / "repos" / "A.git")
    was = {each.name: each.read_bytes() for each in (place.root / "repos/A.git").glob("objects/pack/*")}
    identities = parse_identities((place.root / "keys/identity.txt").read_text())
    monkeypatch.setattr("vault.repair.exchange", die)
    with pytest.raises(Killed):
        heal(place.config, PatientID("A"), identities, now=place.at(9))
    assert "Nothing is wrong" in repair(place).stdout
    (aside,) = (place.root / "damaged").iterdir()
    assert {each.name: each.read_bytes() for each in aside.glob("objects/pack/*")} == was


def test_where_a_disk_exchanges_no_names_it_heals_all_the_same(place, monkeypatch):
    monkeypatch.setattr("vault.repair.exchange", lambda *_: False)
    damage(place.root / "repos" / "A.git")
    identities = parse_identities((place.root / "keys/identity.txt").read_text())
    assert heal(place.config, PatientID("A"), identities, now=place.at(9)).healed
    assert full(place).findings == []
    assert len(list((place.root / "damaged").iterdir())) == 1


def test_a_damaged_one_that_is_given_up_is_set_aside(place):
    damage(place.root / "repos" / "A.git")
    was = {each.name: each.read_bytes() for each in (place.root / "repos/A.git").glob("objects/pack/*")}
    done = place.made.command("repair", "A", "--begin-anew")
    assert done.returncode == 0, done.stdout + done.stderr
    assert not (place.root / "repos" / "A.git").exists()
    (aside,) = (place.root / "damaged").iterdir()
    assert {each.name: each.read_bytes() for each in aside.glob("objects/pack/*")} == was
    assert not [each for each in full(place).findings if each.subject in {"repos", "ledger.git"}]


def test_nobody_is_invented(place):
    done = repair(place, "nobody")
    assert done.returncode == 2
    assert "nothing to repair" in done.stderr
