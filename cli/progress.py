"""Progress bars on standard error, and only on a terminal: a journal does not want them."""

from __future__ import annotations

import sys
from types import TracebackType
from typing import TYPE_CHECKING

from vault.progress import Silent

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress, TaskID


class Quiet(Silent):
    """Progress that nobody watches, usable in `with`."""

    def __enter__(self) -> Quiet:
        """Nothing to prepare."""
        return self

    def __exit__(self, *_exception: object) -> None:
        """Nothing to clear."""


class Bars:
    """One bar at a time, gone when its phase ends."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._progress: Progress | None = None
        self._task: TaskID | None = None

    def start(self, label: str, total: int | None = None) -> None:
        """Begin a phase: a bar of `total` steps, or a moving one where nobody knows how many."""
        from rich import progress

        self.stop()
        self._progress = progress.Progress(
            progress.SpinnerColumn(),
            progress.TextColumn("{task.description}", markup=False),
            progress.BarColumn(),
            progress.MofNCompleteColumn() if total is not None else progress.TextColumn("{task.completed}"),
            progress.TimeElapsedColumn(),
            console=self._console,
            transient=True,
        )
        self._progress.start()
        self._task = self._progress.add_task(label, total=total)

    def advance(self, steps: int = 1) -> None:
        """Move the bar."""
        if self._progress is not None and self._task is not None:
            self._progress.advance(self._task, steps)

    def stop(self) -> None:
        """Clear the bar."""
        if self._progress is not None:
            self._progress.stop()
        self._progress = self._task = None

    def __enter__(self) -> Bars:
        """Nothing to prepare."""
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        """Clear the bar on every way out."""
        self.stop()


def progress() -> Bars | Quiet:
    """Bars where standard error is a terminal."""
    if not sys.stderr.isatty():
        return Quiet()
    from rich.console import Console

    return Bars(Console(stderr=True))
