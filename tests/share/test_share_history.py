"""Commits, trees, refs and the ledger on the share."""

from __future__ import annotations

import hashlib
import io
import shutil
import subprocess
import time
import tracemalloc
import zlib
from pathlib import Path

import pyrage
import pytest
from history_kit import FIRST
from share_kit import SharedVault

from vault.archive.ledger import Ledger
from vault.archive.pack import KINDS, entry_header
from vault.archive.repository import PatientRepository
from vault.archive.smallpack import GitObject, decode, encode
from vault.delivery import open_outbox
from vault.errors import IntegrityError, VaultError
from vault.inventory import needed_on_share, not_needed
from vault.keys import Pseudonyms, new_signing_key
from vault.share import envelope, layout, manifest
from vault.share.needed import manifests


@pytest.fixture
def vault(tmp_path: Path) -> SharedVault:
    return SharedVault(tmp_path / "vault")


def opened(vault: SharedVault, name: str) -> bytes:
    secret = vault.identity.read_text().split()[-1]
    return pyrage.decrypt((vault.share / name).read_bytes(), [pyrage.x25519.Identity.from_str(secret)])


def names(vault: SharedVault) -> set[str]:
    return {path.relative_to(vault.share).as_posix() for path in vault.share.rglob("*.age")}


def newest(vault: SharedVault) -> manifest.Manifest:
    return manifest.parse(opened(vault, manifests(names(vault))[0]))


def test_everything_that_a_restore_needs_is_there_and_nothing_else(vault: SharedVault) -> None:
    vault.usual()
    assert needed_on_share(vault.config) == {
        name for name in names(vault) if not name.startswith(layout.MANIFESTS)
    }
    assert vault.deliver().sent == 0


def test_a_commit_is_a_pack_that_stock_git_takes(vault: SharedVault, tmp_path: Path) -> None:
    vault.usual()
    repository = PatientRepository.open(vault.folder, "4711")
    assert repository
    git = ["git", f"--git-dir={tmp_path / 'x.git'}"]
    subprocess.run([*git, "init", "-q", "--bare"], check=True)
    key = newest(vault).key
    for commit in repository.log():
        pack = opened(vault, layout.commit_name(key, commit.oid))
        subprocess.run([*git, "index-pack", "--stdin"], input=pack, check=True, capture_output=True)
        kind = subprocess.run(
            [*git, "cat-file", "-t", commit.oid], check=True, capture_output=True, text=True
        )
        assert kind.stdout == "commit\n"


def test_the_manifest_says_what_there_is_and_is_signed(vault: SharedVault) -> None:
    vault.usual()
    found = newest(vault)
    assert [entry.path for entry in found.entries][:2] == ["ledger.git", "overview.git"]
    assert {entry.patient_id for entry in found.entries} == {None, "4711", "Müller ^/.."}
    patient = next(entry for entry in found.entries if entry.patient_id == "4711")
    assert set(patient.refs) == {"refs/heads/main", "refs/heads/hourly", "refs/vault/verified"}
    assert found.generation == 2
    assert set(found.files) == {"vault.toml", "keys/allowed_signers"}
    data = opened(vault, manifests(names(vault))[0])
    manifest.verify(data, frozenset({vault.signer.public}))
    with pytest.raises(IntegrityError):
        manifest.verify(data.replace(b"generation 2", b"generation 3"), frozenset({vault.signer.public}))


def test_a_ref_that_moves_alone_gets_there(vault: SharedVault) -> None:
    vault.usual()
    repository = PatientRepository.open(vault.folder, "4711")
    assert repository
    tip = repository.tip()
    assert tip
    repository.set_ref("refs/vault/verified", tip)
    vault.event()
    assert vault.deliver().sent == 2  # the ledger's commit and the manifest
    assert newest(vault).generation == 3
    (entry,) = (entry for entry in newest(vault).entries if entry.patient_id == "4711")
    assert entry.refs["refs/vault/verified"] == tip


def test_growth_is_what_is_new(vault: SharedVault) -> None:
    vault.usual()
    before = names(vault)
    vault.night("4711", 4, objects=1)
    vault.event()
    vault.deliver()
    new = sorted(name.split("/")[1] for name in names(vault) - before)
    assert new == ["blobs"] * 5 + [
        "history",
        "ledger",
        "manifests",
    ]  # object, its form, patient.json, two sums


