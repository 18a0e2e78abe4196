"""What the normal form says of one value, by its value representation (PS3.5 section 6.2)."""

from __future__ import annotations

import hashlib
import re
import struct
from collections.abc import Callable
from functools import lru_cache

from vault.dicom import dictionary
from vault.dicom.charset import Decoder, ascii_decoder
from vault.dicom.repeated import each
from vault.normal import numbers
from vault.normal.source import Source, swapped
from vault.normal.text import escape, is_plain, quote

NUMBERS_MAXIMUM = 2048
"""Characters of a list of numbers that are written out: the leaves of two banks, not a contour."""

TEXT_MAXIMUM = 16384
"""Characters of text that are written out."""

VALUES_MAXIMUM = 64
"""Binary numbers that are written out."""

HEX_MAXIMUM = 64
"""Bytes without meaning to us that are written out."""

READ_MAXIMUM = 8 << 20
"""Bytes of text that are brought into their one spelling; more are hashed as they are."""

LIST_MAXIMUM = 2 << 20
"""The same for lists of numbers: a hundred thousand points of a contour."""

SHORT = 64
"""Bytes of a value that is worth remembering: any UID."""

DECLARED_TEXT = frozenset(["LO", "LT", "PN", "SH", "ST", "UC", "UT"])
"""Representations in the data set's character set; the other texts are ASCII."""

NUMERIC_TEXT = frozenset(["DS", "IS"])
TEXT = DECLARED_TEXT | NUMERIC_TEXT | frozenset(["AE", "AS", "CS", "DA", "DT", "TM", "UI", "UR"])
BULK = frozenset(["OB", "OD", "OF", "OL", "OV", "OW", "UN"])
WIDTHS = {"AT": 2, "FD": 8, "FL": 4, "OD": 8, "OF": 4, "OL": 4, "OV": 8, "OW": 2, "SL": 4, "SS": 2, "SV": 8}
WIDTHS |= {"UL": 4, "US": 2, "UV": 8}
"""Bytes of a word, for those representations that have a byte order."""

_INTEGERS = {"SL": "i", "SS": "h", "SV": "q", "UL": "I", "US": "H", "UV": "Q"}
_ONE_VALUE = frozenset(["LT", "ST", "UR", "UT"])
_TRAILING_ONLY = frozenset(["LT", "ST", "UC", "UR", "UT"])
_PADDING = " \0"
_PN_ENDS = frozenset("^=")
_PLAIN_UID = re.compile(r"[0-9.]+(?:\\[0-9.]+)*", re.ASCII)
_UNKNOWN_TEXT = re.compile(rb"[^\x00-\x08\x0b\x0e-\x1f\x7f]+\x00?")


def text_value(vr: str, data: bytes, decode: Decoder) -> str:
    """Text, quoted value by value; UIDs bare where they are well formed. Not for DS and IS."""
    text = (decode if vr in DECLARED_TEXT else ascii_decoder)(data)
    if vr == "UI":
        return _uids(text.strip(_PADDING))
    if vr in _ONE_VALUE:
        said = quote(text.rstrip(_PADDING))
    elif "\\" in text:
        said = "\\".join(each(lambda value: quote(_significant(vr, value)), text.split("\\")))
    else:
        said = quote(_significant(vr, text))
    return said if len(said) <= TEXT_MAXIMUM else _digested(said.encode())


short_text_value = lru_cache(maxsize=4096)(text_value)
"""`text_value` for values of up to `SHORT` bytes, most of which come again and again."""


def _significant(vr: str, value: str) -> str:
    """A value without the spaces that PS3.5 table 6.2-1 calls insignificant."""
    value = value.rstrip(_PADDING) if vr in _TRAILING_ONLY else value.strip(_PADDING)
    if vr == "PN" and (
        value[-1:] in _PN_ENDS or "=" in value
    ):  # trailing delimiters may be left out (PS3.5 6.2.1)
        value = "=".join([group.rstrip("^ ") for group in value.split("=")]).rstrip("=")
    return value


def _uids(text: str) -> str:
    if not _PLAIN_UID.fullmatch(text):
        said = "\\".join(each(lambda value: quote(value.strip(_PADDING)), text.split("\\")))
        return said if len(said) <= TEXT_MAXIMUM else _digested(said.encode())
    name = dictionary.uid_name(text)
    if len(text) > NUMBERS_MAXIMUM:
        return _digested(text.encode())
    return f"{text} {name}" if name else text


