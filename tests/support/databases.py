"""Real databases over ODBC for the tests: SQLite in a file, and a PostgreSQL of the test's own on loopback.

with postgres() as server:
    server.connection              # what [rois.sql] connection and password_file need
    server.run("CREATE TABLE …")   # as its owner, with psycopg's job done by ODBC
    server.kill()                  # as a power cut would
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import peers

USER = "vault_test"
PASSWORD = "Pg-Pa55;{}"  # with what ODBC must quote


def driver(library: str) -> str:
    """The path of a driver's library, wherever Debian puts it on this architecture; "" when it is not here."""
    return next((str(path) for path in sorted(Path("/usr/lib").glob(f"*/odbc/{library}"))), "")


SQLITE = driver("libsqlite3odbc.so")
POSTGRES = driver("psqlodbcw.so")


def missing_sqlite() -> str:
    """Why a test over SQLite's ODBC driver must be skipped; empty when it can run."""
    return "" if SQLITE else "SQLite's ODBC driver is not installed: apt-get install unixodbc libsqliteodbc"


def missing_postgres() -> str:
    """Why a test over PostgreSQL must be skipped; empty when it can run."""
    if POSTGRES and _programs():
        return ""
    return (
        "PostgreSQL or its ODBC driver is not installed: apt-get install unixodbc postgresql odbc-postgresql"
    )


def sqlite_connection(path: Path) -> str:
    """The ODBC connection of a SQLite file."""
    return f"DRIVER={SQLITE};DATABASE={path};Timeout=5000"


class Postgres:
    """A running server with one empty database."""

    def __init__(self, folder: Path, port: int) -> None:
        self.folder = folder
        self.port = port

    @property
    def connection(self) -> str:
        """The ODBC connection, without its password."""
        return f"DRIVER={POSTGRES};SERVER=127.0.0.1;PORT={self.port};DATABASE=postgres;UID={USER}"

    def run(self, *statements: str) -> None:
        """Execute statements that change the database."""
        import pyodbc

        quoted = PASSWORD.replace("}", "}}")
        with pyodbc.connect(f"{self.connection};PWD={{{quoted}}}", autocommit=True) as connection:
            for statement in statements:
                connection.execute(statement)

    def start(self) -> None:
        """Start the server; returns when it answers."""
        options = f"-p {self.port} -c listen_addresses=127.0.0.1 -c unix_socket_directories= -c fsync=off"
        self._pg_ctl("-w", "-o", options, "-l", str(self.folder / "log"), "start")

    def stop(self) -> None:
        """Stop it, if it runs."""
        with suppress(peers.PeerFailed, FileNotFoundError):
            self._pg_ctl("-m", "immediate", "stop")

    def kill(self) -> None:
        """End every process of it at once, as a power cut does: nobody says good-bye."""
        for pid in self._pids():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def restart(self) -> None:
        """Start it again after a `kill`."""
        (self.folder / "data" / "postmaster.pid").unlink(missing_ok=True)
        self.start()

    def freeze(self, *, thaw: bool = False) -> None:
        """Stop its processes where they are, connections open: a server that says nothing more."""
        for pid in self._pids():
            os.kill(pid, signal.SIGCONT if thaw else signal.SIGSTOP)

    def _pids(self) -> list[int]:
        postmaster = int((self.folder / "data" / "postmaster.pid").read_text().split()[0])
        children: list[str] = []
        with suppress(FileNotFoundError):  # it is gone already
            children = Path(f"/proc/{postmaster}/task/{postmaster}/children").read_text().split()
        return [postmaster, *map(int, children)]

    def _pg_ctl(self, *arguments: str) -> None:
        command = [str(_programs() / "pg_ctl"), "-D", str(self.folder / "data"), *arguments]
        done = subprocess.run(
            command, stdout=subprocess.DEVNULL, cwd=self.folder, user=_account(), check=False
        )
        if done.returncode:
            raise peers.PeerFailed((self.folder / "log").read_text()[-2000:])


@contextmanager
def postgres() -> Iterator[Postgres]:
    """A server with a database of its own, for one test or many; gone afterwards."""
    folder = Path(tempfile.mkdtemp(prefix="vault-postgres-"))
    server = Postgres(folder, peers.free_port())
    try:
        (folder / "password").write_text(PASSWORD)
        if _account():
            for path in (folder, folder / "password"):
                shutil.chown(path, _account())
        initdb = [
            str(_programs() / "initdb"),
            "-D",
            str(folder / "data"),
            "-U",
            USER,
            "--no-sync",
            "-E",
            "UTF8",
        ]
        options = ["--locale=C.UTF-8", "-A", "scram-sha-256", f"--pwfile={folder / 'password'}"]
        subprocess.run(
            [*initdb, *options], check=True, stdout=subprocess.DEVNULL, cwd=folder, user=_account()
        )
        server.start()
        yield server
    finally:
        server.stop()
        shutil.rmtree(folder, ignore_errors=True)


def _account() -> str | None:
    """PostgreSQL refuses to run as root."""
    return "postgres" if os.geteuid() == 0 else None


def _programs() -> Path | None:
    return next(
        (path.parent for path in sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), reverse=True)), None
    )
