"""Values of the normal form as people write them, and how one became another."""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Callable
from itertools import takewhile

from vault.compare.findings.vocabulary import Term
from vault.compare.values import spelt

_LONGEST = 80
_BEFORE = 30  # characters in front of the place from which two long values differ
_FEW = 6  # a list of so few values is written out
_DATE_DIGITS = 8
_DIGEST = " bytes sha256:"
_TURN = 360.0
_SMALL = 0.1
_HUGE = 1e9
_TIME = re.compile(r"([0-2]\d)([0-5]\d)([0-6]\d)(?:\.(\d{1,6}))?", re.ASCII)


def shown(value: str | None) -> str:
    """A value in a sentence: without the quotes of the normal form, and not longer than a line."""
    if value is None:
        return "absent"
    plain = _plain(value)
    if not plain.strip():
        return "empty"
    return plain if len(plain) <= _LONGEST else f"{plain[: _LONGEST - 1]}…"


def apart(old: str | None, new: str | None) -> tuple[str, str]:
    """Two different values in a sentence, written so that they read differently.

    Where they would not, they are shown from a little before where they differ; where a reader could not tell them
    apart even so (a space at the end, an accent that is a character of its own), in quotes and letter by letter.
    """
    was, now = shown(old), shown(new)
    if _looks(was) != _looks(now):
        return was, now
    before, after = _plain(old or ""), _plain(new or "")
    same = sum(1 for _ in takewhile(lambda two: two[0] == two[1], zip(before, after, strict=False)))
    start = max(same - _BEFORE, 0)
    was, now = _from(before, start), _from(after, start)
    if was and now and _looks(was) != _looks(now):
        return was, now
    return _spelt(old, start), _spelt(new, start)


def _plain(value: str) -> str:
    """A value without the quotes of the normal form, where nothing in them is escaped."""
    return value[1:-1] if len(value) > 1 and value[0] == value[-1] == '"' and '"\\"' not in value else value


def _looks(text: str) -> str:
    """The same for two texts that no reader tells apart."""
    return unicodedata.normalize("NFC", text).strip()


def _spelt(value: str | None, start: int) -> str:
    return "absent" if value is None else f'"{_from(_plain(value), start, spelt)}"'


def _from(text: str, start: int, written: Callable[[str], str] = str) -> str:
    """So much of a long text from a place on, marked where it is cut."""
    end = start + _LONGEST
    return f"{'…' if start else ''}{written(text[start:end])}{'…' if end < len(text) else ''}"


def number(value: str | None) -> float | None:
    """The one finite number that a value is, or None."""
    try:
        parsed = float(value or "")
    except ValueError:
        return None
    return parsed if math.isfinite(parsed) else None


def numbers(value: str | None) -> list[float]:
    """The numbers of a multi-valued element; empty if one is none, or the normal form holds their digest only."""
    try:
        parsed = list(map(float, (value or "").split("\\")))
    except ValueError:
        return []
    return parsed if all(map(math.isfinite, parsed)) else []


def figure(value: float) -> str:
    """A number with as many digits as a physicist reads: three decimals, or of a small one three digits."""
    if 0 < abs(value) < _SMALL:
        return f"{value:.3g}"
    if abs(value) >= _HUGE:
        return f"{value:.6g}"
    return f"{value or 0.0:.3f}".rstrip("0").rstrip(".")


def pair(old: float, new: float) -> tuple[str, str]:
    """Two different numbers, written so that they read differently."""
    for one, two in ((figure(old), figure(new)), (f"{old:.15g}", f"{new:.15g}")):
        if one != two:
            return one, two
    return repr(old), repr(new)


def turn(old: float, new: float) -> float:
    """By how many degrees an angle turned, the short way round; positive is towards greater angles."""
    around = (new - old) % _TURN
    return around - _TURN if around > _TURN / 2 else around


