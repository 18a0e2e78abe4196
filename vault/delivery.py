"""To the share, the last steps of every procedure that commits: seal what git says is missing there, deliver, keep.

1. Offline: every blob that is not shared yet is encrypted into the outbox.
2. With the network open: what waits goes to the share.
3. Offline: what could not go is made durable, and only then do the refs say that it needs no sealing.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pluggy

from vault.archive.bare import BareRepository
from vault.archive.repository import all_repositories
from vault.config import Config
from vault.errors import IntegrityError, VaultError
from vault.events import network
from vault.keys import read_pseudonym_key
from vault.model import Failure
from vault.progress import Progress, Silent
from vault.share.backend import open_share
from vault.share.mirror import BRANCHES, mark_shared, seal_commit
from vault.share.outbox import Outbox
from vault.sync_report import Delivery

Sealed = list[tuple[BareRepository, str, str]]
"""Repository, branch, and the commit up to which everything of it waits for the share."""


def open_outbox(root: Path) -> Outbox:
    """Return the vault's outbox."""
    return Outbox(root / "outbox")


def to_share(
    config: Config,
    *,
    others: Iterable[BareRepository] = (),
    events: pluggy.PluginManager | None = None,
    progress: Progress | None = None,
) -> Delivery:
    """Bring the share up to date with every patient's repository, and with `others`. Failures are in the result.

    Raises ConfigError when the pseudonym key can't be read. Does nothing where `[share]` is left out.
    """
    if config.share is None:
        return Delivery()
    progress = progress or Silent()
    result, outbox = Delivery(), open_outbox(config.vault.root)
    sealed = _seal(config, outbox, others, result, progress)
    _deliver(config, outbox, result, events, progress)
    _keep(outbox, sealed, result)
    progress.stop()
    return result


def _seal(
    config: Config, outbox: Outbox, others: Iterable[BareRepository], result: Delivery, progress: Progress
) -> Sealed:
    key = read_pseudonym_key(config.vault.pseudonym_key)
    damaged: list[Failure] = []
    repositories: list[BareRepository] = [*all_repositories(config.vault.root, damaged), *others]
    result.failed.extend(damaged)
    result.integrity = bool(damaged)
    sealed: Sealed = []
    progress.start("Encrypting", len(repositories))
    for repository in repositories:
        try:
            for branch in BRANCHES:
                commit = seal_commit(repository, config.vault.recipients, key, outbox, branch)
                if commit:
                    sealed.append((repository, branch, commit))
        except VaultError as error:
            result.failed.append(Failure("encryption", str(error)))
            result.integrity |= isinstance(error, IntegrityError)
        except OSError as error:  # no room: what is sealed already is delivered, and the rest follows
            result.failed.append(Failure("encryption", error.strerror or type(error).__name__))
            break
        progress.advance()
    return sealed


def _deliver(
    config: Config,
    outbox: Outbox,
    result: Delivery,
    events: pluggy.PluginManager | None,
    progress: Progress,
) -> None:
    if config.share is None or not outbox.pending():
        return
    try:
        with network(events, config):
            delivered = outbox.deliver(open_share(config.share.url), progress)
            result.sent, result.already = delivered.sent, delivered.already
            result.failed.extend(delivered.failed)
    except VaultError as error:
        result.failed.append(Failure("share", str(error)))
    except OSError as error:
        why = error.strerror or type(error).__name__
        result.failed.append(Failure("outbox", f"this computer's disk refused ({why}): look at it"))


def _keep(outbox: Outbox, sealed: Sealed, result: Delivery) -> None:
    try:
        outbox.keep()
        for repository, branch, commit in sealed:
            _mark(repository, branch, commit, result)
    except OSError as error:
        why = error.strerror or type(error).__name__
        result.failed.append(Failure("outbox", f"{why}: what waits is encrypted again by the next run"))
    result.waiting = len(outbox.pending())


def _mark(repository: BareRepository, branch: str, commit: str, result: Delivery) -> None:
    """One that can't be marked is sealed again; the others are none the worse."""
    try:
        mark_shared(repository, commit, branch)
    except VaultError as error:
        result.failed.append(Failure("outbox", str(error)))
        result.integrity |= isinstance(error, IntegrityError)
