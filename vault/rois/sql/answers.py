"""Is an answer what the contract says? From a driver's rows to `Row`s of canonical text."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from vault.errors import DatabaseError
from vault.model import Failure, Row
from vault.rois.sql.connection import Answer
from vault.rois.sql.contract import PATIENT_ID, Column, Contract
from vault.rois.sql.values import WrongTypeError, canonical, text, typed

MOST_SAID = 5
"""Rows that are refused one by one in words; further ones are counted."""


class RowError(DatabaseError):
    """One row does not hold what the contract says; the message names query, row and column, and no value."""


def read(answer: Answer, contract: Contract, patient_id: str) -> list[Row]:
    """The rows of a statement about one patient. Raises DatabaseError when one does not keep the contract.

    A row of another patient is refused: what is filed under the wrong patient does harm.
    """
    columns = check_columns(answer, contract)
    rows = [_row(values, number, columns, contract) for number, values in enumerate(answer.rows, 1)]
    for number, row in enumerate(rows, 1):
        if row.fields[PATIENT_ID] != patient_id:
            raise RowError(
                f"query {contract.query}, row {number}, column {PATIENT_ID}: it is another patient's than the one "
                "asked for; the statement must compare with :patient_id"
            )
    _check_keys(rows, contract)
    return rows


def read_all(answer: Answer, contract: Contract, refused: list[Failure]) -> list[Row]:
    """The rows of a statement about everybody; a row that does not keep the contract is left out and `refused`.

    Raises DatabaseError when a column is missing.
    """
    columns = check_columns(answer, contract)
    rows: list[Row] = []
    errors: list[str] = []
    for number, values in enumerate(answer.rows, 1):
        try:
            rows.append(_row(values, number, columns, contract))
        except RowError as error:
            errors.append(str(error))
    refused += [Failure("database", f"{error}. The row was left out.") for error in errors[:MOST_SAID]]
    if len(errors) > MOST_SAID:
        more = f"{len(errors) - MOST_SAID} more rows of query {contract.query} were left out for the like."
        refused.append(Failure("database", more))
    return rows


def check_columns(answer: Answer, contract: Contract) -> list[tuple[str, Column | None]]:
    """The answer's columns with what the contract says of each. Raises DatabaseError."""
    where = f"query {contract.query}"
    missing = [
        column.name for column in contract.columns if column.required and column.name not in answer.columns
    ]
    if missing:
        raise DatabaseError(
            f"{where}: its answer lacks the column {' and the column '.join(missing)}; "
            f"it has {', '.join(answer.columns) or 'none'}. Name it in the statement: … AS {missing[0]}"
        )
    twice = [name for name, count in Counter(answer.columns).items() if count > 1]
    if twice or "" in answer.columns:
        which = f"two columns are called {twice[0]}" if twice and twice[0] else "a column has no name"
        raise DatabaseError(f"{where}: {which}; name it in the statement with AS")
    return [(name, contract.column(name)) for name in answer.columns]


def _row(
    values: Iterable[object], number: int, columns: list[tuple[str, Column | None]], contract: Contract
) -> Row:
    fields: dict[str, str | None] = {}
    for (name, column), value in zip(columns, values, strict=True):
        try:
            fields[name] = canonical(value) if column is None else typed(value, column.kind)
        except WrongTypeError as error:
            wanted = column.kind.value if column else ""
            raise RowError(f"{_at(contract, number, name)}: {error} instead of {wanted}") from None
        if column and not column.null and fields[name] is None:
            raise RowError(f"{_at(contract, number, name)}: it is empty")
    fields[PATIENT_ID] = (fields[PATIENT_ID] or "").strip()
    return Row(contract.query, fields)


def _check_keys(rows: list[Row], contract: Contract) -> None:
    seen: dict[str | None, int] = {}
    for number, row in enumerate(rows, 1):
        if contract.key is None:
            return
        first = seen.setdefault(row.fields[contract.key], number)
        if first != number:
            raise RowError(
                f"{_at(contract, number, contract.key)}: it is the same as in row {first}, but a key names one row; "
                "does a join of the statement repeat rows?"
            )


def _at(contract: Contract, number: int, column: str) -> str:
    return f"query {contract.query}, row {number}, column {text(column)}"
