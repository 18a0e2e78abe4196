"""A real SMB server on loopback, for the tests: smbd with one share, on a free port, stopped by its pid.

with samba(folder) as server:
    server.share                    # the folder that it serves, to put files into
    server.url                      # smb://127.0.0.1:PORT/rois
    server.user, server.password
"""

from __future__ import annotations

import getpass
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from peers import LOOPBACK, PeerFailed, free_port

os.environ["PATH"] += ":/usr/sbin:/sbin"

PASSWORD = "Nas-Pa55"
READY_WITHIN = 20.0

_CONFIG = """
[global]
   server role = standalone server
   netbios name = ROISNAS
   disable netbios = yes
   smb ports = {port}
   interfaces = lo
   bind interfaces only = yes
   server min protocol = SMB2_10
   map to guest = never
   passdb backend = tdbsam:{state}/passdb.tdb
   private dir = {state}
   state directory = {state}
   cache directory = {state}
   lock directory = {state}
   pid directory = {state}
   ncalrpc dir = {state}
   log file = {state}/log
   log level = 0
   load printers = no
   printcap name = /dev/null
   disable spoolss = yes
[rois]
   path = {share}
   valid users = {user}
   read only = no
   strict sync = no
   {extra}
"""


@dataclass(slots=True)
class SmbServer:
    """A running smbd."""

    share: Path
    port: int
    user: str
    process: subprocess.Popen[bytes]
    config: Path
    password: str = PASSWORD

    def kill(self) -> None:
        """End the server at once, and the connections it has."""
        os.killpg(self.process.pid, 9)
        self.process.wait()

    def disable_account(self, *, disabled: bool) -> None:
        """Let the account log on no more, or again."""
        flags = "[D]" if disabled else "[]"
        command = ["pdbedit", "-s", self.config, "-r", "-u", self.user, "-c", flags]
        subprocess.run(command, check=True, capture_output=True)

    def restart(self) -> None:
        """Start it again on the same port."""
        stop(self.process)
        self.process = start(self.config)
        _wait(self.port, self.process, self.config.parent / "log")

    @property
    def url(self) -> str:
        """What `[rois.sql] documents` says."""
        return f"smb://{LOOPBACK}:{self.port}/rois"


def missing_samba() -> str:
    """Why a test that needs Samba must be skipped; empty where it runs."""
    if shutil.which("smbd") is None or shutil.which("pdbedit") is None:
        return "smbd not installed: apt-get install samba"
    return "" if os.geteuid() == 0 else "smbd runs as root only"


@contextmanager
def samba(share: Path, extra: str = "") -> Iterator[SmbServer]:
    """Serve the folder `share` until the end of the block, with `extra` in its section of smb.conf."""
    state = Path(tempfile.mkdtemp(prefix="smb-"))  # a short path: it holds sockets
    user, port = getpass.getuser(), free_port()
    config = state / "smb.conf"
    config.write_text(_CONFIG.format(port=port, state=state, share=share, user=user, extra=extra))
    typed = f"{PASSWORD}\n{PASSWORD}\n".encode()
    subprocess.run(
        ["pdbedit", "-s", config, "-a", "-t", "-u", user], input=typed, check=True, capture_output=True
    )
    server = SmbServer(share, port, user, start(config), config)
    try:
        _wait(port, server.process, state / "log")
        yield server
    finally:
        stop(server.process)
        shutil.rmtree(state, ignore_errors=True)


def start(config: Path) -> subprocess.Popen[bytes]:
    """Start smbd, in a group of its own: it forks for every connection."""
    return subprocess.Popen(
        ["smbd", "--foreground", "--no-process-group", "-s", str(config)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


def stop(server: subprocess.Popen[bytes]) -> None:
    """End the server and the processes of its connections."""
    if server.poll() is None:
        os.killpg(server.pid, 15)
    try:
        server.wait(10)
    except subprocess.TimeoutExpired:
        os.killpg(server.pid, 9)
        server.wait()


def _wait(port: int, server: subprocess.Popen[bytes], log: Path) -> None:
    import socket

    deadline = time.monotonic() + READY_WITHIN
    while time.monotonic() < deadline and server.poll() is None:
        try:
            with socket.create_connection((LOOPBACK, port), timeout=1):
                return
        except OSError:
            time.sleep(0.1)
    raise PeerFailed(f"smbd did not start: {log.read_text() if log.exists() else 'it left no log'}")
