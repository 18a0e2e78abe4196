"""`vault doctor database`: what a night needs of it is tried, what fails has its fix, and nobody's name is shown."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import date, datetime, timedelta
from pathlib import Path

import databases
import pytest
from sql_kit import BASE

from cli.main import main
from vault.department.database import connection_string, write
from vault.department.patients import cast
from vault.doctor.database import hint, masked

pytestmark = pytest.mark.system

DEMO = Path(__file__).parents[2] / "config" / "queries" / "demo.toml"


@pytest.fixture(scope="module")
def department(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if missing := databases.missing_sqlite():
        pytest.skip(missing)
    folder = tmp_path_factory.mktemp("department")
    today = date.today()
    write(folder, cast(2, today), today, datetime.combine(today + timedelta(days=1), datetime.min.time()))
    return folder


def toml(folder: Path, connection: str, queries: str, extra: str = "") -> Path:
    path = folder / "vault.toml"
    (folder / "queries.toml").write_text(queries, "utf-8")
    sql = f"[rois.sql]\nconnection = '{connection}'\nqueries = 'queries.toml'\ntimeout = '3s'\nretries = 0\n"
    path.write_text(BASE + sql + extra, "utf-8")
    return path


def doctor(path: Path, capsys: pytest.CaptureFixture[str], *options: str) -> tuple[int, str]:
    code = main(["-c", str(path), "doctor", "database", *options])
    said = capsys.readouterr()
    assert "Traceback" not in said.err
    return code, said.out + said.err


def test_every_query_of_the_demo(
    department: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = toml(tmp_path, connection_string(department), DEMO.read_text("utf-8"))
    code, said = doctor(path, capsys, "--queries")
    assert code == 0, said
    assert said.count("\nok      query ") == 10
    assert "ok      connection: the database answers" in said
    for secret in (
        "DEMO-001",
        "Albert",
        "Demo",
        "Robin",
        "robin",
        "Example Street",
        "Ostrow",
        "@example.org",
    ):
        assert secret not in said
    assert "Xxxx, Xxxxxx" in said
    assert "SIMBEAM_1" in said
    assert "treated recently" in said


def test_plainly_it_tries_the_connection_alone(
    department: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = toml(tmp_path, connection_string(department), "[queries]\ncensus = 'SELECT 1 AS patient_id'\n")
    code, said = doctor(path, capsys)
    assert code == 0
    assert "off     query documents: left out: no documents" in said
    assert "query census" not in said


def test_as_json(department: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = toml(tmp_path, connection_string(department), DEMO.read_text("utf-8"))
    assert main(["-c", str(path), "--json", "doctor", "database", "--patient", "DEMO-002"]) == 0
    checks = json.loads(capsys.readouterr().out)["checks"]
    (plans,) = [check for check in checks if check["name"] == "query plans"]
    assert plans["ok"]
    assert plans["rows"][0][plans["columns"].index("patient_id")] == "XXXX-999"


@pytest.mark.parametrize(
    ("change", "said", "fix"),
    [
        (("FROM plan WHERE", "FROM plans WHERE"), "no such table: plans", "Check [names] of the query set"),
        (("name AS plan,", "nome AS plan,"), "no such column: nome", "This version calls the column otherwise"),
        (("name AS plan,", "name AS plann,"), "its answer lacks the column plan;",
         "Name it in the statement: … AS plan"),
        (("SELECT patient_id, plan_key,", "SELECT patient_id, 'x' AS plan_uid, plan_key, "),
         "two columns are called plan_uid", "Adapt the statement"),
        (("fractions AS fractions_planned", "name AS fractions_planned"),
         "row 1, column fractions_planned: text of", "Adapt the statement"),
    ],
)  # fmt: skip
def test_a_failure_says_the_fix(
    department: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    change: tuple[str, str],
    said: str,
    fix: str,
) -> None:
    text = DEMO.read_text("utf-8")
    assert change[0] in text
    path = toml(tmp_path, connection_string(department), text.replace(*change))
    code, shown = doctor(path, capsys, "--queries")
    assert code == 1
    (line,) = [line for line in shown.splitlines() if line.startswith("FAILED  query plans")]
    assert said in line
    assert fix in shown[shown.index(line) :]
    assert shown.count("FAILED") == 1


@pytest.mark.parametrize(
    ("connection", "fix"),
    [
        ("DRIVER={ODBC Driver 99 for SQL Server};SERVER=127.0.0.1", "Install the ODBC driver"),
        ("DSN=nowhere", "Install the ODBC driver"),
        (f"DRIVER={databases.POSTGRES};SERVER=127.0.0.1;PORT=1;DATABASE=x;UID=x", "Check server and port"),
    ],
)
def test_a_database_that_does_not_answer(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], connection: str, fix: str
) -> None:
    path = toml(tmp_path, connection, DEMO.read_text("utf-8"))
    code, said = doctor(path, capsys, "--queries")
    assert code == 1
    assert fix in said
    assert "query census" not in said


def test_a_wrong_password(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    if missing := databases.missing_postgres():
        pytest.skip(missing)
    with databases.postgres() as server:
        secret = tmp_path / "password"
        secret.write_text("not-the-right-one")
        secret.chmod(0o600)
        path = toml(tmp_path, server.connection, DEMO.read_text("utf-8"), "password_file = 'password'\n")
        code, said = doctor(path, capsys)
    assert code == 1
    assert "not-the-right-one" not in said
    assert "Check UID in [rois.sql] connection" in said


def test_what_is_not_configured_is_off(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "vault.toml"
    path.write_text(BASE.replace('source = "sql"', 'patients = ["1"]'))
    assert main(["-c", str(path), "doctor", "database", "share", "mail"]) == 0
    assert capsys.readouterr().out == (
        "off     database: [rois.sql] is not in vault.toml: no prescriptions, documents, history\n"
        "off     share: [share] is not in vault.toml: no encrypted copy leaves this computer\n"
        "off     mail: [mail] is not in vault.toml: nobody is told what a night found\n"
    )


def test_without_a_part_all_are_tried(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "vault.toml"
    path.write_text(BASE.replace('source = "sql"', 'patients = ["1"]').replace("port = 104", "port = 1"))
    assert main(["-c", str(path), "--json", "doctor"]) == 1
    found = {check["name"]: check for check in json.loads(capsys.readouterr().out)["checks"]}
    assert list(found) == [
        "disk", "clock", "signing key", "identity", "pseudonym key",
        "receiver", "census", "ROIS", "database", "share", "mail",
    ]  # fmt: skip
    assert not found["ROIS"]["ok"]
    assert "127.0.0.1:1" in found["ROIS"]["text"]


def values() -> Iterator[tuple[str, str | None, str]]:
    yield "name", "Müller, Ωμέγα 7", "Xxxxxx, Xxxxx 9"
    yield "patient_id", "A-123", "X-999"
    yield "anything_of_the_site", "日本\n\x1b[31m", "xx  [99x"
    yield "machine", "TrueBeam 1", "TrueBeam 1"
    yield "name", None, "NULL"
    yield "name", "x" * 100, "x" * 31 + "…"


@pytest.mark.parametrize(("column", "value", "shown"), list(values()))
def test_a_masked_value_keeps_its_shape(column: str, value: str | None, shown: str) -> None:
    assert masked(column, value) == shown


def test_what_nobody_knows_has_no_fix() -> None:
    assert hint("the moon is full (SQLSTATE HY000)") == ""