def number_text(data: bytes, spelled: bytes | None) -> str:
    """The value of a DS or IS, given `numbers.canonical_list` of it; what is no number is quoted as it stands."""
    if spelled is None:
        spelled = b"\\".join(each(_number_or_text, data.split(b"\\")))
    elif not spelled:
        return '""'
    return spelled.decode() if len(spelled) <= NUMBERS_MAXIMUM else _digested(spelled)


@lru_cache(maxsize=4096)
def short_number_text(data: bytes) -> str:
    """The value of a DS or IS of up to `SHORT` bytes, most of which come again and again."""
    return number_text(data, numbers.canonical_list(data))


def _number_or_text(value: bytes) -> bytes:
    spelled = numbers.canonical(value)
    return quote(ascii_decoder(value.strip(b" \0"))).encode() if spelled is None else spelled


def binary_numbers(vr: str, data: bytes) -> str | None:
    """Little endian numbers as decimals; None where there are too many of them or a part of one."""
    width = 4 if vr == "AT" else WIDTHS[vr]
    count, rest = divmod(len(data), width)
    if rest or count > VALUES_MAXIMUM:
        return None
    if not count:
        return '""'
    if vr == "AT":
        pairs = struct.iter_unpack("<HH", data)
        return "\\".join([f"({group:04x},{element:04x})" for group, element in pairs])
    if vr in _INTEGERS:
        return "\\".join(map(str, struct.unpack(f"<{count}{_INTEGERS[vr]}", data)))
    said: Callable[[bytes], str] = numbers.single if vr == "FL" else numbers.double
    return "\\".join([said(data[start : start + width]) for start in range(0, len(data), width)])


def unknown_value(data: bytes, decode: Decoder) -> str:
    """A value whose representation nobody knows: as text where it reads as text, else its bytes.

    Two values never read the same: only a single space that makes an even length is taken for padding, and one
    of odd length counts as padded with a zero.
    """
    data += bytes(len(data) % 2)
    text = _as_text(data, decode) if _UNKNOWN_TEXT.fullmatch(data) else None
    if text is not None:
        return quote(text)
    return _shown(data) if len(data) <= HEX_MAXIMUM else _digested(data)


short_unknown_value = lru_cache(maxsize=4096)(unknown_value)
"""`unknown_value` for values of up to `SHORT` bytes."""


def _as_text(data: bytes, decode: Decoder) -> str | None:
    if data.endswith(b"\0") and len(data) < 4:  # a small number, rather
        return None
    text = (ascii_decoder if data.isascii() else decode)(data)
    letters = text.removesuffix("\0")
    if len(letters) > TEXT_MAXIMUM or not is_plain(letters):
        return None
    if not text.isascii():  # any bytes read as Latin-1: without mostly plain letters they are no text
        plain = sum(map(str.isascii, letters))
        if plain < 4 or 4 * plain < 3 * len(letters):
            return None
    return text[:-1] if text.endswith(" ") else text


def bulk(source: Source, offset: int, length: int, swap: int = 1) -> str:
    """Bytes by length, and their SHA-256 where they are many; of odd length they count as padded."""
    if length <= HEX_MAXIMUM:
        return _shown(swapped(source.value(offset, length), swap))
    return f"{length + length % 2} bytes sha256:{source.even_digest(offset, length, swap)}"


def _shown(data: bytes) -> str:
    data += bytes(len(data) % 2)
    return f"{len(data)} bytes {data.hex()}".rstrip()


@lru_cache(maxsize=4096)
def bare(vr: str, data: bytes, decode: Decoder) -> str | None:
    """A short value as it names an item: escaped but not quoted; None where it is empty."""
    if vr in NUMERIC_TEXT:
        data = data.strip(b" \0")
        spelled = numbers.canonical(data)
        return escape(ascii_decoder(data)) if spelled is None else spelled.decode() or None
    if vr in TEXT:
        text = (decode if vr in DECLARED_TEXT else ascii_decoder)(data)
        return escape(_significant(vr, text)) or None
    if vr in WIDTHS and vr not in BULK:
        said = binary_numbers(vr, data)
        return None if said == '""' else said
    return data.hex() or None


def _digested(data: bytes) -> str:
    return f"{len(data)} bytes sha256:{hashlib.sha256(data).hexdigest()}"
