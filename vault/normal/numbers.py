"""Numbers in one spelling each: `1`, `1.0`, `+1` and `1.00E0` are the same number, and stay exact.

No floats: a decimal string (PS3.5 6.2, DS and IS) is rewritten digit by digit. Zero has no sign.
"""

from __future__ import annotations

import math
import re
import struct

_ONE = rb"(?:0|-?[1-9][0-9]*|-?(?:0|[1-9][0-9]*)\.[0-9]*[1-9])"
_CANONICAL = re.compile(rb"%b(?:\\%b)*" % (_ONE, _ONE))
_NUMBER = re.compile(rb"([+-]?)([0-9]*)(?:\.([0-9]*))?(?:[eE]([+-]?[0-9]{1,4}))?")
_PLAIN = re.compile(rb"[-0-9.\\]*")
_PADDING = b" \0"

LARGEST_EXPONENT = 400
"""Beyond it a number is left as it is written: FD ends at 1e308, and zeros must not fill the disk."""


def canonical_list(data: bytes) -> bytes | None:
    """The values of a DS or IS, separated by backslashes, in their one spelling; None if one is no number."""
    if _CANONICAL.fullmatch(data):
        return data
    values = data.split(b"\\")
    if _PLAIN.fullmatch(data) and b".." not in data.translate(None, b"0123456789-"):
        # most of what is left differs by the zeros that a fraction ends in
        cut = [value.rstrip(b"0").rstrip(b".") if b"." in value else value for value in values]
        shorter = b"\\".join(cut)
        if _CANONICAL.fullmatch(shorter):
            return shorter
    spelled = [canonical(value) for value in values]
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
    digits = whole + fraction
    point = len(whole) + exponent
    if point <= 0:
        digits, point = b"0" * (1 - point) + digits, 1
    elif point > len(digits):
        digits += b"0" * (point - len(digits))
    whole, fraction = digits[:point].lstrip(b"0") or b"0", digits[point:].rstrip(b"0")
    if whole == b"0" and not fraction:
        return b"0"
    return (b"-" if sign == b"-" else b"") + whole + (b"." + fraction if fraction else b"")


def single(data: bytes) -> str:
    """The shortest decimal that reads back as the same 32-bit float (4 bytes, little endian)."""
    (value,) = struct.unpack("<f", data)
    if not math.isfinite(value):
        return _not_finite(value, data)
    text = next(
        (text for text in (f"{value:.{n}g}" for n in (6, 7, 8)) if struct.pack("<f", float(text)) == data),
        f"{value:.9g}",
    )
    return _decimal(text)


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
