"""From attributes that differ to sentences, by the vocabulary of the object type.

Every attribute is told: an item that came or went in one sentence with what is in it, a value with what it was and
is, the same change at many control points or in many beams once. What no vocabulary names is told by its keyword.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from vault.compare.findings import leaves
from vault.compare.findings.places import Names, Place, Step, items, place, prefix
from vault.compare.findings.quantities import apart, became, shown, size
from vault.compare.findings.said import Said
from vault.compare.findings.vocabulary import PATIENT, Item, Term, Vocabulary, words
from vault.model import AttributeChange

SEPARATE = 4
"""So many attributes that no vocabulary names are told one by one; more in one sentence."""

NAMED = 12
"""So many of those are named in that sentence; the rest are counted."""

_PRIVATE = re.compile(r"\([0-9a-f]{3}[13579bdf],")
BYTES = "(bytes)"
"""Stands for a file's bytes where no attribute can say more."""

_GATHERED = ("other", "private")
_PAPERS = frozenset({"equipment", "description"})


@dataclass(frozen=True, slots=True)
class _Sentence:
    """A finding before it is joined with those that say the same of a sibling."""

    subject: str
    of: tuple[str, str]
    """Noun and name of the outermost item: `beam`, `1 LEFT LAT`; empty for the object itself."""
    body: str
    attributes: frozenset[str]


@dataclass(frozen=True, slots=True)
class _Located:
    change: AttributeChange
    place: Place


def tell(vocabulary: Vocabulary, attributes: Sequence[AttributeChange], old: bytes, new: bytes) -> list[Said]:
    """What the attributes that differ between two normal forms mean, in the order of the normal form."""
    return list(_Telling(vocabulary, old, new).findings(attributes))


_Item = tuple[str, tuple[Step, ...]]
"""`added` or `removed`, and the path of the item."""

_KINDS = ("added", "removed")


def _without(key: str, group: list[_Located]) -> list[tuple[str, str]]:
    """What an item says apart from its key."""
    values = ((one.place.name, one.change.old or one.change.new or "") for one in group)
    return [
        (name, value)
        for name, value in values
        if shown(value).partition(" ")[0] != key and shown(value) != key
    ]


