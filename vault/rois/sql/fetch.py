"""What the database says about each patient, into the inbox of the run.

One statement that fails costs its own rows and no others; a database that is gone, or a statement that times out
for one patient after the other, is not asked again and again.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from vault.config import Config, Sql
from vault.errors import ConfigError, DatabaseError
from vault.model import Failure, PatientID, Row
from vault.progress import Progress, Silent
from vault.rois.emr_inbox import EmrInbox
from vault.rois.sql import queries as query_sets
from vault.rois.sql.answers import read, read_all
from vault.rois.sql.connection import Database, LostError, TimedOutError
from vault.rois.sql.contract import CONTRACT, PATIENT_ID
from vault.rois.sql.queries import QuerySet

CENSUS = ("census", "last_treatment")
"""Queries that say who is under treatment, and are not about one patient."""

MOST_TIMEOUTS = 3
"""A statement that timed out for so many patients is not asked again in this run."""


@dataclass(frozen=True, slots=True)
class Fetched:
    """What became of a fetch as a whole; what concerns one patient is in the inbox."""

    off: Mapping[str, str] = field(default_factory=dict)
    """Queries that the set leaves out: what is missing without each."""
    failures: tuple[Failure, ...] = ()


def settings(config: Config) -> Sql:
    """`[rois.sql]`. Raises ConfigError when the configuration has none."""
    if config.rois.sql is None:
        raise ConfigError(
            f"{config.path}: the table [rois.sql] is missing: how to reach the ROIS's database."
        )
    return config.rois.sql


def fetch(
    config: Config,
    inbox: EmrInbox,
    patients: Sequence[PatientID],
    *,
    since: datetime,
    until: datetime,
    queries: Collection[str] | None = None,
    progress: Progress | None = None,
) -> Fetched:
    """Ask the database about `patients` and put its rows into `inbox`, patient by patient.

    `since` and `until` are local times without a zone, as the database's server has them; `:since` and `:until` of
    the statements. `queries` names what is asked, everything but the census when it is None.

    Raises ConfigError for a query set that can't be used, and DatabaseError when the database can't be reached.
    A failure about one patient is in `inbox.failures`, and raises nothing.
    """
    chosen = query_sets.load(settings(config).queries)
    with Asker(config, chosen, since, until) as run:
        report = progress or Silent()
        names = [name for name in CONTRACT if name in chosen.statements and name not in CENSUS]
        names = [name for name in names if queries is None or name in queries]
        each = [name for name in names if CONTRACT[name].per_patient]
        report.start("Asking the database", len(patients))
        try:
            shared = run.for_everybody([name for name in names if name not in each], patients)
            for patient_id in patients:
                rows, failures = run.about(patient_id, each)
                rows |= {query: found.get(patient_id, []) for query, found in shared.items()}
                inbox.write_rows(patient_id, rows, failures)
                report.advance()
        except LostError as error:
            raise unreachable(error) from None
        finally:
            report.stop()
    return Fetched(chosen.off, tuple(run.failures))


def treated_since(config: Config, since: datetime, until: datetime) -> dict[PatientID, str]:
    """Who was treated from `since` on, and when last, as the database has it: whom an hourly run asks about.

    Raises ConfigError and DatabaseError as `fetch` does, and ConfigError when the set has no `last_treatment`.
    """
    chosen = query_sets.load(settings(config).queries)
    chosen.require("last_treatment")
    with Asker(config, chosen, since, until) as asker:
        try:
            rows = asker.all_rows("last_treatment")
        except LostError as error:
            raise unreachable(error) from None
    found: dict[PatientID, str] = {}
    for row in rows:
        patient_id, last = PatientID(row.fields[PATIENT_ID] or ""), row.fields["last_treatment"] or ""
        if last >= since.isoformat()[: len(last)]:
            found[patient_id] = max(last, found.get(patient_id, ""))
    return found


def unreachable(error: LostError) -> DatabaseError:
    """The sentence for a database that can't be asked at all."""
    return DatabaseError(
        f"The ROIS's database can't be asked: {error}. Check the network, and [rois.sql] connection and password_file; "
        "`vault doctor` tries them."
    )


class Asker:
    """Asks the statements of a set over one connection; `since` and `until` are theirs to use."""

    def __init__(self, config: Config, chosen: QuerySet, since: datetime, until: datetime) -> None:
        self._database = Database(settings(config))
        self._chosen = chosen
        self._since = since
        self._until = until
        self._timeouts: Counter[str] = Counter()
        self._lost: LostError | None = None
        self._answered = False
        self.failures: list[Failure] = []
        """Rows about everybody that could not be used."""

    def __enter__(self) -> Asker:
        return self

    def __exit__(self, *_: object) -> None:
        self._database.close()

    def all_rows(self, query: str) -> list[Row]:
        """The rows of a statement about everybody. Raises DatabaseError, whose message names the query."""
        values = self._chosen.bound(query, since=self._since, until=self._until)
        try:
            answer = self._database.ask(self._chosen.statements[query], values)
            self._answered = True
            return read_all(answer, CONTRACT[query], self.failures)
        except LostError:
            raise
        except DatabaseError as error:
            said = _without_name(query, error)
            raise DatabaseError(f"query {query}: {said}. `vault doctor --queries` tries it.") from None

    def for_everybody(
        self, names: Iterable[str], patients: Collection[PatientID]
    ) -> dict[str, dict[str, list[Row]]]:
        """Query to patient to rows; a query that failed is absent. Raises LostError."""
        wanted = set(patients)
        found: dict[str, dict[str, list[Row]]] = {}
        for query in names:
            try:
                rows = self.all_rows(query)
            except LostError:
                raise
            except DatabaseError as error:
                self.failures.append(_failure(query, error))
                continue
            found[query] = defaultdict(list)
            for row in rows:
                patient_id = row.fields[PATIENT_ID] or ""
                if patient_id in wanted:
                    found[query][patient_id].append(row)
        return found

    def about(
        self, patient_id: PatientID, names: Iterable[str]
    ) -> tuple[dict[str, list[Row]], list[Failure]]:
        """The rows about one patient, and what failed. Raises LostError when nothing was ever answered."""
        rows: dict[str, list[Row]] = {}
        failures: list[Failure] = []
        for query in names:
            try:
                rows[query] = self._ask(query, patient_id)
            except DatabaseError as error:
                if isinstance(error, LostError) and not self._answered:
                    raise
                failures.append(_failure(query, error))
        return rows, failures

    def _ask(self, query: str, patient_id: PatientID) -> list[Row]:
        if self._lost is not None:
            raise self._lost
        if self._timeouts[query] >= MOST_TIMEOUTS:
            raise DatabaseError("it timed out for other patients before, and was not asked again in this run")
        values = self._chosen.bound(query, since=self._since, until=self._until, patient_id=patient_id)
        try:
            answer = self._database.ask(self._chosen.statements[query], values)
        except LostError as error:
            self._lost = error
            raise
        except TimedOutError:
            self._timeouts[query] += 1
            raise
        self._answered = True
        return read(answer, CONTRACT[query], patient_id)


def _failure(query: str, error: DatabaseError) -> Failure:
    said = _without_name(query, error)
    hint = "" if said.endswith("tries it") else " `vault doctor --queries` tries it."
    return Failure(f"query {query}", f"{said}.{hint}")


def _without_name(query: str, error: DatabaseError) -> str:
    return str(error).removeprefix(f"query {query}, ").removeprefix(f"query {query}: ").rstrip(".")
