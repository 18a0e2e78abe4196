"""Ciphertexts that nothing needs any more: remembered before their objects go, removed once the share is up to date.

    <root>/removals/<run>-<pseudonym>.txt    names on the share, one a line; they mean nothing to a reader

Only what a pruning named is ever removed, and only if no live commit needs it by then: a repository that was lost, and
not pruned, has everything on the share still. A share that lets nobody remove keeps the list waiting.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path

import pluggy

from vault.config import Config
from vault.delivery import open_outbox
from vault.errors import IntegrityError, ShareError, VaultError
from vault.events import network
from vault.files import private_folder, sync_folder, write_file
from vault.inventory import needed_on_share, not_needed
from vault.model import Failure
from vault.retention.lists import FOLDER, lists, names_in
from vault.retention.report import PruneReport
from vault.share import layout
from vault.share.backend import Share, ShareUnavailableError, share_of
from vault.share.needed import manifests


def remember(root: Path, name: str, key: bytes, gone: Mapping[str, str]) -> None:
    """Note durably what the share need not have once the objects in `gone` (id to kind) have gone. Raises OSError."""
    names = [layout.blob_name(key, oid) for oid, kind in gone.items() if kind == "blob"]
    names += [layout.commit_name(key, oid) for oid, kind in gone.items() if kind == "commit"]
    if names:
        folder = private_folder(root / FOLDER)
        write_file(
            folder / f"{name}.txt", "".join(f"{each}\n" for each in sorted(names)).encode(), replace=True
        )


def withdraw(config: Config) -> None:
    """Drop from the outbox what nothing needs any more: it need not go to the share. Raises VaultError, OSError."""
    wanted = names_in(lists(config.vault.root))
    outbox = open_outbox(config.vault.root)
    if superfluous := wanted & set(outbox.pending()):
        for name in superfluous - needed_on_share(config):
            outbox.withdraw(name)


def remove(config: Config, report: PruneReport, events: pluggy.PluginManager | None = None) -> None:
    """Remove from the share what waits for it; what can't be is said in `report`, and waits on."""
    found = lists(config.vault.root)
    if not found or config.share is None:
        return
    try:
        with network(events, config):
            share = share_of(config.share)
            kept = _remove(config, share, names_in(found), report)
    except VaultError as error:
        report.refused, report.waiting = str(error), len(names_in(found))
        report.integrity |= isinstance(error, IntegrityError)
        return
    report.waiting = len(kept)
    for path in found:
        if not kept & names_in([path]):
            path.unlink()
    sync_folder(config.vault.root / FOLDER)


def _remove(config: Config, share: Share, names: set[str], report: PruneReport) -> set[str]:
    """Remove what nothing needs, and manifests but the newest, which name who was there; returns what is left."""
    superfluous = set(not_needed(config, names.union(manifests(share.list(layout.MANIFESTS)))))
    kept: set[str] = set()
    for name in sorted(superfluous):
        if report.refused:
            kept.add(name)
            continue
        try:
            there = share.exists(name)
            share.remove(name)
            report.removed += there
        except ShareUnavailableError as error:
            report.refused = str(error)
            kept.add(name)
        except ShareError as error:
            kept.add(name)
            if until := _locked_until(share, name):
                report.expires = max(until, report.expires or until)
            else:
                report.failed.append(Failure("share", str(error)))
    if report.expires and kept and not report.refused:
        report.refused = f"the object store's lock keeps them, the last until {report.expires:%Y-%m-%d}"
    return kept & names


def _locked_until(share: Share, name: str) -> datetime | None:
    """Until when an object store lets nobody remove a file; None for every other reason."""
    ask = getattr(share, "locked_until", None)
    try:
        until = ask(name) if ask else None
    except ShareError:
        return None
    return until if isinstance(until, datetime) else None
