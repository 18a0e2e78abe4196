"""The keys of a vault looked after: who can open the share, one more who can, and everything encrypted anew.

Encrypting anew never has less on disk than before: a batch of files is decrypted and encrypted into the outbox, made
durable there, removed from the share, and delivered. Cut off anywhere, the outbox still has it, and the next delivery
brings it; what was done is remembered, so that the same command goes on from there.
"""

from __future__ import annotations

import hashlib
import re
import stat
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice

from vault import config as configuration
from vault.archive.signing import Signer, fingerprint
from vault.config import Config
from vault.delivery import open_outbox
from vault.errors import ConfigError, ShareError, VaultError
from vault.files import private_folder, write_file
from vault.keys import check_recipient
from vault.lock import run_lock
from vault.model import Failure
from vault.progress import Progress, Silent
from vault.recipients import pin, pinned, read_pin
from vault.share import envelope, layout
from vault.share.backend import Share, ShareUnavailableError, share_of
from vault.share.envelope import Identities
from vault.share.outbox import Outbox

BATCH = 64
"""Files that are encrypted anew before the share's are removed: what waits in the outbox at most."""

_RECIPIENTS = re.compile(r"(?ms)^recipients = \[.*?\]")


@dataclass(frozen=True, slots=True)
class Keys:
    """What there is."""

    recipients: tuple[str, ...]
    pinned: tuple[str, ...] | None
    signing_key: str
    """Its public half."""
    fingerprint: str
    """The same as `ssh-keygen -l` prints it: for the paper in the safe, and for `vault restore`."""
    identity_here: bool
    """The key that opens everything lies on this computer."""


@dataclass(slots=True)
class Rekeyed:
    """What encrypting anew came to."""

    total: int = 0
    done: int = 0
    before: int = 0
    """Done by an earlier run that was cut off."""
    failed: list[Failure] = field(default_factory=list)


def look(config: Config) -> Keys:
    """Return the keys. Raises ConfigError for a signing key that can't be used, IntegrityError for a changed pin."""
    signer = Signer.load(config.vault.signing_key)
    here = (config.vault.signing_key.parent / "identity.txt").exists()
    return Keys(
        config.vault.recipients, read_pin(config), signer.public_line, fingerprint(signer.public), here
    )


def add_recipient(config: Config, recipient: str) -> None:
    """Add a public key to vault.toml and to the pin. Raises ConfigError, also where the pin does not fit already."""
    if not check_recipient(recipient):
        raise ConfigError(f"{recipient!r} is not a public key of age: it should look like age1…")
    if recipient in pinned(config):
        raise ConfigError(f"{recipient} is a recipient already.")
    recipients = (*config.vault.recipients, recipient)
    text = config.path.read_text("utf-8")
    listed = ", ".join(f'"{key}"' for key in recipients)
    changed = _RECIPIENTS.sub(f"recipients = [{listed}]", text, count=1)
    if configuration.loads(changed, config.path).vault.recipients != recipients:
        raise ConfigError(
            f"[vault] recipients of {config.path} is written in a way that can't be changed here: add the key by hand, "
            "then run `vault keys pin`"
        )
    mode = stat.S_IMODE(config.path.stat().st_mode)
    write_file(config.path, changed.encode(), replace=True)
    config.path.chmod(mode)
    pin(config, recipients)


def rekey(config: Config, identities: Identities, progress: Progress | None = None) -> Rekeyed:
    """Encrypt everything on the share anew, to the pinned recipients; `identities` open what is there.

    Needs an account that may remove files. Raises LockedError when a run is at work, ConfigError when the recipients
    are not the pinned ones, ShareError when the share is away or lets nothing be removed.
    """
    if config.share is None:
        raise ConfigError(f"{config.path} has no [share]: nothing is encrypted.")
    with run_lock(config.vault.root):
        return _Rekey(config, share_of(config.share), identities, progress or Silent()).run()


class _Rekey:
    """The state of one run."""

    def __init__(self, config: Config, share: Share, identities: Identities, progress: Progress) -> None:
        keys = pinned(config)
        self._recipients = envelope.parse_recipients(keys)
        self._share = share
        self._identities = identities
        self._progress = progress
        self._outbox: Outbox = open_outbox(config.vault.root)
        self._work = private_folder(config.vault.root / "work")
        marked = hashlib.sha256("\n".join(sorted(keys)).encode()).hexdigest()[:16]
        self._record = self._outbox.folder / f".rekeyed-{marked}"
        self._result = Rekeyed()

    def run(self) -> Rekeyed:
        result = self._result
        waiting = self._outbox.deliver(self._share)  # what an earlier run was cut off with comes first
        if waiting.failed:
            result.failed.extend(waiting.failed)
            return result
        names = sorted(self._names())
        done = set(self._record.read_text("ascii").split()) if self._record.exists() else set()
        left = [name for name in names if name not in done]
        result.total, result.before = len(names), len(names) - len(left)
        self._progress.start("Encrypting anew", len(left))
        for batch in _batches(left):
            if not self._one_batch(batch):
                break
        self._progress.stop()
        if result.done + result.before == result.total and not result.failed:
            self._record.unlink(missing_ok=True)
        return result

    def _names(self) -> Iterator[str]:
        """What is to be encrypted anew; what no vault put there (`Thumbs.db`, `.DS_Store`) is said, and stays."""
        for name in self._share.list(f"{layout.ROOT}/"):
            if name.startswith(f"{layout.ROOT}/{layout.CHECK}/"):
                continue
            try:
                yield layout.checked(name)
            except ValueError:
                self._result.failed.append(Failure(ascii(name), "no file of a vault; it stays as it is"))

    def _one_batch(self, names: Sequence[str]) -> bool:
        """Encrypt, keep, remove, deliver; whether it makes sense to go on."""
        sealed = [name for name in names if self._seal(name)]
        self._outbox.keep()
        swapped = []
        for name in sealed:
            try:
                self._share.remove(name)
                swapped.append(name)
            except ShareError as error:
                self._result.failed.append(
                    Failure(
                        name,
                        f"{error}; the old file stays. Where nothing may be removed, begin a new share and have "
                        "everything sealed there",
                    )
                )
                # this one may be gone although the answer says no: the delivery tells, and brings it then
                for untouched in sealed[len(swapped) + 1 :]:
                    self._outbox.withdraw(untouched)
                break
        delivered = self._outbox.deliver(self._share)
        self._result.failed.extend(delivered.failed)
        self._result.done += len(swapped)
        with self._record.open("a", encoding="ascii") as record:
            record.writelines(f"{name}\n" for name in swapped)
        return len(swapped) == len(sealed) and not delivered.failed

    def _seal(self, name: str) -> bool:
        """Encrypt one file anew into the outbox; false, and said, where it can't be opened."""
        self._progress.advance()
        with tempfile.TemporaryFile(dir=self._work) as plain:
            try:
                with self._share.read(name) as file:
                    size = envelope.decrypt(file, plain, self._identities)
                plain.seek(0)
                self._outbox.seal(name, plain, size, self._recipients)
            except ShareUnavailableError:
                raise
            except VaultError as error:
                self._result.failed.append(Failure(name, f"{error}; it stays as it is"))
                return False
        return True


def _batches(names: Sequence[str]) -> Iterator[list[str]]:
    left = iter(names)
    while batch := list(islice(left, BATCH)):
        yield batch
