"""Tiny departments, a vault before and after its first night, and what an undisturbed vault comes to."""

from __future__ import annotations

import itertools
import json
import shutil
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from types import SimpleNamespace

import faults
import peers
import pyrage
import pytest
from vaults import TestVault

from vault.archive.blobs import object_id
from vault.archive.ledger import Ledger
from vault.archive.refs import BRANCHES, history_ref, shared_ref
from vault.archive.repository import all_repositories
from vault.archive.smallpack import decode
from vault.config import Config, load
from vault.department.nights import night
from vault.department.patients import Scale, roster
from vault.department.server import LOOPBACK, Department
from vault.inventory import needed_on_share
from vault.keys import read_pseudonym_key
from vault.share.layout import LEDGER, blob_name, commit_name, manifest_name
from vault.share.manifest import HEAD, parse, split
from vault.share.needed import manifests

NIGHT = date(2026, 11, 23)
TINY = Scale(matrix=8, slices=2, control_points=4, dose_pitch=30.0)
PATIENTS = roster(2, NIGHT, scale=TINY)

KEPT = {
    "repos",
    "reports",
    "ledger.git",
    "overview.git",
    "today",
    "damaged",
    "outbox",
    "mail",
    "keys",
    "quarantine",
    "queries",
    "vault.toml",
    "lock",
}
"""What may hold files in a vault at rest; elsewhere they would be plaintext that was left behind."""

AGE = b"age-encryption.org/v1"

Trees = dict[str, dict[str, str]]
"""Patient ID to path to blob id."""


@dataclass(frozen=True, slots=True)
class Place:
    """A vault's folder and its share, with a department to retrieve from."""

    folder: Path
    share: Path

    @property
    def toml(self) -> Path:
        return self.folder / "vault.toml"

    @property
    def config(self) -> Config:
        return load(self.toml)

    def copy(self, to: Path) -> Place:
        """A vault in the same state, elsewhere."""
        twin = Place(to / "vault", to / "share")
        shutil.rmtree(to, ignore_errors=True)
        shutil.copytree(self.folder, twin.folder)
        shutil.copytree(self.share, twin.share)
        twin.edit(self.share.as_uri(), twin.share.as_uri())
        return twin

    def edit(self, old: str, new: str) -> None:
        """Change the configuration."""
        text = self.toml.read_text()
        assert old in text
        self.toml.write_text(text.replace(old, new))

    def trees(self) -> Trees:
        """What the archive holds of every patient."""
        return {
            repository.patient_id: repository.tree(repository.tip()) for repository in self._repositories()
        }

    def complaints(self, run: str) -> list[str]:
        """What is wrong with this vault at rest, whose last run was `run`."""
        return [*self._about_history(run), *self._about_share(), *self.left_behind()]

    def _repositories(self):
        return list(all_repositories(self.folder))

    def _about_history(self, run: str) -> Iterator[str]:
        paths = [*sorted((self.folder / "repos").glob("*")), self.folder / "ledger.git"]
        for path in paths:
            done = subprocess.run(
                ["git", "-C", path, "fsck", "--strict", "--full"], capture_output=True, text=True, check=False
            )
            if done.returncode or "error" in done.stderr:
                yield f"git fsck of {path.name}: {done.stderr}"
        recorded = {event["run"] for event in Ledger(self.folder).events("runs")}
        committed = {commit.trailers["Run"] for r in self._repositories() for commit in r.log()}
        for missing in sorted((committed | {run}) - recorded):
            yield f"run {missing} is not in the ledger"

    def _about_share(self) -> Iterator[str]:
        wanted = needed_on_share(self.config)
        key = read_pseudonym_key(self.config.vault.pseudonym_key)
        for repository in self._repositories():
            for branch, mark in itertools.product(BRANCHES, (shared_ref, history_ref)):
                if repository.ref(mark(branch)) != repository.tip(branch):
                    yield f"{mark(branch)} is not at the tip of {branch}"
        identity = (self.folder / "keys" / "identity.txt").read_text().split()[-1]
        found = set()
        for path in self.share.rglob("*.age"):
            name = path.relative_to(self.share).as_posix()
            plain = pyrage.decrypt(path.read_bytes(), [pyrage.x25519.Identity.from_str(identity)])
            if name in self._names_of(key, plain):
                found.add(name)
            else:
                yield f"the share's {name} holds something else"
        if wanted - found:
            yield f"{len(wanted - found)} of {len(wanted)} ciphertexts are not on the share"
        if not manifests(found):
            yield "no manifest is on the share"

    def _names_of(self, key: bytes, plain: bytes) -> list[str]:
        """The names that a file of this content may have on the share."""
        if plain.startswith(b"PACK"):
            commit = next(decode(plain)).oid
            return [commit_name(key, commit), commit_name(key, commit, LEDGER)]
        if plain.startswith(HEAD.encode()):
            return [manifest_name(key, parse(plain).generation, split(plain)[0])]
        return [blob_name(key, object_id("blob", plain))]

    def left_behind(self) -> Iterator[str]:
        """What a run at rest has no use for: unfinished files, and plaintext outside of the archive."""
        for path in sorted(self.folder.rglob("*")):
            relative = path.relative_to(self.folder)
            if path.name.startswith((".tmp-", ".new-")):
                yield f"{relative} is unfinished"
            elif path.is_file() and relative.parts[0] not in KEPT:
                yield f"{relative} was left behind"
        for folder in ("inbox", "work"):
            yield from (f"{path.name} is left in {folder}" for path in (self.folder / folder).glob("*"))
        waiting = [path.name for path in (self.folder / "outbox").glob("[!.]*")]
        if waiting:
            yield f"{len(waiting)} ciphertexts wait in the outbox"
        for path in (self.share / "v1" / "incoming").glob("*"):  # ciphertext, which the next delivery sweeps
            if not path.read_bytes().startswith(AGE) and path.stat().st_size > len(AGE):
                yield "a file on the share is not encrypted"


