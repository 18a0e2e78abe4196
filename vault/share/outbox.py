"""Encrypted files that wait for the share: a folder that survives a power cut, and a delivery that may be cut off.

Each waiting file lies under its share name with `+` for `/`. A file just sealed is *fresh*: whole, but not durable, in
a folder of its own that the next run empties, since git still says that these blobs have to be sealed. Most fresh
files reach the share within minutes, and never cost the disk a write. What does not is kept: made durable, all at
once. A file goes when the share has given back the same bytes. Kill the process at any point: the next delivery sends
what is left, and finds what was sent.
"""

from __future__ import annotations

import hashlib
import shutil
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from vault import files
from vault.errors import IntegrityError, VaultError
from vault.model import Failure
from vault.progress import Progress, Silent
from vault.share import envelope, layout
from vault.share.backend import NameTakenError, Share, ShareUnavailableError

AT_ONCE = 4
"""Files delivered at the same time: they wait for the disk, or for the network, together."""

_SLASH = "+"  # no share name has it
_FRESH = ".fresh"
_BEGUN = ".begun-"  # followed by a hash of the place: something was delivered there
_MOVED = (
    "it gets what is new from now on, and does not have what went to the share before it. Copy that share's v1/ there, "
    "or have everything sealed again with `git --git-dir=REPOSITORY update-ref -d refs/vault/shared` (and "
    "`refs/vault/shared-hourly`, `refs/vault/history`, `refs/vault/history-hourly`) for each repository in repos/, "
    "overview.git and ledger.git"
)


@dataclass(slots=True)
class Delivered:
    """What a delivery came to. What failed is still pending."""

    sent: int = 0
    already: int = 0
    """Found on the share: an earlier delivery was cut off before it could say so, or the blob was there before."""
    size: int = 0
    """Bytes sent."""
    pending: int = 0
    failed: list[Failure] = field(default_factory=list)

    def add(self, size: int) -> None:
        """Count one file: of `size` bytes, or found there, which is 0 (an envelope is never empty)."""
        self.pending -= 1
        self.size += size
        self.sent += size > 0
        self.already += size == 0


