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

_NAME = re.compile(
    r"[a-z0-9][a-z0-9_-]*(?:\.[a-z0-9_-]+)*(?:/[a-z0-9][a-z0-9_-]*(?:\.[a-z0-9_-]+)*)*", re.ASCII
)
_LONGEST = 200


def blob_name(key: bytes, oid: str) -> str:
    """Return the share's name of the git blob `oid`: the HMAC-SHA256 of its hexadecimal form under `key`.

    A plain hash would let whoever has a file ask whether the department has it too. The same blob has the same
    name for ever, so that it is delivered once although its ciphertext differs with every encryption.
    """
    return f"{BLOBS}{hmac.new(key, oid.encode('ascii'), hashlib.sha256).hexdigest()}.age"


def checked(name: str) -> str:
    """Return `name` if it is a name that this layout makes; raises ValueError for anything else."""
    if len(name) > _LONGEST or not _NAME.fullmatch(name):
        raise ValueError(f"not a name on the share: {name!r}")
    return name
