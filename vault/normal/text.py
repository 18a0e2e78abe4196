"""Text on one line: quoted, with escapes for whatever could hide, reorder or end it."""

from __future__ import annotations

import re

_SHORT = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t"}
_PLAIN_LABEL = re.compile(r"[A-Za-z0-9._+-]{1,64}", re.ASCII)
_BRACKETS = re.compile(r"[\[\]{}]")


def quote(text: str) -> str:
    """`text` in quotes. `\\xNN` stands for a byte that no character set could read, `\\u{…}` for a character."""
    if text.isascii() and text.isprintable() and '"' not in text and "\\" not in text:
        return f'"{text}"'
    return '"' + "".join(map(_escape, text)) + '"'


def label(value: str) -> str:
    """What names an item: the value itself where it is harmless, else quoted without brackets."""
    return value if _PLAIN_LABEL.fullmatch(value) else without_brackets(quote(value))


def creator(text: str) -> str:
    """A private creator between braces."""
    return "{" + without_brackets(quote(text)[1:-1]) + "}"


def without_brackets(text: str) -> str:
    """Brackets as escapes, so that those of a path are the only ones in it."""
    return _BRACKETS.sub(lambda match: f"\\b{ord(match[0]):02x}", text)


def _escape(letter: str) -> str:
    short = _SHORT.get(letter)
    if short:
        return short
    code = ord(letter)
    if 0xDC00 <= code <= 0xDCFF:  # vault.dicom.charset's mark of an unreadable byte
        return f"\\x{code - 0xDC00:02x}"
    return letter if letter.isprintable() else f"\\u{{{code:x}}}"
