"""The vault's folder: whom its files are open to, and whether its keys are the right ones."""

from __future__ import annotations

import os
import stat
from collections.abc import Collection, Iterator
from pathlib import Path

from vault.archive.history import EMAIL
from vault.archive.signing import Signer, allowed_keys
from vault.audit.findings import Finding, Level
from vault.config import Config
from vault.errors import VaultError
from vault.keys import public_key

_EMPTY = {"vault.lock", "lock", "lock.holder"}
"""Files without content, which may be open to others."""

_PRIVATE = {
    "repos", "ledger.git", "overview.git", "inbox", "hourly", "outbox", "quarantine", "reports", "today", "mail",
    "keys", "work", "restoring",
}  # fmt: skip


def permissions(root: Path) -> Iterator[Finding]:
    """Yield what other users can read or write. Links are not followed."""
    open_to_others = sum(_open_to_others(path) for path in _private(root))
    if open_to_others:
        yield Finding(
            Level.WARNING,
            ".",
            f"{open_to_others} files and folders are open to other users of this computer",
            f"Run: chmod -R go= {root}",
        )


def _private(root: Path) -> Iterator[Path]:
    """Yield where patients' data and keys lie: what a site puts beside them is its own business."""
    for name in sorted(_PRIVATE):
        yield root / name
        for folder, folders, files in os.walk(root / name):
            yield from (Path(folder, each) for each in (*folders, *files) if each not in _EMPTY)
    yield root / "damaged"  # whose content stays as it was found: nobody gets through a closed folder


def _open_to_others(path: Path) -> bool:
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:  # a run is at work meanwhile
        return False
    return not stat.S_ISLNK(mode) and bool(stat.S_IMODE(mode) & 0o077)


def keys(config: Config) -> Iterator[Finding]:
    """Yield what is wrong with the keys. What only another vault would have is as bad as what is not there."""
    signers = config.vault.signing_key.parent / "allowed_signers"
    try:
        signer = Signer.load(config.vault.signing_key)
        ours = signer.public in allowed_keys(signers)
        if not ours or not any(
            _for_git(line, signer.public_line) for line in signers.read_text("utf-8").splitlines()
        ):
            yield Finding(
                Level.INTEGRITY,
                "keys",
                "the signing key is none of the allowed signers, as stock git reads them",
                "Bring both back from your backup.",
            )
    except VaultError as error:
        yield Finding(Level.INTEGRITY, "keys", str(error), "Bring it back from your backup.")
    identity = config.vault.identity
    if identity is not None and identity.exists() and not _opens(identity, config.vault.recipients):
        yield Finding(
            Level.INTEGRITY,
            "keys",
            "the identity is none of [vault] recipients, so it opens nothing on the share",
            "Bring it back from its safe.",
        )


def _for_git(line: str, public: str) -> bool:
    """Whether a line of the file allows this key to sign commits in the vault's name, as `ssh-keygen(1)` reads it."""
    names, _, rest = line.partition(" ")
    options = rest.partition(public)[0].strip()
    return names == EMAIL and public in rest and options in ("", 'namespaces="git"')


def _opens(identity: Path, recipients: Collection[str]) -> bool:
    try:
        lines = identity.read_text("utf-8").splitlines()
        return any(public_key(line) in recipients for line in lines if line.startswith("AGE-SECRET-KEY-"))
    except (ValueError, OSError):
        return False
