"""Tasks shared out among processes: what comes back, what is told on the way, and what a death costs."""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Iterator

import pytest

from vault.workers import Tell, WorkerDiedError, shared_out


def double(task: int, tell: Tell) -> int:
    tell(task)
    return 2 * task


def die_at_three(task: int, tell: Tell) -> int:
    if task == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    return double(task, tell)


@pytest.mark.parametrize("processes", [1, 2])
def test_every_task_comes_back_and_tells(processes: int) -> None:
    told: list[int] = []
    assert sorted(shared_out(double, range(1, 6), processes, told.append)) == [
        (n, 2 * n) for n in range(1, 6)
    ]
    assert sorted(told) == [1, 2, 3, 4, 5]
    assert not multiprocessing.active_children()


def test_no_process_is_started_for_nothing() -> None:
    assert list(shared_out(double, [], 2)) == []


def test_a_process_that_dies_costs_one_task() -> None:
    results = dict(shared_out(die_at_three, range(1, 6), 2))
    died = results.pop(3)
    assert results == {1: 2, 2: 4, 4: 8, 5: 10}
    assert isinstance(died, WorkerDiedError)
    assert str(died) == "the process that did it ended unexpectedly (exit code -9)"


def test_a_task_is_asked_for_when_it_can_be_begun() -> None:
    """So that what stops the giving out of tasks stops it at once."""
    asked: list[int] = []

    def tasks() -> Iterator[int]:
        for number in range(10):
            asked.append(number)
            yield number

    results = shared_out(double, tasks(), 1)
    assert next(results) == (0, 0)
    assert asked == [0]
    results.close()  # type: ignore[attr-defined]
    assert not multiprocessing.active_children()