@dataclass(frozen=True, slots=True)
class Stage:
    """The vaults that the sweeps begin with, and the trees that they must end in."""

    fresh: Place
    """Nothing retrieved yet; its department is in the first night."""
    undelivered: Place
    """After a first night whose share was away."""
    settled: Place
    """After the first night; its department is in the second."""
    first: Trees
    second: Trees


@pytest.fixture(scope="session")
def runner(tmp_path_factory: pytest.TempPathFactory) -> Iterator[faults.Runner]:
    with faults.Runner(tmp_path_factory.mktemp("injector")) as started:
        yield started


@pytest.fixture(scope="session")
def place_at() -> type[Place]:
    """`place_at(vault, share)` is what a test made by other means."""
    return Place


@pytest.fixture
def told(capsys: pytest.CaptureFixture[str], record_property: Callable[[str, object], None]):
    """`told(line)` says how much was swept, whatever captures the output."""

    def say(line: str) -> None:
        record_property("sweep", line)
        with capsys.disabled():
            print(f"\n  {line}")

    return say


@pytest.fixture(scope="session")
def stage(tmp_path_factory: pytest.TempPathFactory, runner: faults.Runner) -> Iterator[Stage]:
    reason = peers.missing_tools("git")
    if reason:
        pytest.skip(reason)
    base = tmp_path_factory.mktemp("stage")
    receiver = peers.free_port()
    move_to = {"VAULT": (LOOPBACK, receiver)}
    first, second = (list(night(PATIENTS, number, NIGHT).steps) for number in (1, 2))
    few = [step for number, step in enumerate(first) if step.modality != "RTRECORD" or number % 4 == 0]
    with (
        Department(base / "first", destinations=move_to) as one,
        Department(base / "second", destinations=move_to) as two,
    ):
        one.put(step.make() for step in few)
        two.put(step.make() for step in [*few, *second])
        rois = SimpleNamespace(ae_title=one.ae_title, host=LOOPBACK, port=one.port, receiver_port=receiver)
        made = TestVault(base / "vault", rois, [patient.patient_id for patient in PATIENTS], retrieve="get")
        fresh = Place(made.folder, made.share)

        undelivered = fresh.copy(base / "undelivered")
        undelivered.share.rename(base / "away")
        _night(runner, undelivered, 3)
        (base / "away").rename(undelivered.share)

        settled = fresh.copy(base / "settled")
        _night(runner, settled, 0)
        settled.edit(f"port = {one.port}", f"port = {two.port}")
        reference = settled.copy(base / "reference")
        _night(runner, reference, 0)
        yield Stage(fresh, undelivered, settled, settled.trees(), reference.trees())


def _night(runner: faults.Runner, place: Place, code: int) -> None:
    ran = runner.run(["-c", place.toml, "--json", "sync"], [])
    assert ran.code == code, ran.out + ran.err
    if not code:
        assert place.complaints(json.loads(ran.out)["run"]) == []
