"""Nights as the vault sees them: who is treated no longer goes, here and on the share, and nobody else does."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pyrage
import pytest
from retention_kit import SHARED, ToldVault, marker
from rewrite_kit import found_in

from vault.archive.ledger import Ledger
from vault.archive.overview import Overview
from vault.archive.repository import PatientRepository
from vault.delivery import to_share
from vault.errors import ConfigError
from vault.files import private_folder
from vault.inventory import needed_on_share
from vault.restore import restore
from vault.retention import prune as module
from vault.retention.plan import Fate
from vault.retention.prune import prune
from vault.share.envelope import parse_identities
from vault.share.folder import FolderShare
from vault.verification.quorum import Answer, Verdict
from vault.verification.state import Recorded

LAST = 5
"""The last night that the census names A."""


def on_share(place: ToldVault, wanted: bytes) -> list[str]:
    """Files of the share that hold `wanted` once decrypted, as they are or deflated."""
    identity = pyrage.x25519.Identity.from_str((place.root / "keys" / "identity.txt").read_text().split()[-1])
    plain = place.root.parent / "decrypted"
    shutil.rmtree(plain, ignore_errors=True)
    for path in place.share.rglob("*.age"):
        target = plain / path.relative_to(place.share)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(pyrage.decrypt(path.read_bytes(), [identity]))
    return found_in(plain, wanted)


def told(folder: Path, until: int) -> ToldVault:
    """A and B are treated until night 5, B goes on; every night up to `until` is over, and none has pruned."""
    place = ToldVault(folder / "vault")
    for night in range(until + 1):
        treated = ["A", "B"] if night <= LAST else ["B"]
        if night < 3 or night == LAST:
            for patient in treated:
                place.commit(patient, night - 0.5, "hourly")
                place.commit(patient, night)
        place.record(night, treated)
    place.deliver()
    return place


@pytest.fixture(scope="module")
def before(tmp_path_factory: pytest.TempPathFactory) -> ToldVault:
    """A's last sign of treatment is 33 days old."""
    return told(tmp_path_factory.mktemp("told"), LAST + 33)


@pytest.fixture
def place(before: ToldVault, tmp_path: Path) -> ToldVault:
    """A copy of it, to do with what one likes."""
    shutil.copytree(before.root, tmp_path / "vault")
    shutil.copytree(before.share, tmp_path / "vault-share")
    toml = tmp_path / "vault" / "vault.toml"
    toml.write_text(toml.read_text().replace(before.share.as_uri(), (tmp_path / "vault-share").as_uri()))
    twin = object.__new__(ToldVault)
    twin.__dict__.update(before.__dict__)
    twin.made = object.__new__(type(before.made))
    twin.made.__dict__.update(before.made.__dict__)
    twin.made.folder, twin.made.toml = tmp_path / "vault", toml
    twin.config, twin.share = twin.made.config, tmp_path / "vault-share"
    twin.root = twin.config.vault.root
    return twin


def test_announced_one_night_and_gone_the_next_here_and_on_the_share(place, tmp_path):
    place.summarize(LAST - 0.5, ["A", "B"])
    private_folder(place.root / "today" / "2026-09-05")
    (place.root / "today" / "2026-09-05" / "A.pdf").write_bytes(marker("A"))
    private_folder(place.root / "reports" / place.events("runs")[0]["run"])
    (place.root / "reports" / place.events("runs")[0]["run"] / "report.html").write_bytes(marker("A"))
    first = place.night(LAST + 34, ["B"])
    assert (first.announced, first.gone) == (["A"], [])
    assert place.patients() == {"A", "B"}
    assert on_share(place, marker("A"))
    second = place.night(LAST + 35, ["B"])
    assert (second.gone, second.announced, second.failed) == (["A"], [], [])
    assert place.patients() == {"B"}
    assert found_in(place.root, marker("A")) == []
    assert on_share(place, marker("A")) == []
    assert on_share(place, b'"A"') == [], "no manifest names who was there"
    assert second.removed > 3
    assert (second.waiting, second.refused) == (0, "")
    assert found_in(place.root, marker("B"))
    assert on_share(place, marker("B"))
    assert on_share(place, SHARED), "B has this file, too"
    names = {path.relative_to(place.share).as_posix() for path in place.share.rglob("*.age")}
    assert needed_on_share(place.config) <= names
    announced, *_hours, nobody, intent, done = place.events()
    pseudonym = place.pseudonyms.of("A")
    assert nobody["patients"] == []
    assert announced["patients"] == [pseudonym]
    assert intent["patients"][pseudonym]["before"] == done["patients"][pseudonym]["before"]
    assert done["patients"][pseudonym]["after"] == {}
    third = place.night(LAST + 36, ["B"])
    assert (third.gone, third.removed, third.failed) == ([], 0, [])


