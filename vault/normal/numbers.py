"""Numbers in one spelling each: `1`, `1.0`, `+1` and `1.00E0` are the same number, and stay exact.

No floats: a decimal string (PS3.5 6.2, DS and IS) is rewritten digit by digit. Zero has no sign.
"""

from __future__ import annotations

import math
import re
import struct

from vault.dicom.repeated import each

_WHOLE = rb"(?:0|[1-9][0-9]*+)"
_ONE = rb"(?:0(?![.0-9])|-?%b(?:\.[0-9]*[1-9])?(?![.0-9]))" % _WHOLE
_CANONICAL = re.compile(rb"%b(?:\\%b)*+" % (_ONE, _ONE))
_NEGATIVE_ZERO = re.compile(rb"(?:^|\\)-0(?:\\|$)")
_NUMBER = re.compile(rb"([+-]?)([0-9]*)(?:\.([0-9]*))?(?:[eE]([+-]?[0-9]{1,4}))?")
_PADDING = b" \0"

LARGEST_EXPONENT = 400
"""Beyond it a number is left as it is written: FD ends at 1e308."""

LONGEST_PLAIN = 64
"""Digits before or after the point up to which a number is written without an exponent."""


def canonical_list(data: bytes) -> bytes | None:
    """The values of a DS or IS, separated by backslashes, in their one spelling; None if one is no number."""
    if _CANONICAL.fullmatch(data) and not (b"-0" in data and _NEGATIVE_ZERO.search(data)):
        return data
    spelled = each(canonical, data.split(b"\\"))
    return None if None in spelled else b"\\".join(value for value in spelled if value is not None)


def canonical(value: bytes) -> bytes | None:
    """One number in its one spelling, empty if it is empty; None if it is no number."""
    value = value.strip(_PADDING)
    if not value:
        return b""
    match = _NUMBER.fullmatch(value)
    if not match:
        return None
    sign, whole, fraction, exponent = match[1], match[2], match[3] or b"", int(match[4] or 0)
    if not (whole or fraction) or abs(exponent) > LARGEST_EXPONENT:
        return None
    if exponent:
        return _scaled(sign, whole + fraction, len(whole) + exponent)
    whole, fraction = whole.lstrip(b"0") or b"0", fraction.rstrip(b"0")
    return _plain(sign, whole, fraction)


def _plain(sign: bytes, whole: bytes, fraction: bytes) -> bytes:
    if whole == b"0" and not fraction:
        return b"0"
    return (b"-" if sign == b"-" else b"") + whole + (b"." + fraction if fraction else b"")


def _scaled(sign: bytes, digits: bytes, point: int) -> bytes:
    """A number of which `digits` are all digits, and `point` says before which of them the decimal point is."""
    significant = digits.lstrip(b"0")
    point -= len(digits) - len(significant)
    digits = significant.rstrip(b"0")
    if not digits:
        return b"0"
    if point > LONGEST_PLAIN or point < -LONGEST_PLAIN:  # zeros must not fill the disk
        minus = b"-" if sign == b"-" else b""
        return minus + _plain(b"", digits[:1], digits[1:]) + b"e%d" % (point - 1)
    if point <= 0:
        return _plain(sign, b"0", b"0" * -point + digits)
    return _plain(sign, digits[:point].ljust(point, b"0"), digits[point:])


def single(data: bytes) -> str:
    """The shortest decimal that reads back as the same 32-bit float (4 bytes, little endian)."""
    (value,) = struct.unpack("<f", data)
    if not math.isfinite(value):
        return _not_finite(value, data)
    text = next(
        (text for text in (f"{value:.{n}g}" for n in range(1, 9)) if _reads_back(text, data)), f"{value:.9g}"
    )
    return _decimal(text)


def _reads_back(text: str, data: bytes) -> bool:
    try:
        return struct.pack("<f", float(text)) == data
    except OverflowError:  # rounded up past the largest float
        return False


def double(data: bytes) -> str:
    """The shortest decimal that reads back as the same 64-bit float (8 bytes, little endian)."""
    (value,) = struct.unpack("<d", data)
    return _decimal(repr(value)) if math.isfinite(value) else _not_finite(value, data)


def _decimal(text: str) -> str:
    plain = canonical(text.encode())
    zero = "-0" if text.startswith("-") else "0"  # here the sign of zero is in the bytes
    return text if plain is None else zero if plain == b"0" else plain.decode()


def _not_finite(value: float, data: bytes) -> str:
    return f"nan:{data[::-1].hex()}" if math.isnan(value) else str(value)
