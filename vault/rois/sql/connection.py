"""One ODBC connection, asked one statement at a time.

What the database sends is hostile until proven otherwise: rows, bytes and time are bounded, every transaction is
rolled back, and a server that says nothing is left, not waited for.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TypeVar

import pyodbc
import stamina
import stamina.instrumentation

from vault.config import Sql
from vault.errors import DatabaseError
from vault.rois.sql import driver
from vault.rois.sql.driver import Trouble
from vault.rois.sql.statement import Statement
from vault.rois.sql.worker import OverdueError, Worker

T = TypeVar("T")

PAGE = 500
"""Rows fetched at once."""

MOST_ROWS = 1_000_000
"""Rows of one answer; more can't be a department."""

MOST_BYTES = 256 << 20
"""Characters and bytes of one answer."""

_GRACE = 5.0
"""Seconds beyond the time-out until a driver that ignores it is given up."""


# what was asked again needs no line of its own in the journal: what fails for good is said by whoever asked
stamina.instrumentation.set_on_retry_hooks([])


class LostError(DatabaseError):
    """The connection is gone, or can't be had, also after retries: nothing else will be answered either."""


class TimedOutError(DatabaseError):
    """The statement took too long."""


@dataclass(frozen=True, slots=True)
class Answer:
    """All rows of one statement, as the driver gave them."""

    columns: tuple[str, ...]
    """Names in lower case, in the statement's order."""
    rows: list[tuple[object, ...]]


class Database:
    """A connection that is made when the first statement is asked, and made anew when it was lost."""

    def __init__(self, settings: Sql, *, grace: float = _GRACE) -> None:
        self._settings = settings
        self._grace = grace
        self._worker: Worker | None = None
        self._connection: pyodbc.Connection | None = None
        self._oddities = driver.Oddities()

    def __enter__(self) -> Database:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def ask(self, statement: Statement, values: Sequence[object]) -> Answer:
        """Execute a statement and return all of its rows; what a lost connection cut off is asked again.

        Raises LostError, TimedOutError, and DatabaseError for what the database refuses or sends too much of.
        """
        again = stamina.retry_context(
            on=_AgainError,
            attempts=self._settings.retries + 1,
            timeout=None,
            wait_initial=self._settings.backoff,
            wait_max=self._settings.backoff * 8,
            wait_jitter=0.0,
        )
        try:
            for attempt in again:
                with attempt:
                    return self._once(statement, values)
        except _AgainError as failed:
            raise LostError(str(failed)) from None
        raise AssertionError  # the context raises or the loop returns

    def close(self) -> None:
        """End the connection. A new one is made when something is asked again."""
        if self._connection is not None:
            with suppress(pyodbc.Error, OverdueError):
                self._call(self._connection.close)
        self._abandon()

    def _once(self, statement: Statement, values: Sequence[object]) -> Answer:
        while True:
            try:
                return self._answer(statement, values)
            except (pyodbc.Error, UnicodeDecodeError) as error:
                if not self._oddities.learn(error):
                    raise self._foreseen(error, values) from None
                if self._connection is not None:
                    self._oddities.apply(self._connection)
            except OverdueError:
                self._abandon()
                raise self._too_slow() from None

    def _answer(self, statement: Statement, values: Sequence[object]) -> Answer:
        connection = self._opened()
        cursors: list[pyodbc.Cursor] = []

        def begin() -> tuple[list[pyodbc.Row], bool]:
            # one call: most answers are one page, and to hand over takes longer than the database
            cursors.append(connection.cursor())
            cursors[0].execute(statement.text, *values)
            page = cursors[0].fetchmany(PAGE) if cursors[0].description else []
            return page, len(page) < PAGE and _rolled_back(connection)

        try:
            page, ended = self._call(begin)
            columns = tuple(str(column[0]).lower() for column in cursors[0].description or ())
            answer = Answer(columns, self._rows(cursors[0], page))
        except OverdueError:
            for cursor in cursors:
                self._cancel(cursor)
            raise
        except (pyodbc.Error, UnicodeDecodeError, DatabaseError):
            self._roll_back()
            raise
        if not ended:
            self._roll_back()
        return answer

    def _rows(self, cursor: pyodbc.Cursor, page: list[pyodbc.Row]) -> list[tuple[object, ...]]:
        rows: list[tuple[object, ...]] = []
        size = 0
        while page:
            for row in page:
                rows.append(tuple(row))
                size += sum(len(value) for value in row if isinstance(value, str | bytes | bytearray))
            if len(rows) > MOST_ROWS or size > MOST_BYTES:
                raise DatabaseError(
                    f"the answer is larger than {MOST_ROWS} rows or {MOST_BYTES >> 20} MiB, which can't be right; "
                    "narrow the statement"
                )
            page = self._call(lambda: cursor.fetchmany(PAGE)) if len(page) == PAGE else []
        return rows

    def _opened(self) -> pyodbc.Connection:
        if self._connection is None:
            self._worker = self._worker or Worker()
            self._connection = self._call(lambda: driver.connect(self._settings, self._oddities))
        return self._connection

    def _call(self, function: Callable[[], T]) -> T:
        assert self._worker is not None  # noqa: S101  # whoever calls has a connection, or makes one
        return self._worker.call(function, self._settings.timeout + self._grace)

    def _roll_back(self) -> None:
        if self._connection is None:
            return
        try:
            self._call(self._connection.rollback)
        except pyodbc.Error:
            self._connection = None  # it is broken; the next statement makes a new one
        except OverdueError:
            self._abandon()

    def _cancel(self, cursor: pyodbc.Cursor) -> None:
        """Ask the database to stop, from another thread: its own still waits for it."""

        def cancel() -> None:
            with suppress(pyodbc.Error):
                cursor.cancel()

        thread = threading.Thread(target=cancel, daemon=True)
        thread.start()
        thread.join(1.0)

    def _abandon(self) -> None:
        """Leave the connection, and the thread that may wait in it, as they are."""
        if self._worker is not None:
            self._worker.leave()
        self._worker = self._connection = None

    def _too_slow(self) -> TimedOutError:
        seconds = f"{self._settings.timeout:g} s"
        return TimedOutError(
            f"no answer within {seconds}; raise [rois.sql] timeout, or ask for less in the statement"
        )

    def _foreseen(self, error: pyodbc.Error | UnicodeDecodeError, values: Sequence[object]) -> Exception:
        """The vault's error for a driver's; a lost connection is forgotten."""
        if isinstance(error, UnicodeDecodeError):
            return DatabaseError("a text is not in the character set that the driver says it is in")
        opened, kind = self._connection is not None, driver.trouble(error)
        said = driver.message(error, [*values, self._settings.password()])
        if kind is Trouble.LOST or (kind is Trouble.TIMED_OUT and not opened):
            self._connection = None
            return _AgainError(said)
        if kind is Trouble.VICTIM:
            return _AgainError(said)
        if kind is Trouble.TIMED_OUT:
            return self._too_slow()
        return DatabaseError(said) if opened else LostError(said)


def _rolled_back(connection: pyodbc.Connection) -> bool:
    try:
        connection.rollback()
    except pyodbc.Error:
        return False
    return True


class _AgainError(Exception):
    """Worth asking again, on a new connection."""
