"""What goes is gone and what stays is the same, whatever the history was and wherever the power fails."""

from __future__ import annotations

import errno
import os
import random
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from archive_kit import NIGHT, Keys, Run
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from rewrite_kit import HOUR, SHARED_RECORD, commit, day_of, found_in, marker, prune, treat

from vault.archive import swap
from vault.archive.repository import PatientRepository, all_repositories
from vault.archive.rewrite import objects_of, retiring
from vault.archive.signing import Signer, allowed_keys
from vault.errors import IntegrityError

CUT = NIGHT + timedelta(days=2)
"""Of four days, the first two go."""


def days(*numbers: int) -> set[Any]:
    return {day_of(number) for number in numbers}


def kept_trees(repository: PatientRepository) -> dict[str, dict[str, str]]:
    """Day to path to blob id at the tip of `hourly`, SHA256SUMS of the root left out."""
    tree = repository.tree(repository.tip("hourly"))
    found: dict[str, dict[str, str]] = {}
    for path, oid in tree.items():
        if path != "SHA256SUMS":
            found.setdefault(path.split("/")[1], {})[path] = oid
    return found


def sound(repository: PatientRepository, git: Run, tmp_path: Path) -> None:
    """Stock tools are content: every object, every signature, every checksum."""
    said = git("git", "fsck", "--strict", "--full", "--no-dangling", cwd=repository.path)
    assert "error" not in said
    for branch in ("main", "hourly"):
        if not repository.tip(branch):
            continue
        for one in repository.log(branch):
            git("git", "verify-commit", one.oid, cwd=repository.path)
        out = tmp_path / f"checkout-{branch}"
        shutil.rmtree(out, ignore_errors=True)
        out.mkdir()
        git("git", "--work-tree", out, "checkout", "-f", branch, "--", ".", cwd=repository.path)
        (repository.path / "index").unlink()
        git("sha256sum", "--quiet", "-c", "SHA256SUMS", cwd=out)
        for sums in out.rglob("*/SHA256SUMS"):
            git("sha256sum", "--quiet", "-c", "SHA256SUMS", cwd=sums.parent)


def test_what_goes_is_gone_and_what_stays_is_the_same(repository, keys, git, tmp_path):
    treat(repository, keys, 4)
    main, before = repository.tip(), kept_trees(repository)
    log = [one for one in repository.log("hourly") if one.when > CUT]
    result = prune(repository, keys, CUT, days(0, 1))
    assert result
    assert repository.tip() == main
    assert kept_trees(repository) == {day: before[day] for day in map(str, (day_of(2), day_of(3)))}
    after = list(repository.log("hourly"))
    assert [(one.when, one.message) for one in after] == [(one.when, one.message) for one in log]
    assert after[-1].parent is None
    assert result.refs_before["refs/heads/main"] == result.refs_after["refs/heads/main"] == main
    assert result.refs_after == repository.refs()
    assert found_in(repository.path, marker(day_of(0))) == []
    assert found_in(repository.path, marker(day_of(1))) == []
    assert found_in(repository.path, marker(day_of(3))), "the search finds what is there"
    assert found_in(repository.path, SHARED_RECORD)
    assert [path.name for path in repository.path.parent.iterdir()] == ["4711.git"]
    open_to_others = {path.name for path in repository.path.rglob("*") if path.stat().st_mode & 0o077}
    assert open_to_others <= {"vault.lock"}  # empty; the command itself has a umask
    sound(repository, git, tmp_path)
    again = PatientRepository.open(tmp_path / "root", "4711")
    assert again
    commit(again, keys, "hourly", NIGHT + timedelta(days=5), {f"history/{day_of(5)}/rows.json": b"next"})
    sound(again, git, tmp_path)


def test_what_was_shared_and_verified_follows(repository, keys):
    treat(repository, keys, 4)
    log = list(repository.log("hourly"))
    repository.set_ref("refs/vault/verified", repository.tip())
    repository.set_ref("refs/vault/shared", repository.tip())
    repository.set_ref("refs/vault/shared-hourly", log[0].oid)
    repository.set_ref("refs/vault/history", repository.tip())
    repository.set_ref("refs/vault/history-hourly", log[0].oid)
    result = prune(repository, keys, CUT, days(0, 1))
    assert result
    tip = repository.tip("hourly")
    assert repository.refs() == {
        "refs/heads/main": repository.tip(),
        "refs/heads/hourly": tip,
        "refs/vault/verified": repository.tip(),
        "refs/vault/shared": repository.tip(),
        "refs/vault/history": repository.tip(),
    }
    assert result.added, "the root's SHA256SUMS is another, and the share does not have it"
    assert result.to_share == {"refs/vault/shared-hourly": tip}
    assert objects_of(repository).isdisjoint(result.gone)