def test_hours_go_and_the_share_has_what_is_left(place):
    place.commit("B", LAST + 33.3, "hourly")
    place.commit("B", LAST + 33.4, "hourly")
    place.summarize(LAST - 0.5, ["A", "B"])
    place.summarize(LAST + 33.4, ["B"])
    old = f"hourly {place.at(LAST - 0.5)}".encode()
    assert found_in(place.root / "repos", old)
    report = place.night(LAST + 34, ["B"])
    assert report.failed == []
    assert sorted(report.shortened) == ["A", "B"]
    assert found_in(place.root, old) == []
    assert on_share(place, old) == []
    b, last = PatientRepository.open(place.root, "B"), place.at(LAST + 33.4).date().isoformat()
    assert {path.split("/")[1] for path in b.tree(b.tip("hourly")) if "/" in path} == {last}
    overview = Overview.open(place.root)
    assert {path.split("/")[1] for path in overview.tree(overview.tip("hourly")) if "/" in path} == {last}
    for one in (b, overview):
        subprocess.run(["git", "fsck", "--strict", "--full"], cwd=one.path, check=True, capture_output=True)
    names = {path.relative_to(place.share).as_posix() for path in place.share.rglob("*.age")}
    assert needed_on_share(place.config) <= names
    assert {entry["what"] for entry in place.events()[-1]["patients"].values()} == {"hourly"}
    assert b.ref("refs/vault/shared-hourly") == b.ref("refs/vault/history-hourly") == b.tip("hourly")


def test_a_hold_an_emergency_and_a_failed_census_keep_everybody(place):
    assert place.night(LAST + 34, ["B"]).announced == ["A"]
    held = place.made.command("hold", "A", "--reason", "a second course is planned")
    assert held.returncode == 0, held.stderr
    report = place.night(LAST + 35, ["B"])
    assert [each.reason for each in report.plan.decisions if each.fate is Fate.HELD_BACK] == [
        "held: `vault hold --release` lifts it"
    ]
    said = json.loads(place.made.command("--json", "status").stdout)
    assert (said["held"], said["announced"], said["emergency"]) == (["A"], [], None)
    assert place.made.command("hold", "A", "--release").returncode == 0
    assert "as before" in place.made.command("hold", "A", "--release").stdout
    assert place.night(LAST + 36, ["B"]).announced == ["A"]
    assert place.made.command("emergency", "declare").returncode == 0
    assert "an emergency is declared" in place.night(LAST + 37, ["B"]).plan.barrier
    assert "EMERGENCY" in place.made.command("status").stdout
    assert place.made.command("emergency", "end").returncode == 0
    for number, changes in enumerate(
        ({"failed": 1}, {"anomalies": ["something is odd"]}, {"failed": 2, "patients": {}})
    ):
        report = place.night(LAST + 38 + number / 10, ["B"], **changes)
        assert "settle that first" in report.plan.barrier
        assert report.gone == report.announced == []
    assert place.patients() == {"A", "B"}
    assert place.night(LAST + 39, ["B"]).announced == ["A"]
    assert place.night(LAST + 40, ["B"]).gone == ["A"]


@pytest.mark.parametrize("objection", ["hold", "emergency"])
def test_an_objection_while_the_night_is_at_work_counts(place, objection, monkeypatch):
    place.night(LAST + 34, ["B"])
    real = place.deliver

    def deliver() -> None:
        words = ["hold", "A"] if objection == "hold" else ["emergency", "declare"]
        assert place.made.command(*words).returncode == 0
        real()

    monkeypatch.setattr(place, "deliver", deliver)
    page = place.root / "today" / "2020-01-01" / "B.pdf"
    page.parent.mkdir(parents=True)
    page.touch()
    assert place.night(LAST + 35, ["B"]).gone == []
    assert page.exists() == (objection == "emergency")
    assert place.patients() == {"A", "B"}


