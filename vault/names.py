"""Names from strangers, made safe for every file system, injectively and readably.

A patient ID, a UID or a file name from the network never becomes a path as it is. `safe_name` keeps what is
harmless on Linux, Windows, SMB and FAT, and escapes the rest, so that two different inputs never share a
name even where upper and lower case are one:

    12345-A     ->  12345-A
    ../../etc   ->  %2E.%2F..%2Fetc~7    (no separator, no leading dot; the suffix keeps the case)
    pat01       ->  pat01~7
"""

from __future__ import annotations

import hashlib
import re

MAXIMUM = 120
"""Longest name made here, in bytes; leaves room for suffixes under the 255 of ext4 and NTFS."""

OF_PATIENTS = ("repos", "inbox", "hourly", "quarantine", "work", "today", "reports", "damaged")
"""Folders of the vault in which names are made from patients' IDs: no message says a path beyond them."""

_HARMLESS = re.compile(r"[0-9A-Z][0-9A-Z_-]*(?:\.[0-9A-Z_-]+)*", re.ASCII)
_UNSAFE = re.compile(r"[^0-9A-Za-z._-]", re.ASCII)
_LEADING = re.compile(r"^[._-]")
_TRAILING = re.compile(r"\.$")
_RESERVED = re.compile(r"^(con|prn|aux|nul|com[0-9]|lpt[0-9])(?=\.|$)", re.ASCII | re.IGNORECASE)
_ESCAPE = re.compile(r"%[0-9A-F]{2}")
_DIGITS = "0123456789abcdefghijklmnopqrstuv"


def safe_name(text: str) -> str:
    """Return a file name for `text`: injective also where case is folded, at most `MAXIMUM` bytes, never empty."""
    if len(text) <= MAXIMUM and _HARMLESS.fullmatch(text) and not _RESERVED.match(text):
        return text
    escaped = _UNSAFE.sub(_percent, text)
    for pattern in (_LEADING, _TRAILING):
        escaped = pattern.sub(_percent, escaped)
    escaped = _RESERVED.sub(lambda match: f"%{ord(match[0][0]):02X}{match[0][1:]}", escaped)
    name = escaped + _case_suffix(escaped)
    if not name:
        return "~"
    if len(name) > MAXIMUM:
        digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
        return f"{escaped[: MAXIMUM - 66].rstrip('.%')}~~{digest}"
    return name


def _percent(match: re.Match[str]) -> str:
    return "".join(f"%{byte:02X}" for byte in match[0].encode("utf-8", "surrogatepass"))


def _case_suffix(escaped: str) -> str:
    """`~` and, in base 32, a bit per letter outside escapes that says it is lower case; empty when none is."""
    mask = 0
    for letter in _ESCAPE.sub("", escaped):
        if letter.isalpha():
            mask = mask << 1 | letter.islower()
    digits = ""
    while mask:
        mask, digit = divmod(mask, 32)
        digits = _DIGITS[digit] + digits
    return f"~{digits}" if digits else ""