def test_nothing_to_do_does_nothing(repository, keys):
    treat(repository, keys, 2)
    before = repository.refs(), sorted(path.name for path in repository.path.rglob("*"))
    assert prune(repository, keys, NIGHT, set()) is None
    assert (repository.refs(), sorted(path.name for path in repository.path.rglob("*"))) == before


def test_a_clock_that_was_set_back_hides_no_hour_before_it(repository, keys):
    treat(repository, keys, 4)
    commit(
        repository, keys, "hourly", NIGHT - timedelta(days=30), {f"history/{day_of(3)}/more.json": b"late"}
    )
    before = kept_trees(repository)
    young = sum(1 for one in repository.log("hourly") if one.when > CUT)
    assert prune(repository, keys, CUT, days(0, 1))
    assert kept_trees(repository) == {day: before[day] for day in map(str, (day_of(2), day_of(3)))}
    assert repository.depth("hourly") >= young + 1


def test_a_branch_of_which_nothing_stays_goes(repository, keys, git, tmp_path):
    treat(repository, keys, 2)
    result = prune(repository, keys, NIGHT + timedelta(days=9), days(0, 1))
    assert result
    assert "refs/heads/hourly" not in repository.refs()
    assert found_in(repository.path, b"marker of ") == []
    sound(repository, git, tmp_path)


def test_packs_of_other_branches_are_linked_not_copied(repository, keys):
    treat(repository, keys, 4)
    commit(repository, keys, "main", NIGHT + timedelta(days=9), {"dicom/CT/1/1.dcm": os.urandom(100_000)})
    large = max(repository.path.glob("objects/pack/*.pack"), key=lambda path: path.stat().st_size)
    inode = large.stat().st_ino
    prune(repository, keys, CUT, days(0, 1))
    assert large.stat().st_ino == inode


def test_a_repository_that_stock_git_repacked_or_unpacked(repository, keys, git, tmp_path):
    treat(repository, keys, 4)
    before = kept_trees(repository)
    git("git", "-c", "gc.auto=0", "repack", "-adf", "--depth=50", cwd=repository.path)
    loose = repository.tree(repository.tip("hourly"))[f"history/{day_of(3)}/rows.json"]
    pack = next(repository.path.glob("objects/pack/*.pack"))
    shutil.move(pack, tmp_path / "one.pack")
    pack.with_suffix(".idx").unlink()
    with (tmp_path / "one.pack").open("rb") as stream:
        subprocess.run(["git", "unpack-objects", "-q"], cwd=repository.path, stdin=stream, check=True)
    git("git", "repack", "-d", cwd=repository.path)
    repository.forget()
    assert prune(repository, keys, CUT, days(0, 1))
    assert kept_trees(repository) == {day: before[day] for day in map(str, (day_of(2), day_of(3)))}
    assert loose in objects_of(repository)
    assert found_in(repository.path, marker(day_of(0))) == []
    sound(repository, git, tmp_path)


def test_no_forgery_is_signed_by_us(repository, keys):
    treat(repository, keys, 4)
    forger = Keys(keys.private, keys.allowed, Signer(Ed25519PrivateKey.generate()))
    when = NIGHT + timedelta(days=4)
    commit(repository, forger, "hourly", when, {f"history/{day_of(4)}/rows.json": b"forged"})
    before = repository.refs()
    with pytest.raises(IntegrityError, match="by a key"):
        prune(repository, keys, CUT, days(0, 1))
    assert repository.refs() == before
    assert [path.name for path in repository.path.parent.iterdir()] == ["4711.git"]


