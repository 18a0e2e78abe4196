"""What an extractor yields: one item becomes one line of the normal form."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from itertools import groupby
from operator import itemgetter
from typing import NamedTuple


class Item(NamedTuple):
    """One thing that a document says."""

    name: str
    """What it is: `text`, `field`, `note`, `drawing`, `part` …"""
    label: str
    """Which one, where there are several with a name of their own; else empty."""
    value: str
    """The text, or a digest as `carried` makes it."""


class UnreadableError(ValueError):
    """The document can't be taken apart; the message is the reason, without its content."""


class TooMuchError(ValueError):
    """The document says more than a normal form may hold, or unpacks to more than its size gives it a right to."""


def text(words: str) -> Iterator[Item]:
    """A line of text, with white space as single spaces; nothing for a blank one."""
    said = " ".join(words.split())
    if said:
        yield Item("text", "", said)


def marked(pieces: Iterable[tuple[str, str]]) -> str:
    """Text from its pieces, each with what was done to it (`struck`, `deleted`), if anything.

    Word processors cut a word into pieces as they like: what follows each other under one mark is said as one.
    """
    said = []
    for mark, group in groupby(pieces, key=itemgetter(0)):
        words = "".join(piece for _, piece in group)
        said.append(f"[{mark}: {words}]" if mark and words.strip() else words)
    return "".join(said)


def carried(kind: str, pieces: Iterable[bytes], label: str = "", note: str = "") -> Item:
    """Something that is compared by its bytes: a picture, an attachment."""
    digest, size = hashlib.sha256(), 0
    for piece in pieces:
        digest.update(piece)
        size += len(piece)
    return Item(kind, label, f"{note} {size} bytes sha256:{digest.hexdigest()}".lstrip())