def test_a_stray_file_among_the_copies_keeps_nobody(place):
    for name in ("reports/notes.txt", "damaged/notes.txt", "today/0.txt"):
        (place.root / name).parent.mkdir(exist_ok=True)
        (place.root / name).touch()
    place.night(LAST + 34, ["B"])
    report = place.night(LAST + 35, ["B"])
    assert (report.failed, report.gone) == ([], ["A"])


def test_hostile_censuses_let_nobody_go(tmp_path):
    """The database forgets everybody, or every date is ten years back, or ahead: the vault's own times count."""
    patients = [f"P{number}" for number in range(12)]
    place = ToldVault(tmp_path / "vault")
    for night in range(3):
        for patient in patients:
            if night == 0:
                dates = (
                    b'{"last_treatment": "2016-01-01"}'
                    if patient < "P5"
                    else b'{"last_treatment": "2036-01-01"}'
                )
                place.commit(patient, night, **{"patient.json": dates})
        place.record(night, patients)
    for night in range(3, 29):
        report = place.night(night, ["P0"])
        assert report.gone == report.announced == []
    report = place.night(31, ["P0"])
    assert len(report.announced) == 1
    assert any("are due to go at once" in anomaly for anomaly in report.plan.anomalies)
    assert place.made.command("emergency", "declare").returncode == 0
    assert place.night(32, ["P0"]).gone == []
    assert place.patients() == set(patients)


def test_a_rejected_change_keeps_its_patient_until_it_is_verified(place):
    place.night(LAST + 34, ["B"])
    ledger = Ledger(place.root, place.signer)
    said = Verdict("Ann", Answer.REJECT, frozenset({place.pseudonyms.of("A")}))
    verdict = Recorded("x", "0" * 64, said, place.at(LAST + 34.5), "console")
    ledger.append("verdicts", verdict.name, verdict.event(), when=verdict.at)
    report = place.night(LAST + 35, ["B"])
    assert "disputed" in next(each.reason for each in report.plan.decisions if each.fate is Fate.HELD_BACK)
    repository = PatientRepository.open(place.root, "A")
    repository.set_ref("refs/vault/verified", repository.tip())
    assert place.night(LAST + 36, ["B"]).announced == ["A"]


def test_a_rejected_run_keeps_whom_a_later_run_finished_of_it(place):
    """Whoever rejects a report as a whole rejects what an interrupted night had left to the next one, too."""
    run = str(place.record(LAST + 1, ["B"]))
    ledger = Ledger(place.root, place.signer)
    again = ledger.get("runs", run)
    again["patients"] = {place.pseudonyms.of("A"): next(iter(again["patients"].values()))}
    ledger.record_run("runs", again, when=place.at(LAST + 1.1))
    said = Verdict("Ann", Answer.REJECT, None)
    verdict = Recorded(run, "0" * 64, said, place.at(LAST + 1.5), "console")
    ledger.append("verdicts", verdict.name, verdict.event(), when=verdict.at)
    place.night(LAST + 34, ["B"])
    report = place.night(LAST + 35, ["B"])
    assert report.gone == []
    assert "disputed" in next(each.reason for each in report.plan.decisions if each.fate is Fate.HELD_BACK)


def test_a_share_that_is_away_or_append_only_gets_the_removal_later(place, monkeypatch):
    from vault.share.backend import ShareUnavailableError
    from vault.share.folder import FolderShare

    place.night(LAST + 34, ["B"])
    with monkeypatch.context() as patch:

        def refuse(self: FolderShare, name: str) -> None:
            raise ShareUnavailableError("the share refuses writing")

        patch.setattr(FolderShare, "remove", refuse)
        report = place.night(LAST + 35, ["B"])
    assert report.gone == ["A"]
    assert report.waiting > 3
    assert "refuses" in report.refused
    assert report.exit_code == 0
    assert json.loads(place.made.command("--json", "status").stdout)["removals"] >= report.waiting
    assert on_share(place, marker("A"))
    later = place.night(LAST + 36, ["B"])
    assert (later.removed >= report.waiting, later.waiting) == (True, 0)
    assert on_share(place, marker("A")) == []


