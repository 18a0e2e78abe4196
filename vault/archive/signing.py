"""Commit signatures in the SSH signature format (`PROTOCOL.sshsig` of OpenSSH), Ed25519, namespace `git`.

`git verify-commit`, `git log --show-signature` and `ssh-keygen -Y verify` accept them with an allowed-signers file.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import os
import stat
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from vault.errors import ConfigError, IntegrityError

if TYPE_CHECKING:  # `vault status` and `vault diff` sign nothing, and need not wait for it
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

NAMESPACE = b"git"
KEY_TYPE = b"ssh-ed25519"

_MAGIC = b"SSHSIG"
_HASH = b"sha512"
_BEGIN = "-----BEGIN SSH SIGNATURE-----"
_END = "-----END SSH SIGNATURE-----"
_MAXIMUM = 16 << 10


class Signer:
    """Signs with one Ed25519 private key."""

    def __init__(self, key: Ed25519PrivateKey, path: Path | None = None) -> None:
        self._key = key
        self._path = path
        self._public = key.public_key().public_bytes_raw()

    @classmethod
    def load(cls, path: Path) -> Signer:
        """Read an OpenSSH private key file.

        Raises ConfigError, saying what to do, when it is missing, readable by others, not a key, protected by a
        passphrase (nobody is there at night to type it) or not Ed25519.
        """
        from cryptography.exceptions import UnsupportedAlgorithm  # noqa: PLC0415
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey  # noqa: PLC0415
        from cryptography.hazmat.primitives.serialization import load_ssh_private_key  # noqa: PLC0415

        data = _read_private(path)
        try:
            key = load_ssh_private_key(data, password=None)
        except TypeError as error:
            raise ConfigError(
                f"The signing key {path} is protected by a passphrase, and nobody is there at night to type it; "
                "remove it with `ssh-keygen -p -f` and rely on the disk's encryption."
            ) from error
        except (ValueError, UnsupportedAlgorithm) as error:
            raise ConfigError(
                f"The signing key {path} is not an OpenSSH private key; restore it from your backup, or make a new "
                "one with `vault init` in an empty folder."
            ) from error
        if not isinstance(key, Ed25519PrivateKey):
            raise ConfigError(f"The signing key {path} is not an Ed25519 key; make one with `vault init`.")
        return cls(key, path)

    def __reduce__(self) -> tuple[Callable[[Path], Signer], tuple[Path]]:
        """To another process goes the path of the key, never the key."""
        if self._path is None:
            raise TypeError("only a signer whose key is a file can be handed to another process")
        return Signer.load, (self._path,)

    @property
    def public(self) -> bytes:
        """The public key, 32 bytes, as `verify` wants it among the allowed ones."""
        return self._public

    @property
    def public_line(self) -> str:
        """The public key as OpenSSH writes it: `ssh-ed25519 AAAA…`."""
        return f"{KEY_TYPE.decode()} {base64.b64encode(_public_blob(self._public)).decode()}"

    def sign(self, payload: bytes, namespace: bytes = NAMESPACE) -> str:
        """Return the armored signature of `payload`."""
        signature = self._key.sign(_signed_data(payload, namespace))
        blob = (
            _MAGIC
            + (1).to_bytes(4, "big")
            + _string(_public_blob(self._public))
            + _string(namespace)
            + _string(b"")
            + _string(_HASH)
            + _string(_string(KEY_TYPE) + _string(signature))
        )
        return "\n".join([_BEGIN, *textwrap.wrap(base64.b64encode(blob).decode(), 70), _END]) + "\n"


def verify(payload: bytes, armored: str, allowed: frozenset[bytes], namespace: bytes = NAMESPACE) -> bytes:
    """Check a signature and return the public key (32 bytes) that made it.

    Raises IntegrityError when it is no SSH signature, not of `payload`, or not by one of the `allowed` keys.
    """
    from cryptography.exceptions import InvalidSignature  # noqa: PLC0415
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey  # noqa: PLC0415

    try:
        public, signature = _parse(armored, namespace)
        if public in allowed:
            Ed25519PublicKey.from_public_bytes(public).verify(signature, _signed_data(payload, namespace))
            return public
    except (ValueError, InvalidSignature) as error:
        raise IntegrityError(
            "A signature in the archive is invalid: its data was altered after signing."
        ) from error
    raise IntegrityError(
        "A signature in the archive is by a key that the allowed-signers file does not list."
    )


def fingerprint(public: bytes) -> str:
    """Return what `ssh-keygen -l` prints of a public key (32 bytes): `SHA256:` and 43 characters."""
    digest = hashlib.sha256(_public_blob(public)).digest()
    return "SHA256:" + base64.b64encode(digest).decode().rstrip("=")


def fingerprint_of_line(line: str) -> str:
    """Return the same of a public key as OpenSSH writes it: `ssh-ed25519 AAAA…`."""
    return fingerprint(_public_key(base64.b64decode(line.split()[1])))


def allowed_keys(path: Path) -> frozenset[bytes]:
    """Return the Ed25519 public keys (32 bytes each) of an allowed-signers file (`ssh-keygen(1)`, ALLOWED SIGNERS).

    Raises ConfigError when it can't be read or lists no such key.
    """
    try:
        lines = path.read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"The allowed-signers file {path} can't be read; restore it from your backup."
        ) from error
    keys = set()
    for line in lines:
        fields = line.split()
        if KEY_TYPE.decode() in fields[:-1] and not line.lstrip().startswith("#"):
            encoded = fields[fields.index(KEY_TYPE.decode()) + 1]
            try:
                keys.add(_public_key(base64.b64decode(encoded, validate=True)))
            except ValueError as error:
                raise ConfigError(
                    f"The allowed-signers file {path} holds a damaged key; correct it."
                ) from error
    if not keys:
        raise ConfigError(
            f"The allowed-signers file {path} lists no ssh-ed25519 key; add the vault's public key."
        )
    return frozenset(keys)


def _read_private(path: Path) -> bytes:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise ConfigError(
            f"The signing key {path} can't be read ({error.strerror}); correct vault.signing_key, or restore the "
            "key from your backup."
        ) from error
    with os.fdopen(descriptor, "rb") as file:
        if stat.S_IMODE(os.fstat(file.fileno()).st_mode) & 0o077:
            raise ConfigError(f"The signing key {path} can be read by other users; run `chmod 600` on it.")
        return file.read(_MAXIMUM)


def _signed_data(payload: bytes, namespace: bytes) -> bytes:
    digest = hashlib.sha512(payload).digest()
    return _MAGIC + _string(namespace) + _string(b"") + _string(_HASH) + _string(digest)


def _string(data: bytes) -> bytes:
    return len(data).to_bytes(4, "big") + data


def _public_blob(public: bytes) -> bytes:
    return _string(KEY_TYPE) + _string(public)


def _public_key(blob: bytes) -> bytes:
    kind, public = _strings(blob, 2)
    if kind != KEY_TYPE or len(public) != 32:
        raise ValueError("not an Ed25519 public key")
    return public


def _parse(armored: str, namespace: bytes) -> tuple[bytes, bytes]:
    """Return the public key and the raw signature; raises ValueError on anything unexpected."""
    text = armored.strip()
    if not text.startswith(_BEGIN) or not text.endswith(_END):
        raise ValueError("not an armored SSH signature")
    try:
        blob = base64.b64decode("".join(text[len(_BEGIN) : -len(_END)].split()), validate=True)
    except binascii.Error as error:
        raise ValueError("not base64") from error
    if not blob.startswith(_MAGIC + (1).to_bytes(4, "big")):
        raise ValueError("not an SSH signature of version 1")
    key, signed_namespace, reserved, algorithm, wrapped = _strings(blob[len(_MAGIC) + 4 :], 5)
    kind, signature = _strings(wrapped, 2)
    if (signed_namespace, reserved, algorithm, kind) != (namespace, b"", _HASH, KEY_TYPE):
        raise ValueError("another namespace or algorithm")
    return _public_key(key), signature


def _strings(data: bytes, count: int) -> list[bytes]:
    """Split `count` length-prefixed strings that must fill `data`."""
    found = []
    position = 0
    for _ in range(count):
        length = int.from_bytes(data[position : position + 4], "big")
        found.append(data[position + 4 : position + 4 + length])
        position += 4 + length
    if position != len(data):
        raise ValueError("lengths do not add up")
    return found
