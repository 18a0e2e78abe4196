"""Query sets: TOML files of named SQL statements that a site can read, adapt and try.

    [names]         identifiers put where a statement says {name}: what databases and schemas are called here
    [parameters]    values bound where a statement says :name; {days = -7} is midnight seven days before today
    [queries]       the statements; config/queries/README.md has the columns that each must return

`:patient_id`, `:since` and `:until` are the vault's own.
"""

from __future__ import annotations

import datetime as dt
import difflib
import stat
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

from vault.errors import ConfigError
from vault.rois.sql.contract import CONTRACT
from vault.rois.sql.statement import Statement, StatementError, check_qualifier, prepare

SHIPPED = ("aria.toml", "mosaiq.toml", "demo.toml", "README.md")
"""The query sets that ship, and the text that explains them: files of `vault.config`'s folder `queries`."""

OWN_PARAMETERS = frozenset({"patient_id", "since", "until"})
"""Parameters that the vault binds."""

_TABLES = ("names", "parameters", "queries")
_LARGEST = 1 << 20
_MOST_DAYS = 3660


@dataclass(frozen=True, slots=True)
class Days:
    """Midnight, a number of days after today's (before it where negative)."""

    days: int


Value = str | int | float | bool | dt.date | dt.datetime | Days


@dataclass(frozen=True, slots=True)
class QuerySet:
    """A query set, checked: every statement only reads and has each of its parameters."""

    path: Path
    statements: Mapping[str, Statement]
    parameters: Mapping[str, Value]

    @property
    def off(self) -> dict[str, str]:
        """The queries that the set leaves out, and what the vault lacks without them."""
        return {name: contract.without for name, contract in CONTRACT.items() if name not in self.statements}

    def require(self, query: str) -> None:
        """Raises ConfigError when the set leaves this query out."""
        if query not in self.statements:
            raise ConfigError(f"{self.path}: [queries] {query} is missing: {CONTRACT[query].without}.")

    def bound(
        self, query: str, *, since: dt.datetime, until: dt.datetime, patient_id: str | None = None
    ) -> list[object]:
        """The values of a statement's parameters, in order. Days count from the day of `until`."""
        own = {"patient_id": patient_id, "since": since, "until": until}
        today = dt.datetime.combine(until.date(), dt.time())
        values: list[object] = []
        for name in self.statements[query].parameters:
            value = own[name] if name in OWN_PARAMETERS else self.parameters[name]
            values.append(today + dt.timedelta(days=value.days) if isinstance(value, Days) else value)
        return values


def shipped(name: str) -> str:
    """The text of a query set that ships with the vault; one of `SHIPPED`."""
    return resources.files("vault.config").joinpath("queries", name).read_text("utf-8")


def load(path: Path) -> QuerySet:
    """Read and check a query set. Raises ConfigError, which names the file, the query and what is wrong."""
    try:
        with path.open("rb") as file:
            mode = path.stat().st_mode
            data = file.read(_LARGEST + 1)
    except OSError as error:
        reason = error.strerror or "it can't be read"
        raise ConfigError(
            f"{path}: {reason}. [rois.sql] queries names the query set; config/queries/ has some to start from."
        ) from None
    if len(data) > _LARGEST:
        raise ConfigError(f"{path}: larger than 1 MiB, so it is no query set.")
    if mode & stat.S_IWOTH:
        raise ConfigError(
            f"{path}: every user can change what is asked of the database. Run: chmod o-w {path}"
        )
    try:
        document = tomllib.loads(data.decode("utf-8-sig").replace("\r\n", "\n"))
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"{path}: this is not TOML in UTF-8: {error}.") from None
    return _checked(document, path)


def _checked(document: Mapping[str, Any], path: Path) -> QuerySet:
    for table in document:
        if table not in _TABLES:
            raise ConfigError(
                f"{path}: [{table}] is not a table of a query set; known are: {', '.join(_TABLES)}."
            )
    tables = {table: document.get(table, {}) for table in _TABLES}
    for table, content in tables.items():
        if not isinstance(content, dict):
            raise ConfigError(f"{path}: {table} must be a table: [{table}].")
    names = _names(tables["names"], path)
    parameters = {name: _parameter(name, value, path) for name, value in tables["parameters"].items()}
    statements = {name: _statement(name, sql, names, path) for name, sql in tables["queries"].items()}
    if not statements:
        raise ConfigError(f"{path}: [queries] is empty, so there is nothing to ask the database.")
    for name, statement in statements.items():
        _check_parameters(name, statement, parameters, path)
    return QuerySet(path, statements, parameters)


def _names(table: Mapping[str, Any], path: Path) -> dict[str, str]:
    for name, value in table.items():
        try:
            check_qualifier(value if isinstance(value, str) else repr(value))
        except StatementError as error:
            raise ConfigError(f"{path}: [names] {name}: {error}.") from None
    return dict(table)


def _parameter(name: str, value: Any, path: Path) -> Value:
    if name in OWN_PARAMETERS:
        raise ConfigError(f"{path}: [parameters] {name} is the vault's own; choose another name.")
    if isinstance(value, dict):
        days = value.get("days")
        if set(value) == {"days"} and type(days) is int and abs(days) <= _MOST_DAYS:
            return Days(days)
    elif isinstance(value, dt.datetime) and value.tzinfo is not None:
        pass  # what a database without zones makes of an offset differs by driver
    elif isinstance(value, str | int | float | dt.date | dt.datetime):
        return value
    raise ConfigError(
        f"{path}: [parameters] {name} must be text, a number, true or false, a date, a local time, "
        "or a number of days from today such as {days = -7}."
    )


def _statement(name: str, sql: Any, names: Mapping[str, str], path: Path) -> Statement:
    if name not in CONTRACT:
        (close,) = difflib.get_close_matches(name, CONTRACT, n=1, cutoff=0.6) or [""]
        hint = f"Did you mean {close}?" if close else f"Known are: {', '.join(CONTRACT)}."
        raise ConfigError(f"{path}: [queries] {name} is not a query that the vault asks for. {hint}")
    if not isinstance(sql, str):
        raise ConfigError(
            f"{path}: [queries] {name} must be a text: a statement between three quotation marks."
        )
    try:
        return prepare(sql, names)
    except StatementError as error:
        raise ConfigError(f"{path}: [queries] {name}: {error}.") from None


def _check_parameters(name: str, statement: Statement, parameters: Mapping[str, Value], path: Path) -> None:
    used = set(statement.parameters)
    unknown = sorted(used - OWN_PARAMETERS - parameters.keys())
    if unknown:
        raise ConfigError(
            f"{path}: [queries] {name} uses :{unknown[0]}, but [parameters] has no {unknown[0]}."
        )
    if CONTRACT[name].per_patient and "patient_id" not in used:
        raise ConfigError(
            f"{path}: [queries] {name} does not use :patient_id, so it would answer with everybody's rows."
        )
    if not CONTRACT[name].per_patient and "patient_id" in used:
        raise ConfigError(f"{path}: [queries] {name} uses :patient_id, but is asked once for all patients.")
