"""Changes for people at a terminal: what changed first, what was added last, images of a series in one line."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from pathlib import PurePosixPath

from vault.compare.diff import order
from vault.compare.titles import series_title
from vault.compare.values import printable, transition
from vault.model import AttributeChange, Change

KINDS = ("changed", "revised", "removed", "added")
"""Most telling first: additions are what ordinary nights bring."""

ATTRIBUTES = 40
"""Attribute lines of one object unless asked for all."""

_SERIES = 4  # so many images of a series, added or removed, are written one by one
_GROUPED = 8  # so many additions or removals below one item are one line
_COLOURS = {"changed": "33", "revised": "33", "removed": "31", "added": "32"}


def render(
    changes: Iterable[Change], *, attributes: int | None = ATTRIBUTES, colour: bool = False
) -> Iterator[str]:
    """Yield the lines that tell `changes`, without line ends.

    At most `attributes` lines for each object (None: all of them, 0: none); `colour` writes ANSI colours.
    """
    ordered = sorted(changes, key=lambda change: (KINDS.index(change.kind), order(change)))
    if not ordered:
        yield "No differences."
        return
    for kind, of_kind in groupby(ordered, key=lambda change: change.kind):
        yield _coloured(kind.capitalize(), f"1;{_COLOURS[kind]}", colour)
        for change in _collapsed(list(of_kind)):
            yield from _change(change, attributes, colour)
        yield ""
    counts = Counter(change.kind for change in ordered)
    yield ", ".join(f"{counts[kind]} {kind}" for kind in KINDS if counts[kind])


def _change(change: Change | str, attributes: int | None, colour: bool) -> Iterator[str]:
    if isinstance(change, str):
        yield f"  {change}"
        return
    title = printable(change.title)
    name = f"{change.modality} {title}" if change.modality else title
    where = printable(PurePosixPath(change.path).stem if change.modality else change.path)
    yield f"  {_coloured(name, '1', colour)}" + (f"  ({where})" if where != name else "")
    for finding in change.findings:
        yield f"      {printable(finding.severity)}: {printable(finding.text)}"
    lines = list(_attributes(change.attributes)) if attributes != 0 else []
    shown = lines if attributes is None else lines[:attributes]
    yield from (f"      {line}" for line in shown)
    if len(shown) < len(lines):
        yield f"      … and {len(lines) - len(shown)} more lines; --attributes shows all"


def _collapsed(changes: list[Change]) -> Iterator[Change | str]:
    """Yield the changes of one kind, with many images of one series told in one line."""
    for folder, members in groupby(changes, key=lambda change: PurePosixPath(change.path).parent):
        group = list(members)
        many = len(group) > _SERIES and group[0].modality and not any(change.attributes for change in group)
        if many and group[0].modality not in {"RTPLAN", "RTSTRUCT", "RTDOSE", "RTRECORD"}:
            name = series_title(group[0].title)
            said = f"{group[0].modality} {name}".rstrip()
            yield printable(f"{said}: {len(group)} images {group[0].kind}  (series {folder.name})")
        else:
            yield from group


def _attributes(attributes: Sequence[AttributeChange]) -> Iterator[str]:
    """Yield a line for each attribute, and one for many that came or went below one item."""
    counts: dict[str, Counter[str]] = {}
    for attribute in attributes:
        for prefix in _items(attribute.path):
            counts.setdefault(prefix, Counter())[_kind(attribute)] += 1
    told: set[str] = set()
    for attribute in attributes:
        kind = _kind(attribute)
        whole = next(
            (prefix for prefix in _items(attribute.path) if set(counts[prefix]) == {kind} != {"changed"}),
            None,
        )
        if whole is None or counts[whole][kind] < _GROUPED:
            yield f"{printable(attribute.path) or 'content'}: {transition(attribute.old, attribute.new)}"
        elif whole not in told:
            told.add(whole)
            yield f"{printable(whole)}: {counts[whole][kind]} attributes {kind}"


def _kind(attribute: AttributeChange) -> str:
    if attribute.old is None:
        return "added"
    return "removed" if attribute.new is None else "changed"


def _items(path: str) -> list[str]:
    """The items that an attribute lies in, outermost first: `A[1].B[2].C` gives `A[1]` and `A[1].B[2]`."""
    ends = (place for place in range(len(path)) if path.startswith("].", place))
    return [path[: end + 1] for end in ends]


def _coloured(text: str, code: str, colour: bool) -> str:
    return f"\x1b[{code}m{text}\x1b[0m" if colour else text
