"""What comes of one trial."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was tried."""

    name: str
    ok: bool
    text: str
    """What was found, or what is wrong."""
    fix: str = ""
    columns: tuple[str, ...] = ()
    rows: tuple[tuple[str, ...], ...] = ()
    """The first rows of a statement, masked."""
    off: bool = False
    """Not there, and need not be."""
