"""What the normal form says of one value, by its value representation (PS3.5 section 6.2)."""

from __future__ import annotations

import hashlib
import re
import struct
from collections.abc import Callable

from vault.dicom import dictionary
from vault.dicom.charset import Decoder, ascii_decoder
from vault.normal import numbers
from vault.normal.source import Source, swapped
from vault.normal.text import quote

NUMBERS_MAXIMUM = 2048
"""Characters of a list of numbers that are written out: the leaves of two banks, not a contour."""

TEXT_MAXIMUM = 16384
"""Characters of text that are written out."""

VALUES_MAXIMUM = 64
"""Binary numbers that are written out."""

HEX_MAXIMUM = 64
"""Bytes without meaning to us that are written out."""

READ_MAXIMUM = 64 << 20
"""Bytes of text or numbers that are brought into their one spelling; more are hashed as they are."""

DECLARED_TEXT = frozenset(["LO", "LT", "PN", "SH", "ST", "UC", "UT"])
"""Representations in the data set's character set; the other texts are ASCII."""

TEXT = DECLARED_TEXT | frozenset(["AE", "AS", "CS", "DA", "DS", "DT", "IS", "TM", "UI", "UR"])
BULK = frozenset(["OB", "OD", "OF", "OL", "OV", "OW", "UN"])
WIDTHS = {"AT": 2, "FD": 8, "FL": 4, "OD": 8, "OF": 4, "OL": 4, "OV": 8, "OW": 2, "SL": 4, "SS": 2, "SV": 8}
WIDTHS |= {"UL": 4, "US": 2, "UV": 8}
"""Bytes of a word, for those representations that have a byte order."""

_ONE_VALUE = frozenset(["LT", "ST", "UR", "UT"])
_TRAILING_ONLY = frozenset(["LT", "ST", "UC", "UR", "UT"])
_PLAIN_UID = re.compile(r"[0-9.]+(?:\\[0-9.]+)*", re.ASCII)
_PRINTABLE = re.compile(rb"[\x20-\x7e\t\r\n]*")
_INTEGERS = {"SL": "i", "SS": "h", "SV": "q", "UL": "I", "US": "H", "UV": "Q"}

ValueText = str


def text_value(vr: str, data: bytes, decode: Decoder) -> ValueText:
    """Text, quoted value by value; numbers and UIDs bare where they are well formed."""
    if vr in {"DS", "IS"}:
        return _number_text(data)
    text = (decode if vr in DECLARED_TEXT else ascii_decoder)(data).rstrip("\0")
    if vr == "UI":
        return _uid_text(text)
    if vr in _ONE_VALUE:
        said = quote(text.rstrip(" \0"))
    else:
        said = "\\".join(quote(_significant(vr, value)) for value in text.split("\\"))
    return said if len(said) <= TEXT_MAXIMUM else _digested(said.encode())


def _significant(vr: str, value: str) -> str:
    """A value without the spaces that PS3.5 table 6.2-1 calls insignificant."""
    value = value.rstrip(" \0") if vr in _TRAILING_ONLY else value.strip(" \0")
    if vr == "PN":  # trailing delimiters may be omitted (PS3.5 6.2.1)
        value = "=".join(group.rstrip("^") for group in value.split("=")).rstrip("=")
    return value


def _number_text(data: bytes) -> ValueText:
    data = data.rstrip(b"\0 ")
    if not data:
        return '""'
    spelled = numbers.canonical_list(data)
    if spelled is None:
        said = "\\".join(quote(value.strip(" \0")) for value in ascii_decoder(data).split("\\"))
        return said if len(said) <= NUMBERS_MAXIMUM else _digested(said.encode())
    return spelled.decode("ascii") if len(spelled) <= NUMBERS_MAXIMUM else _digested(spelled)


def _uid_text(text: str) -> ValueText:
    text = text.strip(" \0")
    if not _PLAIN_UID.fullmatch(text):
        return quote(text) if len(text) <= TEXT_MAXIMUM else _digested(quote(text).encode())
    name = dictionary.uid_name(text)
    if len(text) > NUMBERS_MAXIMUM:
        return _digested(text.encode())
    return f"{text} {name}" if name else text


def binary_numbers(vr: str, data: bytes) -> ValueText | None:
    """Little endian numbers as decimals; None where there are too many of them or a part of one."""
    width = WIDTHS[vr]
    count, rest = divmod(len(data), width if vr != "AT" else 4)
    if rest or count > VALUES_MAXIMUM:
        return None
    if not count:
        return '""'
    if vr == "AT":
        pairs = struct.iter_unpack("<HH", data)
        return "\\".join(f"({group:04x},{element:04x})" for group, element in pairs)
    if vr in _INTEGERS:
        return "\\".join(map(str, struct.unpack(f"<{count}{_INTEGERS[vr]}", data)))
    said: Callable[[bytes], str] = numbers.single if vr == "FL" else numbers.double
    return "\\".join(said(data[start : start + width]) for start in range(0, len(data), width))


def unknown_value(data: bytes) -> ValueText:
    """A value whose representation nobody knows: as text where it is plain text, else its bytes."""
    stripped = data.rstrip(b" \0")
    if data and _PRINTABLE.fullmatch(stripped) and len(stripped) <= TEXT_MAXIMUM:
        return quote(stripped.decode("ascii"))
    return f"{len(data)} bytes {data.hex()}".rstrip() if len(data) <= HEX_MAXIMUM else _digested(data)


def bulk(source: Source, offset: int, length: int, swap: int = 1) -> ValueText:
    """Bytes by length, and their SHA-256 where they are many."""
    if length <= HEX_MAXIMUM:
        return f"{length} bytes {swapped(source.value(offset, length), swap).hex()}".rstrip()
    return f"{length} bytes sha256:{source.digest(offset, length, swap)}"


def _digested(data: bytes) -> ValueText:
    return f"{len(data)} bytes sha256:{hashlib.sha256(data).hexdigest()}"
