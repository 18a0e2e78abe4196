"""Try the database of the ROIS, the query set, and each of its statements.

Rows are shown with whatever could name a person masked: letters as x, digits as 9, so that a column still shows what
it holds.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta

from vault.config import Config
from vault.doctor.check import Check
from vault.errors import ConfigError, DatabaseError, VaultError
from vault.model import Failure, PatientID, Row
from vault.rois.sql import queries as query_sets
from vault.rois.sql.answers import read, read_all
from vault.rois.sql.connection import Answer, Database, LostError
from vault.rois.sql.contract import CONTRACT, PATIENT_ID
from vault.rois.sql.fetch import settings
from vault.rois.sql.queries import QuerySet
from vault.rois.sql.statement import prepare
from vault.rois.sql.values import canonical
from vault.rois.uids import unfit_patient_id

ROWS_SHOWN = 3
"""Rows of each answer that are shown."""

LONGEST_SHOWN = 32
"""Characters of a value that are shown."""

PLAIN = frozenset(
    {
        "reason",
        "activity",
        "machine",
        "status",
        "technique",
        "modality",
        "field",
        "termination",
        "override",
        "fraction",
        "fractions",
        "fractions_planned",
        "total_dose_gy",
        "dose_per_fraction_gy",
        "dose_gy",
        "planned_mu",
        "delivered_mu",
        "started",
        "ended",
        "starts",
        "status_at",
        "created",
        "approved",
        "changed_at",
        "last_treatment",
        "next_treatment",
        "sop_uid",
        "series_uid",
        "plan_uid",
        "record_uid",
    }
)
"""Columns that name nobody and are shown as they are; every other one is masked, also those that a site adds."""

_HINTS = (
    (
        r"Can't open lib|IM002|IM003",
        "Install the ODBC driver that [rois.sql] connection names; docs/operations.md says how",
    ),
    (
        r"SQLSTATE 28|authentication failed|Login failed",
        "Check UID in [rois.sql] connection, and the password in password_file",
    ),
    (
        r"SQLSTATE (08|HYT0)",
        "Check server and port in [rois.sql] connection, the firewall, and that the network is open",
    ),
    (
        r"certificate|SSL",
        "Give the server a certificate that this computer can check; docs/operations.md says how",
    ),
    (
        r"SQLSTATE 42501|permission",
        "Grant the account SELECT on the table that the message names, and nothing else",
    ),
    (
        r"SQLSTATE 42(S02|P01)|no such table|Invalid object",
        "Check [names] of the query set, and the account's rights",
    ),
    (
        r"SQLSTATE 42(S22|703)|no such column|Invalid column",
        "This version calls the column otherwise: adapt the statement",
    ),
)
"""Part of a driver's message, and what to do about it."""


def check_database(config: Config) -> Iterator[Check]:
    """Try the query set's file, the driver and the connection."""
    if config.rois.sql is None:
        yield Check(
            "database",
            True,
            "[rois.sql] is not in vault.toml: no prescriptions, documents, history",
            off=True,
        )
        return
    chosen, check = _query_set(config)
    yield check
    with Database(settings(config)) as database:
        try:
            database.ask(prepare("SELECT 1"), ())
        except VaultError as error:
            yield Check("connection", False, str(error), hint(str(error)))
        else:
            yield Check("connection", True, "the database answers")
    for query, lacking in chosen.off.items() if chosen else ():
        yield Check(f"query {query}", True, f"left out: {lacking}", off=True)


def check_queries(config: Config, *, now: datetime, patient_id: PatientID | None = None) -> Iterator[Check]:
    """Run every statement of the query set, those about one patient for `patient_id` or the census's first.

    `now` is the site's local time without a zone. Raises ConfigError when there is no [rois.sql] or no query set.
    """
    chosen = query_sets.load(settings(config).queries)
    with Database(settings(config)) as database:
        trial = _Trial(database, chosen, now - timedelta(days=config.census.days), now)
        for query in sorted(chosen.statements, key=lambda name: list(CONTRACT).index(name)):
            if CONTRACT[query].per_patient and patient_id is None:
                patient_id = trial.somebody
            yield trial.run(query, patient_id)
            if trial.lost:
                return


