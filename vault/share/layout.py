"""Where things lie on the share: names that mean nothing to whoever reads them there.

A name is at most a few segments of lower-case letters, digits, `.`, `_` and `-`, so that it is the same name on
ext4, NTFS, SMB, FAT and in an object store, and can never leave the share.
"""

from __future__ import annotations

import hashlib
import hmac
import re

ROOT = "v1"
"""Top folder of this layout; a later layout lies beside it."""

BLOBS = f"{ROOT}/blobs/"
"""Prefix of the encrypted blobs."""

HISTORY = f"{ROOT}/history/"
"""Prefix of the encrypted commits of patients, each with the folders (trees) that came with it."""

LEDGER = f"{ROOT}/ledger/"
"""Prefix of the encrypted commits of the ledger, each with its folders and its event."""

INCOMING = "incoming"
"""Folder of unfinished files, below the top folder and on the same file system as the finished ones."""

CHECK = "check"
"""Folder of what `vault share check` writes, below the top folder."""

MANIFESTS = f"{ROOT}/manifests/"
"""Prefix of the encrypted lists of all repositories and their refs."""

_NAME = re.compile(
    r"[a-z0-9][a-z0-9_-]*(?:\.[a-z0-9_-]+)*(?:/[a-z0-9][a-z0-9_-]*(?:\.[a-z0-9_-]+)*)*", re.ASCII
)
_MANIFEST = re.compile(rf"{MANIFESTS}([0-9]{{10}})-[0-9a-f]{{32}}\.age", re.ASCII)
_LONGEST = 200


def blob_name(key: bytes, oid: str) -> str:
    """Return the share's name of the git blob `oid`: the HMAC-SHA256 of its hexadecimal form under `key`.

    A plain hash would let whoever has a file ask whether the department has it too. The same blob has the same
    name for ever, so that it is delivered once although its ciphertext differs with every encryption.
    """
    return f"{BLOBS}{_keyed(key, oid.encode('ascii'))}.age"


def commit_name(key: bytes, oid: str, folder: str = HISTORY) -> str:
    """Return the share's name of the commit `oid`, in `HISTORY` or `LEDGER`: the HMAC of `commit OID`."""
    return f"{folder}{_keyed(key, f'commit {oid}'.encode('ascii'))}.age"


def manifest_name(key: bytes, generation: int, content: bytes) -> str:
    """Return the share's name of a manifest: its generation in 10 digits, and the HMAC of what it says.

    A later one sorts behind an earlier one, and nobody without the key can take a name before the vault does.
    """
    return f"{MANIFESTS}{generation:010}-{_keyed(key, b'manifest ' + content)[:32]}.age"


def generation(name: str) -> int:
    """Return the generation in a manifest's name; raises ValueError for any other name."""
    found = _MANIFEST.fullmatch(name)
    if found is None:
        raise ValueError(f"not the name of a manifest: {name!r}")
    return int(found[1])


def _keyed(key: bytes, text: bytes) -> str:
    return hmac.new(key, text, hashlib.sha256).hexdigest()


def checked(name: str) -> str:
    """Return `name` if it is a name that this layout makes; raises ValueError for anything else."""
    if len(name) > _LONGEST or not _NAME.fullmatch(name):
        raise ValueError(f"not a name on the share: {name!r}")
    return name
