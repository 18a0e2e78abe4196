"""The vault is gone: the share and an identity alone give it back."""

from __future__ import annotations

import io
import json
import multiprocessing
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from multiprocessing.process import BaseProcess
from pathlib import Path

import pyrage
import pytest
from share_kit import SharedVault, refs

from cli.main import main
from vault.archive import signing, smallpack
from vault.archive.bare import BareRepository
from vault.archive.blobs import object_id
from vault.archive.repository import PatientRepository, all_repositories
from vault.archive.smallpack import GitObject
from vault.config import load
from vault.errors import ConfigError, ExitCode, IntegrityError, ShareError, UsageError, VaultError
from vault.keys import read_pseudonym_key
from vault.progress import Silent
from vault.restore import UNFINISHED, Report, restore
from vault.restore_manifest import NOTHING_NAMED, Trust
from vault.share import envelope, fetch, layout, manifest
from vault.share.backend import ShareUnavailableError, open_share
from vault.share.envelope import Identities, parse_identities
from vault.share.folder import FolderShare
from vault.share.needed import manifests

WEIRD = "Müller ^/.."


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> SharedVault:
    """A vault whose share is full; nobody changes it."""
    return SharedVault(tmp_path_factory.mktemp("made") / "vault").usual()


@pytest.fixture
def share(made: SharedVault, tmp_path: Path) -> Path:
    """A copy of its share, to be damaged."""
    return Path(shutil.copytree(made.share, tmp_path / "share"))


def identities(vault: SharedVault) -> Identities:
    return parse_identities(vault.identity.read_text())


def run(made: SharedVault, share: Path, to: Path, **options: object) -> Report:
    return restore(FolderShare(share), identities(made), to, **options)  # type: ignore[arg-type]


def blob(made: SharedVault, share: Path, patient: str, path: str) -> Path:
    """Where the share has a file of a patient's last night."""
    repository = PatientRepository.open(made.folder, patient)
    assert repository
    key = read_pseudonym_key(made.config.vault.pseudonym_key)
    return share / layout.blob_name(key, repository.tree(repository.tip())[path])


