"""What a document says, asked of the process that takes documents apart (`vault.normal.documents.__main__`)."""

from __future__ import annotations

import json
import os
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from vault.normal.child import Child
from vault.normal.documents.items import Item

SECONDS = 60.0
"""How long the child may take for one document."""

ANSWER_MAXIMUM = 64 << 20
"""Bytes of an answer: what the child may say, each character escaped."""

_PROGRAM = Path(__file__).with_name("__main__.py")
_NAME = re.compile(r"[a-z]{1,16}", re.ASCII)
_GAVE_UP = "its reader ran out of time or memory"


@dataclass(frozen=True, slots=True)
class Said:
    """What a document says: `items` in the format `kind`, or the `reason` why it could not be taken apart."""

    kind: str = ""
    items: tuple[Item, ...] = ()
    reason: str = ""


def read(path: Path) -> Said:
    """Take the document at `path` apart. What can't be, within the bounds, is said by the result's `reason`."""
    child = _child(os.getpid())
    answer = child.ask(json.dumps(str(path)).encode() + b"\n", seconds=SECONDS, maximum=ANSWER_MAXIMUM)
    try:
        return _checked(json.loads(answer))
    except (
        ValueError,
        TypeError,
        KeyError,
        AttributeError,
    ):  # it may have been taken over: what it says is checked
        child.stop()
        return Said(reason=_GAVE_UP)


def _checked(answer: dict[str, Any]) -> Said:
    if "reason" in answer:
        return Said(reason=str(answer["reason"])[:200])
    items = tuple(Item(str(name), str(label), str(value)) for name, label, value in answer["items"])
    if not all(_NAME.fullmatch(item.name) for item in items):
        raise ValueError
    return Said(str(answer["kind"])[:16], items)


@cache
def _child(_process: int) -> Child:
    """The child of this process: a fork must not share its parent's pipes."""
    return Child(_PROGRAM)
