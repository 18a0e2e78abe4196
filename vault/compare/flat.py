"""`patient.json` compared key by key, in the manner of an object's attributes."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterator
from typing import Any

from vault.model import AttributeChange

DERIVED = frozenset({"patient", "plans", "rois", "treatments", "last_treatment"})
"""Keys that the archive computes from objects and rows: where those changed, these only follow."""

_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def json_changes(
    old: bytes | None, new: bytes | None, *, without: Collection[str] = ()
) -> tuple[AttributeChange, ...]:
    """Return the leaves in which two JSON objects differ, `without` top-level keys; values are JSON texts.

    A path reads `plans[1.2.3].label`. Bytes that are not a JSON object count as one leaf without a path.
    """
    before, after = _leaves(old, without), _leaves(new, without)
    return tuple(
        AttributeChange(path, keyword, "", "", before.get((path, keyword)), after.get((path, keyword)))
        for path, keyword in {**before, **after}
        if before.get((path, keyword)) != after.get((path, keyword))
    )


def _leaves(data: bytes | None, without: Collection[str]) -> dict[tuple[str, str], str]:
    if data is None:
        return {}
    try:
        document = json.loads(data)
    except ValueError:
        document = data.decode("utf-8", "backslashreplace")
    if isinstance(document, dict):
        document = {key: value for key, value in document.items() if key not in without}
    return {(path, keyword): value for path, keyword, value in _walk("", "", document)}


def _walk(path: str, keyword: str, value: Any) -> Iterator[tuple[str, str, str]]:
    if isinstance(value, dict) and (value or not path):
        for key, inner in value.items():
            plain = _PLAIN.fullmatch(key)
            step = (f".{key}" if path else key) if plain else f"[{key}]"
            yield from _walk(path + step, key, inner)
    else:
        yield path, keyword, json.dumps(value, ensure_ascii=False, sort_keys=True)
