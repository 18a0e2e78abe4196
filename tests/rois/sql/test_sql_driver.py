"""What drivers send that pyodbc does not read, what their errors mean, and what of them may be said."""

from __future__ import annotations

import struct
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pyodbc
import pytest
from sql_kit import configuration, query_set

from vault.rois.sql import driver
from vault.rois.sql.connection import Database, LostError
from vault.rois.sql.driver import DATETIMEOFFSET, Oddities, Trouble, connection_string, message, trouble
from vault.rois.sql.fetch import settings
from vault.rois.sql.statement import prepare


class Connection:
    """What a pyodbc connection is told about types."""

    def __init__(self) -> None:
        self.converters: dict[int, object] = {}

    def add_output_converter(self, number: int, converter: object) -> None:
        self.converters[number] = converter

    def read(self, number: int, raw: bytes | None) -> object:
        converter = self.converters[number]
        assert callable(converter)
        return converter(raw)


def applied(oddities: Oddities) -> Connection:
    connection = Connection()
    oddities.apply(connection)  # type: ignore[arg-type]
    return connection


@pytest.mark.parametrize(
    ("zone", "east", "minutes"), [(timedelta(hours=1), 1, 0), (timedelta(hours=-4, minutes=-30), -4, -30)]
)
def test_a_datetimeoffset_as_sql_server_sends_it(zone: timedelta, east: int, minutes: int) -> None:
    raw = struct.pack("<6hI2h", 2026, 11, 25, 7, 31, 2, 123_456_700, east, minutes)
    connection = applied(Oddities())
    assert connection.read(DATETIMEOFFSET, raw) == datetime(2026, 11, 25, 7, 31, 2, 123456, timezone(zone))
    assert connection.read(DATETIMEOFFSET, None) is None
    assert connection.read(DATETIMEOFFSET, b"short") == b"short"


def test_an_unknown_type_is_learnt_once_and_read_as_bytes() -> None:
    oddities = Oddities()
    error = pyodbc.ProgrammingError(
        "HY106", "ODBC SQL type -151 is not yet supported.  column-index=0  type=-151"
    )
    assert oddities.learn(error)
    assert not oddities.learn(error)
    assert not oddities.learn(pyodbc.Error("HY000", "something else"))
    assert applied(oddities).read(-151, b"\x00\x01") == b"\x00\x01"


def test_half_a_surrogate_pair_costs_no_row() -> None:
    oddities = Oddities()
    with pytest.raises(UnicodeDecodeError) as caught:
        b"a\x00\x3d\xd8".decode("utf-16-le")
    assert oddities.learn(caught.value)
    assert not oddities.learn(caught.value)
    connection = applied(oddities)
    assert connection.read(pyodbc.SQL_WVARCHAR, b"a\x00\x3d\xd8") == "a\ud83d"
    assert connection.read(pyodbc.SQL_WVARCHAR, "😀".encode("utf-16-le")) == "😀"


def test_there_is_an_end_to_unknown_types() -> None:
    oddities = Oddities()
    errors = [
        pyodbc.Error("HY106", f"ODBC SQL type {-number} is not yet supported.") for number in range(200, 300)
    ]
    assert sum(map(oddities.learn, errors)) == 20


@pytest.mark.parametrize(
    ("state", "kind"),
    [
        ("08S01", Trouble.LOST),
        ("08001", Trouble.LOST),
        ("57P01", Trouble.LOST),
        ("40001", Trouble.VICTIM),
        ("HYT00", Trouble.TIMED_OUT),
        ("57014", Trouble.TIMED_OUT),
        ("42S02", Trouble.REFUSED),
        ("", Trouble.REFUSED),
    ],
)
def test_sqlstates(state: str, kind: Trouble) -> None:
    assert trouble(pyodbc.Error(state, "x")) is kind


def test_a_message_repeats_no_value_of_a_row_or_a_statement() -> None:
    said = (
        "[22018] [Microsoft][ODBC Driver 18 for SQL Server][SQL Server]Conversion failed when converting the "
    )
    error = pyodbc.DataError(
        "22018", f"{said}nvarchar value 'Smith' to data type int. (245) (SQLExecDirectW)"
    )
    text = message(error, [])
    assert "Smith" not in text
    assert text.endswith("value '…' to data type int. (SQLSTATE 22018)")
    assert text.startswith("[Microsoft][ODBC Driver 18 for SQL Server]")
    error = pyodbc.ProgrammingError(
        "42S02", "[42S02] Invalid object name 'VARIAN.dbo.Patint', patient 12345, pw hunter2"
    )
    assert message(error, ["12345", 7, None, "hunter2"]) == (
        "Invalid object name 'VARIAN.dbo.Patint', patient …, pw … (SQLSTATE 42S02)"
    )


def test_a_message_is_one_printable_line() -> None:
    text = message(pyodbc.Error("HY000", "a\n\tb\x1b[31m" + "x" * 1000), [])
    assert "\x1b" not in text
    assert text.startswith("a b [31m")
    assert len(text) < driver.LONGEST_MESSAGE + 30


def test_a_password_is_quoted_as_odbc_wants_it(tmp_path: Path) -> None:
    queries = query_set(tmp_path, {"census": "SELECT 1 AS patient_id"})
    config = configuration(tmp_path, "DSN=rois;UID=vault;", queries, password="a;b}c{")
    assert connection_string(settings(config)) == "DSN=rois;UID=vault;PWD={a;b}}c{}"
    assert connection_string(settings(configuration(tmp_path, "DSN=rois", queries))) == "DSN=rois"


def test_microsofts_driver_is_loaded_by_its_path(tmp_path: Path) -> None:
    package = pytest.importorskip("mssql_python_odbc", reason="the wheel mssql-python-odbc is not installed")
    (folder,) = package.__path__
    library = min(Path(folder).glob("libs/linux/debian_ubuntu/*/lib/libmsodbcsql*"))
    queries = query_set(tmp_path, {"census": "SELECT 1 AS patient_id"})
    connection = f"DRIVER={library};SERVER=127.0.0.1,1;UID=x;Encrypt=optional"
    extra = 'timeout = "2s"\nretries = 0\nbackoff = "0s"'
    config = configuration(tmp_path, connection, queries, password="secret", extra=extra)
    with Database(settings(config)) as database, pytest.raises(LostError, match="Microsoft") as caught:
        database.ask(prepare("SELECT 1"), ())
    assert "secret" not in str(caught.value)


def test_utc_is_a_zone_like_any_other() -> None:
    raw = struct.pack("<6hI2h", 2026, 1, 1, 0, 0, 0, 0, 0, 0)
    assert applied(Oddities()).read(DATETIMEOFFSET, raw) == datetime(2026, 1, 1, tzinfo=UTC)
