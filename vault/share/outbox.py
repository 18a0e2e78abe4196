"""Encrypted files that wait for the share: a folder that survives a power cut, and a delivery that may be cut off.

Each waiting file lies under its share name with `+` for `/`, complete and durable from the moment it has that name.
It goes when the share has given back the same bytes. Kill the process at any point: the next delivery sends what is
left, and finds what was sent.
"""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass, field
from pathlib import Path

from vault import files
from vault.errors import IntegrityError, VaultError
from vault.model import Failure
from vault.progress import Progress, Silent
from vault.share import envelope, layout
from vault.share.backend import NameTakenError, Share, ShareUnavailableError

_SLASH = "+"  # no share name has it
_BEGUN = ".begun-"  # followed by a hash of the place: something was delivered there
_MOVED = (
    "it gets what is new from now on, and does not have what went to the share before it. Copy that share's v1/ there, "
    "or have everything sealed again with `git --git-dir=REPOSITORY update-ref -d refs/vault/shared` for each "
    "repository in repos/"
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


class Outbox:
    """The files in `folder` that the share does not have yet."""

    def __init__(self, folder: Path) -> None:
        self.folder = files.private_folder(folder)

    def seal(self, name: str, source: envelope.Readable, size: int, recipients: envelope.Recipients) -> bool:
        """Encrypt `source` (`size` bytes) to the waiting file `name`; False if it waits already, without reading.

        Durable on return. Raises what `envelope.encrypt` raises, and leaves nothing behind then.
        """
        target = self._path(name)
        if target.exists():
            return False
        with files.new_file(target, replace=True) as file:
            envelope.encrypt(source, size, file, recipients)
        return True

    def pending(self) -> list[str]:
        """Return the share names that wait, sorted."""
        return sorted(
            entry.name.replace(_SLASH, "/")
            for entry in os.scandir(self.folder)
            if not entry.name.startswith(".")
        )

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
        begun = self.folder / (_BEGUN + hashlib.sha256(share.place.encode()).hexdigest()[:16])
        empty = share.begin(first=not begun.exists())
        if empty and any(self.folder.glob(f"{_BEGUN}*")):
            result.failed.append(Failure("share", f"the share {share.place} is new and empty: {_MOVED}"))
        for name in names:
            try:
                self._deliver_one(name, share, result)
            except ShareUnavailableError:
                raise
            except VaultError as error:
                result.failed.append(Failure(name, str(error)))
            else:
                if not begun.exists():
                    files.write_file(begun, b"")
            progress.advance()

    def _deliver_one(self, name: str, share: Share, result: Delivered) -> None:
        path = self._path(name)
        size = path.stat().st_size
        try:
            share.put(name, path)
        except NameTakenError:
            _check_same_content(name, path, share)
            result.already += 1
        else:
            result.sent += 1
            result.size += size
        path.unlink()  # not made durable: if it comes back after a power cut, the share has it already
        result.pending -= 1

    def _path(self, name: str) -> Path:
        return self.folder / layout.checked(name).replace("/", _SLASH)


def _check_same_content(name: str, path: Path, share: Share) -> None:
    """Raise IntegrityError unless the share's `name` can be an envelope of the same plaintext as `path`.

    Two encryptions of one file differ, header lengths included, so without the private key their payloads can be
    compared in length only. That finds what was cut off or overwritten by something else.
    """
    with path.open("rb") as mine:
        expected = _payload(mine)
    with share.read(name) as theirs:
        found = _payload(theirs)
    if expected != found:
        raise IntegrityError(
            f"the share holds another file under {name}, which is damaged or not ours: look who changed it, move it "
            "away, and the next delivery writes it anew"
        )


def _payload(file: envelope.Readable) -> int | None:
    """Return how many bytes follow the age header; None if there is no age header."""
    head = file.read(envelope.HEADER_LIMIT)
    try:
        length = len(head) - envelope.header_size(head)
    except IntegrityError:
        return None
    while piece := file.read(files.CHUNK):
        length += len(piece)
    return length
