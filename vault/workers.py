"""Tasks shared out among processes of our own: they end with us, whatever ends us, and one that dies costs one task."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from itertools import islice
from multiprocessing.connection import Connection, wait
from multiprocessing.process import parent_process
from typing import Any, Generic, NamedTuple, TypeVar

PROCESSES = 2
"""At work at once, where the machine has as many cores: each takes about 80 MB."""

Task = TypeVar("Task")
Result = TypeVar("Result")

Tell = Callable[[int], None]
"""Says from inside a task how far it came, in whatever the two ends count."""


class WorkerDiedError(Exception):
    """The process ended in the middle of a task; the text says how."""


def cores() -> int:
    """How many processes can be at work at once."""
    return min(PROCESSES, os.cpu_count() or 1)


def shared_out(
    do: Callable[[Task, Tell], Result], tasks: Iterable[Task], processes: int, tell: Tell | None = None
) -> Iterator[tuple[Task, Result | WorkerDiedError]]:
    """Yield each task and what came of it, as it is done, in no order; `tasks` is asked for one when it can be begun.

    `do` and what goes in and out of it are pickled: a function of a module, or an object that holds only data. What
    it raises ends its process.
    """
    waiting = iter(tasks)
    workers: list[_Worker[Task, Result]] = []
    try:
        workers += (_Worker(do, task) for task in islice(waiting, processes))
        busy = [*workers]
        while busy:
            ready = wait([worker.connection for worker in busy])
            for worker in [worker for worker in busy if worker.connection in ready]:
                message = worker.receive()
                if isinstance(message, int):
                    if tell:
                        tell(message)
                    continue
                yield worker.task, message.result if isinstance(message, _Done) else message
                for task in islice(waiting, 1):
                    worker.begin(task)
                    break
                else:
                    busy.remove(worker)
    finally:
        for worker in workers:
            worker.stop()


class _Done(NamedTuple):
    """What came of a task, told apart from what it tells on the way."""

    result: Any


class _Worker(Generic[Task, Result]):
    """A process that does one task after the other."""

    def __init__(self, do: Callable[[Task, Tell], Result], task: Task) -> None:
        self._do = do
        self._start()
        self.begin(task)

    def _start(self) -> None:
        context = multiprocessing.get_context(
            "spawn"
        )  # a fork would share our threads' locks, and git's handles
        self.connection, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs, self._do), daemon=True)
        self._process.start()
        theirs.close()

    def begin(self, task: Task) -> None:
        """Hand over a task, to a new process where the old one died."""
        self.task = task
        if not self._process.is_alive():
            self.stop()
            self._start()
        with suppress(OSError):  # it died; `receive` says so
            self.connection.send(task)

    def receive(self) -> int | _Done | WorkerDiedError:
        """What the task tells, or came to, once the connection has something or is broken."""
        try:
            message: int | _Done = self.connection.recv()
        except (EOFError, OSError):
            self._process.join()
            return WorkerDiedError(
                f"the process that did it ended unexpectedly (exit code {self._process.exitcode})"
            )
        return message

    def stop(self) -> None:
        """End the process, whatever it is at: the next run can tell what was done."""
        self.connection.close()
        self._process.kill()
        self._process.join()


def _serve(connection: Connection, do: Callable[[Any, Tell], Any]) -> None:
    """Do the tasks that come over the connection, until it closes."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a Ctrl-C is for the one who started us, who then ends us
    os.umask(0o077)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    with suppress(EOFError, BrokenPipeError):
        while True:
            connection.send(_Done(do(connection.recv(), connection.send)))


def _end_with_parent() -> None:
    """Nobody who holds no lock may write here: the parent's went with it."""
    parent = parent_process()
    assert parent is not None  # noqa: S101  # this is a child
    wait([parent.sentinel])
    os._exit(1)
