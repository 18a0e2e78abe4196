"""Text from strangers on a page: everything in it is seen, and nothing of it acts.

Escaping keeps it from being markup. Beside that, what can't be seen or turns the direction of writing is written as
its code point, so is each space that a page would fold into the one before it, marks beyond what any language puts on
a letter are counted, and what is absurdly long is cut and says how long it was.
"""

from __future__ import annotations

import re
import unicodedata

from markupsafe import Markup, escape

from vault.compare.values import is_seen

LONGEST = 1000
"""Characters of one text that are shown."""

MOST_MARKS = 4
"""Marks on one letter: more than any language puts there."""

MOST_CODES = 100
"""Characters of one text that are written as their code: each takes thirty times its room."""

FROM_THE_RIGHT = re.compile(
    "[{0}]+(?: [{0}]+)*".format(
        "\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufefc\U00010800-\U00010fff\U0001e800-\U0001efff"
    )
)
"""Words of Hebrew, Arabic and their like. Two of them with an arrow between stand the wrong way round on a page, what
was on the right of what is, unless each is kept to itself."""

_PLAIN = re.compile(r"(?: ?[\x21-\x7e])* ?")


def visible(text: str, longest: int = LONGEST) -> Markup:
    """HTML that shows `text` as it is."""
    cut = text[:longest]
    if _PLAIN.fullmatch(cut):
        shown, end = escape(cut), len(cut)
    else:
        shown, end = _shown(cut)
    if rest := len(text) - end:
        shown += Markup('<span class="code">… {} more characters</span>').format(rest)
    return shown


def plain(text: str, longest: int = LONGEST) -> Markup:
    """The same for an attribute (`title`, `data-…`, `alt`), where no markup can stand."""
    cut = text[:longest] + ("…" if len(text) > longest else "")
    return escape("".join(f"[{code}]" if (code := _code(letter)) else letter for letter in cut))


def _shown(text: str) -> tuple[Markup, int]:
    """The text with codes in it, and where it ends: after `MOST_CODES` of them."""
    pieces: list[Markup] = []
    start = marks = codes = 0
    for place, letter in enumerate(text):
        is_mark = unicodedata.category(letter) in ("Mn", "Me")
        marks = marks + 1 if is_mark else 0
        folded = letter == " " and text[place - 1 : place] == " "
        code = _code(letter) or (f"U+{ord(letter):04X}" if folded or marks > MOST_MARKS else "")
        if code and codes == MOST_CODES:
            return Markup("").join([*pieces, _kept(text[start:place])]), place
        if code:
            pieces += [_kept(text[start:place]), _CODE.format(code)]
            start, codes = place + 1, codes + 1
    return Markup("").join([*pieces, _kept(text[start:])]), len(text)


def _kept(text: str) -> Markup:
    """Text without codes, in which what is written from the right is kept to itself."""
    return Markup(FROM_THE_RIGHT.sub(r"<bdi>\g<0></bdi>", str(escape(text))))  # noqa: S704  # escaped


_CODE = Markup('<span class="code">{}</span>')


def _code(letter: str) -> str:
    """What stands for a character that can't be seen, or orders others about; empty for any other."""
    return "" if is_seen(letter) else f"U+{ord(letter):04X}"
