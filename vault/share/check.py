"""Is this share fit? Each property that the vault relies on is tried on the share itself, and its speed is measured.

What is written lies under `v1/check/`, under names that nobody can foresee, and is removed afterwards where that is
allowed. Nothing else on the share is touched.
"""

from __future__ import annotations

import hashlib
import secrets
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from vault.errors import ShareError
from vault.files import CHUNK
from vault.share import layout
from vault.share.backend import NameTakenError, Share

FOLDER = f"{layout.ROOT}/{layout.CHECK}/"
LARGE = 32 << 20
"""Bytes of the file whose writing and reading is timed."""
SMALL = 4 << 10
"""Bytes of each of the small files."""
FILES = 40
AT_ONCE = 4

Clock = Callable[[], float]


@dataclass(frozen=True, slots=True)
class Check:
    """One property: what was tried, what came of it, and what to do where it does not hold."""

    name: str
    ok: bool
    text: str
    fix: str = ""


@dataclass(slots=True)
class _Trial:
    """The files of one check."""

    share: Share
    scratch: Path
    written: list[str] = field(default_factory=list)

    def put(self, content: bytes) -> str:
        """Put a file of this content under a new name, which is returned."""
        name = f"{FOLDER}{secrets.token_hex(16)}.age"
        self.put_as(name, content)
        return name

    def put_as(self, name: str, content: bytes) -> None:
        """Put a file of this content."""
        source = self.scratch / secrets.token_hex(8)
        source.write_bytes(content)
        self.written.append(name)
        try:
            self.share.put(name, source)
        finally:
            source.unlink()

    def get(self, name: str) -> bytes:
        """Read a file's SHA-256."""
        digest = hashlib.sha256()
        with self.share.read(name) as file:
            while piece := file.read(CHUNK):
                digest.update(piece)
        return digest.digest()


def check(share: Share, scratch: Path, *, first: bool, clock: Clock = time.perf_counter) -> Iterator[Check]:
    """Try the properties one by one; `scratch` is a folder of our own. `first` as for `Share.begin`.

    Ends with the first failure of those without which nothing else can be tried. Failures are values.
    """
    trial = _Trial(share, scratch)
    try:
        for step in (
            _reached,
            _gives_back,
            _never_replaces,
            _one_of_many_wins,
            _lists,
            _small_files,
            _large_file,
        ):
            found = _tried(step, trial, first, clock)
            yield found
            if not found.ok and step in (_reached, _gives_back):
                break
    finally:
        last = _removed(trial)
    if trial.written:
        yield last


Step = Callable[[_Trial, bool, Clock], Check]


def _tried(step: Step, trial: _Trial, first: bool, clock: Clock) -> Check:
    try:
        return step(trial, first, clock)
    except ShareError as error:
        name = (step.__doc__ or "").rstrip(".").lower()
        what, _, fix = str(error).rpartition(": ")
        return Check(name, ok=False, text=what or fix, fix=fix if what else "")


def _reached(trial: _Trial, first: bool, _clock: Clock) -> Check:
    """Reached."""
    empty = trial.share.begin(first=first)
    return Check("reached", ok=True, text=f"{trial.share.place}{', which is empty' if empty else ''}")


def _gives_back(trial: _Trial, _first: bool, _clock: Clock) -> Check:
    """Written, and read back."""
    for size in (0, 1, SMALL, CHUNK + 1):
        content = secrets.token_bytes(size)
        name = trial.put(content)
        if trial.get(name) != hashlib.sha256(content).digest() or trial.share.size(name) != size:
            return Check(
                "written, and read back",
                ok=False,
                text=f"a file of {size} bytes came back as another",
                fix="something between here and the disk changes or loses data: do not use this share",
            )
    return Check("written, and read back", ok=True, text="what is written comes back, byte for byte")