def test_a_damaged_history_is_left_as_it_is(repository, keys):
    treat(repository, keys, 4)
    wanted = bytes.fromhex(repository.tree(repository.tip("hourly"))[f"history/{day_of(3)}/rows.json"])
    from vault.archive.slices import slices

    for pack in repository.path.glob("objects/pack/*.pack"):
        for piece in slices(pack, {wanted}):
            pack.chmod(0o600)
            with pack.open("r+b") as file:
                file.seek(piece.offset + piece.size // 2)
                byte = file.read(1)
                file.seek(-1, os.SEEK_CUR)
                file.write(bytes([byte[0] ^ 1]))
    repository.forget()
    before = repository.refs()
    with pytest.raises(IntegrityError):
        prune(repository, keys, CUT, days(0, 1))
    assert repository.refs() == before


@pytest.mark.parametrize("seed", range(6))
def test_any_history(repository, keys, git, tmp_path, seed):
    """Days in any order and number, files shared between them, cuts anywhere."""
    chance = random.Random(seed)
    when = NIGHT
    for number in range(chance.randint(2, 12)):
        when += HOUR * chance.randint(1, 30)
        branch = chance.choice(["main", "hourly", "hourly"])
        day = day_of(chance.randint(0, 4))
        files = {
            f"history/{day}/{chance.randint(0, 3)}.txt": marker(day) + chance.choice([b"", b"%d" % number])
            for _ in range(chance.randint(1, 3))
        }
        if branch == "main":
            files = {f"documents/{number}/a.txt": b"night" + chance.choice([b"", b"%d" % number])}
        commit(repository, keys, branch, when, files)
    going = {day for day in map(day_of, range(5)) if chance.random() < 0.5}
    before = kept_trees(repository) if repository.tip("hourly") else {}
    main = repository.tip()
    prune(repository, keys, NIGHT + HOUR * chance.randint(0, 200), going)
    assert repository.tip() == main
    after = kept_trees(repository) if repository.tip("hourly") else {}
    assert after == {day: tree for day, tree in before.items() if day not in map(str, going)}
    for day in going:
        assert found_in(repository.path, marker(day)) == []
    sound(repository, git, tmp_path)


# --- wherever it ends

STEPS = ("fsync", "replace", "rename", "link", "unlink", "mkdir", "rmdir", "open")


class PowerCutError(BaseException):
    """Not an Exception: no handler may tidy up, as none would run."""


@contextmanager
def failing(
    monkeypatch: pytest.MonkeyPatch, number: int, failure: BaseException, exchange: bool
) -> Iterator[list[str]]:
    """Let the `number`th step, and every later one, fail; with `exchange`, two folders change places in one step."""
    calls: list[str] = []

    def step(name: str) -> None:
        calls.append(name)
        if len(calls) >= number:
            raise failure

    def wrap(name: str) -> Callable[..., Any]:
        real = getattr(os, name)

        def call(*args: Any, **options: Any) -> Any:
            if name != "open" or args[1] & os.O_CREAT:
                step(name)
            return real(*args, **options)

        return call

    def exchanging(one: Path, two: Path) -> bool:
        step("exchange")
        return exchange and real_exchange(one, two)

    real_exchange = swap.exchange
    with monkeypatch.context() as patch:
        for name in STEPS:
            patch.setattr(os, name, wrap(name))
        patch.setattr(swap, "exchange", exchanging)
        yield calls


@pytest.mark.parametrize("exchange", [True, False], ids=["exchanged", "renamed twice"])
@pytest.mark.parametrize("what", ["rewrite", "retire"])
def test_killed_at_any_step_it_is_the_old_or_the_new(tmp_path, keys, git, monkeypatch, exchange, what):
    template = PatientRepository.create(tmp_path / "template", "4711")
    treat(template, keys, 2, hours=1)
    old = template.refs()

    def run(number: int) -> tuple[list[str], Path]:
        root = tmp_path / str(number)
        shutil.copytree(tmp_path / "template", root)
        repository = PatientRepository.open(root, "4711")
        assert repository
        with failing(monkeypatch, number, PowerCutError(), exchange) as calls, suppress(PowerCutError):
            if what == "rewrite":
                prune(repository, keys, NIGHT + timedelta(days=1), days(0))
            else:
                with retiring(repository):
                    pass
        return calls, root / "repos"

    steps = len(run(1_000_000)[0])
    last = steps - 2 * len(list((tmp_path / "template").rglob("*")))
    outcomes = set()
    for number in [*(range(1, last, 4) if exchange else ()), *range(max(1, last), steps + 1, 2 - exchange)]:
        repos = run(number)[1]
        if exchange and what == "rewrite":  # before anybody mended anything
            assert (repos / "4711.git" / "HEAD").exists()
        swap.settle(repos)
        found = list(all_repositories(repos.parent))
        assert [path.name for path in repos.iterdir()] == [one.path.name for one in found]
        if what == "retire" and not found:
            outcomes.add("new")
        else:
            state = found[0].refs()
            outcomes.add("old" if state == old else "new")
            git("git", "fsck", "--strict", "--full", cwd=found[0].path)
            held = found_in(found[0].path, marker(day_of(0)))
            assert bool(held) == (state == old)
            assert state["refs/heads/main"] == old["refs/heads/main"]
        shutil.rmtree(repos.parent)
    assert outcomes == {"old", "new"}
    assert steps > 20


def test_a_full_disk_leaves_the_old(repository, keys, monkeypatch):
    treat(repository, keys, 3)
    old = repository.refs()
    real = os.fsync
    calls = []

    def full(descriptor: int) -> None:
        calls.append(descriptor)
        if len(calls) == 2:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        real(descriptor)

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(Exception, match="No space left"):
        prune(repository, keys, NIGHT + timedelta(days=1), days(0))
    monkeypatch.undo()
    assert repository.refs() == old
    assert [path.name for path in repository.path.parent.iterdir()] == ["4711.git"]
    assert allowed_keys(keys.allowed)