def test_a_manifest_waits_until_all_that_it_speaks_of_is_there(
    vault: SharedVault, monkeypatch: pytest.MonkeyPatch
) -> None:
    from vault.errors import ShareError
    from vault.share.folder import FolderShare

    true_put = FolderShare.put

    def put(self: FolderShare, name: str, source: Path) -> None:
        if name.startswith(layout.HISTORY):
            raise ShareError("a bad sector")
        true_put(self, name, source)

    monkeypatch.setattr(FolderShare, "put", put)
    vault.night("4711", 1)
    vault.event()
    assert vault.deliver().failed
    assert manifests(names(vault)) == []
    monkeypatch.undo()
    assert vault.deliver().failed == []
    assert len(manifests(names(vault))) == 1


def test_only_the_newest_manifest_waits_for_a_share_that_is_away(vault: SharedVault) -> None:
    vault.share.rmdir()
    for number in range(1, 4):
        vault.night("4711", number)
        vault.event()
        vault.deliver()
    waiting = [name for name in open_outbox(vault.folder).pending() if name.startswith(layout.MANIFESTS)]
    assert [layout.generation(name) for name in waiting] == [3]


def test_a_damaged_repository_stays_in_the_manifest_as_it_was(vault: SharedVault) -> None:
    vault.usual()
    before = newest(vault).entries
    (vault.folder / "repos/4711.git/config").write_text("[core]\n\tbare = true\n")
    vault.event()
    delivered = vault.deliver()
    assert delivered.integrity
    assert newest(vault).generation == 3
    assert [e for e in newest(vault).entries if e.patient_id] == [e for e in before if e.patient_id]


def pruned(vault: SharedVault, patient_id: str) -> None:
    """Record that a pruning let a patient go."""
    pseudonym = Pseudonyms.load(vault.config.vault.pseudonym_key).of(patient_id)
    event = {"event": "done", "run": "r", "patients": {pseudonym: {"what": "patient"}}}
    Ledger(vault.folder, vault.signer).append("prunes", "r-3-done", event, when=FIRST)


def test_a_repository_that_was_lost_stays_in_the_manifest_and_one_that_was_pruned_does_not(
    vault: SharedVault,
) -> None:
    vault.usual()
    before = newest(vault).entries
    shutil.rmtree(vault.folder / "repos/4711.git")
    for generation in (3, 4):
        vault.event()
        delivered = vault.deliver()
        assert delivered.integrity
        assert ["not here any more" in failure.reason for failure in delivered.failed] == [True]
        assert newest(vault).generation == generation
        assert [e for e in newest(vault).entries if e.patient_id] == [e for e in before if e.patient_id]
        with pytest.raises(IntegrityError, match="not here any more"):
            list(not_needed(vault.config, names(vault)))
    pruned(vault, "4711")
    assert vault.deliver().failed == []
    assert "4711" not in {entry.patient_id for entry in newest(vault).entries}
    assert list(not_needed(vault.config, names(vault)))


def test_what_nothing_needs_any_more_is_named_and_nothing_else(vault: SharedVault) -> None:
    vault.usual()
    everything = names(vault)
    assert set(not_needed(vault.config, everything)) == set()
    shutil.rmtree(vault.folder / "repos/4711.git")
    pruned(vault, "4711")
    with pytest.raises(VaultError, match="newest state"):  # not before the share has it
        list(not_needed(vault.config, everything))
    vault.deliver()
    (latest, *_older) = manifests(names(vault))
    open_outbox(vault.folder).seal(
        latest, io.BytesIO(b""), 0, envelope.parse_recipients(vault.config.vault.recipients)
    )
    with pytest.raises(VaultError, match="newest state"):  # it is there, but perhaps not durably
        list(not_needed(vault.config, names(vault)))
    open_outbox(vault.folder).withdraw(latest)
    gone = set(not_needed(vault.config, names(vault)))
    left = names(vault) - gone
    assert needed_on_share(vault.config) <= left
    assert b"4711" not in b"".join(opened(vault, name) for name in left if "ledger" not in name)
    shared = layout.blob_name(newest(vault).key, encode_blob(b"the same for everybody\n"))
    assert shared in left  # another patient has it, too


def encode_blob(data: bytes) -> str:
    return GitObject("blob", data).oid


def test_a_pack_comes_back_as_it_went(tmp_path: Path) -> None:
    objects = [GitObject("commit", b"x" * 5), GitObject("tree", b""), GitObject("blob", b"y" * 200_000)]
    pack = encode(objects)
    assert list(decode(pack)) == objects
    assert encode(objects) == pack
    for damaged in (b"", pack[:-1], pack[:40], pack[:-30] + pack[-20:], b"PACK" + bytes(40), pack + b"x"):
        with pytest.raises(IntegrityError):
            list(decode(damaged))
    with pytest.raises(IntegrityError):
        list(decode(pack[:50] + bytes([pack[50] ^ 1]) + pack[51:]))


