"""How a value of the normal form reads on a terminal: short, and with what differs in front."""

from __future__ import annotations

import re
import unicodedata

SHOWN_VALUES = 6
"""Differing values of a list that are written out; the rest are counted."""

_LONGEST = 120
_CONTEXT = 30  # characters of a long text before its first difference
_FEW = 4  # a list of so few values is shown whole
_DIGEST = re.compile(r"sha256:([0-9a-f]{12})[0-9a-f]{52}")
_BLANK = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180d\u180f\u2800\u3164\ufe00-\ufe0f\uffa0"
    "\U00016fe4\U0001d159\U000e0100-\U000e01ef]"
)  # letters, marks and symbols to Unicode, which draw nothing: fillers, joiners, selectors of a variant


def transition(old: str | None, new: str | None) -> str:
    """Say how a value became another; None stands for an absent attribute."""
    if old is None or new is None:
        return f"{_shown(old)} → {_shown(new)}"
    if not (old.isascii() and new.isascii()) and _composed(old) == _composed(new):
        old, new = spelt(old), spelt(new)
    if old.startswith('"') and new.startswith('"') and min(len(old), len(new)) > _LONGEST:
        return _text_transition(old, new)
    before, after = _values(old), _values(new)
    if min(len(before), len(after)) <= _FEW:
        return _pair(old, new)
    if len(before) != len(after):
        return f"{len(before)} values → {len(after)} values: {_shown(old)} → {_shown(new)}"
    return _list_transition(before, after)


def _pair(old: str, new: str) -> str:
    """Two different values, from where they differ where what is cut out of them is just that."""
    one, two = _shown(old), _shown(new)
    return f"{one} → {two}" if one != two else _text_transition(old, new)


def _text_transition(old: str, new: str) -> str:
    """Write long texts from a little before where they differ, so that the word in question is never cut out."""
    same = next(
        (n for n, (a, b) in enumerate(zip(old, new, strict=False)) if a != b), min(len(old), len(new))
    )
    start = max(same - _CONTEXT, 0)
    return f"{_from(old, start)} → {_from(new, start)}"


def _from(text: str, start: int) -> str:
    text = ("…" if start else "") + printable(text[start:])
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"


def printable(text: str) -> str:
    """Return `text` with what could command a terminal, reorder what it shows, or can't be seen, as escapes."""
    if text.isprintable() and (text.isascii() or not _BLANK.search(text)):
        return text
    return "".join(
        letter if is_seen(letter) else letter.encode("unicode_escape").decode("ascii") for letter in text
    )


def spelt(text: str) -> str:
    """Return `text` with every letter that is not of ASCII as its escape: two that look the same read differently."""
    return "".join(one if one.isascii() else one.encode("unicode_escape").decode("ascii") for one in text)


def _composed(text: str) -> str:
    """The same for two texts of which one has an accent as a character of its own."""
    return unicodedata.normalize("NFC", text)


def is_seen(letter: str) -> bool:
    """Whether a character shows as itself and does nothing else: of two texts, the one with it looks different."""
    return letter.isprintable() and not _BLANK.match(letter)


def _list_transition(before: list[str], after: list[str]) -> str:
    """Write the values that differ with their positions from 1, and by how much at most where they are numbers."""
    differing = [
        (place, one, two) for place, (one, two) in enumerate(zip(before, after, strict=True), 1) if one != two
    ]
    shown = ", ".join(f"[{place}] {_pair(one, two)}" for place, one, two in differing[:SHOWN_VALUES])
    more = len(differing) - SHOWN_VALUES
    parts = [f"{len(differing)} of {len(before)} values: {shown}", f"and {more} more" if more > 0 else ""]
    shift = _greatest_shift(differing)
    if shift is not None and len(differing) > 1:
        parts.append(f"greatest shift {shift:g}")
    return ", ".join(part for part in parts if part)


def _greatest_shift(differing: list[tuple[int, str, str]]) -> float | None:
    """The greatest difference between values before and after; None if one is no number."""
    try:
        return max(abs(float(new) - float(old)) for _, old, new in differing)
    except ValueError:
        return None


def _values(text: str) -> list[str]:
    """The values of a multi-valued element; a quoted text counts as one, since a backslash may be part of it."""
    return [text] if text.startswith('"') else text.split("\\")


def _shown(value: str | None) -> str:
    if value is None:
        return "absent"
    if not value:
        return "empty"
    value = printable(_DIGEST.sub(r"sha256:\1…", value))
    if len(value) <= _LONGEST:
        return value
    half = _LONGEST // 2
    return f"{value[:half]} … {value[-half:]}"
