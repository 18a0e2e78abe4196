"""Changes for people at a terminal: what matters most first, what was added last, images of a series in one line."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from pathlib import PurePosixPath

from vault.compare.diff import order
from vault.compare.groups import WHOLE, Group, grouped
from vault.compare.rules import SEVERITIES
from vault.compare.values import printable, transition
from vault.model import AttributeChange, Change, Finding

KINDS = ("changed", "revised", "removed", "added")
"""Most telling first: additions are what ordinary nights bring."""

ATTRIBUTES = 40
"""Attribute lines of one object unless asked for all."""

_GROUPED = 8  # so many additions or removals below one item are one line
_NAMED = 3  # so many of the objects that changed alike are named
_COLOURS = {"critical": "31", "major": "33", "minor": "36", "administrative": "0", "routine": "32"}


def render(
    changes: Iterable[Change], *, attributes: int | None = ATTRIBUTES, colour: bool = False
) -> Iterator[str]:
    """Yield the lines that tell `changes`, without line ends: by severity, then what changed before what was added.

    At most `attributes` lines for each object (None: all of them, 0: none); `colour` writes ANSI colours.
    """
    ordered = sorted(changes, key=lambda change: (_severity(change), KINDS.index(change.kind), order(change)))
    if not ordered:
        yield "No differences."
        return
    for severity, group in groupby(ordered, key=_severity):
        name = SEVERITIES[severity]
        yield _coloured(name.capitalize(), f"1;{_COLOURS[name]}", colour)
        for _, of_kind in groupby(group, key=lambda change: change.kind):
            for told in grouped(of_kind):
                yield from _told(told, attributes, colour)
        yield ""
    yield _counts(ordered)


def _severity(change: Change) -> int:
    """The place of a change's severity, worst first; what nobody weighed counts as worst."""
    return SEVERITIES.index(change.severity or SEVERITIES[0])


def _counts(changes: Sequence[Change]) -> str:
    kinds = Counter(change.kind for change in changes)
    severities = Counter(SEVERITIES[_severity(change)] for change in changes)
    by_kind = ", ".join(f"{kinds[kind]} {kind}" for kind in KINDS if kinds[kind])
    return f"{by_kind}; {', '.join(f'{severities[one]} {one}' for one in SEVERITIES if severities[one])}"


def _told(group: Group, attributes: int | None, colour: bool) -> Iterator[str]:
    """The lines of one change, or of several that are told as one."""
    changes, change = group.changes, group.changes[0]
    if change.attributes and not group.attributes:
        for one in changes:  # each differs in its own way, of which nothing is left out here
            yield from _told(Group((one,), ""), attributes, colour)
        return
    if len(changes) > 1 and not change.attributes:
        folder = PurePosixPath(change.path).parent.name
        yield f"  {printable(group.text)}{'' if change.modality in WHOLE else printable(f'  (series {folder})')}"
        return
    name = _coloured(_name(change), "1", colour)
    told = change.findings
    if change.kind in ("added", "removed") and len(told) == 1:
        yield f"  {name}{_where(change)}: {printable(told[0].text)}"
        told = ()
    elif len(changes) > 1:
        others = ", ".join(_name(other) for other in changes[1:_NAMED])
        more = f" and {len(changes) - _NAMED} more" if len(changes) > _NAMED else ""
        yield f"  {name}, {others}{more}: {len(changes)} objects {change.kind} alike"
    else:
        yield f"  {name}{_where(change)}  {change.kind}"
    yield from (_finding(finding, colour) for finding in told)
    lines = list(attribute_lines(change.attributes)) if attributes != 0 else []
    shown = lines if attributes is None else lines[:attributes]
    yield from (f"      {line}" for line in shown)
    if len(shown) < len(lines):
        yield f"      … and {len(lines) - len(shown)} more lines; --attributes shows all"


def _finding(finding: Finding, colour: bool) -> str:
    severity = _coloured(printable(finding.severity), _COLOURS.get(finding.severity, "0"), colour)
    return f"      {severity}: {printable(finding.text)}"


def _name(change: Change) -> str:
    title = printable(change.title)
    return f"{change.modality} {title}" if change.modality else title


def _where(change: Change) -> str:
    where = printable(PurePosixPath(change.path).stem if change.modality else change.path)
    return f"  ({where})" if where != _name(change) else ""


def attribute_lines(attributes: Sequence[AttributeChange]) -> Iterator[str]:
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