class _Telling:
    def __init__(self, vocabulary: Vocabulary, old: bytes, new: bytes) -> None:
        self.vocabulary = vocabulary
        self.names = Names(vocabulary, old, new)
        self._forms = old, new
        self._items: dict[int, frozenset[str]] = {}

    def findings(self, attributes: Sequence[AttributeChange]) -> Iterator[Said]:
        located = [_Located(change, place(change.path)) for change in attributes]
        whole: dict[_Item, list[_Located]] = {}
        values: dict[tuple[str, str], list[_Located]] = {}
        for one in located:
            came = self._came(one)
            if came is None:
                values.setdefault(self._value_key(one), []).append(one)
            else:
                whole.setdefault(self._item_key(one, came), []).append(one)
        counted = {keyword for (_, steps) in whole for keyword in self.names.item(steps[-1][0]).counted_by}
        counted |= {steps[-1][0] for (_, steps) in whole}  # a sequence that is empty now, or was
        sentences = [*self._replaced(whole)]
        sentences += [self._item_sentence(key[0], key[1], group) for key, group in whole.items()]
        for group in values.values():
            if group[0].place.name not in counted:
                sentences.append(self._order(group[0]) or self._value_sentence(group))
        yield from _gathered(_joined(sentences))

    # items that came or went

    def _came(self, one: _Located) -> tuple[Step, ...] | None:
        """The outermost item around an attribute that only one side has; None where both have them all."""
        if one.change.old is not None and one.change.new is not None:
            return None
        other = self._items_of(0 if one.change.old is None else 1)
        steps = one.place.steps
        outer = (steps[:depth] for depth in range(1, len(steps) + 1))
        return next((some for some in outer if prefix(some) not in other), None)

    def _items_of(self, side: int) -> frozenset[str]:
        if side not in self._items:
            self._items[side] = items(self._forms[side])
        return self._items[side]

    def _item_key(self, one: _Located, steps: tuple[Step, ...]) -> _Item:
        """What came or went, as one: a beam with its entry in the fraction group, all control points of a beam."""
        sequence, key = steps[-1]
        kind = "added" if one.change.old is None else "removed"
        outer = steps[:-1]
        if sequence in self.vocabulary.spread:
            return kind, (*outer, (sequence, ""))
        named = ((self.names.item(sequence).named_by[0], self.names.key((sequence, key))),)
        if not named[0][0] or prefix(named) in self._items_of(0 if kind == "added" else 1):
            return kind, steps
        return kind, named

    def _item_sentence(self, kind: str, steps: tuple[Step, ...], group: list[_Located]) -> _Sentence:
        item = self.names.item(steps[-1][0])
        attributes = frozenset(one.place.name for one in group) | {steps[-1][0]}
        graver = (rule for keyword, rule in item.graver.items() if keyword in attributes)
        subject = self._subject(next(graver, item.subject))
        if steps[-1][0] in self.vocabulary.spread:
            count = len({prefix(one.place.steps[: len(steps)]) for one in group})
            body = f"{count} {item.noun}{'s' if count > 1 else ''} {kind}"
            return self._sentence(subject, steps[:-1], body, attributes)
        noun, name = self.names.called(steps[-1])
        entry = item.named_by[0] not in {"", steps[-1][0]}
        what = f"{noun} {name}: its entry in the {words(steps[-1][0])}" if entry else f"{noun} {name}"
        body = f"{what} {kind}{self._details(item, group)}"
        return self._sentence(subject, steps[:-1], body, attributes)

    def _replaced(self, whole: dict[_Item, list[_Located]]) -> Iterator[_Sentence]:
        """Take out of `whole` the pairs in which one item stands for another and differs in its key only."""
        for (kind, steps), group in list(whole.items()):
            *outer, (sequence, key) = steps
            partners = [
                other for other in whole if other[1][:-1] == steps[:-1] and other[1][-1][0] == sequence
            ]
            item = self.names.item(sequence)
            if kind == "added" or len(partners) != len(_KINDS) or any(item.named_by) or not key:
                continue
            other = next((other for other in partners if other[0] == "added"), None)
            if other is None:
                continue
            same = _without(key, group) == _without(other[1][-1][1], whole[other])
            if not (same or item.single):
                continue
            more = "" if same else self._details(item, whole[other])
            attributes = frozenset(one.place.name for one in (*group, *whole[other])) | {sequence}
            del whole[kind, steps], whole[other]
            body = f"{item.noun} {' → '.join(apart(key, other[1][-1][1]))}{more}"
            yield self._sentence(self._subject(item.subject), outer, body, attributes)

    def _details(self, item: Item, group: list[_Located]) -> str:
        told = []
        for keyword in item.details:
            found = next((one.change for one in group if one.place.name == keyword), None)
            value = (found.old or found.new) if found else None
            if value and value != '""':
                term = self._term(Place((), keyword))[1]
                told.append(
                    f"{term.noun} {shown(value)}{term.unit if term.unit == '°' else ' ' + term.unit}".rstrip()
                )
        return f": {', '.join(told)}" if told else ""

    # values that changed

    def _value_key(self, one: _Located) -> tuple[str, str]:
        spread = [
            (sequence, "" if sequence in self.vocabulary.spread else key) for sequence, key in one.place.steps
        ]
        return prefix(spread), one.place.name

    def _order(self, one: _Located) -> _Sentence | None:
        """What is said of a sequence whose items only changed places; None for another change."""
        if one.change.vr != "SQ" or None in (one.change.old, one.change.new):
            return None
        noun = self.names.item(one.place.name).noun
        body = f"{noun}s in another order, the same {noun}s"
        return self._sentence("any.order", one.place.steps, body, frozenset({one.place.name}))

    def _value_sentence(self, group: list[_Located]) -> _Sentence:
        first = group[0]
        subject, term = self._term(first.place)
        attributes = frozenset({first.place.name})
        if term.shape == "leaves":
            device = first.place.steps[-1][1] if first.place.steps else ""
            positions = [
                leaves.Positions((self._point(one) or ("", ""))[1], one.change.old, one.change.new)
                for one in group
            ]
            if not leaves.is_leaves(device):
                subject = subject.replace(".leaves", ".jaws")
            return self._sentence(subject, first.place.steps, leaves.told(device, positions), attributes)
        greatest = max(group, key=lambda one: size(one.change.old, one.change.new, term))
        body = became(greatest.change.old, greatest.change.new, term)
        if point := self._point(greatest):
            body += f" at {' '.join(self.names.called(point))}"
        if len(group) > 1:
            body += (
                f", the greatest of {len(group)} such changes" if point else f", and {len(group) - 1} more"
            )
        return self._sentence(subject, first.place.steps, body, attributes)

    def _point(self, one: _Located) -> Step | None:
        """The control point that an attribute belongs to, or what else its change is spread over."""
        return next((step for step in one.place.steps if step[0] in self.vocabulary.spread), None)

    def _term(self, at: Place) -> tuple[str, Term]:
        """The rule's full name and the words for an attribute, by where it stands."""
        own = self.vocabulary.append_only
        if _PRIVATE.search(at.name) or any(_PRIVATE.search(sequence) for sequence, _ in at.steps):
            return self._subject("private") if own else "any.private", Term("private", shown(at.name))
        if at.name == BYTES:
            return "any.bytes", Term("bytes", "content of which the normal form says nothing:")
        if term := self.vocabulary.terms.get(at.name):
            return self._subject(term.subject), term
        if term := PATIENT.get(at.name):
            return self._subject("other") if own and term.subject in _PAPERS else f"any.{term.subject}", term
        known = (self.vocabulary.items.get(sequence) for sequence, _ in reversed(at.steps))
        subject = next((item.subject for item in known if item and item.owns), "other")
        return self._subject(subject), Term(subject, words(at.name))

    def _subject(self, subject: str) -> str:
        return f"{self.vocabulary.table}.{subject}"

    def _sentence(
        self, subject: str, steps: Sequence[Step], body: str, attributes: frozenset[str]
    ) -> _Sentence:
        """Put in front of `body` which items it is about."""
        said = [
            self.names.called(step)
            for step in steps
            if step[0] not in self.vocabulary.spread and not self.names.item(step[0]).silent
        ]
        inner = "".join(f"{noun} {name}: " for noun, name in said[1:])
        return _Sentence(subject, said[0] if said else ("", ""), inner + body, attributes)


