from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from archive_kit import NIGHT, Keys, Run

from vault.archive.consolidate import MANY
from vault.archive.ledger import Ledger
from vault.errors import IntegrityError, VaultError


def test_events_are_signed_commits_that_stock_git_reads(
    tmp_path: Path, keys: Keys, git: Run, sound: Callable[[Path], None]
) -> None:
    ledger = Ledger(tmp_path, keys.signer, allowed_signers=keys.allowed)
    assert ledger.head() is None
    assert list(ledger.events("runs")) == []
    assert ledger.get("runs", "20261124T010000Z-0001") is None
    first = ledger.append("runs", "20261124T010000Z-0001", {"b": 1, "a": ["x"]}, when=NIGHT, author="Klinik")
    second = ledger.append("runs", "20261125T010000Z-0002", {"b": 2})
    assert ledger.head() == second != first
    reader = Ledger(tmp_path)
    assert list(reader.events("runs")) == [{"b": 2}, {"b": 1, "a": ["x"]}]
    assert list(reader.events("verdicts")) == []
    assert reader.get("runs", "20261124T010000Z-0001") == {"a": ["x"], "b": 1}
    shown = git("git", "show", "main:runs/20261124T010000Z-0001.json", cwd=ledger.path)
    assert shown == '{"a":["x"],"b":1}\n'
    assert 'Good "git" signature' in git("git", "verify-commit", "-v", second, cwd=ledger.path)
    sound(ledger.path)


def test_an_event_is_recorded_once_and_never_replaced(tmp_path: Path, keys: Keys) -> None:
    ledger = Ledger(tmp_path, keys.signer)
    head = ledger.append("runs", "1", {"a": 1})
    assert ledger.append("runs", "1", {"a": 1}) == head
    with pytest.raises(IntegrityError, match="never replaced"):
        ledger.append("runs", "1", {"a": 2})
    assert ledger.head() == head
    ledger.append("runs", "2", {})
    assert ledger.append("runs", "1", {"a": 1}) == ledger.head()


def test_what_a_run_recorded_later_is_newer(tmp_path: Path, keys: Keys) -> None:
    ledger = Ledger(tmp_path, keys.signer)
    for name in ("1-a", "1-a.2", "2-a"):
        ledger.append("hourly", name, {"name": name})
    assert [event["name"] for event in ledger.events("hourly")] == ["2-a", "1-a.2", "1-a"]


def test_what_cannot_be_an_event_is_refused(tmp_path: Path, keys: Keys) -> None:
    ledger = Ledger(tmp_path, keys.signer)
    for kind, name in (("other", "1"), ("runs", "../1"), ("runs", ""), ("runs", "a/b"), ("runs", ".hidden")):
        with pytest.raises(ValueError, match="kind"):
            ledger.append(kind, name, {})
    with pytest.raises(VaultError, match="signing key"):
        Ledger(tmp_path).append("runs", "1", {})
    assert not (tmp_path / "ledger.git").exists()


def test_two_ledgers_of_one_vault_take_turns(tmp_path: Path, keys: Keys) -> None:
    one, two = Ledger(tmp_path, keys.signer), Ledger(tmp_path, keys.signer)
    one.append("runs", "1", {})
    two.append("runs", "2", {})
    one.append("verdicts", "3", {})
    assert Ledger(tmp_path).head() == one.head() == two.head()
    commits = subprocess.run(
        ["git", "rev-list", "main"], cwd=one.path, check=True, capture_output=True, text=True
    )
    assert len(commits.stdout.split()) == 3


def test_a_damaged_event_is_said_to_be_damaged(tmp_path: Path, keys: Keys, git: Run) -> None:
    ledger = Ledger(tmp_path, keys.signer)
    ledger.append("runs", "1", {})
    git("git", "clone", "--quiet", ledger.path, "clone", cwd=tmp_path)
    (tmp_path / "clone/runs/1.json").write_text("no json")
    git("git", "-c", "user.name=x", "-c", "user.email=x@x", "commit", "-qam", "x", cwd=tmp_path / "clone")
    git("git", "push", "--quiet", cwd=tmp_path / "clone")
    with pytest.raises(IntegrityError, match="not JSON"):
        list(Ledger(tmp_path).events("runs"))


def test_years_of_events_do_not_become_thousands_of_packs(
    tmp_path: Path, keys: Keys, git: Run, sound: Callable[[Path], None]
) -> None:
    ledger = Ledger(tmp_path, keys.signer)
    for number in range(MANY + 9):
        ledger.append("runs", f"{number:04}", {"number": number})
    packs = list((ledger.path / "objects/pack").glob("*.pack"))
    assert len(packs) == 10
    for pack in packs:
        git("git", "verify-pack", pack.with_suffix(".idx"), cwd=ledger.path)
    assert [event["number"] for event in Ledger(tmp_path).events("runs")] == list(range(MANY + 8, -1, -1))
    sound(ledger.path)


def test_packs_are_joined_only_when_all_of_them_are_whole(tmp_path: Path, keys: Keys) -> None:
    ledger = Ledger(tmp_path, keys.signer)
    for number in range(MANY):
        ledger.append("runs", f"{number:04}", {"number": number})
    damaged = min((ledger.path / "objects/pack").glob("*.pack"))
    damaged.chmod(0o600)
    data = bytearray(damaged.read_bytes())
    data[len(data) // 2] ^= 1
    damaged.write_bytes(data)
    head = ledger.head()
    with pytest.raises(IntegrityError, match="damaged"):
        ledger.append("runs", "last", {})
    assert ledger.head() == head
    assert len(list((ledger.path / "objects/pack").glob("*.pack"))) == MANY


def test_packs_that_stock_git_made_stay(
    tmp_path: Path, keys: Keys, git: Run, sound: Callable[[Path], None]
) -> None:
    ledger = Ledger(tmp_path, keys.signer)
    for number in range(20):
        ledger.append("runs", f"{number:04}", {"number": number, "text": ["the same"] * 500})
    git("git", "repack", "-a", "-d", "-q", cwd=ledger.path)
    (foreign,) = (ledger.path / "objects/pack").glob("*.pack")
    for number in range(20, 21 + MANY):
        ledger.append("runs", f"{number:04}", {"number": number})
    assert foreign.exists()
    assert len(list((ledger.path / "objects/pack").glob("*.pack"))) == 3
    assert len(list(Ledger(tmp_path).events("runs"))) == 21 + MANY
    sound(ledger.path)
