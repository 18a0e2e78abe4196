"""What of the vault there is to bring back: the manifest that goes to the share, and the names that it stands for."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from vault.archive.bare import BareRepository
from vault.archive.blobs import Bytes
from vault.archive.ledger import Ledger
from vault.archive.overview import Overview
from vault.archive.refs import is_mark
from vault.archive.repository import FOLDER, PatientRepository, all_repositories
from vault.config import Config
from vault.errors import IntegrityError, VaultError
from vault.files import write_file
from vault.keys import read_pseudonym_key
from vault.share import layout, manifest
from vault.share.manifest import Entry, Manifest
from vault.share.needed import ledger_names, manifests, needed_names
from vault.share.outbox import Outbox

SIGNERS = "keys/allowed_signers"
CONFIGURATION = "vault.toml"

_LAST = ".manifest"
"""File of the outbox: the last manifest that was sealed. A cache: without it, one more is sealed."""

_LARGEST_FILE = 1 << 20
_PLAIN_NAME = re.compile(r"[0-9A-Za-z_][0-9A-Za-z._-]{0,99}", re.ASCII)


def site_files(config: Config) -> dict[str, Bytes]:
    """Return what a restored vault needs beside its histories, by the path that it has there: no file with a secret."""
    signers = config.vault.signing_key.parent / "allowed_signers"
    found = {CONFIGURATION: config.path, SIGNERS: signers}
    if config.rois.sql and _PLAIN_NAME.fullmatch(config.rois.sql.queries.name):
        found[f"queries/{config.rois.sql.queries.name}"] = config.rois.sql.queries
    return {path: blob for path, file in found.items() if (blob := _read(file)) is not None}


def _read(path: Path) -> Bytes | None:
    """Return a small file's content; None where it is not there or is something else."""
    try:
        with path.open("rb") as file:
            data = file.read(_LARGEST_FILE + 1)
    except OSError:
        return None
    return Bytes(data) if len(data) <= _LARGEST_FILE else None


def entry_of(repository: BareRepository) -> Entry:
    """Return a repository's line in the manifest, as it is now."""
    refs = {name: oid for name, oid in repository.refs().items() if not is_mark(name)}
    if isinstance(repository, PatientRepository):
        return Entry(f"{FOLDER}/{repository.path.name}", refs, repository.patient_id)
    return Entry(repository.path.name, refs)


def make_manifest(config: Config, entries: Iterable[Entry], files: dict[str, Bytes]) -> Manifest:
    """Return the manifest of the vault with these repositories and files."""
    ledger = Ledger(config.vault.root).repository
    return Manifest(
        generation=ledger.depth() if ledger else 0,
        key=read_pseudonym_key(config.vault.pseudonym_key),
        files={path: blob.oid for path, blob in files.items()},
        entries=tuple(entries),
    )


def last_manifest(outbox: Path) -> Manifest | None:
    """Return the last manifest that was sealed, where this computer remembers it."""
    try:
        return manifest.parse((outbox / _LAST).read_bytes())
    except (OSError, IntegrityError):
        return None


def newest_name(outbox: Path) -> str | None:
    """Return the name on the share of the last manifest that was sealed, where this computer remembers it."""
    ours = last_manifest(outbox)
    return layout.manifest_name(ours.key, ours.generation, manifest.encode(ours)) if ours else None


def remember_manifest(outbox: Path, signed: bytes) -> None:
    """Keep a signed manifest, durably, as the last one that was sealed. Raises OSError."""
    write_file(outbox / _LAST, signed, replace=True)


def needed_on_share(config: Config) -> set[str]:
    """Return the names of everything on the share that the vault as it is now needs, the newest manifest left out.

    Raises IntegrityError when any repository can't be read: nobody can say then what its history needs.
    """
    key = read_pseudonym_key(config.vault.pseudonym_key)
    names = set(needed_names(repositories(config.vault.root), key))
    names.update(ledger_names(Ledger(config.vault.root), key))
    names.update(layout.blob_name(key, blob.oid) for blob in site_files(config).values())
    return names


def not_needed(config: Config, names: Iterable[str]) -> Iterator[str]:
    """Yield those of the share's `names` that nothing needs any more; of the manifests, all but the vault's newest.

    To be asked after the newest manifest was delivered. Raises what `needed_on_share` raises, VaultError when the
    share has no manifest of this vault's present state (what it needs is not there yet), and IntegrityError when it has
    one that this vault can't have written: that one may not stand for ours.
    """
    names = list(names)
    ledger = Ledger(config.vault.root).repository
    outbox = Outbox(config.vault.root / "outbox")
    ours = last_manifest(outbox.folder)
    newest = newest_name(outbox.folder)
    # held against the ledger, too: on a full disk none may have been sealed; and one that still waits may be on the
    # share, but not durably
    waits = any(name.startswith(layout.MANIFESTS) for name in outbox.pending())
    if (
        waits
        or ledger is None
        or ours is None
        or newest is None
        or newest not in names
        or ours.generation < ledger.depth()
    ):
        raise VaultError(
            "The share does not have the vault's newest state yet, so nothing may be removed there: `vault sync` "
            "delivers it."
        )
    later = [name for name in manifests(names) if layout.generation(name) > ours.generation]
    if later:
        raise IntegrityError(
            f"The share holds {later[0]}, which is newer than all that this vault wrote, so nothing is removed there: "
            "find out who put it there, and move it away."
        )
    if any(not (config.vault.root / entry.path).is_dir() for entry in ours.entries):
        raise IntegrityError(
            "A repository that the share has is not here any more, so nothing is removed there: `vault audit` names "
            "it, `vault repair PATIENT --from-share` brings a patient's back."
        )
    needed = needed_on_share(config) | {newest}
    yield from (name for name in names if name not in needed)


def repositories(root: Path) -> Iterator[BareRepository]:
    """Yield every patient's repository, and the overview. Raises IntegrityError for one that can't be opened."""
    yield from all_repositories(root)
    if overview := Overview.open(root):
        yield overview