def hint(message: str) -> str:
    """What to do about a driver's message; empty when nobody knows."""
    return next((fix for pattern, fix in _HINTS if re.search(pattern, message)), "")


def masked(column: str, value: str | None) -> str:
    """A value as it may be shown: its shape, unless the column names nobody."""
    if value is None:
        return "NULL"
    if column not in PLAIN:
        value = re.sub(r"[^\W\d_]", lambda letter: "X" if letter[0].isupper() else "x", value)
        value = re.sub(r"\d", "9", value)
    shown = "".join(letter if letter.isprintable() else " " for letter in value)
    return shown if len(shown) <= LONGEST_SHOWN else shown[: LONGEST_SHOWN - 1] + "…"


class _Trial:
    """Statements run one after the other over one connection."""

    def __init__(self, database: Database, chosen: QuerySet, since: datetime, until: datetime) -> None:
        self._database = database
        self._chosen = chosen
        self._since = since
        self._until = until
        self.somebody: PatientID | None = None
        """A patient whom a statement about everybody has named."""
        self.lost = False

    def run(self, query: str, patient_id: PatientID | None) -> Check:
        """Run one statement and hold its answer against the contract."""
        name, contract = f"query {query}", CONTRACT[query]
        if contract.per_patient and patient_id is None:
            return Check(name, False, "not tried: the census names nobody", "Name a patient with --patient")
        began = time.monotonic()
        try:
            values = self._chosen.bound(query, since=self._since, until=self._until, patient_id=patient_id)
            answer = self._database.ask(self._chosen.statements[query], values)
        except DatabaseError as error:
            self.lost = isinstance(error, LostError)
            return Check(name, False, str(error), hint(str(error)))
        seconds = time.monotonic() - began
        refused: list[Failure] = []
        try:
            rows = (
                read(answer, contract, patient_id or "")
                if contract.per_patient
                else read_all(answer, contract, refused)
            )
        except DatabaseError as error:
            said = str(error).removeprefix(f"{name}: ").removeprefix(f"{name}, ")
            return _check(name, False, f"{_counted(answer)}; {said}", _raw(answer), answer.columns)
        self._remember(rows)
        text = f"{_counted(answer)} in {seconds:.1f} s"
        if refused:
            text += "; " + " ".join(failure.reason for failure in refused)
        return _check(name, not refused, text, [row.fields for row in rows[:ROWS_SHOWN]], answer.columns)

    def _remember(self, rows: Sequence[Row]) -> None:
        for row in rows:
            text = row.fields[PATIENT_ID] or ""
            if self.somebody is None and not unfit_patient_id(text):
                self.somebody = PatientID(text)


def _query_set(config: Config) -> tuple[QuerySet | None, Check]:
    try:
        chosen = query_sets.load(settings(config).queries)
    except ConfigError as error:
        return None, Check("query set", False, str(error))
    return chosen, Check("query set", True, f"{chosen.path}: {len(chosen.statements)} statements")


def _raw(answer: Answer) -> list[Mapping[str, str | None]]:
    return [
        {name: canonical(value) for name, value in zip(answer.columns, row, strict=True)}
        for row in answer.rows[:ROWS_SHOWN]
    ]


def _check(
    name: str, ok: bool, text: str, rows: Sequence[Mapping[str, str | None]], columns: tuple[str, ...]
) -> Check:
    shown = tuple(tuple(masked(column, row.get(column)) for column in columns) for row in rows)
    return Check(name, ok, text, "" if ok else "Adapt the statement in the query set", columns, shown)


def _counted(answer: Answer) -> str:
    return "1 row" if len(answer.rows) == 1 else f"{len(answer.rows)} rows"
