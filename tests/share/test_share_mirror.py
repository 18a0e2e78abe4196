from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pyrage
import pytest
from history_kit import FIRST, History

from vault.archive.blobs import Bytes, hash_file
from vault.archive.refs import SHARED, shared_ref
from vault.archive.repository import PatientRepository
from vault.errors import ConfigError, IntegrityError
from vault.share import envelope, layout, mirror
from vault.share.folder import FolderShare
from vault.share.mirror import mark_shared, seal_at_hand, seal_commit, unsealed
from vault.share.outbox import Outbox

IDENTITY = pyrage.x25519.Identity.generate()
KEYS = (str(IDENTITY.to_public()),)
SECRET = b"k" * 32
PLAN = "dicom/RTPLAN/1.2/1.2.1"


@pytest.fixture
def history(tmp_path: Path) -> History:
    return History(tmp_path / "root")


@pytest.fixture
def outbox(tmp_path: Path) -> Outbox:
    return Outbox(tmp_path / "outbox")


def names(history: History, commit: str) -> set[str]:
    return {layout.blob_name(SECRET, oid) for oid in history.repository.tree(commit).values()}


def test_every_blob_of_the_history_reaches_the_share_and_is_the_exact_file(
    history: History, outbox: Outbox, tmp_path: Path
) -> None:
    big = os.urandom(3_000_000)
    first = history.night({f"{PLAN}.dcm": big, f"{PLAN}.txt": b"normal-form 1\n"})
    second = history.night({f"{PLAN}.dcm": b"other", "patient.json": b"{}"})
    assert seal_commit(history.repository, KEYS, SECRET, outbox) == second
    (tmp_path / "share").mkdir()
    share = FolderShare(tmp_path / "share")
    assert outbox.deliver(share).failed == []
    assert set(share.list("v1/blobs/")) == names(history, first) | names(history, second)
    for commit in (first, second):
        for oid in history.repository.tree(commit).values():
            with share.read(layout.blob_name(SECRET, oid)) as file:
                assert pyrage.decrypt(file.read(), [IDENTITY]) == history.repository.read(oid)


def test_only_what_is_new_is_sealed(history: History, outbox: Outbox, tmp_path: Path) -> None:
    history.night({f"{PLAN}.dcm": b"one"})
    commit = seal_commit(history.repository, KEYS, SECRET, outbox)
    assert len(outbox.pending()) == 3  # and two SHA256SUMS
    mark_shared(history.repository, commit)
    assert seal_commit(history.repository, KEYS, SECRET, outbox) is None
    history.night({f"{PLAN}.dcm": b"two"})
    assert list(unsealed(history.repository))
    assert seal_commit(history.repository, KEYS, SECRET, outbox) == history.repository.tip()
    assert len(outbox.pending()) == 6


def test_a_patient_without_commits_has_nothing_to_seal(history: History, outbox: Outbox) -> None:
    assert seal_commit(history.repository, KEYS, SECRET, outbox) is None


def test_a_crash_at_any_blob_loses_none(
    history: History, outbox: Outbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit = history.night({f"dicom/CT/1.2/1.2.{number}.dcm": b"%d" % number for number in range(5)})
    true_seal = Outbox.seal
    for survived in range(1, 7):
        left = survived

        def seal(self: Outbox, *arguments: object) -> bool:
            nonlocal left
            if left == 0:
                raise KeyboardInterrupt
            left -= 1
            return true_seal(self, *arguments)  # type: ignore[arg-type]

        monkeypatch.setattr(Outbox, "seal", seal)
        with pytest.raises(KeyboardInterrupt):
            seal_commit(history.repository, KEYS, SECRET, outbox)
        outbox.discard_fresh()
        assert history.repository.ref(SHARED) is None
    monkeypatch.undo()
    seal_commit(history.repository, KEYS, SECRET, outbox)
    assert set(outbox.pending()) == names(history, commit)


def test_a_rewritten_history_is_sealed_whole(
    history: History, outbox: Outbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = history.night({f"{PLAN}.dcm": b"one"})
    second = history.night({f"{PLAN}.dcm": b"two"})
    monkeypatch.setattr(
        type(history.repository), "ref", lambda self, name: "0" * 40 if name == SHARED else second
    )
    found = {layout.blob_name(SECRET, oid) for oid in mirror.unsealed(history.repository)}
    assert found == names(history, first) | names(history, second)


def test_what_is_at_hand_is_sealed_from_where_it_lies(
    history: History, outbox: Outbox, tmp_path: Path
) -> None:
    content = os.urandom(2_500_000)
    (tmp_path / "object").write_bytes(content)
    blobs = [hash_file(tmp_path / "object"), Bytes(b"small"), Bytes(b"")]
    seal_at_hand(blobs, envelope.parse_recipients(KEYS), SECRET, outbox)
    (tmp_path / "share").mkdir()
    share = FolderShare(tmp_path / "share")
    outbox.deliver(share)
    for blob, expected in zip(blobs, (content, b"small", b""), strict=True):
        with share.read(layout.blob_name(SECRET, blob.oid)) as file:
            assert pyrage.decrypt(file.read(), [IDENTITY]) == expected


def test_a_file_that_changed_since_it_was_committed_is_not_sealed(outbox: Outbox, tmp_path: Path) -> None:
    (tmp_path / "object").write_bytes(b"as committed")
    blob = hash_file(tmp_path / "object")
    (tmp_path / "object").write_bytes(b"as tampered!")
    with pytest.raises(IntegrityError):
        seal_at_hand([blob], envelope.parse_recipients(KEYS), SECRET, outbox)
    assert outbox.pending() == []


def test_a_recipient_at_fault_is_said_before_anything_is_sealed(history: History, outbox: Outbox) -> None:
    history.night({f"{PLAN}.dcm": b"one"})
    with pytest.raises(ConfigError, match="age1wrong"):
        seal_commit(history.repository, ("age1wrong",), SECRET, outbox)
    assert outbox.pending() == []


def test_everything_can_be_sealed_again_with_stock_git(history: History, outbox: Outbox) -> None:
    commit = history.night({f"{PLAN}.dcm": b"one"})
    seal_commit(history.repository, KEYS, SECRET, outbox)
    outbox.discard_fresh()
    git = ["git", f"--git-dir={history.repository.path}", "update-ref", "-d", SHARED]
    subprocess.run(git, check=True, env={**os.environ, "GIT_CONFIG_COUNT": "0"})
    seal_commit(PatientRepository(history.repository.path, "4711"), KEYS, SECRET, outbox)
    assert set(outbox.pending()) == names(history, commit)


def test_each_branch_goes_to_the_share_and_has_its_own_mark(history: History, outbox: Outbox) -> None:
    night = history.night({f"{PLAN}.dcm": b"one"})
    hour = history.repository.commit(
        parent=None,
        edits={"history/2026-11-25/rows.json": Bytes(b"[]"), f"{PLAN}.dcm": Bytes(b"one")},
        message="an hour\n",
        when=FIRST,
        signer=history.signer,
        branch="hourly",
    )
    assert seal_commit(history.repository, KEYS, SECRET, outbox) == night
    waiting = set(outbox.pending())
    assert seal_commit(history.repository, KEYS, SECRET, outbox, "hourly") == hour
    new = set(outbox.pending()) - waiting
    assert new == names(history, hour) - names(history, night)
    mark_shared(history.repository, hour, "hourly")
    assert seal_commit(history.repository, KEYS, SECRET, outbox, "hourly") is None
    assert history.repository.ref(shared_ref("hourly")) == hour
    assert history.repository.ref(SHARED) is None
