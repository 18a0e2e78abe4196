"""Which characters a report can print, and what stands for those it can't.

The font that ships (DejaVu Sans Condensed) has Latin, Greek, Cyrillic, Armenian, Georgian, Arabic and Hebrew. What it
lacks is looked for in fonts of the system: WenQuanYi Micro Hei for Chinese, Japanese and Korean, Noto for the scripts
of India and the rest. A character that none has, and one that would command the layout (control characters, marks
that turn the direction of writing), prints as `□`, and the report says so.

Every text is a line from the left, in which only letters that are written from the right run the other way: beside an
Arabic name the rules of Unicode (UAX 9) would print the ID `12-34-56` as `56-34-12`, and `80 / 100 MU` with the two
changed over.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from fontTools.ttLib import TTFont  # type: ignore[import-untyped]

SHIPPED = Path(__file__).parent / "fonts"
REGULAR = SHIPPED / "DejaVuSansCondensed.ttf"
BOLD = SHIPPED / "DejaVuSansCondensed-Bold.ttf"

SYSTEM = (Path("/usr/share/fonts"), Path("/usr/local/share/fonts"))
"""Where Debian's and the site's own fonts lie."""

EAST_ASIAN = ("wqy-microhei.ttc", "DroidSansFallbackFull.ttf", "NanumGothic.ttf")
NOTO = ("NotoSans{}-Regular.ttf", "NotoSerif{}-Regular.ttf")
SYMBOLS = ("NotoSansSymbols-Regular.ttf", "NotoSansSymbols2-Regular.ttf", "NotoSansMath-Regular.ttf")

REPLACEMENT = "\u25a1"
"""`□`: stands for a character that can't be printed."""

LONGEST = 400
"""Characters of one text that are printed."""

MOST_MARKS = 4
"""Marks on one letter: more than any language puts there."""

LEFT_TO_RIGHT = "\u200e"
"""What can't be seen, and counts as a letter written from the left."""

_FROM_THE_RIGHT = frozenset({"R", "AL"})
_NUMBERS = frozenset({"EN", "AN"})
"""Bidirectional classes: letters of Hebrew and Arabic; digits."""

_SPACE = re.compile(r"\s+")
_JOINERS = "\u200c\u200d"


@dataclass(frozen=True, slots=True)
class Printable:
    """A text as it is printed."""

    text: str
    fonts: tuple[Path, ...] = ()
    """Fonts beside the shipped one that it needs."""
    lacking: tuple[str, ...] = ()
    """What `□` stands for in it, in words."""


def printable(text: str, system: tuple[Path, ...] = SYSTEM) -> Printable:
    """One line of at most `LONGEST` characters, in which every character has a glyph or is `□`."""
    cut = text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"
    line = _SPACE.sub(" ", unicodedata.normalize("NFC", cut)).strip()
    if line.isascii() and line.isprintable():
        return Printable(line)
    kept: list[str] = []
    fonts: dict[Path, None] = {}
    lacking: dict[str, None] = {}
    marks = 0
    for character in line:
        is_mark = unicodedata.category(character) in ("Mn", "Me")
        marks = marks + 1 if is_mark else 0
        if marks > MOST_MARKS:
            lacking["more marks on one letter than can be printed"] = None
            continue
        font = None if _commands(character) else _font_of(character, system)
        if font is None:
            kept.append(REPLACEMENT)
            lacking[_what(character)] = None
        else:
            kept.append(character)
            if font != REGULAR:
                fonts[font] = None
    return Printable(_from_the_left("".join(kept)), tuple(fonts), tuple(lacking))


def _from_the_left(text: str) -> str:
    """The text as a line from the left, in which words from the right order no number that follows them."""
    directions = [unicodedata.bidirectional(letter) for letter in text]
    if _FROM_THE_RIGHT.isdisjoint(directions) or (_NUMBERS | {"L"}).isdisjoint(directions):
        return text
    pieces, turned = [LEFT_TO_RIGHT], False
    for letter, direction in zip(text, directions, strict=True):
        if direction in _NUMBERS and turned:
            pieces.append(LEFT_TO_RIGHT)
        turned = direction in _FROM_THE_RIGHT or (turned and direction not in _NUMBERS | {"L"})
        pieces.append(letter)
    return "".join(pieces)


def _commands(character: str) -> bool:
    """Whether a character is not one to see: it controls, reorders, or means nothing outside one program."""
    return unicodedata.category(character)[0] == "C" and character not in _JOINERS


def _what(character: str) -> str:
    if _commands(character):
        return "control characters"
    return f"{_script(character)} (U+{ord(character):04X})"


def _script(character: str) -> str:
    """The first word of a character's name, which for letters is the script."""
    return unicodedata.name(character, "unnamed").split()[0].lower()


@cache
def _font_of(character: str, system: tuple[Path, ...]) -> Path | None:
    """The first font that has the character."""
    if ord(character) in _characters(REGULAR):
        return REGULAR
    script = _script(character).capitalize()
    names = [*EAST_ASIAN, *(name.format(script) for name in NOTO), *SYMBOLS]
    for name in names:
        path = _installed(system).get(name)
        if path is not None and ord(character) in _characters(path):
            return path
    return None


@cache
def _installed(system: tuple[Path, ...]) -> dict[str, Path]:
    """Font files by name; the first folder's win."""
    found: dict[str, Path] = {}
    for folder in system:
        for path in sorted(folder.rglob("*.tt[fc]")):
            found.setdefault(path.name, path)
    return found


@cache
def _characters(path: Path) -> frozenset[int]:
    """What a font has; nothing where the file is no font."""
    try:
        with TTFont(path, lazy=True, fontNumber=0) as font:
            return frozenset(font.getBestCmap())
    except Exception:  # a damaged file of the system's: its library raises whatever the bytes provoke
        return frozenset()
