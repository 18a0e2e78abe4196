"""A configuration and a query set for the tests of the database side."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from vault.config import Config, loads

BASE = """
[site]
name = "Test department"
timezone = "Europe/Berlin"
[vault]
root = "."
[rois.dicom]
ae_title = "ROIS"
host = "127.0.0.1"
port = 104
[receiver]
ae_title = "VAULT"
host = "127.0.0.1"
port = 11112
[census]
source = "sql"
"""


def configuration(
    folder: Path,
    connection: str,
    queries: Path,
    *,
    password: str = "",
    extra: str = 'timeout = "5s"\nbackoff = "0s"',
) -> Config:
    """A vault in `folder` that asks the database at `connection`."""
    sql = f"\n[rois.sql]\nconnection = '''{connection}'''\nqueries = '{queries}'\n{extra}\n"
    if password:
        secret = folder / "password"
        secret.write_text(password + "\n")
        secret.chmod(0o600)
        sql += f"password_file = '{secret}'\n"
    return loads(BASE + sql, folder / "vault.toml")


def query_set(
    folder: Path,
    queries: Mapping[str, str],
    *,
    parameters: str = "",
    names: str = "",
    file: str = "queries.toml",
) -> Path:
    """A query set's file."""
    statements = "".join(f"{name} = '''{sql}'''\n" for name, sql in queries.items())
    path = folder / file
    path.write_text(f"[names]\n{names}\n[parameters]\n{parameters}\n[queries]\n{statements}", "utf-8")
    return path
