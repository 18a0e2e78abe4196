"""How long work tells what it does, without knowing whether anybody looks.

`vault` reports through this small interface; `cli` shows bars on a terminal and stays silent elsewhere, so that
a journal is not filled with them.
"""

from __future__ import annotations

from typing import Protocol


class Progress(Protocol):
    """One phase at a time: `start` names it, `advance` moves it, the next `start` or `stop` ends it."""

    def start(self, label: str, total: int | None = None) -> None:
        """Begin a phase of `total` steps (unknown when None)."""

    def advance(self, steps: int = 1) -> None:
        """Move the running phase forward."""

    def stop(self) -> None:
        """End the running phase, if there is one."""


class Silent:
    """Progress that nobody watches."""

    def start(self, label: str, total: int | None = None) -> None:
        """Say nothing."""

    def advance(self, steps: int = 1) -> None:
        """Say nothing."""

    def stop(self) -> None:
        """Say nothing."""
