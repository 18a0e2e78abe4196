"""What is known about ODBC drivers: how to connect, which types pyodbc does not read, what their errors mean.

This module and `connection` are the only ones that know pyodbc. What a driver says may hold values of a row or of
the statement; the messages made here repeat neither.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from enum import Enum

import pyodbc

from vault.config import Sql
from vault.rois.sql.values import datetimeoffset

LONGEST_MESSAGE = 300
"""Characters of a driver's message that are repeated."""

DATETIMEOFFSET = -155
"""SQL_SS_TIMESTAMPOFFSET of SQL Server, which pyodbc does not read by itself."""

_SESSION = {
    "SQLite": ("PRAGMA query_only = 1",),
    "PostgreSQL": (
        "SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY",
        "SET statement_timeout = {milliseconds}",
    ),
}
"""What makes a session read only and impatient where the database has words for it. SQL Server has none: there the
account's rights decide, and every transaction is rolled back."""

_UTF_16 = "utf-16le"
_WIDE_TYPES = (pyodbc.SQL_WCHAR, pyodbc.SQL_WVARCHAR, pyodbc.SQL_WLONGVARCHAR)
_MOST_UNKNOWN_TYPES = 20
_UNKNOWN_TYPE = re.compile(r"ODBC SQL type (-?\d+) is not yet supported")
_NAMES_OBJECTS = re.compile(r"42...|HY000|IM...|01000|08...|28...")
"""SQLSTATEs whose messages quote names of tables, hosts and accounts, but no values of a row."""


class Trouble(Enum):
    """What an error of a driver means for the statement."""

    LOST = re.compile(r"08...|HYT01|57P0[123]|01002")
    """The connection is gone: a new one may answer."""
    VICTIM = re.compile(r"40...")
    """Another transaction was in the way: worth asking again."""
    TIMED_OUT = re.compile(r"HYT00|57014")
    REFUSED = re.compile(r".*")


@dataclass
class Oddities:
    """What a database turned out to send that pyodbc does not read by itself."""

    types: set[int] = field(default_factory=set)
    """Types that are taken as the bytes that the driver has for them."""
    broken_text: bool = False
    """Wide texts with half a surrogate pair, as a database leaves them where it cuts one."""

    def learn(self, error: pyodbc.Error | UnicodeDecodeError) -> bool:
        """Whether the error says something new, so that the statement can be asked again."""
        if isinstance(error, UnicodeDecodeError):
            learnt, self.broken_text = not self.broken_text, True
            return learnt
        found = _UNKNOWN_TYPE.search(str(error))
        if found is None or int(found[1]) in self.types or len(self.types) >= _MOST_UNKNOWN_TYPES:
            return False
        self.types.add(int(found[1]))
        return True

    def apply(self, connection: pyodbc.Connection) -> None:
        """Let a connection read all that."""
        connection.add_output_converter(DATETIMEOFFSET, _offset)
        for number in self.types:
            connection.add_output_converter(number, _bytes)
        for number in _WIDE_TYPES if self.broken_text else ():
            connection.add_output_converter(number, _wide)


def connect(settings: Sql, oddities: Oddities) -> pyodbc.Connection:
    """A new connection, as far from writing as the database lets it be.

    Raises pyodbc.Error, and ConfigError when the password's file can't be read.
    """
    pyodbc.pooling = False  # a pool hands out connections that died meanwhile
    seconds = max(1, round(settings.timeout))
    connection = pyodbc.connect(connection_string(settings), autocommit=False, readonly=True, timeout=seconds)
    # every text as UTF-16, converted by the driver: no guess at the code page of a char column
    for kind in (pyodbc.SQL_CHAR, pyodbc.SQL_WCHAR):
        connection.setdecoding(kind, encoding=_UTF_16, ctype=pyodbc.SQL_WCHAR)
    oddities.apply(connection)
    with suppress(pyodbc.Error):  # not every driver has the attribute; each call is watched anyway
        connection.timeout = seconds
    for words in _SESSION.get(str(connection.getinfo(pyodbc.SQL_DBMS_NAME)), ()):
        connection.execute(words.format(milliseconds=seconds * 1000))
    connection.commit()
    return connection


def connection_string(settings: Sql) -> str:
    """The ODBC connection string with the password from its file. Raises ConfigError when that can't be read."""
    password = settings.password()
    if password is None:
        return settings.connection
    quoted = password.replace("}", "}}")
    return f"{settings.connection.rstrip(';')};PWD={{{quoted}}}"


def trouble(error: pyodbc.Error) -> Trouble:
    """What kind of error this is, by its SQLSTATE."""
    return next(kind for kind in Trouble if kind.value.fullmatch(sqlstate(error)))


def sqlstate(error: pyodbc.Error) -> str:
    """The five characters by which ODBC classifies an error."""
    return str(error.args[0]) if error.args else ""


def message(error: pyodbc.Error, values: Sequence[object]) -> str:
    """What the driver says, in one line, without `values` (of the statement, or secret) and without those of rows."""
    said = " ".join(str(error.args[-1] if error.args else error).split())
    said = re.sub(r"^\[\w{5}\] ", "", said)
    said = re.sub(r"[; ]*\(-?\d+\) \(SQL\w+\)$", "", said)
    for value in sorted({str(value) for value in values if value not in (None, "")}, key=len, reverse=True):
        said = said.replace(value, "…")
    if not _NAMES_OBJECTS.fullmatch(sqlstate(error)):
        said = re.sub(r"""'[^']*'|"[^"]*\"""", "'…'", said)
    shown = said if len(said) <= LONGEST_MESSAGE else said[: LONGEST_MESSAGE - 1] + "…"
    printable = "".join(letter if letter.isprintable() else " " for letter in shown)
    return f"{printable} (SQLSTATE {sqlstate(error)})"


def _offset(raw: bytes | None) -> object:
    """A datetimeoffset; its bytes where they are none, so that the contract refuses that row and no other."""
    if raw is None:
        return None
    try:
        return datetimeoffset(raw)
    except ValueError:
        return bytes(raw)


def _wide(raw: bytes | None) -> str | None:
    return None if raw is None else bytes(raw).decode("utf-16-le", "surrogatepass")


def _bytes(raw: bytes | None) -> bytes | None:
    return None if raw is None else bytes(raw)
