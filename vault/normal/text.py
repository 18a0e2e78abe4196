"""Text on one line: quoted, with escapes for whatever could hide, reorder or end it."""

from __future__ import annotations

import re
from functools import lru_cache

# What is escaped is listed here and not asked of Python, whose Unicode tables grow with each version: controls,
# spaces that look like another, invisible and direction-changing characters, private use and unreadable bytes.
_ESCAPED = re.compile(
    '["\\\\\x00-\x1f\x7f-\xa0\xad\u061c\u180e\u2000-\u200f\u2028-\u202f\u205f-\u206f\ufeff\ufff9-\uffff'
    "\ud800-\udfff\ue000-\uf8ff\U000e0000-\U0010ffff]+"
)
_SHORT = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t"}
_PLAIN_LABEL = re.compile(r"[A-Za-z0-9._+-]{1,64}", re.ASCII)
_BRACKETS = re.compile(r"[\[\]{}]")


def quote(text: str) -> str:
    """`text` in quotes. `\\xNN` stands for a byte that no character set could read, `\\u{…}` for a character."""
    return f'"{escape(text)}"'


def escape(text: str) -> str:
    """`text` as `quote` writes it, without the quotes."""
    return _ESCAPED.sub(_escape, text) if _ESCAPED.search(text) else text


def is_plain(text: str) -> bool:
    """Whether nothing but quotes, backslashes, tabs and line ends of `text` would be escaped."""
    return all(_SHORT.keys() >= set(run) for run in _ESCAPED.findall(text))


@lru_cache(maxsize=4096)
def label(escaped: str) -> str:
    """What names an item, given its escaped value: the value itself where it is harmless, else in quotes."""
    return escaped if _PLAIN_LABEL.fullmatch(escaped) else f'"{without_brackets(escaped)}"'


def creator(text: str) -> str:
    """A private creator between braces."""
    return "{" + without_brackets(escape(text)) + "}"


def without_brackets(text: str) -> str:
    """Brackets as escapes, so that those of a path are the only ones in it."""
    return _BRACKETS.sub(lambda match: f"\\b{ord(match[0]):02x}", text)


def _escape(run: re.Match[str]) -> str:
    return "".join(map(_escape_character, run[0]))


@lru_cache(maxsize=512)
def _escape_character(character: str) -> str:
    short = _SHORT.get(character)
    if short:
        return short
    code = ord(character)
    if 0xDC00 <= code <= 0xDCFF:  # vault.dicom.charset's mark of an unreadable byte
        return f"\\x{code - 0xDC00:02x}"
    return f"\\u{{{code:x}}}"