class Outbox:
    """The files in `folder` that the share does not have yet."""

    def __init__(self, folder: Path) -> None:
        self.folder = files.private_folder(folder)
        self._fresh = files.private_folder(folder / _FRESH)

    def discard_fresh(self) -> None:
        """Remove what a run sealed that did not get as far as `keep`: after a power cut it may be anything."""
        shutil.rmtree(self._fresh)
        files.private_folder(self._fresh)

    def has(self, name: str) -> bool:
        """Tell whether the file `name` waits, fresh or kept."""
        return self._kept_path(name).exists() or self._fresh_path(name).exists()

    def withdraw(self, prefix: str) -> None:
        """Drop what waits under names that begin with `prefix`: something newer says the same better."""
        for name in self.pending():
            if name.startswith(prefix):
                self._waiting_path(name).unlink(missing_ok=True)

    def seal(self, name: str, source: envelope.Readable, size: int, recipients: envelope.Recipients) -> bool:
        """Encrypt `source` (`size` bytes) to the fresh file `name`; False if it waits already, without reading.

        Durable only after `keep`. Raises what `envelope.encrypt` raises, and leaves nothing behind then.
        """
        if self.has(name):
            return False
        with files.temporary(self._fresh) as (path, file):
            envelope.encrypt(source, size, file, recipients)
            path.replace(self._fresh_path(name))
        return True

    def keep(self) -> None:
        """Make durable whatever is fresh: from now on it waits for the share, come what may. Raises OSError."""
        fresh = [path for path in self._fresh.iterdir() if not path.name.startswith(".")]
        if not fresh:
            return
        with ThreadPoolExecutor(max_workers=AT_ONCE) as pool:
            list(pool.map(files.sync_file, fresh))
        for path in fresh:
            path.replace(self.folder / path.name)
        files.sync_folder(self.folder)

    def pending(self) -> list[str]:
        """Return the share names that wait, sorted."""
        waiting = {path.name for folder in (self.folder, self._fresh) for path in folder.iterdir()}
        return sorted(name.replace(_SLASH, "/") for name in waiting if not name.startswith("."))

    def deliver(self, share: Share, progress: Progress | None = None) -> Delivered:
        """Bring what waits to the share. Never raises for the share's sake: failures are in the result.

        A share that is away, full or read-only ends the delivery with one Failure, and the rest waits for the next.
        Any other failure concerns its file alone.
        """
        names = self.pending()
        result = Delivered(pending=len(names))
        if not names:
            return result
        progress = progress or Silent()
        progress.start("delivering to the share", len(names))
        try:
            self._deliver_all(names, share, result, progress)
        except ShareUnavailableError as error:
            result.failed.append(
                Failure("share", f"{error}; {result.pending} files wait for the next delivery")
            )
        finally:
            progress.stop()
        return result

    def _deliver_all(self, names: list[str], share: Share, result: Delivered, progress: Progress) -> None:
        begun = self._begun(share.place)
        empty = share.begin(first=not begun.exists())
        if empty and any(self.folder.glob(f"{_BEGUN}*")):
            result.failed.append(Failure("share", f"the share {share.place} is new and empty: {_MOVED}"))
        last = [name for name in names if name.startswith(layout.MANIFESTS)]
        self._deliver_some([name for name in names if name not in last], share, result, progress, begun)
        if result.pending == len(last):  # a manifest speaks of nothing that is not there
            self._deliver_some(last, share, result, progress, begun)

    def has_begun(self, place: str) -> bool:
        """Whether something was delivered to the share at `place`."""
        return self._begun(place).exists()

    def mark_begun(self, place: str) -> None:
        """Note that the share at `place` has what came before: it is no new one."""
        files.write_file(self._begun(place), b"", replace=True)

    def _begun(self, place: str) -> Path:
        return self.folder / (_BEGUN + hashlib.sha256(place.encode()).hexdigest()[:16])

    def _deliver_some(
        self, names: list[str], share: Share, result: Delivered, progress: Progress, begun: Path
    ) -> None:
        away: ShareUnavailableError | None = None
        for name, outcome in self._outcomes(names, share):
            if isinstance(outcome, ShareUnavailableError):
                away = away or outcome
            elif isinstance(outcome, VaultError):
                result.failed.append(Failure(name, str(outcome)))
            elif outcome is not None:
                result.add(outcome)
                if not begun.exists():
                    files.write_file(begun, b"")
            progress.advance()
        if away:
            raise away

    def _outcomes(self, names: list[str], share: Share) -> Iterator[tuple[str, int | VaultError | None]]:
        """Deliver several at a time; yields what came of each, None for those not tried once the share was away."""
        over = threading.Event()

        def deliver(name: str) -> int | VaultError | None:
            try:
                return None if over.is_set() else self._deliver_one(name, share)
            except VaultError as error:
                if isinstance(error, ShareUnavailableError):
                    over.set()
                return error

        with ThreadPoolExecutor(max_workers=AT_ONCE, thread_name_prefix="deliver") as pool:
            try:
                yield from zip(names, pool.map(deliver, names), strict=True)
            finally:
                over.set()

    def _deliver_one(self, name: str, share: Share) -> int:
        """Deliver one file; returns its size in bytes, 0 when the share had it. Raises VaultError."""
        try:
            path = self._waiting_path(name)
        except ValueError:
            raise VaultError(
                "the outbox holds a file that the vault did not put there: move it away"
            ) from None
        try:
            size = path.stat().st_size
            try:
                share.put(name, path)
            except NameTakenError:
                _check_same_content(name, path, share)
                size = 0
            path.unlink()  # not made durable: if it comes back after a power cut, the share has it already
        except OSError as error:
            raise VaultError(
                f"a file of the outbox can't be read or removed ({error.strerror}): check this computer's disk"
            ) from error
        return size

    def _waiting_path(self, name: str) -> Path:
        kept = self._kept_path(name)
        return kept if kept.exists() else self._fresh_path(name)

    def _kept_path(self, name: str) -> Path:
        return self.folder / _file_name(name)

    def _fresh_path(self, name: str) -> Path:
        return self._fresh / _file_name(name)


def _file_name(name: str) -> str:
    return layout.checked(name).replace("/", _SLASH)


def _check_same_content(name: str, path: Path, share: Share) -> None:
    """Raise IntegrityError unless the share's `name` can be an envelope of the same plaintext as `path`.

    Two encryptions of one file differ, header lengths included, so without the private key their payloads can be
    compared in length only. That finds what was cut off or overwritten by something else.
    """
    with path.open("rb") as mine:
        expected = _payload(mine, path.stat().st_size)
    with share.read(name) as theirs:
        found = _payload(theirs, share.size(name))
    if expected is None or expected != found:
        raise IntegrityError(
            f"the share holds another file under {name}, which is damaged or not ours: look who changed it, move it "
            "away, and the next delivery writes it anew"
        )


def _payload(file: envelope.Readable, size: int) -> int | None:
    """Return how many of the file's `size` bytes follow the age header; None if there is no age header."""
    head = b""
    while len(head) < envelope.HEADER_LIMIT and (piece := file.read(envelope.HEADER_LIMIT - len(head))):
        head += piece
    try:
        return size - envelope.header_size(head)
    except IntegrityError:
        return None