def test_a_destroyed_vault_comes_back_by_the_commit_ids_it_had(tmp_path: Path) -> None:
    vault = SharedVault(tmp_path / "vault").usual()
    lost = refs(vault.folder)
    assert len(lost) == 4
    shutil.copy(vault.identity, tmp_path / "recovery.txt")
    shutil.rmtree(vault.folder)
    done = subprocess.run(
        [Path(sys.executable).with_name("vault"), "--json", "restore", "--from", vault.share.as_uri(),
         "--identity", tmp_path / "recovery.txt", "--to", tmp_path / "new"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    report = json.loads(done.stdout)
    assert refs(tmp_path / "new") == lost
    assert report["signers"][0].startswith("SHA256:")
    assert "signing_key is missing" in report["todo"][0]
    for path in [
        *(tmp_path / "new/repos").glob("*.git"),
        tmp_path / "new/ledger.git",
        tmp_path / "new/overview.git",
    ]:
        git = ["git", f"--git-dir={path}"]
        subprocess.run([*git, "fsck", "--strict", "--full"], check=True, capture_output=True)
        branch = "hourly" if path.name == "overview.git" else "main"
        subprocess.run([*git, "verify-commit", branch], check=True, capture_output=True)
        assert path.stat().st_mode & 0o777 == 0o700
    subprocess.run(["git", "clone", "-q", tmp_path / "new/repos/4711.git", tmp_path / "checkout"], check=True)
    sums = "find . -name SHA256SUMS -execdir sha256sum --quiet -c {} +"
    subprocess.run(["sh", "-c", sums], cwd=tmp_path / "checkout", check=True)
    assert not (tmp_path / "new/restoring").exists()
    config = load(tmp_path / "new/vault.toml")
    assert config.vault.root == (tmp_path / "new")
    log = subprocess.run(
        [Path(sys.executable).with_name("vault"), "-c", tmp_path / "new/vault.toml", "log", "4711"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert log.returncode == 0, log.stderr


def test_the_restored_vault_goes_on_where_the_old_one_stopped(
    made: SharedVault, share: Path, tmp_path: Path
) -> None:
    run(made, share, tmp_path / "new")
    text = (tmp_path / "new/vault.toml").read_text().replace(made.share.as_uri(), share.as_uri())
    (tmp_path / "new/vault.toml").write_text(text)
    (tmp_path / "new/keys/signing_key").touch(mode=0o600)
    shutil.copy(made.folder / "keys/signing_key", tmp_path / "new/keys/signing_key")
    new = made.__class__.__new__(SharedVault)
    new.folder, new.config, new.signer = tmp_path / "new", load(tmp_path / "new/vault.toml"), made.signer
    new.signers, new.events = made.signers, 2
    before = {path.name for path in share.rglob("*.age")}
    assert new.deliver().sent <= 2  # vault.toml, which names another share now, and the manifest
    new.night("4711", 9, objects=1)
    new.event()
    assert new.deliver().failed == []
    assert len({path.name for path in share.rglob("*.age")} - before) == 2 + 5 + 3


def test_one_patient_alone(made: SharedVault, share: Path, tmp_path: Path) -> None:
    report = run(made, share, tmp_path / "new", patient_id=WEIRD)
    assert report.exit_code == ExitCode.DONE
    assert [path.name for path in (tmp_path / "new/repos").iterdir()] == [
        repository.path.name for repository in all_repositories(made.folder) if repository.patient_id == WEIRD
    ]
    assert run(made, share, tmp_path / "new", patient_id="4711").exit_code == ExitCode.DONE
    assert {repository.patient_id for repository in all_repositories(tmp_path / "new")} == {WEIRD, "4711"}
    with pytest.raises(VaultError, match="check the ID"):
        run(made, share, tmp_path / "new", patient_id="nobody")


def test_a_patient_who_is_not_in_the_newest_manifest_comes_from_an_older_one(tmp_path: Path) -> None:
    vault = SharedVault(tmp_path / "vault").usual()
    shutil.rmtree(vault.folder / "repos/4711.git")
    (vault.folder / "outbox/.manifest").unlink()  # or the newest would list the patient all the same
    vault.event()
    vault.deliver()
    report = run(vault, vault.share, tmp_path / "new", patient_id="4711")
    assert report.exit_code == ExitCode.PARTIAL
    assert report.generation == 2
    assert "older state" in report.failed[0].reason
    assert PatientRepository.open(tmp_path / "new", "4711")


@pytest.mark.parametrize("damage", ["flipped", "cut", "emptied", "gone", "another's", "swapped"])
def test_one_damaged_file_costs_its_patient_and_nobody_else(
    made: SharedVault, share: Path, tmp_path: Path, damage: str
) -> None:
    victim = blob(made, share, "4711", "dicom/CT/1.2/1.2.0.dcm")
    whole = victim.read_bytes()
    if damage == "gone":
        victim.unlink()
    elif damage == "another's":
        recipient = pyrage.x25519.Identity.from_str(made.identity.read_text().split()[-1]).to_public()
        victim.write_bytes(pyrage.encrypt(b"ransom", [recipient]))
    elif damage == "swapped":
        shutil.copy(blob(made, share, "4711", "dicom/CT/1.2/1.2.1.dcm"), victim)
    else:
        middle = len(whole) // 2
        flipped = whole[:middle] + bytes([whole[middle] ^ 1]) + whole[middle + 1 :]
        victim.write_bytes({"flipped": flipped, "cut": whole[:-1], "emptied": b""}[damage])
    report = run(made, share, tmp_path / "new")
    assert report.exit_code == ExitCode.INTEGRITY
    (lost,) = (one for one in report.repositories if one.failed)
    assert lost.patient_id == "4711"
    assert refs(tmp_path / "new") == {
        name: found for name, found in refs(made.folder).items() if name != "4711.git"
    }
    victim.write_bytes(whole)  # it is found after all
    again = run(made, share, tmp_path / "new")
    assert again.exit_code == ExitCode.DONE
    assert next(one for one in again.repositories if one.patient_id == "4711").fetched == 1
    assert refs(tmp_path / "new") == refs(made.folder)


@pytest.mark.parametrize("damage", ["commit", "ledger"])
def test_a_lost_commit_is_said(made: SharedVault, share: Path, tmp_path: Path, damage: str) -> None:
    key = read_pseudonym_key(made.config.vault.pseudonym_key)
    path = made.folder / ("repos/4711.git" if damage == "commit" else "ledger.git")
    oid = BareRepository(path).tip()
    assert oid
    (share / layout.commit_name(key, oid, layout.HISTORY if damage == "commit" else layout.LEDGER)).unlink()
    report = run(made, share, tmp_path / "new")
    assert report.exit_code == ExitCode.INTEGRITY
    assert [one.path for one in report.repositories if one.failed] == [
        "repos/4711.git" if damage == "commit" else "ledger.git"
    ]


def test_a_manifest_that_is_damaged_or_forged_gives_way_to_the_one_before(tmp_path: Path) -> None:
    vault = SharedVault(tmp_path / "vault").usual()
    before = refs(vault.folder)
    vault.night("4711", 7)
    vault.event()
    vault.deliver()
    newest, older = manifests(FolderShare(vault.share).list(layout.MANIFESTS))
    whole = (vault.share / newest).read_bytes()
    secret = pyrage.x25519.Identity.from_str(vault.identity.read_text().split()[-1])
    text = pyrage.decrypt((vault.share / older).read_bytes(), [secret]).replace(
        b"generation 2", b"generation 3"
    )
    for number, forged in enumerate((whole[:-3], b"", pyrage.encrypt(text, [secret.to_public()]))):
        (vault.share / newest).write_bytes(forged)
        report = run(vault, vault.share, tmp_path / f"new{number}")
        assert report.exit_code == ExitCode.INTEGRITY
        assert report.generation == 2
        assert "older state" in report.failed[0].reason
        assert refs(tmp_path / f"new{number}") == before
    (vault.share / older).unlink()
    with pytest.raises(IntegrityError, match="none of the 1 manifests"):
        run(vault, vault.share, tmp_path / "none")


@pytest.mark.parametrize("own", [True, False])
def test_a_manifest_made_to_stop_a_restore_gives_way_to_the_one_before(
    made: SharedVault, share: Path, tmp_path: Path, own: bool
) -> None:
    """Whoever may add to the share, and knows the public keys, puts one there that no reader gets to the end of."""
    head = f"vault-manifest 1\ngeneration 9999999999\nkey {'0' * 64}\nrepository repos/a.git\npatient "
    hostile = manifest.sign(head.encode() + b"[" * 100_000 + b"\n", made.signer)
    recipients = envelope.parse_recipients(made.config.vault.recipients)
    with (share / f"v1/manifests/9999999999-{'f' * 32}.age").open("wb", buffering=0) as file:
        envelope.encrypt(io.BytesIO(hostile), len(hostile), file, recipients)
    report = run(made, share, tmp_path / "back", trust=Trust(made.signers) if own else NOTHING_NAMED)
    assert report.exit_code == ExitCode.INTEGRITY
    assert [failure.subject[:22] for failure in report.failed] == ["v1/manifests/999999999"]
    assert refs(tmp_path / "back") == refs(made.folder)


def test_an_older_manifest_that_can_t_be_read_hides_no_patient(tmp_path: Path) -> None:
    vault = SharedVault(tmp_path / "vault").usual()
    shutil.rmtree(PatientRepository.open(vault.folder, WEIRD).path)  # type: ignore[union-attr]
    (vault.folder / "outbox/.manifest").unlink()
    vault.event()
    assert vault.deliver().failed == []
    older = vault.share / f"v1/manifests/0000000002-{'f' * 32}.age"
    older.symlink_to("/etc/passwd")
    report = run(vault, vault.share, tmp_path / "back", patient_id=WEIRD)
    assert [one.patient_id for one in report.repositories if not one.failed] == [WEIRD]


def test_signers_of_one_s_own_are_believed_and_no_others(
    made: SharedVault, share: Path, tmp_path: Path
) -> None:
    assert run(made, share, tmp_path / "new", trust=Trust(made.signers)).exit_code == ExitCode.DONE
    other = SharedVault(tmp_path / "other", url="file:///nowhere")
    with pytest.raises(IntegrityError, match="does not list"):
        run(made, share, tmp_path / "not", trust=Trust(other.signers))


def hostile(
    share: Path, made: SharedVault, generation: int, entries: tuple[manifest.Entry, ...]
) -> SharedVault:
    """Put a newer manifest on the share that is whole in itself, by somebody who knows the public keys only."""
    own = SharedVault(share.parent / "attacker", url="file:///nowhere")
    key = b"k" * 32
    oid = put(share, made, own.signers.read_bytes(), key)
    text = manifest.encode(manifest.Manifest(generation, key, {"keys/allowed_signers": oid}, entries))
    write(share / layout.manifest_name(key, generation, text), made, manifest.sign(text, own.signer))
    return own


def put(share: Path, made: SharedVault, data: bytes, key: bytes) -> str:
    """Put a blob on the share under its right name; returns its id."""
    oid = object_id("blob", data)
    write(share / layout.blob_name(key, oid), made, data)
    return oid


def write(path: Path, made: SharedVault, data: bytes) -> None:
    """Encrypt a file as anybody can who knows the recipients."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    with path.open("wb", buffering=0) as file:
        recipients = envelope.parse_recipients(made.config.vault.recipients)
        envelope.encrypt(io.BytesIO(data), len(data), file, recipients)


def test_a_vault_of_somebody_else_s_making_is_not_taken_for_ours(
    made: SharedVault, share: Path, tmp_path: Path
) -> None:
    own = hostile(share, made, 999, ())
    ours, theirs = (signing.fingerprint(each.signer.public) for each in (made, own))
    with pytest.raises(IntegrityError, match=r"two keys.*--fingerprint") as refused:
        run(made, share, tmp_path / "no")
    assert ours in str(refused.value)
    assert theirs in str(refused.value)
    for number, named in enumerate((ours, ours.removeprefix("SHA256:"), f" {ours[:20]} {ours[20:]}\n")):
        report = run(made, share, tmp_path / f"new{number}", trust=Trust(fingerprint=named))
        assert report.exit_code == ExitCode.INTEGRITY  # everything is back, and somebody was at the share
        assert "not the key that you named" in report.failed[0].reason
        assert refs(tmp_path / f"new{number}") == refs(made.folder)
    nobody = run(made, share, tmp_path / "theirs", trust=Trust(fingerprint=theirs))
    assert nobody.exit_code == ExitCode.FAILED
    assert "lists no repository" in nobody.failed[0].reason
    with pytest.raises(ConfigError, match="--signers"):
        run(made, share, tmp_path / "slip", trust=Trust(tmp_path / "slip of the hand"))


@pytest.mark.parametrize("altered", ["without folders", "with more"])
def test_an_altered_commit_spoils_nothing_for_the_next_run(
    made: SharedVault, share: Path, tmp_path: Path, altered: str
) -> None:
    key = read_pseudonym_key(made.config.vault.pseudonym_key)
    repository = BareRepository(made.folder / "repos/4711.git")
    oid = repository.tip()
    assert oid
    objects = list(repository.structure(oid))
    smuggled = GitObject("blob", b"whatever an attacker wants to have there")
    victim = share / layout.commit_name(key, oid)
    whole = victim.read_bytes()
    write(
        victim, made, smallpack.encode(objects[:1] if altered == "without folders" else [*objects, smuggled])
    )
    report = run(made, share, tmp_path / "new")
    assert report.exit_code == ExitCode.INTEGRITY
    assert [one.patient_id for one in report.repositories if one.failed] == ["4711"]
    victim.write_bytes(whole)
    assert run(made, share, tmp_path / "new").exit_code == ExitCode.DONE
    assert refs(tmp_path / "new") == refs(made.folder)
    assert not BareRepository(tmp_path / "new/repos/4711.git").has(smuggled.oid)


def test_a_blob_too_large_for_the_disk_costs_its_patient_and_nobody_else(
    made: SharedVault, share: Path, tmp_path: Path
) -> None:
    victim = blob(made, share, "4711", "dicom/CT/1.2/1.2.0.dcm")
    with victim.open("r+b") as file:
        file.truncate(shutil.disk_usage(tmp_path).free)
    report = run(made, share, tmp_path / "new")
    assert [one.patient_id for one in report.repositories if one.failed] == ["4711"]
    (lost,) = (one for one in report.repositories if one.failed)
    assert "make room" in lost.failed[0].reason
    assert refs(tmp_path / "new") == {
        name: found for name, found in refs(made.folder).items() if name != "4711.git"
    }


def test_a_file_that_gives_more_than_it_announced_is_cut_off(made: SharedVault, tmp_path: Path) -> None:
    """A file server may say any size: what is read stays below it."""

    class Lying(FolderShare):
        def size(self, name: str) -> int:
            return fetch.IN_MEMORY + 1

    shutil.copytree(made.share, tmp_path / "share")
    key = b"k" * 32
    oid = put(tmp_path / "share", made, bytes(fetch.IN_MEMORY + 2), key)
    fetcher = fetch.Fetcher(Lying(tmp_path / "share"), identities(made))
    (tmp_path / "work").mkdir()
    with pytest.raises(IntegrityError, match="larger"):
        fetcher.blob(key, oid, tmp_path / "work")
    assert list((tmp_path / "work").iterdir()) == []
    with pytest.raises(IntegrityError, match="larger"):
        fetcher.small(key, oid, fetch.IN_MEMORY)


def test_another_identity_opens_nothing(made: SharedVault, share: Path, tmp_path: Path) -> None:
    stranger = parse_identities(str(pyrage.x25519.Identity.generate()))
    with pytest.raises(UsageError, match=r"not encrypted to this identity: name another one from the safe"):
        restore(FolderShare(share), stranger, tmp_path / "new")


def test_a_share_that_is_away_or_is_none_is_said(made: SharedVault, tmp_path: Path) -> None:
    with pytest.raises(ShareUnavailableError):
        run(made, tmp_path / "nothing", tmp_path / "new")
    (tmp_path / "empty/v1").mkdir(parents=True)
    with pytest.raises(ShareError, match="holds no manifest"):
        run(made, tmp_path / "empty", tmp_path / "new")
    with pytest.raises(ShareUnavailableError, match=r"lies in a share: name the folder above it, .*empty$"):
        run(made, tmp_path / "empty/v1", tmp_path / "new")


def test_a_folder_that_is_something_else_is_refused(made: SharedVault, share: Path, tmp_path: Path) -> None:
    (tmp_path / "home").mkdir()
    (tmp_path / "home/letter.txt").write_text("mine")
    with pytest.raises(UsageError, match="holds other things"):
        run(made, share, tmp_path / "home")
    assert [path.name for path in (tmp_path / "home").iterdir()] == ["letter.txt"]


def test_going_away_in_the_middle_is_gone_on_with(
    made: SharedVault, share: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    left = 12
    true_read = FolderShare.read

    def read(self: FolderShare, name: str) -> object:
        nonlocal left
        left -= 1
        if left < 0:
            raise ShareUnavailableError("the share is away")
        return true_read(self, name)

    monkeypatch.setattr(FolderShare, "read", read)
    report = run(made, share, tmp_path / "new")
    assert report.exit_code in (ExitCode.PARTIAL, ExitCode.FAILED)
    assert any("goes on from here" in failure.reason for one in report.repositories for failure in one.failed)
    monkeypatch.undo()
    assert run(made, share, tmp_path / "new").exit_code == ExitCode.DONE
    assert refs(tmp_path / "new") == refs(made.folder)


def test_what_a_killed_restore_left_half_written_goes_no_further(
    made: SharedVault, share: Path, tmp_path: Path
) -> None:
    new = tmp_path / "new"
    for half in (new / UNFINISHED / ".tmp-1", new / "keys" / ".tmp-2", new / ".tmp-3"):
        half.parent.mkdir(parents=True, exist_ok=True)
        half.write_bytes(b"half")
    assert run(made, share, new).exit_code == ExitCode.DONE
    assert list(new.rglob(".tmp-*")) == []


def test_a_full_disk_is_said_and_more_room_is_enough(
    made: SharedVault, share: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(self: BareRepository, objects: list[object]) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(BareRepository, "add", full)
    report = run(made, share, tmp_path / "new")
    assert report.exit_code == ExitCode.FAILED
    assert "No space left on device: make room" in report.repositories[0].failed[0].reason
    monkeypatch.undo()
    assert run(made, share, tmp_path / "new").exit_code == ExitCode.DONE


def test_a_small_disk_is_full_and_a_larger_one_is_enough(
    made: SharedVault, share: Path, tmp_path: Path
) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=400k,mode=0700", "tmpfs", disk]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("mounting a small file system needs root")
    try:
        report = run(made, share, disk / "new")
        assert report.exit_code in (ExitCode.FAILED, ExitCode.PARTIAL)
        assert "No space left" in str(report)
        subprocess.run(["mount", "-o", "remount,size=64m", disk], check=True)
        assert run(made, share, disk / "new").exit_code == ExitCode.DONE
        assert refs(disk / "new") == refs(made.folder)
    finally:
        subprocess.run(["umount", "-l", disk], check=True)


def test_our_own_full_disk_is_not_the_share_s(
    made: SharedVault, share: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file too large for the disk: a patient's, or what a hostile share has in its place."""
    monkeypatch.setattr(fetch, "IN_MEMORY", 1 << 20)
    victim = blob(made, share, "4711", "dicom/CT/1.2/1.2.0.dcm")
    recipients = envelope.parse_recipients(made.config.vault.recipients)
    with victim.open("wb", buffering=0) as file:
        envelope.encrypt(io.BytesIO(bytes(4 << 20)), 4 << 20, file, recipients)
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2 << 20, limit[1]))
    try:
        report = run(made, share, tmp_path / "new")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)
    said = [failure for one in report.repositories for failure in one.failed]
    assert [failure.subject for failure in said] == ["disk"]
    assert "share" not in said[0].reason


@pytest.fixture
def beside(monkeypatch: pytest.MonkeyPatch) -> None:
    """A process beside ours is started with the first object."""
    monkeypatch.setattr("vault.restore.WORTH", 0)
    monkeypatch.setattr("vault.restore.cores", lambda: 2)


class Waiting(Silent):
    """Counts objects; with the first of ours it waits for the other process, which `met` is then called with."""

    def __init__(self, met: Callable[[BaseProcess], None] = lambda _: None) -> None:
        self.count = 0
        self._met = met

    def advance(self, steps: int = 1) -> None:
        self.count += steps
        if self.count == 1:
            while not (others := multiprocessing.active_children()):
                time.sleep(0.01)
            self._met(others[0])


def test_two_processes_bring_what_one_brings(
    made: SharedVault, share: Path, tmp_path: Path, beside: None
) -> None:
    waiting = Waiting()
    report = run(made, share, tmp_path / "new", progress=waiting)
    assert report.exit_code == ExitCode.DONE, report
    assert refs(tmp_path / "new") == refs(made.folder)
    alone = run(made, share, tmp_path / "alone")
    assert [one.path for one in report.repositories] == [one.path for one in alone.repositories]
    assert waiting.count == sum(one.fetched for one in report.repositories)
    assert not multiprocessing.active_children()


def test_a_process_that_dies_costs_one_repository_and_the_next_run_finishes(
    made: SharedVault, share: Path, tmp_path: Path, beside: None
) -> None:
    report = run(made, share, tmp_path / "new", progress=Waiting(lambda other: other.kill()))
    assert report.exit_code == ExitCode.PARTIAL
    (lost,) = (one for one in report.repositories if one.failed)
    assert "ended unexpectedly (exit code -9); run it again" in lost.failed[0].reason
    assert run(made, share, tmp_path / "new").exit_code == ExitCode.DONE
    assert refs(tmp_path / "new") == refs(made.folder)


def test_interrupted_it_leaves_no_process(
    made: SharedVault, share: Path, tmp_path: Path, beside: None
) -> None:
    def interrupt(_other: BaseProcess) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(made, share, tmp_path / "new", progress=Waiting(interrupt))
    assert not multiprocessing.active_children()
    assert run(made, share, tmp_path / "new").exit_code == ExitCode.DONE
    assert refs(tmp_path / "new") == refs(made.folder)


def test_killed_anywhere_the_next_run_finishes(made: SharedVault, share: Path, tmp_path: Path) -> None:
    command = [Path(sys.executable).with_name("vault"), "restore", "--from", share.as_uri(),
               "--identity", made.identity, "--to", tmp_path / "new"]  # fmt: skip
    for delay in (0.3, 0.45, 0.6, 0.8):
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(delay)
        process.send_signal(signal.SIGKILL)
        process.wait()
    report = run(made, share, tmp_path / "new")
    assert report.exit_code == ExitCode.DONE
    assert refs(tmp_path / "new") == refs(made.folder)
    for path in (tmp_path / "new/repos").glob("*.git"):
        subprocess.run(["git", f"--git-dir={path}", "fsck", "--strict"], check=True, capture_output=True)
    assert not (tmp_path / "new/restoring").exists()


def test_what_the_command_says(
    made: SharedVault, share: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    blob(made, share, "4711", "dicom/CT/1.2/1.2.0.dcm").unlink()
    asked = ["restore", "--from", str(share), "--identity", str(made.identity), "--to", str(tmp_path / "new")]
    assert main(asked) == 4
    said = capsys.readouterr().out
    assert "patient 4711: NOT RESTORED" in said
    assert "the share does not have v1/blobs/" in said
    assert "3 of 4 repositories" in said
    assert "signed by SHA256:" in said
    assert "1. " in said
    assert main([*asked[:-1], str(tmp_path / "other"), "--patient", WEIRD]) == 0
    assert "1 of 1 repositories" in capsys.readouterr().out
    assert main([*asked[:4], str(share / "nothing"), *asked[5:]]) == 2
    assert "--identity" in capsys.readouterr().err


def test_no_name_of_a_patient_is_in_what_fails(made: SharedVault, share: Path, tmp_path: Path) -> None:
    blob(made, share, WEIRD, "dicom/CT/1.2/1.2.0.txt").write_bytes(b"x")
    report = run(made, share, tmp_path / "new")
    (lost,) = (one for one in report.repositories if one.failed)
    assert "Müller" not in str(lost.failed)


def test_open_share_takes_no_account_in_the_url() -> None:
    with pytest.raises(UsageError, match="password_file"):
        open_share("smb://me:secret@nas/backup")
