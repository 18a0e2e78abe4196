"""A thread of its own for calls of a driver, so that one that never returns can be left behind."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


class OverdueError(Exception):
    """A call of the driver did not come back in time."""


class Worker:
    """A thread that makes one call after the other."""

    def __init__(self) -> None:
        self._tasks: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        threading.Thread(target=self._work, name="odbc", daemon=True).start()

    def call(self, function: Callable[[], T], seconds: float) -> T:
        """The result of `function`, or what it raises. Raises OverdueError when it takes too long."""
        done: queue.SimpleQueue[tuple[T | None, BaseException | None]] = queue.SimpleQueue()

        def task() -> None:
            try:
                done.put((function(), None))
            except BaseException as error:  # it is the caller's, in the caller's thread
                done.put((None, error))

        self._tasks.put(task)
        try:
            result, error = done.get(timeout=seconds)
        except queue.Empty:
            raise OverdueError from None
        if error is not None:
            raise error
        return result  # type: ignore[return-value]  # None only where T allows it

    def leave(self) -> None:
        """Let the thread end when it is free, and don't wait for it."""
        self._tasks.put(None)

    def _work(self) -> None:
        while task := self._tasks.get():
            task()