def _joined(sentences: Iterable[_Sentence]) -> Iterator[Said]:
    """The sentences, those that say the same of several siblings as one."""
    alike: dict[tuple[str, str, str], list[_Sentence]] = {}
    for sentence in sentences:
        alike.setdefault((sentence.subject, sentence.of[0], sentence.body), []).append(sentence)
    for (subject, noun, body), group in alike.items():
        names = [sentence.of[1] for sentence in group]
        attributes = frozenset[str]().union(*(sentence.attributes for sentence in group))
        if not noun:
            yield Said(subject, body, attributes)
            continue
        listed = names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
        yield Said(subject, f"{noun}{'s' if len(names) > 1 else ''} {listed}: {body}", attributes)


def _gathered(findings: Iterable[Said]) -> Iterator[Said]:
    """The findings, with those about attributes that no vocabulary names in one sentence where they are many."""
    gathered: dict[str, list[Said]] = {}
    for said in findings:
        if said.subject.rpartition(".")[2] in _GATHERED:
            gathered.setdefault(said.subject, []).append(said)
        else:
            yield said
    for subject, group in gathered.items():
        if len(group) <= SEPARATE:
            yield from group
            continue
        names = sorted(frozenset[str]().union(*(said.attributes for said in group)))
        more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
        what = "private attributes" if subject.endswith(".private") else "other attributes"
        text = f"{len(group)} changes of {what}: {', '.join(map(shown, names[:NAMED]))}{more}"
        yield Said(subject, text, frozenset(names))
