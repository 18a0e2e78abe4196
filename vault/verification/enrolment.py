"""TOTP enrolment: a secret that a phone reads from a QR code, and that is kept once the phone has proven to have it."""

from __future__ import annotations

import base64
import binascii
import secrets
from datetime import datetime
from pathlib import Path
from urllib.parse import quote

from vault.config import MailRecipient
from vault.errors import ConfigError
from vault.files import private_folder, write_file
from vault.verification.proof import TOTP_DIGITS, TOTP_SECRET_LENGTH, TOTP_STEP, totp_step

SECRET_LENGTH = 20
"""Bytes of a new secret: what RFC 4226 recommends."""

_LONGEST_FILE = 4096


def new_secret() -> bytes:
    """Return a new secret."""
    return secrets.token_bytes(SECRET_LENGTH)


def key_uri(secret: bytes, name: str, site: str) -> str:
    """What the QR code says: the URI that authenticator apps read."""
    label = f"{quote(f'vault {site}')}:{quote(name)}"
    issuer = quote(f"vault {site}")
    return (
        f"otpauth://totp/{label}?secret={base32(secret)}&issuer={issuer}&algorithm=SHA1"
        f"&digits={TOTP_DIGITS}&period={TOTP_STEP}"
    )


def base32(secret: bytes) -> str:
    """The secret as people type it where a camera does not work."""
    return base64.b32encode(secret).decode().rstrip("=")


def is_confirmed(secret: bytes, typed: str, now: datetime) -> bool:
    """Whether a phone shows the right digits for the secret."""
    return totp_step(secret, typed, now) is not None


def keep_secret(path: Path, secret: bytes, *, replace: bool = False) -> None:
    """Write a secret's file, 0600, durably. Raises FileExistsError for one that is there, unless it is replaced."""
    private_folder(path.parent)
    write_file(path, f"{base32(secret)}\n".encode(), replace=replace)


def read_totp_secret(recipient: MailRecipient) -> bytes | None:
    """The secret of a recipient, None for somebody who has not enrolled yet. Raises ConfigError when it is none."""
    path = recipient.totp_file
    if path is None:
        return None
    wrong = f"[[mail.recipients]] totp_file of {recipient.name}: {path}"
    try:
        with path.open("rb") as file:
            line = file.read(_LONGEST_FILE).partition(b"\n")[0].replace(b" ", b"").strip()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise ConfigError(f"{wrong} can't be read: {error.strerror}.") from None
    try:
        secret = base64.b32decode(line + b"=" * (-len(line) % 8), casefold=True)
    except (binascii.Error, ValueError):
        secret = b""
    if len(secret) < TOTP_SECRET_LENGTH:
        raise ConfigError(f"{wrong} does not hold a secret in base 32: `vault verify enrol` makes one.")
    return secret
