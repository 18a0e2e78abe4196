"""The keys of a vault: made once by `vault init`, kept as files that stock tools read.

| file | what | who needs it |
| --- | --- | --- |
| `identity.txt` | age X25519 secret key, as `age-keygen` writes it | whoever restores from the share |
| `signing_key`, `signing_key.pub` | Ed25519 in OpenSSH's format | every commit |
| `allowed_signers` | the public half, for `git verify-commit` | whoever verifies |
| `pseudonym.key` | 32 random bytes in hexadecimal | the ledger and the names on the share |
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from pathlib import Path

from vault.errors import ConfigError

PSEUDONYM_KEY_LENGTH = 32
"""Bytes of the pseudonym key."""

_HEX_KEY = re.compile(rb"[0-9a-f]{64}\n?")


def check_recipient(text: str) -> bool:
    """Whether `text` is an age X25519 public key, checksum included."""
    if not text.startswith("age1") or not text.isascii() or len(text) > 200:
        return False
    import pyrage  # noqa: PLC0415  # 10 ms that commands without a recipient do not pay

    try:
        pyrage.x25519.Recipient.from_str(text)
    except pyrage.RecipientError:
        return False
    return True


def new_identity() -> tuple[str, str]:
    """Return a new age identity: its secret key (`AGE-SECRET-KEY-1…`) and its public key (`age1…`)."""
    import pyrage  # noqa: PLC0415

    identity = pyrage.x25519.Identity.generate()
    return str(identity), str(identity.to_public())


def public_key(secret_key: str) -> str:
    """The `age1…` of an `AGE-SECRET-KEY-1…`. Raises ValueError when it is none."""
    import pyrage  # noqa: PLC0415

    try:
        return str(pyrage.x25519.Identity.from_str(secret_key).to_public())
    except pyrage.IdentityError as error:
        raise ValueError(f"not an age secret key: {error}") from None


def new_signing_key() -> bytes:
    """Return a new Ed25519 private key, as its file holds it (OpenSSH's format)."""
    from cryptography.hazmat.primitives import serialization  # noqa: PLC0415
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey  # noqa: PLC0415

    return Ed25519PrivateKey.generate().private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.OpenSSH, serialization.NoEncryption()
    )


def signing_public_key(path: Path) -> str:
    """The line `ssh-ed25519 AAAA…` of the private key in `path`. Raises ConfigError when it is none."""
    from cryptography.exceptions import UnsupportedAlgorithm  # noqa: PLC0415
    from cryptography.hazmat.primitives import serialization  # noqa: PLC0415

    try:
        key = serialization.load_ssh_private_key(path.read_bytes(), password=None)
    except OSError as error:
        raise ConfigError(f"The signing key {path} can't be read: {error.strerror}.") from None
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise ConfigError(f"{path} is not an OpenSSH private key without passphrase.") from None
    encoded = key.public_key().public_bytes(
        serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH
    )
    return encoded.decode()


def new_pseudonym_key() -> bytes:
    """Return a new pseudonym key, as its file holds it."""
    return secrets.token_hex(PSEUDONYM_KEY_LENGTH).encode() + b"\n"


def read_pseudonym_key(path: Path) -> bytes:
    """The 32 bytes of the pseudonym key in `path`. Raises ConfigError when it is missing or not one."""
    try:
        with path.open("rb") as file:
            text = file.read(PSEUDONYM_KEY_LENGTH * 4)
    except OSError as error:
        raise ConfigError(
            f"The pseudonym key {path} can't be read ({error.strerror}). `vault init` makes one; "
            f"an archive that has a ledger needs the one it began with: bring that back from its safe."
        ) from None
    if not _HEX_KEY.fullmatch(text):
        raise ConfigError(f"{path} is not a pseudonym key: it must hold 64 hexadecimal digits.")
    return bytes.fromhex(text.decode())


class Pseudonyms:
    """Patients' names where no name or ID may stand: keyed, so that nobody can try IDs out against them."""

    def __init__(self, key: bytes) -> None:
        if len(key) != PSEUDONYM_KEY_LENGTH:
            raise ValueError(f"a pseudonym key has {PSEUDONYM_KEY_LENGTH} bytes, not {len(key)}")
        self._key = key

    @classmethod
    def load(cls, path: Path) -> Pseudonyms:
        """Use the key in the file `path`. Raises ConfigError when it is missing or not one."""
        return cls(read_pseudonym_key(path))

    def of(self, patient_id: str) -> str:
        """16 hexadecimal digits of HMAC-SHA256, the same for the same patient ID and key for ever."""
        return hmac.new(self._key, patient_id.encode("utf-8", "surrogatepass"), hashlib.sha256).hexdigest()[
            :16
        ]
