"""Values of the normal form as people write them, and how one became another."""

from __future__ import annotations

import math
import re

from vault.compare.findings.vocabulary import Term

_LONGEST = 80
_FEW = 6  # a list of so few values is written out
_DATE_DIGITS = 8
_DIGEST = " bytes sha256:"
_TURN = 360.0
_SMALL = 0.1
_TIME = re.compile(r"([0-2]\d)([0-5]\d)([0-6]\d)(?:\.(\d{1,6}))?", re.ASCII)


def shown(value: str | None) -> str:
    """A value in a sentence: without the quotes of the normal form, and not longer than a line."""
    if value is None:
        return "absent"
    plain = value[1:-1] if len(value) > 1 and value[0] == value[-1] == '"' and '"\\"' not in value else value
    if not plain.strip():
        return "empty"
    return plain if len(plain) <= _LONGEST else f"{plain[: _LONGEST - 1]}…"


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
    return f"{value or 0.0:.3f}".rstrip("0").rstrip(".")


def pair(old: float, new: float) -> tuple[str, str]:
    """Two different numbers, written so that they read differently."""
    short = figure(old), figure(new)
    return short if short[0] != short[1] else (f"{old:.15g}", f"{new:.15g}")


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
    if before is None or after is None:
        was, now = (_day(value, term) for value in (old, new))
        return f"{term.noun} {was} → {now}{_unit(term, new or old)}"
    one, two = pair(before, after)
    return f"{term.noun} {one} → {two}{_unit(term, new)} ({_difference(before, after, term)})"


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
