"""What a restored vault has beside its histories: keys, configuration, queries, and a word on what is still missing."""

from __future__ import annotations

import re
from pathlib import Path

from vault import config
from vault.config import Config
from vault.delivery import open_outbox
from vault.errors import ConfigError, VaultError
from vault.files import private_folder, write_file
from vault.inventory import CONFIGURATION, SIGNERS, remember_manifest
from vault.model import Failure
from vault.restore_manifest import Found
from vault.share.backend import Share
from vault.share.fetch import Fetcher

PSEUDONYM_KEY = "keys/pseudonym.key"

LARGEST_FILE = 16 << 20
"""Bytes of the largest file that is read: configuration, queries."""

_ROOT = re.compile(r"(?m)^root = .*$")


def write_keys(found: Found, folder: Path, files: list[str]) -> None:
    """Write the allowed signers and the pseudonym key; raises VaultError where another key is there already."""
    key = found.manifest.key.hex().encode() + b"\n"
    path = folder / PSEUDONYM_KEY
    if path.exists() and path.read_bytes().strip() != key.strip():
        raise VaultError(
            f"{path} is the key of another vault than the share's: restore into a folder of its own."
        )
    _write(folder, PSEUDONYM_KEY, key, files)
    _write(folder, SIGNERS, found.signers, files)


def write_files(
    fetcher: Fetcher, found: Found, folder: Path, files: list[str], failed: list[Failure]
) -> None:
    """Write the other files of the manifest, each unless it is there; one that can't be had is noted."""
    for path, oid in found.manifest.files.items():
        if path == SIGNERS or (folder / path).exists():
            continue
        try:
            with_root = fetcher.small(found.manifest.key, oid, LARGEST_FILE)
        except VaultError as error:
            failed.append(Failure(path, str(error)))
            continue
        if path == CONFIGURATION:
            with_root = _at_home(with_root, folder)
        _write(folder, path, with_root, files)


def note_share(share: Share, found: Found, folder: Path) -> None:
    """Let the new vault know what the share has, so that it goes on where the old one stopped."""
    outbox = open_outbox(folder)
    outbox.mark_begun(share.place)
    remember_manifest(outbox.folder, found.signed)


def still_to_do(folder: Path) -> list[str]:
    """What a person has to bring or to decide before the restored vault can run a night."""
    try:
        restored = config.loads((folder / CONFIGURATION).read_text("utf-8"), folder / CONFIGURATION)
    except (OSError, UnicodeDecodeError):
        return [f"{CONFIGURATION} did not come back: `vault init {folder}` writes one to fill in"]
    except ConfigError as error:
        return [f"{CONFIGURATION} does not fit this version of vault: {error}"]
    return [*_about_folder(restored, folder), *_about_keys(restored)]


def _about_folder(restored: Config, folder: Path) -> list[str]:
    if restored.vault.root.resolve() == folder.resolve():
        return []
    return [f"{CONFIGURATION} says root = {restored.vault.root}: set it to {folder}"]


def _about_keys(restored: Config) -> list[str]:
    said = []
    if not restored.vault.signing_key.exists():
        said.append(
            f"{restored.vault.signing_key} is missing, as it is on no share: bring it from the safe before the next "
            "`vault sync`. Reading, diff and export work without it"
        )
    secrets = {
        "[rois.sql] password_file": restored.rois.sql and restored.rois.sql.password_file,
        "[rois.sql] documents_password_file": restored.rois.sql and restored.rois.sql.documents_password_file,
    }
    said += [
        f"{path}, named in {key}, is missing" for key, path in secrets.items() if path and not path.exists()
    ]
    if not restored.vault.pseudonym_key.exists():
        said.append(f"set [vault] pseudonym_key to {PSEUDONYM_KEY}, which was restored")
    return said


def _at_home(text: bytes, folder: Path) -> bytes:
    """The configuration with `root` as this folder, where the old one was elsewhere and the change is understood."""
    try:
        before = config.loads(text.decode(), folder / CONFIGURATION)
        if before.vault.root.resolve() == folder.resolve():
            return text
        changed = _ROOT.sub('root = "."', text.decode(), count=1)
        after = config.loads(changed, folder / CONFIGURATION)
    except (ConfigError, UnicodeDecodeError):
        return text
    return changed.encode() if after.vault.root.resolve() == folder.resolve() else text


def _write(folder: Path, path: str, data: bytes, files: list[str]) -> None:
    target = folder / path
    if not target.exists():
        private_folder(target.parent)
        write_file(target, data)
        files.append(path)
