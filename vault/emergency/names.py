"""File names that a person can read, from text that strangers wrote.

Unlike `vault.names.safe_name`, which is injective and for machines, these keep umlauts and spaces: `Müller^Anna`,
`PROSTATE_1A approved`. What could lead out of a folder, hide something, or be refused by Windows is taken out, and
two things that end up with one name are told apart by a suffix.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections import Counter
from collections.abc import Mapping

LONGEST = 60
"""Characters in one name made here; with four levels a path stays below the 260 that Windows takes."""

LONGEST_BYTES = 180
"""Bytes in one name in UTF-8; ext4 takes 255, and a suffix must still fit."""

_PUNCTUATION = frozenset(" -_.,+=()[]^'&@#!~%")
_RESERVED = re.compile(r"(con|prn|aux|nul|com\d|lpt\d|conin\$|conout\$)(?=\.|$)", re.IGNORECASE)


def readable(text: str, otherwise: str = "unnamed", longest: int = LONGEST) -> str:
    """Return a name for `text` that every file system takes and a person recognizes; `otherwise` if nothing is left.

    Kept: letters, marks and digits of any script, space, and harmless punctuation. Everything else, which includes
    separators, control characters and the marks that reverse the direction of writing, becomes `_`.
    """
    composed = re.sub(r"\s+", " ", unicodedata.normalize("NFC", text))
    kept = "".join(character if _is_harmless(character) else "_" for character in composed)
    name = re.sub(r"_{2,}", "_", kept).strip(" .")
    name = _cut(name, longest).lstrip("-~.").strip(" .")
    if not name.strip("_^ ."):
        return otherwise
    return f"_{name}" if _RESERVED.match(name) else name


def distinct(names: Mapping[str, str]) -> dict[str, str]:
    """Give every key a name that differs from all others also where case is folded.

    `names` maps a key (a tree path) to the name it would like, an extension included. Names that collide get a
    suffix from their key, each of them, so that a name never depends on the order or on what was exported before.
    """
    wanted = Counter(_folded(name) for name in names.values())
    result = {
        key: _suffixed(name, key, 8) if wanted[_folded(name)] > 1 else name for key, name in names.items()
    }
    taken = Counter(_folded(name) for name in result.values())
    return {
        key: _suffixed(names[key], key, 24) if taken[_folded(name)] > 1 else name
        for key, name in result.items()
    }


def _is_harmless(character: str) -> bool:
    return character in _PUNCTUATION or unicodedata.category(character)[0] in "LMN"


def _cut(text: str, longest: int) -> str:
    text = text[:longest]
    while len(text.encode()) > LONGEST_BYTES:
        text = text[:-1]
    return text


def _folded(name: str) -> str:
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", name).casefold())


def _suffixed(name: str, key: str, digits: int) -> str:
    digest = hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()[:digits]
    stem, dot, extension = name.rpartition(".")
    if not dot or len(extension) > 8 or not stem:
        return f"{name} {digest}"
    return f"{stem} {digest}.{extension}"
