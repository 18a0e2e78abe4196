"""On which line of a TOML text a key stands: `tomllib` does not say, and an error without it is a search."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping
from typing import Any

Key = tuple[str | int, ...]
"""A key's path from the top: table names, and numbers (from 0) within arrays of tables."""

_HEADER = re.compile(r"\s*(\[\[?)")


def key_lines(text: str) -> dict[Key, int]:
    """Line (from 1) of every table and key of a valid TOML text.

    Keys inside an inline table or an array have the line on which the whole value begins.
    """
    found: dict[Key, int] = {}
    table: Key = ()
    counts: dict[Key, int] = {}
    for line, statement in _statements(text):
        header = _HEADER.match(statement)
        if header:
            table = _resolve(_header_keys(statement), counts, array=header[1] == "[[")
            found.setdefault(table, line)
            continue
        for key in _keys(tomllib.loads(statement)):
            found.setdefault(table + key, line)
    return found


def nearest_line(found: Mapping[Key, int], key: Key) -> int | None:
    """The line of `key`, or of the closest table around it."""
    while key:
        if key in found:
            return found[key]
        key = key[:-1]
    return None


def _statements(text: str) -> Iterator[tuple[int, str]]:
    """Each header and key/value pair with its first line. A value that goes on over lines is joined."""
    pending: list[str] = []
    first = 0
    for number, line in enumerate(text.splitlines(keepends=True), 1):
        if not pending:
            if not line.strip() or line.lstrip().startswith("#"):
                continue
            first = number
        pending.append(line)
        statement = "".join(pending)
        try:
            tomllib.loads(statement)
        except tomllib.TOMLDecodeError:
            continue  # the value is not complete yet
        pending = []
        yield first, statement


def _header_keys(statement: str) -> list[str]:
    """The names in `[a.b]` or `[[a.b]]`, whatever their quotes."""
    names = []
    table: Any = tomllib.loads(statement)
    while table:
        ((name, table),) = table.items()
        names.append(name)
        if isinstance(table, list):
            break
    return names


def _resolve(names: list[str], counts: dict[Key, int], *, array: bool) -> Key:
    """The path of a header, with the number of the element that is meant in each array of tables."""
    path: Key = ()
    for position, name in enumerate(names):
        path = (*path, name)
        if array and position == len(names) - 1:
            counts[path] = counts.get(path, -1) + 1
        if path in counts:
            path = (*path, counts[path])
    return path


def _keys(value: Any) -> Iterator[Key]:
    """Paths of everything inside a parsed value."""
    children = (
        value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    )
    for name, child in children:
        yield (name,)
        for rest in _keys(child):
            yield (name, *rest)
