"""Where an attribute stands in its object: the items around it, and what those are called."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from vault.compare.findings.quantities import shown
from vault.compare.findings.vocabulary import Item, Vocabulary, words
from vault.normal.lines import parse

Step = tuple[str, str]
"""A sequence and the item in it: `BeamSequence`, `2`."""

_STEP = re.compile(r"((?:\{[^{}\[\]]*\})?[^\[\].{}]+)\[([^\]]*)\]\.")


@dataclass(frozen=True, slots=True)
class Place:
    """An attribute's path, taken apart."""

    steps: tuple[Step, ...]
    name: str


def place(path: str) -> Place:
    """Take a path of the normal form apart."""
    steps, at = [], 0
    while match := _STEP.match(path, at):
        steps.append((match[1], match[2]))
        at = match.end()
    return Place(tuple(steps), path[at:])


def prefix(steps: Iterable[Step]) -> str:
    """The path of an item: the inverse of `place`."""
    return ".".join(f"{sequence}[{item}]" for sequence, item in steps)


def items(form: bytes) -> frozenset[str]:
    """The paths of all items of a normal form."""
    found: set[str] = set()
    lines = (line for line in form.split(b"\n") if b"]." in line)
    for line in parse(line.decode("utf-8", "backslashreplace").encode() for line in lines):
        path = line.path
        end = path.rfind("].")
        while end >= 0 and (item := path[: end + 1]) not in found:
            found.add(item)
            end = path.rfind("].", 0, end)
    return frozenset(found)


class Names:
    """What the items of two normal forms are called, by the later one where both name them."""

    def __init__(self, vocabulary: Vocabulary, old: bytes, new: bytes) -> None:
        self._vocabulary = vocabulary
        self._forms = old, new
        self._known: dict[tuple[str, str], dict[str, str]] = {}

    def item(self, sequence: str) -> Item:
        """The words for the items of a sequence; its own keyword where the vocabulary has none."""
        known = self._vocabulary.items.get(sequence)
        return known or Item(words(sequence.removesuffix("Sequence")), "other")

    def called(self, step: Step) -> tuple[str, str]:
        """Noun and name of an item: `beam`, `2 RIGHT LAT`."""
        item, key = self.item(step[0]), self.key(step)
        name = self._names(item.named_by).get(key, "")
        return item.noun, f"{shown(key)} {name}".strip() if key != name else key

    def key(self, step: Step) -> str:
        """By what an item is known where it has its name."""
        sequence, key = step
        by = self.item(sequence).key
        return self._names((sequence, by)).get(key, key) if by else key

    def _names(self, named_by: tuple[str, str]) -> dict[str, str]:
        if named_by not in self._known:
            self._known[named_by] = self._read(*named_by) if all(named_by) else {}
        return self._known[named_by]

    def _read(self, sequence: str, keyword: str) -> dict[str, str]:
        line = re.compile(rf"\n{sequence}\[([^\]\n]*)\]\.{keyword} [A-Z]{{2}} ([^\n]+)".encode())
        return {
            match[1].decode("utf-8", "replace"): shown(match[2].decode("utf-8", "replace"))
            for form in self._forms
            for match in line.finditer(form)
            if match[2] != b'""'
        }
