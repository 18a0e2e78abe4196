"""What a driver returns, as canonical text: the same value has the same text, whatever driver and column type.

Dates and times are ISO 8601 with the offset that the database gives, if any; numbers the shortest exact decimal;
bits `yes` and `no`; bytes `hex:…`; text without the blanks that `char(n)` pads it with; NULL is None.
"""

from __future__ import annotations

import datetime as dt
import re
import struct
from decimal import Decimal, InvalidOperation
from uuid import UUID

from vault.rois.sql.contract import Kind
from vault.rois.uids import is_uid

_WHEN = re.compile(
    r"(?P<date>\d{4}-?\d{2}-?\d{2})"
    r"(?:[T ]+(?P<time>\d{2}:\d{2}(?::\d{2}(?:[.,]\d{1,9})?)?)\s*(?P<zone>Z|[+-]\d{2}(?::?\d{2})?)?)?",
    re.ASCII,
)
_FLAGS = {
    **dict.fromkeys(("1", "y", "yes", "t", "true"), "yes"),
    **dict.fromkeys(("0", "n", "no", "f", "false"), "no"),
}
_OFFSET = struct.Struct("<6hI2h")
_LARGEST_EXPONENT = 400
"""Numbers beyond 10 to this power are no numbers of a treatment, and would be very long texts."""


class WrongTypeError(ValueError):
    """The value is not of the kind that the contract says. `str` is what it is instead, without the value."""


def canonical(value: object) -> str | None:
    """The text of a value that the contract does not know: by its own type."""
    return None if value is None else _said(value)


def _said(value: object) -> str:
    if isinstance(value, str):  # most are
        return text(value)
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int | float | Decimal):
        return number(value)
    if isinstance(value, dt.date | dt.time):
        return moment(value)
    if isinstance(value, bytes | bytearray | memoryview):
        return f"hex:{bytes(value).hex()}"
    return str(value).upper() if isinstance(value, UUID) else text(str(value))


def typed(value: object, kind: Kind) -> str | None:
    """The text of a value that must be of a kind. Blank text counts as NULL. Raises WrongTypeError."""
    plain = canonical(value)
    if plain is None or (isinstance(value, str) and not plain.strip()):
        return None
    if kind is Kind.TEXT:
        return plain
    read = _READERS[kind](value, plain.strip())
    if read is None:
        raise WrongTypeError(_what(value))
    return read


def text(value: str) -> str:
    """Text without padding at its end; what is no Unicode (half a surrogate pair) is spelled out."""
    plain = value.rstrip(" \0")
    return plain if plain.isascii() else plain.encode("utf-8", "backslashreplace").decode()


def number(value: float | Decimal) -> str:
    """The shortest decimal that means exactly this number, without exponent and trailing zeros."""
    exact = Decimal(repr(value)) if isinstance(value, float) else Decimal(value)
    if not exact.is_finite() or exact.adjusted() > _LARGEST_EXPONENT or exact.adjusted() < -_LARGEST_EXPONENT:
        return str(exact)
    plain = format(exact, "f")
    if "." in plain:
        plain = plain.rstrip("0").rstrip(".")
    return "0" if plain in ("-0", "") else plain


def moment(value: dt.date | dt.time) -> str:
    """ISO 8601; fractions of a second only where there are any."""
    said = value.isoformat()
    if isinstance(value, dt.datetime | dt.time) and value.microsecond:
        head, _, tail = said.partition(".")
        said = f"{head}.{tail[:6].rstrip('0')}{tail[6:]}"
    return said


def datetimeoffset(raw: bytes) -> dt.datetime:
    """SQL Server's `datetimeoffset` as its driver's 20 bytes: a SQL_SS_TIMESTAMPOFFSET_STRUCT.

    pyodbc does not read the type (-155) by itself. Raises ValueError when the bytes are no such value.
    """
    try:
        year, month, day, hour, minute, second, nanoseconds, east, minutes = _OFFSET.unpack(raw)
    except struct.error:
        raise ValueError(f"{len(raw)} bytes are no datetimeoffset") from None
    zone = dt.timezone(dt.timedelta(hours=east, minutes=minutes))
    return dt.datetime(year, month, day, hour, minute, second, nanoseconds // 1000, zone)


def _uid(value: object, plain: str) -> str | None:
    plain = plain.rstrip("\0 ")
    return plain if isinstance(value, str) and is_uid(plain) else None


def _when(value: object, plain: str) -> str | None:
    if isinstance(value, dt.date):
        return plain
    match = _WHEN.fullmatch(plain) if isinstance(value, str) else None
    if match is None:
        return None
    try:
        day = dt.date.fromisoformat(match["date"])
        if match["time"] is None:
            return moment(day)
        clock = dt.time.fromisoformat(_clock(match["time"]) + (match["zone"] or ""))
    except ValueError:
        return None
    return moment(dt.datetime.combine(day, clock))


def _clock(said: str) -> str:
    """A time with at most the six digits of a second's fraction that Python keeps."""
    head, dot, fraction = said.replace(",", ".").partition(".")
    return f"{head}{dot}{fraction[:6]}"


def _date(value: object, plain: str) -> str | None:
    when = _when(value, plain)
    return when and when[:10]


def _number(value: object, plain: str) -> str | None:
    if isinstance(value, bool):
        return None
    if isinstance(value, str):
        try:
            plain = number(Decimal(plain))
        except InvalidOperation:
            return None
    elif not isinstance(value, int | float | Decimal):
        return None
    return (
        plain if Decimal(plain).is_finite() and abs(Decimal(plain).adjusted()) <= _LARGEST_EXPONENT else None
    )


def _whole(value: object, plain: str) -> str | None:
    read = _number(value, plain)
    return read if read is not None and "." not in read else None


def _flag(value: object, plain: str) -> str | None:
    return _FLAGS.get(plain.lower()) if isinstance(value, bool | int | float | Decimal | str) else None


_READERS = {
    Kind.UID: _uid,
    Kind.WHEN: _when,
    Kind.DATE: _date,
    Kind.NUMBER: _number,
    Kind.WHOLE: _whole,
    Kind.FLAG: _flag,
}


def _what(value: object) -> str:
    """What a value is, in words that give nothing away."""
    if isinstance(value, str):
        return f"text of {len(value)} characters"
    if isinstance(value, bytes | bytearray | memoryview):
        return f"{len(value)} bytes"
    names = {bool: "a bit", int: "a whole number", float: "a number", Decimal: "a number"}
    times = {dt.datetime: "a date with a time", dt.date: "a date", dt.time: "a time of day"}
    return {**names, **times}.get(type(value), type(value).__name__)
