"""Small things that several commands print alike."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from vault.compare.values import printable

__all__ = ["columns", "count", "minute", "printable", "printable_lines"]


def printable_lines(text: str) -> str:
    """The same of text of several lines."""
    return "\n".join(map(printable, text.split("\n")))


def minute(when: datetime) -> str:
    """A time as people read it, in the zone it was made in."""
    return when.strftime("%Y-%m-%d %H:%M")


def count(number: int, noun: str, plural: str | None = None) -> str:
    """`1 patient`, `2 patients`."""
    return f"{number} {noun}" if number == 1 else f"{number} {plural or noun + 's'}"


def columns(rows: Sequence[Sequence[str]]) -> str:
    """Rows as columns two spaces apart."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = (
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    )
    return "\n".join(lines)