def test_a_pack_takes_no_more_memory_than_its_own_size() -> None:
    def packed(kind: str, size: int, number: int) -> bytes:
        entry = entry_header(KINDS[kind], size) + zlib.compress(bytes(size), 9)
        body = b"PACK\0\0\0\2" + number.to_bytes(4, "big") + entry * number
        return body + hashlib.sha1(body, usedforsecurity=False).digest()

    for hostile in (packed("commit", 50_000_000, 1), packed("tree", 40_000, 100)):
        tracemalloc.start()
        with pytest.raises(IntegrityError):
            list(decode(hostile))
        assert tracemalloc.get_traced_memory()[1] < 1_000_000
        tracemalloc.stop()


def test_a_pack_of_very_many_objects_is_read_in_time() -> None:
    many = encode([GitObject("tree", b"x" * 20)] * 100_000)
    began = time.process_time()
    assert sum(1 for _ in decode(many)) == 100_000
    assert time.process_time() - began < 2  # 4 s where the rest is copied for every object


def test_decryption_is_whole_or_nothing(tmp_path: Path) -> None:
    import io

    identity = pyrage.x25519.Identity.generate()
    recipients = envelope.parse_recipients([str(identity.to_public())])
    keys = envelope.parse_identities(f"# created\n{identity}\n")
    for size in (0, 1, 65_536, 200_000):
        sealed = io.BytesIO()
        envelope.encrypt(io.BytesIO(b"z" * size), size, sealed, recipients)
        whole = sealed.getvalue()
        target = io.BytesIO()
        assert envelope.decrypt(io.BytesIO(whole), target, keys) == size
        assert target.getvalue() == b"z" * size
        for damaged in (b"", whole[:100], whole[:-1], whole[:-20], whole[:-5] + b"00000"):
            with pytest.raises(IntegrityError):
                envelope.decrypt(io.BytesIO(damaged), io.BytesIO(), keys)
        other = envelope.parse_identities(str(pyrage.x25519.Identity.generate()))
        with pytest.raises(IntegrityError, match="not encrypted to this identity"):
            envelope.decrypt(io.BytesIO(whole), io.BytesIO(), other)
        if size:
            with pytest.raises(OSError, match="No space left"), open("/dev/full", "wb", buffering=0) as full:  # noqa: PTH123
                envelope.decrypt(io.BytesIO(whole), full, keys)


@pytest.mark.parametrize("size", range(0, 400_000, 13_107))
def test_a_payload_says_how_long_its_plaintext_is(size: int) -> None:
    assert envelope.plaintext_size(envelope.payload_size(size)) == size
    assert envelope.plaintext_size(envelope.payload_size(0) - 1) == -1


def test_a_hostile_manifest_names_no_place_outside(vault: SharedVault) -> None:
    head = f"{manifest.HEAD}\ngeneration 1\nkey {'0' * 64}\n"
    oid = "1" * 40
    for lines in (
        "repository ../x.git",
        "repository repos/../../x.git",
        f"repository ledger.git\nref {oid} refs/heads/../../x",
        f"repository ledger.git\nref {oid} refs/remotes/x",
        "repository repos/a.git\npatient 7",
        'repository repos/a.git\npatient "a\\u0000"',
        'repository repos/a.git\npatient "a\\ud800"',
        "repository repos/a.git\npatient " + "[" * 100_000,
        "repository repos/a.git\nnonsense",
    ):
        with pytest.raises(IntegrityError, match="no manifest"):
            manifest.parse(manifest.sign(f"{head}{lines}\n".encode(), vault.signer))
    for path in ("../x", "/etc/passwd", "keys/../../x", "."):
        assert manifest.parse(manifest.sign(f"{head}file {oid} {path}\n".encode(), vault.signer)).files == {}


def test_another_key_s_manifest_is_not_the_vault_s(vault: SharedVault, tmp_path: Path) -> None:
    from vault.archive.signing import Signer

    path = tmp_path / "other"
    path.touch(mode=0o600)
    path.write_bytes(new_signing_key())
    signed = manifest.sign(b"vault-manifest 1\n", Signer.load(path))
    with pytest.raises(IntegrityError, match="does not list"):
        manifest.verify(signed, frozenset({vault.signer.public}))
    with pytest.raises(IntegrityError, match="not signed"):
        manifest.parse(b"vault-manifest 1\n")
