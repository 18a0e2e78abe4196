"""Text in the character sets of DICOM (PS3.5 section 6.1, PS3.3 C.12.1.1.2), decoded in one place and totally.

Bytes that the declared character set can't read become lone surrogates U+DC00 + byte, which no decoder of ours
yields otherwise: they stay apart from every character, and `vault.normal.text` shows them as `\\xNN`.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Callable
from functools import lru_cache
from typing import Any

from vault.dicom.repeated import each

Decoder = Callable[[bytes], str]

_UNREADABLE = "vault.unreadable"
_MARK = re.compile("[\udc00-\udcff]")


def _keep(error: Any) -> tuple[str, int]:
    """What stands for the bytes that `error`, a UnicodeDecodeError, is about; called a million times for garbage."""
    start, end = error.start, error.end
    if end - start == 1:
        return _MARKS[error.object[start]], end
    end = max(end, start + 1)
    return "".join([_MARKS[byte] for byte in error.object[start:end]]), end


_MARKS = [chr(0xDC00 + byte) for byte in range(256)]
codecs.register_error(_UNREADABLE, _keep)

_MULTI_BYTE = frozenset(("shift_jis", "gb18030", "gbk", "euc_kr", "gb2312"))


def _decode(data: bytes, codec: str) -> str:
    """`data` read by `codec`. Where only bytes from 0x80 on can be unreadable, Python's own handler makes the same
    marks without a call for each."""
    return data.decode(codec, _UNREADABLE if codec in _MULTI_BYTE else "surrogateescape")


_SINGLE = {
    "": "ascii",
    "ISO_IR 6": "ascii",
    "ISO_IR 100": "latin_1",
    "ISO_IR 101": "iso8859_2",
    "ISO_IR 109": "iso8859_3",
    "ISO_IR 110": "iso8859_4",
    "ISO_IR 144": "iso8859_5",
    "ISO_IR 127": "iso8859_6",
    "ISO_IR 126": "iso8859_7",
    "ISO_IR 138": "iso8859_8",
    "ISO_IR 148": "iso8859_9",
    "ISO_IR 203": "iso8859_15",
    "ISO_IR 166": "iso8859_11",
    "ISO_IR 13": "shift_jis",
    "ISO_IR 192": "utf_8",
    "GB18030": "gb18030",
    "GBK": "gbk",
}

_EXTENDED = frozenset(
    f"ISO 2022 IR {number}"
    for number in (6, 13, 58, 87, 100, 101, 109, 110, 126, 127, 138, 144, 148, 149, 159, 166, 203)
)
"""Terms that announce code extensions; which of them is in use is said by escape sequences in the text itself."""

# Escape sequences (PS3.3 tables C.12-3 and C.12-4): what follows ESC -> (is it G1?, codec, bytes per character).
_ESCAPES: dict[bytes, tuple[bool, str, int]] = {
    b"(B": (False, "ascii", 1),
    b"(J": (False, "shift_jis", 1),
    b")I": (True, "shift_jis", 1),
    b"-A": (True, "latin_1", 1),
    b"-B": (True, "iso8859_2", 1),
    b"-C": (True, "iso8859_3", 1),
    b"-D": (True, "iso8859_4", 1),
    b"-L": (True, "iso8859_5", 1),
    b"-G": (True, "iso8859_6", 1),
    b"-F": (True, "iso8859_7", 1),
    b"-H": (True, "iso8859_8", 1),
    b"-M": (True, "iso8859_9", 1),
    b"-b": (True, "iso8859_15", 1),
    b"-T": (True, "iso8859_11", 1),
    b"$)C": (True, "euc_kr", 2),
    b"$)A": (True, "gb2312", 2),
    b"$B": (False, "iso2022_jp", 2),
    b"$(D": (False, "iso2022_jp_ext", 2),
}
_ESCAPE = re.compile(
    rb"\x1b(" + b"|".join(re.escape(key) for key in sorted(_ESCAPES, key=len, reverse=True)) + rb")"
)
_SHORT = 16
"""Bytes between escape sequences, up to which what they read as is remembered."""

_CONTROL = re.compile(rb"[\x09\x0a\x0c\x0d]")
_DELIMITER = re.compile(rb"([\x09\x0a\x0c\x0d\\^=])")


def understood(value: bytes) -> bool:
    """Whether a SpecificCharacterSet (0008,0005) names only sets that are decoded here."""
    return all(term in _SINGLE or term in _EXTENDED for term in _terms(value))


@lru_cache(maxsize=256)
def decoder(value: bytes) -> Decoder:
    """The decoder for a value of SpecificCharacterSet; terms that are not known read as ASCII."""
    terms = _terms(value)
    first = terms[0].replace("ISO 2022 IR", "ISO_IR")
    if len(terms) == 1 and not terms[0].startswith("ISO 2022"):
        codec = _SINGLE.get(terms[0], "ascii")
        return lambda data: _decode(data, codec)
    initial = _SINGLE.get(first, "ascii")  # multi-byte sets can't be first: their G0 is ASCII
    return lambda data: _decode_extended(data, initial)


def visible(text: str) -> str:
    """`text` with the marks of unreadable bytes written as `\\xNN`, so that it can be encoded and shown."""
    return _MARK.sub(lambda match: f"\\x{ord(match[0]) - 0xDC00:02x}", text)


def _terms(value: bytes) -> list[str]:
    text = value.decode("ascii", "replace").rstrip("\0 ")
    return [" ".join(term.upper().split()).replace("ISO IR", "ISO_IR") for term in text.split("\\")]


def _decode_extended(data: bytes, initial: str) -> str:
    """ISO 2022 with G0 and G1: follows the escape sequences; delimiters bring back the first set (PS3.5 6.1.2.5.3)."""
    if b"\x1b" not in data:
        return _decode(data, initial)
    parts = _ESCAPE.split(data)
    text = [_decode(parts[0], initial)]
    g0: tuple[str, int] = ("ascii", 1)
    g1 = initial
    for escape, fragment in zip(parts[1::2], parts[2::2], strict=True):
        is_g1, codec, width = _ESCAPES[escape]
        if is_g1:
            g1 = codec
        else:
            g0 = (codec, width)
        if g0[1] == 2:
            wide, rest = _until_control(fragment)
            introducer = b"\x1b$B" if g0[0] == "iso2022_jp" else b"\x1b$(D"
            decode = _decode_short if len(wide) <= _SHORT else _decode_wide
            text.append(decode(wide, introducer, g0[0]))
            if rest:
                g0 = ("ascii", 1)
                text.append(_decode(rest, initial))
        else:
            before, after = _until_delimiter(fragment, keep=initial in {"ascii", "shift_jis"})
            text.append(_decode(before, g1))
            if after:
                g1 = initial
                text.append(_decode(after, initial))
    return "".join(text)


@lru_cache(maxsize=1024)
def _decode_short(data: bytes, introducer: bytes, codec: str) -> str:
    return _decode_wide(data, introducer, codec)


def _decode_wide(data: bytes, introducer: bytes, codec: str) -> str:
    """Two-byte G0 text, pair by pair where a pair is not in the set, so that one bad pair hides no other."""
    try:
        return (introducer + data).decode(codec)
    except UnicodeDecodeError:
        pass
    pairs = [data[start : start + 2] for start in range(0, len(data), 2)]
    return "".join(each(lambda pair: _decode_pair(pair, introducer, codec), pairs))


def _decode_pair(pair: bytes, introducer: bytes, codec: str) -> str:
    try:
        return (introducer + pair).decode(codec)
    except UnicodeDecodeError:
        return "".join([_MARKS[byte] for byte in pair])


def _until_control(fragment: bytes) -> tuple[bytes, bytes]:
    found = _CONTROL.search(fragment)
    return (fragment[: found.start()], fragment[found.start() :]) if found else (fragment, b"")


def _until_delimiter(fragment: bytes, *, keep: bool) -> tuple[bytes, bytes]:
    """Split where the first set comes back; where that set has no upper half, the last one stays (seen in the wild)."""
    found = None if keep else _DELIMITER.search(fragment)
    return (fragment[: found.start()], fragment[found.start() :]) if found else (fragment, b"")


ascii_decoder: Decoder = decoder(b"")
"""What reads text where no character set is declared, and values that are always ASCII."""