def size(old: str | None, new: str | None, term: Term) -> float:
    """How great a change is, to find the greatest of several; infinite where a number came or went."""
    if term.shape == "point":
        return distance(numbers(old), numbers(new))
    before, after = number(old), number(new)
    if before is None or after is None:
        return math.inf
    return abs(turn(before, after) if term.shape == "angle" else after - before)


def distance(old: list[float], new: list[float]) -> float:
    """How far apart two points are; infinite where one is no point."""
    return math.dist(old, new) if len(old) == len(new) and old else math.inf


def became(old: str | None, new: str | None, term: Term) -> str:
    """`monitor units 100 → 120 MU (+20 MU, +20 %)`."""
    if term.shape == "point" and (told := _moved(old, new, term)):
        return told
    if old is not None and new is not None and (told := _listed(old, new, term)):
        return told
    before, after = number(old), number(new)
    if before is None or after is None or before == after:  # the last: by less than a number can hold
        was, now = (_day(value, term) for value in (old, new))
        if _looks(was) == _looks(now):
            was, now = apart(old, new)
        return f"{term.noun} {was} → {now}{_unit(term, new or old)}"
    one, two = pair(before, after)
    by = _difference(before, after, term) if math.isfinite(after - before) else ""
    return f"{term.noun} {one} → {two}{_unit(term, new)}{f' ({by})' if by else ''}"


def _day(value: str | None, term: Term) -> str:
    """A value as it is shown, a date of DICOM (`20261124`) as `2026-11-24`, a time (`083000`) as `08:30:00`."""
    said = shown(value)
    if "date" in term.noun and len(said) == _DATE_DIGITS and said.isdecimal():
        return f"{said[:4]}-{said[4:6]}-{said[6:]}"
    if "time" in term.noun and (match := _TIME.fullmatch(said)):
        return ":".join(match.groups()[:3]) + (
            f".{match[4].rstrip('0')}" if (match[4] or "0").strip("0") else ""
        )
    return said


def _listed(old: str, new: str, term: Term) -> str:
    """How one long list became another, of which the normal form may have the digest only; else empty."""
    if _DIGEST in old or _DIGEST in new:
        return f"{term.noun} differ{'' if term.noun.endswith('s') else 's'}"
    before, after = numbers(old), numbers(new)
    if max(len(before), len(after)) <= _FEW or not before or not after:
        return ""
    if len(before) != len(after):
        return f"{term.noun}: {len(before)} → {len(after)} values"
    apart = [abs(now - was) for was, now in zip(before, after, strict=True) if was != now]
    by = (
        f"greatest difference {figure(max(apart))} {term.unit}".rstrip()
        if apart
        else "by less than can be told"
    )
    return f"{term.noun}: {len(apart)} of {len(before)} values differ, {by}"


def _difference(before: float, after: float, term: Term) -> str:
    by = turn(before, after) if term.shape == "angle" else after - before
    said = f"{'+' if by > 0 else ''}{figure(by)}{_unit(term, '1')}"
    if term.shape == "relative" and before:
        said += f", {percent(before, before + by)}"
    return said


def percent(old: float, new: float) -> str:
    """By how many per cent a number changed that was not nought: `+2.56 %`."""
    share = 100 * (new - old) / abs(old)
    return f"{share:+.0f} %" if abs(share) >= _TURN else f"{share:+.3g} %"


def _unit(term: Term, value: str | None) -> str:
    """The unit after a value, where there is a number to measure."""
    if not term.unit or number(value) is None:
        return ""
    return term.unit if term.unit == "°" else f" {term.unit}"


def _moved(old: str | None, new: str | None, term: Term) -> str:
    before, after = numbers(old), numbers(new)
    apart = distance(before, after)
    if math.isinf(apart):
        return ""
    axes = zip("xyz", before, after, strict=False)
    by = ", ".join(f"{axis} {' → '.join(pair(was, now))}" for axis, was, now in axes if was != now)
    return f"{term.noun} moved by {figure(apart)} {term.unit}: {by} {term.unit}"