def _never_replaces(trial: _Trial, _first: bool, _clock: Clock) -> Check:
    """A name that is taken stays as it is."""
    name = "a name that is taken stays as it is"
    content = secrets.token_bytes(SMALL)
    taken = trial.put(content)
    try:
        trial.put_as(taken, secrets.token_bytes(SMALL))
    except NameTakenError:
        if trial.get(taken) == hashlib.sha256(content).digest():
            return Check(name, ok=True, text="a second file of one name is refused")
    return Check(
        name,
        ok=False,
        text="a second file of one name was accepted",
        fix="the server lets files be overwritten: use another server, or an object store with object lock",
    )


def _one_of_many_wins(trial: _Trial, _first: bool, _clock: Clock) -> Check:
    """Of several who write one name at once, one wins."""
    name = "of several who write one name at once, one wins"
    contested = f"{FOLDER}{secrets.token_hex(16)}.age"
    contents = [secrets.token_bytes(SMALL) for _ in range(AT_ONCE)]

    def contend(content: bytes) -> bool:
        try:
            trial.put_as(contested, content)
        except NameTakenError:
            return False
        return True

    with ThreadPoolExecutor(AT_ONCE) as pool:
        won = list(pool.map(contend, contents))
    winners = [content for content, has in zip(contents, won, strict=True) if has]
    if len(winners) == 1 and trial.get(contested) == hashlib.sha256(winners[0]).digest():
        return Check(name, ok=True, text="naming a file is one step")
    return Check(
        name,
        ok=False,
        text=f"{len(winners)} of {AT_ONCE} were told that their file has the name",
        fix="let no second program write there, or use a file system that has hard links (not FAT or exFAT)",
    )


def _lists(trial: _Trial, _first: bool, _clock: Clock) -> Check:
    """Listed by name."""
    found = set(trial.share.list(FOLDER))
    missing = len(set(trial.written) - found)
    if missing:
        text = f"{missing} of {len(set(trial.written))} files are not in the list"
        return Check("listed by name", ok=False, text=text, fix="give the account the right to list folders")
    return Check("listed by name", ok=True, text="every file is in the list")


def _small_files(trial: _Trial, _first: bool, clock: Clock) -> Check:
    """Small files."""
    contents = [secrets.token_bytes(SMALL) for _ in range(FILES)]
    start = clock()
    trial.put(contents[0])
    alone = clock() - start
    start = clock()
    with ThreadPoolExecutor(AT_ONCE) as pool:
        names = list(pool.map(trial.put, contents))
    put = clock() - start
    start = clock()
    with ThreadPoolExecutor(AT_ONCE) as pool:
        list(pool.map(trial.get, names))
    got = clock() - start
    return Check(
        "small files",
        ok=True,
        text=f"{1000 * alone:.0f} ms to write one; {FILES / max(put, 1e-9):.0f} a second written, "
        f"{FILES / max(got, 1e-9):.0f} read, {AT_ONCE} at a time",
    )


def _large_file(trial: _Trial, _first: bool, clock: Clock) -> Check:
    """A large file."""
    content = secrets.token_bytes(LARGE)
    start = clock()
    name = trial.put(content)
    put = clock() - start
    start = clock()
    same = trial.get(name) == hashlib.sha256(content).digest()
    got = clock() - start
    rate = LARGE / 1e6
    text = f"{rate / max(put, 1e-9):.0f} MB/s written and read back, {rate / max(got, 1e-9):.0f} MB/s read"
    fix = "" if same else "it came back as another: do not use this share"
    return Check("a large file", ok=same, text=text, fix=fix)


def _removed(trial: _Trial) -> Check:
    """Remove what was written. That it can't be is no failure: it is what an intruder can't do either."""
    left = 0
    for name in dict.fromkeys(trial.written):
        try:
            trial.share.remove(name)
        except ShareError:
            left += 1
    if left:
        text = f"this account may not remove files, nor may an intruder; {left} files are left in {FOLDER}"
        return Check("removed", ok=True, text=text)
    return Check(
        "removed",
        ok=True,
        text="this account may remove files, and so may an intruder who has its password",
        fix="take the right away, or use an object store with object lock, unless `vault prune` shall remove there",
    )