@pytest.mark.parametrize("generation", ["9999999999", "{ours:010}"])
def test_a_manifest_of_somebody_elses_costs_none_of_the_vault_s(place, generation):
    """Whoever may only add to the share puts one there that counts as the newest by its name."""
    place.night(LAST + 34, ["B"])
    ours = max(path.name for path in (place.share / "v1/manifests").iterdir())
    name = generation.format(ours=int(ours[:10]) + 100) + f"-{'f' * 32}.age"
    (place.share / "v1/manifests" / name).write_bytes(b"no manifest")
    report = place.night(LAST + 35, ["B"])
    assert report.gone == ["A"]
    assert (report.removed, report.exit_code) == (0, 4)
    assert name in report.refused
    identity = (place.root / "keys/identity.txt").read_text()
    back = restore(FolderShare(place.share), parse_identities(identity), place.root.parent / "back")
    assert {one.patient_id for one in back.repositories if not one.failed} == {None, "B"}
    (place.share / "v1/manifests" / name).unlink()
    later = place.night(LAST + 36, ["B"])
    assert (later.waiting, later.refused, later.exit_code) == (0, "", 0)
    assert on_share(place, marker("A")) == []


@pytest.mark.parametrize("name", ["Thumbs.db", ".DS_Store", "a b.age"])
def test_what_file_servers_leave_beside_the_manifests_stops_nothing(place, name):
    place.night(LAST + 34, ["B"])
    (place.share / "v1/manifests" / name).write_bytes(b"x")
    report = place.night(LAST + 35, ["B"])
    assert (report.gone, report.waiting, report.failed) == (["A"], 0, [])
    (place.share / "v1/manifests" / name).unlink()
    assert on_share(place, marker("A")) == []


def test_what_a_repair_set_aside_goes_with_its_own_patient(place):
    """IDs may end alike, and hold hyphens: X-A is not A."""
    aside = {
        patient: place.root / f"damaged/{place.at(LAST + 33):%Y%m%dT%H%M%SZ}-0000-{patient}.git"
        for patient in ("A", "X-A")
    }
    for folder in aside.values():
        private_folder(folder)
    place.night(LAST + 34, ["B"])
    assert place.night(LAST + 35, ["B"]).gone == ["A"]
    assert [patient for patient, folder in aside.items() if folder.exists()] == ["X-A"]


def test_an_object_lock_is_no_failure_and_its_end_is_said(place, monkeypatch):
    from vault.errors import ShareError
    from vault.share.folder import FolderShare

    place.night(LAST + 34, ["B"])
    with monkeypatch.context() as patch:

        def refuse(self: FolderShare, name: str) -> None:
            raise ShareError("locked")

        patch.setattr(FolderShare, "remove", refuse)
        patch.setattr(FolderShare, "locked_until", lambda self, name: place.at(100), raising=False)
        report = place.night(LAST + 35, ["B"])
    assert (report.gone, report.failed, report.exit_code) == (["A"], [], 0)
    assert report.waiting > 3
    assert f"{place.at(100):%Y-%m-%d}" in report.refused
    assert report.as_json()["share"]["expires"] == place.at(100).isoformat()


def test_a_repository_that_was_lost_keeps_all_that_brings_it_back(place, monkeypatch):
    place.night(LAST + 34, ["B"])
    shutil.rmtree(PatientRepository.open(place.root, "B").path)
    monkeypatch.setattr(place, "deliver", lambda: to_share(place.config))  # it says that B is lost
    report = place.night(LAST + 35, ["B"])
    assert (report.gone, report.removed, report.exit_code) == (["A"], 0, 4)
    assert "not here any more" in report.refused
    assert on_share(place, marker("B"))
    identity = parse_identities((place.root / "keys/identity.txt").read_text())
    back = restore(FolderShare(place.share), identity, place.root.parent / "back")
    assert (back.exit_code, [one.patient_id for one in back.repositories if one.patient_id]) == (0, ["B"])
    shutil.copytree(place.root.parent / "back/repos/B.git", place.root / "repos/B.git")
    later = place.night(LAST + 36, ["B"])
    assert (later.waiting, later.refused, later.failed) == (0, "", [])
    assert on_share(place, marker("A")) == []


