"""What proves that an answer is a recipient's own, to these changes of this run: a code, and a TOTP.

A code comes with the recipient's report and says which report was read. The mail system that carried it may be the
attacker's, so the TOTP of the recipient's phone (RFC 6238), which no mail carries, says who read it. Pure functions.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

import rfc8785

CODE_LENGTH = 10
"""Characters of a code: 50 bits, since whoever guesses needs an answer polled for each attempt."""

TOTP_STEP = 30
"""Seconds that a TOTP holds."""
TOTP_DIGITS = 6
TOTP_DRIFT = 1
"""Steps by which a phone's clock may be off, either way."""
TOTP_SECRET_LENGTH = 16
"""Least number of bytes of a TOTP secret (RFC 4226, section 4: 128 bits)."""

_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
"""Crockford's base 32: nothing in it looks like something else in it."""
_LOOKALIKES = str.maketrans({"O": "0", "I": "1", "L": "1", "-": None, " ": None})
_TOTP = re.compile(rf"[0-9]{{{TOTP_DIGITS}}}", re.ASCII)
_PURPOSE = b"vault verification code 1"


@dataclass(frozen=True, slots=True)
class Step:
    """One patient's history before and after a run, as commit ids; `old` is None for a new patient."""

    old: str | None
    new: str


def change_set_digest(run: str, changes: Mapping[str, Step]) -> str:
    """SHA-256, in hexadecimal, of what a run changed, by the patients' pseudonyms; the order does not matter."""
    patients = {pseudonym: {"old": step.old, "new": step.new} for pseudonym, step in changes.items()}
    return hashlib.sha256(rfc8785.dumps({"run": run, "patients": patients})).hexdigest()


def code(key: bytes, recipient: str, run: str, digest: str) -> str:
    """Return the code of a recipient for a run's change set, as it is printed: `7K3QD-0VZ9M`.

    `key` is the vault's pseudonym key; codes use a key derived from it, so neither tells of the other.
    """
    derived = hmac.digest(key, _PURPOSE, "sha256")
    mac = hmac.digest(derived, rfc8785.dumps([recipient, run, digest]), "sha256")
    number = int.from_bytes(mac[:8], "big")
    letters = "".join(_ALPHABET[number >> 5 * place & 31] for place in range(CODE_LENGTH))
    return f"{letters[:5]}-{letters[5:]}"


def is_code(typed: str, key: bytes, recipient: str, run: str, digest: str) -> bool:
    """Whether `typed`, in any case, with or without its dash, is that code; compared in constant time."""
    return hmac.compare_digest(_plain(typed), _plain(code(key, recipient, run, digest)))


def totp_step(secret: bytes, typed: str, when: datetime, last_step: int | None = None) -> int | None:
    """Return the time step (since 1970) whose TOTP was typed, or None when it is not a good one.

    `last_step` is the step that this recipient used last: it and all before it are refused, so that a TOTP that
    somebody saw is worth nothing. `when` must know its time zone. Raises ValueError when it does not, or when the
    secret is too short.
    """
    from cryptography.hazmat.primitives.hashes import SHA1  # noqa: PLC0415  # 30 ms only verdicts pay
    from cryptography.hazmat.primitives.twofactor.hotp import HOTP  # noqa: PLC0415

    if when.tzinfo is None:
        raise ValueError("a TOTP is checked at a time whose time zone is known")
    if len(secret) < TOTP_SECRET_LENGTH:
        raise ValueError(f"a TOTP secret has at least {TOTP_SECRET_LENGTH} bytes, not {len(secret)}")
    digits = typed.replace(" ", "")
    if not _TOTP.fullmatch(digits):
        return None
    generator = HOTP(secret, TOTP_DIGITS, SHA1())  # noqa: S303  # what phones' authenticators speak
    now = int(when.timestamp()) // TOTP_STEP
    for step in range(max(now - TOTP_DRIFT, 0), now + TOTP_DRIFT + 1):
        fresh = last_step is None or step > last_step
        if hmac.compare_digest(generator.generate(step), digits.encode()) and fresh:
            return step
    return None


def _plain(text: str) -> bytes:
    return text.strip().upper().translate(_LOOKALIKES).encode("utf-8", "surrogatepass")
