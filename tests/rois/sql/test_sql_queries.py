"""Query sets: what is wrong with a file is said with the file, the query and what is allowed."""

from __future__ import annotations

from datetime import date, datetime
from pathlib import Path

import pytest
from sql_kit import configuration

from vault.errors import ConfigError
from vault.rois.sql.contract import CONTRACT
from vault.rois.sql.queries import Days, load
from vault.status import status

GOOD = """
[names]
rt = "VARIAN.dbo"
[parameters]
test = "$%"
recently = {days = -7}
fixed = 2018-01-01
[queries]
census = "SELECT a AS patient_id FROM {rt}.t WHERE b >= :recently AND a NOT LIKE :test"
plans = "SELECT * FROM {rt}.p WHERE id = :patient_id AND d > :fixed AND id <> :test AND u < :until AND s > :since"
"""


def write(folder: Path, text: str, mode: int = 0o600) -> Path:
    path = folder / "queries.toml"
    path.write_bytes(text.encode())
    path.chmod(mode)
    return path


def test_a_set_binds_its_parameters_in_order(tmp_path: Path) -> None:
    chosen = load(write(tmp_path, GOOD.replace("\n", "\r\n")))
    since, until = datetime(2026, 11, 1), datetime(2026, 11, 25, 2, 30)
    assert chosen.parameters["recently"] == Days(-7)
    assert chosen.bound("census", since=since, until=until) == [datetime(2026, 11, 18), "$%"]
    bound = chosen.bound("plans", since=since, until=until, patient_id="1")
    assert bound == ["1", date(2018, 1, 1), "$%", until, since]


def test_what_is_left_out_is_said(tmp_path: Path) -> None:
    chosen = load(write(tmp_path, GOOD))
    assert set(chosen.off) == set(CONTRACT) - {"census", "plans"}
    assert chosen.off["documents"] == "no documents"
    chosen.require("plans")
    with pytest.raises(ConfigError, match=r"\[queries\] history is missing: no hourly treatment history"):
        chosen.require("history")


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        ("[queries]", "[queries", "this is not TOML"),
        ("[names]", "[name]", "[name] is not a table of a query set; known are: names, parameters, queries"),
        ("[names]", "queries = 1\n[names]", "this is not TOML"),
        ('rt = "VARIAN.dbo"', 'rt = "x; DROP"', "[names] rt: 'x; DROP' is no name of a database"),
        ('rt = "VARIAN.dbo"', "rt = 5", "[names] rt"),
        ('test = "$%"', "test = {days = 1.5}", "[parameters] test must be text, a number"),
        ('test = "$%"', "test = {days = 99999}", "[parameters] test must be"),
        ('test = "$%"', "test = [1]", "[parameters] test must be"),
        ('test = "$%"', "test = 2026-01-01T00:00:00Z", "[parameters] test must be"),
        ('test = "$%"', 'since = "x"\ntest = ""', "[parameters] since is the vault's own"),
        (
            "census = ",
            "cencus = ",
            "[queries] cencus is not a query that the vault asks for. Did you mean census?",
        ),
        ("census = ", "zzz = ", "Known are: census, last_treatment"),
        ('plans = "SELECT', 'plans = "UPDATE', "[queries] plans: it does not begin with SELECT"),
        (":recently", ":recent", "[queries] census uses :recent, but [parameters] has no recent"),
        (
            ":patient_id",
            "5",
            "[queries] plans does not use :patient_id, so it would answer with everybody's rows",
        ),
        (":recently", ":patient_id", "[queries] census uses :patient_id, but is asked once for all"),
        ("{rt}.t", "{emr}.t", "[queries] census: it uses {emr}, but [names] has no emr"),
    ],
)
def test_what_is_wrong_is_said(tmp_path: Path, old: str, new: str, why: str) -> None:
    assert old in GOOD
    with pytest.raises(ConfigError) as caught:
        load(write(tmp_path, GOOD.replace(old, new, 1)))
    assert why in str(caught.value)
    assert str(tmp_path / "queries.toml") in str(caught.value)


def test_a_statement_must_be_text_and_there_must_be_one(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="plans must be a text"):
        load(write(tmp_path, "[queries]\nplans = 5\n"))
    with pytest.raises(ConfigError, match="is empty"):
        load(write(tmp_path, "[names]\n"))
    with pytest.raises(ConfigError, match="queries must be a table"):
        load(write(tmp_path, "queries = 5\n"))


def test_a_file_that_is_not_to_be_trusted(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="every user can change what is asked"):
        load(write(tmp_path, GOOD, 0o666))
    with pytest.raises(ConfigError, match="larger than 1 MiB"):
        load(write(tmp_path, "#" * (1 << 20) + GOOD))
    with pytest.raises(ConfigError, match="No such file or directory"):
        load(tmp_path / "absent.toml")
    (tmp_path / "queries.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError, match="not TOML in UTF-8"):
        load(tmp_path / "queries.toml")


def test_status_says_what_is_not_asked_for(tmp_path: Path) -> None:
    config = configuration(tmp_path, "DSN=rois", write(tmp_path, GOOD))
    off = status(config).off
    assert off["rois.sql, query history"].startswith("no hourly treatment history")
    assert off["rois.sql, documents"].startswith("no documents")
    assert "rois.sql, query plans" not in off
    write(tmp_path, "[queries]\n")
    assert "is empty" in status(config).off["rois.sql"]
