"""Two normal forms compared: which lines differ, said as attributes with their values before and after.

Equal lines are dropped as bytes, before anything is parsed: of the ten megabytes of a structure set a night
changes a few lines.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import zip_longest

from vault.model import AttributeChange
from vault.normal.lines import HEADER, Line, parse

_ITEM = re.compile(r"\[([^\]]*)\]")


def attribute_changes(old: bytes, new: bytes) -> tuple[AttributeChange, ...]:
    """Return what turns the normal form `old` into `new`, in the order of the text; empty if they are equal.

    A path that occurs more than once (a hostile or broken object) is paired in order. A value whose VR changes is a
    removal and an addition. Items that only changed places give one change of their sequence, with vr `SQ` and the
    orders as values.
    """
    old_lines, new_lines = _elements(old), _elements(new)
    old_only, new_only = _difference(old_lines, new_lines), _difference(new_lines, old_lines)
    changes = [change for _, change in sorted(_paired(old_lines, new_lines, old_only, new_only), key=_place)]
    return (*changes, *_order_changes(_without(old_lines, old_only), _without(new_lines, new_only)))


def _elements(form: bytes) -> list[bytes]:
    """The lines that stand for elements: what `parse` would pass over must not stand against nothing."""
    return [line for line in form.split(b"\n") if line.strip() and not line.startswith(HEADER)]


def _difference(lines: list[bytes], others: list[bytes]) -> list[int]:
    """Positions of the lines that `others` does not have, or not so often."""
    known = set(others)
    if len(known) == len(others) and len(set(lines)) == len(lines):
        return [position for position, line in enumerate(lines) if line not in known]
    spare = Counter(others)
    positions = []
    for position, line in enumerate(lines):
        spare[line] -= 1
        if spare[line] < 0:
            positions.append(position)
    return positions


def _without(lines: list[bytes], positions: list[int]) -> list[bytes]:
    dropped = set(positions)
    return [line for position, line in enumerate(lines) if position not in dropped]


_Place = tuple[int, int]
"""Where a change stands: the line of the old text that it concerns or follows, and a line of the new one."""

_Found = tuple[int, Line]
"""A differing line and its position."""


def _place(entry: tuple[_Place, AttributeChange]) -> _Place:
    return entry[0]


def _paired(
    old_lines: list[bytes], new_lines: list[bytes], old_only: list[int], new_only: list[int]
) -> Iterator[tuple[_Place, AttributeChange]]:
    """Yield the differing lines as changes, each with its place."""
    before, after = _by_path(old_lines, old_only), _by_path(new_lines, new_only)
    pairs = [
        pair for key in {**before, **after} for pair in zip_longest(before.get(key, ()), after.get(key, ()))
    ]
    partners = {now[0]: was[0] for was, now in pairs if was and now}
    removed = {was[0] for was, now in pairs if not now}
    places = _places(old_lines, new_lines, new_only, partners, removed)
    for was, now in pairs:
        yield (was[0], 0) if was else places[now[0]], _change(was, now)


def _by_path(lines: list[bytes], positions: list[int]) -> dict[tuple[str, str], list[_Found]]:
    """Group the lines at `positions` by path and VR, in order."""
    grouped: dict[tuple[str, str], list[_Found]] = {}
    # a normal form is UTF-8; what somebody put in its place need not be
    parsed = parse(lines[position].decode("utf-8", "backslashreplace").encode() for position in positions)
    for position, line in zip(positions, parsed, strict=True):
        grouped.setdefault((line.path, line.vr), []).append((position, line))
    return grouped


def _change(was: _Found | None, now: _Found | None) -> AttributeChange:
    line = (was or now or (0, Line("", "", "")))[1]
    return AttributeChange(
        path=line.path,
        keyword=line.keyword,
        tag=line.tag,
        vr=line.vr,
        old=was[1].value if was else None,
        new=now[1].value if now else None,
    )


def _places(
    old_lines: list[bytes],
    new_lines: list[bytes],
    new_only: list[int],
    partners: dict[int, int],
    removed: set[int],
) -> dict[int, _Place]:
    """Where each new line belongs: after the line before it, and after what was removed there."""
    if len(partners) == len(new_only):
        return {}
    known = {line: position for position, line in enumerate(old_lines)}
    wanted = set(new_only)
    anchor, places = -1, {}
    for position, line in enumerate(new_lines):
        if position not in wanted:
            anchor = known[line]
        elif position in partners:
            anchor = partners[position]
        else:
            while anchor + 1 in removed:
                anchor += 1
            places[position] = (anchor, position)
    return places


def _order_changes(old_lines: list[bytes], new_lines: list[bytes]) -> Iterator[AttributeChange]:
    """Yield the sequences whose items changed places, given the same lines twice."""
    if old_lines == new_lines:
        return
    old_orders, new_orders = _orders(old_lines), _orders(new_lines)
    found = False
    for path, items in old_orders.items():
        if list(items) != list(new_orders[path]):
            found = True
            sequence = Line(path, "SQ", "")
            yield AttributeChange(
                path, sequence.keyword, sequence.tag, "SQ", _said(items), _said(new_orders[path])
            )
    if not found:  # equal lines, other order, and no item to blame: duplicates in a broken object
        yield AttributeChange("", "", "", "", "elements in one order", "the same elements in another order")


def _said(items: Iterable[str]) -> str:
    return f"items in the order {', '.join(items)}"


def _orders(lines: list[bytes]) -> dict[str, dict[str, None]]:
    """For each sequence path, its items in the order in which they appear."""
    orders: dict[str, dict[str, None]] = {}
    for line in parse(lines):
        for match in _ITEM.finditer(line.path):
            orders.setdefault(line.path[: match.start()], {}).setdefault(match[1])
    return orders
