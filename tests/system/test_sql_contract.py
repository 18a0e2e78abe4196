"""What the vault expects of a database, on real ones over ODBC: SQLite's driver and a PostgreSQL server."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path

import databases
import pytest
from sql_kit import configuration, query_set

from vault.config import Config
from vault.errors import DatabaseError
from vault.model import PatientID, Row
from vault.rois.emr_inbox import EmrInbox
from vault.rois.sql import connection as connections
from vault.rois.sql.connection import Database, LostError, TimedOutError
from vault.rois.sql.fetch import Fetched, fetch, settings, treated_since
from vault.rois.sql.statement import prepare
from vault.rois.sql.values import canonical

pytestmark = pytest.mark.system

SINCE, UNTIL = datetime(2026, 11, 1), datetime(2026, 11, 25, 2, 0)
P1, P2 = PatientID("1"), PatientID("2")
NOVEL = "Müller 😀 日本 Ωμέγα"


class Site:
    """A database under test, and what is the same of all of them."""

    def __init__(
        self, folder: Path, kind: str, connection: str, run: Callable[..., None], password: str = ""
    ) -> None:
        self.folder = folder
        self.kind = kind
        self.connection = connection
        self.run = run
        self.password = password

    def config(
        self, queries: dict[str, str], extra: str | None = None, connection: str = "", **toml: str
    ) -> Config:
        path = query_set(self.folder, queries, **toml)
        where = connection or self.connection
        options = {} if extra is None else {"extra": extra}
        return configuration(self.folder, where, path, password=self.password, **options)

    def database(self, extra: str | None = None, connection: str = "", grace: float = 5.0) -> Database:
        config = self.config({"census": "SELECT 1 AS patient_id"}, extra, connection)
        return Database(settings(config), grace=grace)

    def fetch(
        self, queries: dict[str, str], *patients: PatientID, **options: object
    ) -> tuple[EmrInbox, Fetched]:
        inbox = EmrInbox(self.folder / "inbox" / "run")
        return inbox, fetch(
            self.config(queries, **options), inbox, patients or (P1,), since=SINCE, until=UNTIL
        )


@pytest.fixture(scope="module")
def server() -> Iterator[databases.Postgres]:
    if missing := databases.missing_postgres():
        pytest.skip(missing)
    with databases.postgres() as running:
        yield running


@pytest.fixture(params=["sqlite", "postgres"])
def site(request: pytest.FixtureRequest, tmp_path: Path) -> Site:
    if request.param == "postgres":
        running: databases.Postgres = request.getfixturevalue("server")
        running.run("DROP SCHEMA public CASCADE", "CREATE SCHEMA public")
        return Site(tmp_path, "postgres", running.connection, running.run, databases.PASSWORD)
    if missing := databases.missing_sqlite():
        pytest.skip(missing)
    import sqlite3

    def run(*statements: str) -> None:
        with sqlite3.connect(tmp_path / "rois.sqlite") as connection:
            for statement in statements:
                connection.execute(statement)
        connection.close()

    run("CREATE TABLE empty (x integer)")
    return Site(tmp_path, "sqlite", databases.sqlite_connection(tmp_path / "rois.sqlite"), run)


def ask(database: Database, sql: str, *values: object) -> list[tuple[str | None, ...]]:
    answer = database.ask(prepare(sql), values)
    return [tuple(canonical(value) for value in row) for row in answer.rows]


COLUMNS = {
    "i": ("integer", "-7", "-7"),
    "b": ("bigint", "1099511627776", "1099511627776"),
    "d": ("decimal(12,3)", "2.500", "2.5"),
    "f": ("double precision", "0.1", "0.1"),
    "v": ("varchar(60)", f"'{NOVEL}'", NOVEL),
    "c": ("char(12)", "'ab          '", "ab"),
    "t": ("text", "'line\nbreak\ttab ''quoted'''", "line\nbreak\ttab 'quoted'"),
    "ts": ("timestamp", "'2026-11-25 07:31:02.123'", "2026-11-25T07:31:02.123"),
    "da": ("date", "'2026-11-25'", "2026-11-25"),
    "ti": ("time", "'07:31:00'", "07:31:00"),
}
"""Column: its type, a value as SQL, its canonical text."""


def test_every_type_has_its_canonical_text(site: Site) -> None:
    site.run(
        f"CREATE TABLE types ({', '.join(f'{name} {kind[0]}' for name, kind in COLUMNS.items())})",
        f"INSERT INTO types VALUES ({', '.join(kind[1] for kind in COLUMNS.values())})",
        "INSERT INTO types (i) VALUES (NULL)",
    )
    with site.database() as database:
        found = ask(database, "SELECT * FROM types")
    assert found == [tuple(kind[2] for kind in COLUMNS.values()), (None,) * len(COLUMNS)]


def test_bytes_and_bits(site: Site) -> None:
    kind, value = ("bytea", r"'\x00ff10'") if site.kind == "postgres" else ("blob", "x'00ff10'")
    site.run(f"CREATE TABLE raw (raw {kind}, yes boolean)", f"INSERT INTO raw VALUES ({value}, true)")
    with site.database() as database:
        ((raw, yes),) = ask(database, "SELECT raw, yes FROM raw")
    assert raw == "hex:00ff10"
    assert yes in (
        "yes",
        "1",
    )  # PostgreSQL's driver calls a boolean a character; a contract's flag reads both


def test_parameters_are_bound_by_name_whatever_they_hold(site: Site) -> None:
    site.run(
        "CREATE TABLE p (id varchar(40), n integer)", "INSERT INTO p VALUES ('x'' OR 1=1 --', 1), ('2', 2)"
    )
    sql = "SELECT n, ':id' AS t FROM p WHERE id = :id AND n < :most /* :id ? */ AND :id = id -- :no"
    with site.database() as database:
        assert ask(database, sql, "x' OR 1=1 --", 5, "x' OR 1=1 --") == [("1", ":id")]
        assert ask(database, sql, "%", 5, "%") == []


def test_rows_arrive_in_pages_all_of_them(site: Site) -> None:
    count = connections.PAGE * 3 + 1
    numbers = (
        f"WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {count}) SELECT i FROM n"
    )
    with site.database() as database:
        assert [int(row[0] or 0) for row in ask(database, numbers)] == list(range(1, count + 1))


def test_too_many_rows_are_refused(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "MOST_ROWS", 1000)
    numbers = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 5000) SELECT i FROM n"
    with site.database() as database:
        with pytest.raises(DatabaseError, match="larger than 1000 rows"):
            ask(database, numbers)
        assert ask(database, "SELECT 1") == [("1",)]


def test_nothing_can_be_written_whatever_a_statement_hides(site: Site) -> None:
    site.run("CREATE TABLE w (x integer)")
    with site.database() as database:
        answer = None
        with pytest.raises(DatabaseError, match=r"read.?only"):
            answer = database.ask(connections.Statement("INSERT INTO w VALUES (1)", ()), ())
        assert answer is None
        assert ask(database, "SELECT count(*) FROM w") == [("0",)]


def test_an_answer_takes_its_time_and_no_more(site: Site) -> None:
    endless = (
        "SELECT pg_sleep(60)"
        if site.kind == "postgres"
        else "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n"
    )
    began = time.monotonic()
    with site.database('timeout = "1s"', grace=0.5) as database:
        with pytest.raises(TimedOutError, match=r"no answer within 1 s; raise \[rois.sql\] timeout"):
            ask(database, endless)
        assert time.monotonic() - began < 5
        assert ask(database, "SELECT 2") == [("2",)]


def test_a_refusal_names_what_is_wrong_and_no_values(site: Site) -> None:
    site.run("CREATE TABLE p (id varchar(40))", "INSERT INTO p VALUES ('Smith')")
    with site.database() as database:
        with pytest.raises(DatabaseError, match="nope"):
            ask(database, "SELECT nope FROM p WHERE id = :id", "Smith")
        if site.kind == "postgres":
            with pytest.raises(DatabaseError, match="invalid input syntax") as caught:
                ask(database, "SELECT CAST(id AS integer) FROM p WHERE id = :id", "Smith")
            assert "Smith" not in str(caught.value)


QUERIES = {
    "plans": "SELECT patient_id, plan_key, plan, status, fractions_planned, planner AS room FROM plans "
    "WHERE patient_id = :patient_id ORDER BY plan_key",
    "schedule": "SELECT patient_id, starts, activity FROM schedule WHERE starts >= :today",
    "last_treatment": "SELECT patient_id, last_treatment FROM lasts WHERE last_treatment >= :since",
}
TABLES = (
    "CREATE TABLE plans (patient_id char(10), plan_key integer, plan varchar(40), status varchar(20), "
    "fractions_planned decimal(6,2), planner varchar(20))",
    "INSERT INTO plans VALUES ('1', 10, 'Prostate 😀', 'TreatApproval', 28, 'east'), "
    "('1', 11, 'Boost', NULL, NULL, NULL), ('2', 12, 'Breast', 'Retired', 15.00, '')",
    "CREATE TABLE schedule (patient_id varchar(10), starts timestamp, activity varchar(20))",
    "INSERT INTO schedule VALUES ('1', '2026-11-25 09:00:00', 'Treatment'), ('3', '2026-11-25 10:00:00', 'x'), "
    "('1', '2026-11-20 09:00:00', 'past')",
    "CREATE TABLE lasts (patient_id varchar(10), last_treatment timestamp)",
    "INSERT INTO lasts VALUES ('1', '2026-11-24 09:30:00'), ('2', '2026-10-24 09:30:00')",
)
TODAY = "today = {days = 0}"


def test_fetch_puts_each_patients_rows_into_the_inbox(site: Site) -> None:
    site.run(*TABLES)
    inbox, fetched = site.fetch(QUERIES, P1, P2, parameters=TODAY)
    rows = inbox.rows(P1)
    assert rows is not None
    assert rows["plans"] == [
        Row("plans", {"patient_id": "1", "plan_key": "10", "plan": "Prostate 😀", "status": "TreatApproval",
                      "fractions_planned": "28", "room": "east"}),
        Row("plans", {"patient_id": "1", "plan_key": "11", "plan": "Boost", "status": None,
                      "fractions_planned": None, "room": None}),
    ]  # fmt: skip
    assert [row.fields["activity"] for row in rows["schedule"]] == ["Treatment"]
    assert inbox.failures(P1) == []
    assert [row.fields["plan_key"] for row in (inbox.rows(P2) or {})["plans"]] == ["12"]
    assert (inbox.rows(P2) or {})["schedule"] == []
    assert fetched.failures == ()
    assert fetched.off["documents"] == "no documents"
    assert "plans" not in fetched.off


def test_who_was_treated_since(site: Site) -> None:
    site.run(*TABLES)
    config = site.config(QUERIES, parameters=TODAY)
    assert treated_since(config, SINCE, UNTIL) == {P1: "2026-11-24T09:30:00"}


@pytest.mark.parametrize(
    ("sql", "why"),
    [
        ("SELECT patient_id, plan_key, plan, status FROM plans WHERE patient_id = :patient_id",
         "its answer lacks the column fractions_planned; it has patient_id, plan_key, plan, status."),
        ("SELECT patient_id, plan_key, plan, status, status AS fractions_planned FROM plans "
         "WHERE patient_id = :patient_id", "row 1, column fractions_planned: text of 13 characters instead of a whole"),
        ("SELECT patient_id, NULL AS plan_key, plan, status, fractions_planned FROM plans "
         "WHERE patient_id = :patient_id", "row 1, column plan_key: it is empty"),
        ("SELECT patient_id, 5 AS plan_key, plan, status, fractions_planned FROM plans WHERE patient_id = :patient_id",
         "row 2, column plan_key: it is the same as in row 1"),
        ("SELECT patient_id, plan_key, plan, status, fractions_planned FROM plans WHERE patient_id <> :patient_id",
         "row 1, column patient_id: it is another patient's"),
        ("SELECT patient_id, plan_key, plan, status, status, fractions_planned FROM plans "
         "WHERE patient_id = :patient_id", "two columns are called status"),
        ("SELECT * FROM absent WHERE patient_id = :patient_id", "absent"),
    ],
)  # fmt: skip
def test_a_broken_statement_costs_its_own_rows_alone(site: Site, sql: str, why: str) -> None:
    site.run(*TABLES)
    inbox, _ = site.fetch({**QUERIES, "plans": sql}, P1, parameters=TODAY)
    (failure,) = inbox.failures(P1)
    assert failure.subject == "query plans"
    assert why in failure.reason
    rows = inbox.rows(P1)
    assert rows is not None
    assert set(rows) == {"schedule"}


def test_a_bad_row_about_everybody_costs_itself_alone(site: Site) -> None:
    site.run(*TABLES)
    sql = (
        "SELECT patient_id, starts, activity FROM schedule UNION ALL SELECT NULL, NULL, 'x' ORDER BY activity"
    )
    inbox, fetched = site.fetch({**QUERIES, "schedule": sql}, P1, parameters=TODAY)
    (failure,) = fetched.failures
    assert "query schedule, row " in failure.reason
    assert "it is empty. The row was left out." in failure.reason
    assert len((inbox.rows(P1) or {})["schedule"]) == 2


def test_nobody_answers_at_all(site: Site, tmp_path: Path) -> None:
    gone = {
        "sqlite": databases.sqlite_connection(tmp_path / "no" / "such.sqlite"),
        "postgres": site.connection.replace("PORT=", "PORT=1;X="),
    }[site.kind]
    with pytest.raises(DatabaseError, match=r"database can't be asked: .*Check the network") as caught:
        site.fetch(QUERIES, P1, parameters=TODAY, connection=gone)
    assert "Pg-Pa55" not in str(caught.value)


def test_a_driver_that_is_not_installed(site: Site) -> None:
    with pytest.raises(DatabaseError, match="ODBC Driver 99"):
        site.fetch(QUERIES, P1, parameters=TODAY, connection="DRIVER={ODBC Driver 99};SERVER=127.0.0.1")


PAGED = ";UseDeclareFetch=1;Fetch=100"
SLOW_ROWS = "SELECT g AS i, repeat('x', 2000) AS v, pg_sleep(0.0005) FROM generate_series(1, 100000) g"


def test_a_server_that_dies_in_mid_fetch_loses_nobody_else(tmp_path: Path) -> None:
    if missing := databases.missing_postgres():
        pytest.skip(missing)
    with databases.postgres() as server:
        server.run(*TABLES)
        site = Site(tmp_path, "postgres", server.connection + PAGED, server.run, databases.PASSWORD)
        with site.database('retries = 0\nbackoff = "0s"\ntimeout = "5s"') as database:
            threading.Timer(0.4, server.kill).start()
            with pytest.raises(LostError):
                ask(database, SLOW_ROWS)
        server.restart()
        with site.database('retries = 0\nbackoff = "0s"\ntimeout = "5s"') as database:
            assert ask(database, "SELECT 1") == [("1",)]
            server.kill()
            server.restart()
            with pytest.raises(LostError):
                ask(database, "SELECT 1")  # the old connection; without a retry
            assert ask(database, "SELECT 2") == [("2",)]
        with site.database('retries = 2\nbackoff = "0s"\ntimeout = "5s"') as database:
            assert ask(database, "SELECT 1") == [("1",)]
            server.kill()
            server.restart()
            assert ask(database, "SELECT 3") == [("3",)]  # with a retry, nobody notices


def test_a_server_that_falls_silent_is_left(tmp_path: Path) -> None:
    if missing := databases.missing_postgres():
        pytest.skip(missing)
    with databases.postgres() as server:
        site = Site(tmp_path, "postgres", server.connection, server.run, databases.PASSWORD)
        with site.database('retries = 0\ntimeout = "1s"', grace=0.5) as database:
            assert ask(database, "SELECT 1") == [("1",)]
            server.freeze()
            began = time.monotonic()
            try:
                with pytest.raises(TimedOutError):
                    ask(database, "SELECT 2")
            finally:
                server.freeze(thaw=True)
            assert time.monotonic() - began < 6


def test_the_rest_of_a_run_is_kept_when_the_server_goes(tmp_path: Path) -> None:
    if missing := databases.missing_postgres():
        pytest.skip(missing)
    with databases.postgres() as server:
        server.run(*TABLES)
        site = Site(tmp_path, "postgres", server.connection, server.run, databases.PASSWORD)
        config = site.config({"plans": QUERIES["plans"]}, 'retries = 1\nbackoff = "0s"\ntimeout = "5s"')
        inbox = EmrInbox(tmp_path / "inbox" / "run")
        patients = [P1, P2, PatientID("3")]

        class KillAfterFirst:
            def start(self, label: str, total: int | None = None) -> None: ...
            def stop(self) -> None: ...
            def advance(self, steps: int = 1) -> None:
                server.kill()

        fetch(config, inbox, patients, since=SINCE, until=UNTIL, progress=KillAfterFirst())
    assert len((inbox.rows(P1) or {})["plans"]) == 2
    for patient_id in patients[1:]:
        assert inbox.rows(patient_id) == {}
        (failure,) = inbox.failures(patient_id)
        assert failure.subject == "query plans"