def test_killed_between_any_two_steps_the_next_night_finishes(place, tmp_path, monkeypatch):
    """The process ends in the ledger, in the rewrite, at the share: afterwards all is as if it had not."""
    place.night(LAST + 34, ["B"])

    class Killed(BaseException):
        pass

    def die(*_args: object, **_options: object) -> None:
        raise Killed

    real_append = module.Pruning._append

    def die_at(name: str):
        def append(self, said, event):
            if said == name:
                raise Killed
            return real_append(self, said, event)

        return append

    for number, (owner, name, replacement) in enumerate(
        [
            (module, "remove_copies", die),
            (module.Pruning, "_append", die_at("2-intent")),
            (module, "retiring", die),
            (module.Pruning, "_append", die_at("3-done")),
            (module, "to_share", die),
            (module.removals, "remove", die),
        ]
    ):
        twin_root = tmp_path / f"kill{number}"
        shutil.copytree(place.root, twin_root / "vault")
        shutil.copytree(place.share, twin_root / "vault-share")
        twin = object.__new__(ToldVault)
        twin.__dict__.update(place.__dict__)
        toml = twin_root / "vault" / "vault.toml"
        toml.write_text(toml.read_text().replace(place.share.as_uri(), (twin_root / "vault-share").as_uri()))
        twin.made = object.__new__(type(place.made))
        twin.made.__dict__.update(place.made.__dict__)
        twin.made.folder, twin.made.toml = twin_root / "vault", toml
        twin.config, twin.share = twin.made.config, twin_root / "vault-share"
        twin.root = twin.config.vault.root
        with monkeypatch.context() as patch:
            patch.setattr(owner, name, replacement)
            with pytest.raises(Killed):
                twin.night(LAST + 35, ["B"])
        twin.night(LAST + 36, ["B"])
        assert twin.patients() == {"B"}, number
        assert on_share(twin, marker("A")) == []
        assert found_in(twin.root, marker("A")) == []
        runs = {kind: {e["run"] for e in twin.events() if e["event"] == kind} for kind in ("intent", "done")}
        assert runs["intent"] == runs["done"]


def test_the_ledger_says_what_was_done_though_the_disk_refused_at_the_end(place, monkeypatch):
    from vault.archive import swap

    place.night(LAST + 34, ["B"])

    def refuse(folder: Path) -> None:
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr(swap, "erase", refuse)
        report = place.night(LAST + 35, ["B"])
    assert report.gone == ["A"]
    assert [failure.subject for failure in report.failed] == ["a repository that was to be pruned"]
    assert place.events()[-1]["patients"][place.pseudonyms.of("A")]["after"] == {}
    assert place.night(LAST + 36, ["B"]).failed == []


def test_what_a_killed_run_left_half_done_is_cleared(place):
    for left in ("removals/.tmp-1", "repair/A/repos/A.git/x"):
        private_folder((place.root / left).parent)
        (place.root / left).write_bytes(b"x")
    assert place.made.command("prune").returncode == 0
    assert not (place.root / "removals/.tmp-1").exists()
    assert not (place.root / "repair").exists()


def test_the_command_says_who_and_why(place):
    dry = place.made.command("prune", "--dry-run")
    assert dry.returncode == 0, dry.stderr
    assert "Nothing goes: " in dry.stdout
    said = json.loads(place.made.command("--json", "prune", "--dry-run").stdout)
    assert said["dry_run"]
    assert said["patients"]["A"]["fate"] == "stays"
    assert place.made.command("prune").returncode == 0
    assert place.patients() == {"A", "B"}


def test_without_the_section_nothing_goes(place):
    place.made.toml.write_text(place.made.toml.read_text().replace("[retention]", ""))
    with pytest.raises(ConfigError, match="nothing ever goes"):
        prune(place.made.config, now=place.at(LAST + 36))
    assert "[retention]: nobody ever goes" in place.made.command("status").stdout


def test_a_reason_that_names_the_patient_is_refused(place):
    done = place.made.command("hold", "A", "--reason", "because of A B")
    assert done.returncode == 0  # one letter names nobody
    place.commit("Smith1", LAST + 33, **{"patient.json": b'{"patient": {"name": "Miller^Ann"}}'})
    for reason in ("ask Smith1", "ask ann", "two\nlines"):
        refused = place.made.command("hold", "Smith1", "--reason", reason)
        assert refused.returncode == 2, reason
    assert place.made.command("hold", "nobody").returncode == 2
    assert "Miller" not in str(place.events("holds"))
