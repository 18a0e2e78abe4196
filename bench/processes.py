"""Peers and tools as processes of our own: started on free loopback ports, ended by their own handle."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from vault.department.ports import LOOPBACK, free_ports

RECEIVER = "VAULT"
SENDER = "ROIS"
LARGEST_PDU = "131072"
NO_DELAY = {"TCP_NODELAY": "1"}
"""DCMTK then switches Nagle's algorithm off."""

_READY_WITHIN = 30.0
_DCMTK_DEFAULTS = {key: value for key, value in os.environ.items() if key != "TCP_NODELAY"}


class ToolFailedError(Exception):
    """A tool that is measured did not do its work, so that its time means nothing."""


def missing(*tools: str) -> str | None:
    """Why a side must be left out: the tools that are not installed."""
    absent = [tool for tool in tools if shutil.which(tool) is None]
    return f"{', '.join(absent)} not installed" if absent else None


def run(command: Sequence[str | Path], environment: Mapping[str, str] | None = None) -> float:
    """Run a command to its end and return the seconds; raises ToolFailedError."""
    began = time.perf_counter()
    done = subprocess.run(
        command,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        env={**_DCMTK_DEFAULTS, **(environment or {})},
        check=False,
    )
    seconds = time.perf_counter() - began
    if done.returncode:
        raise ToolFailedError(
            f"{command[0]}: {(done.stderr or done.stdout).decode(errors='replace')[-1000:]}"
        )
    return seconds


def send(files: Sequence[Path], port: int, called: str = RECEIVER, *, nagle: bool = False) -> float:
    """Send files over one association with DCMTK's storescu; returns the seconds."""
    command: list[str | Path]
    command = ["storescu", "-R", "-aet", SENDER, "-aec", called, LOOPBACK, str(port), *files]
    return run(command, None if nagle else NO_DELAY)


def free_port() -> int:
    """A TCP port that nothing listens on now."""
    return free_ports(1)[0]


@contextmanager
def storescp(folder: Path, *options: str, nagle: bool = False) -> Iterator[tuple[int, int]]:
    """DCMTK's receiver writing to `folder`; yields its port and pid."""
    port = free_port()
    command = ["storescp", *options, "-aet", RECEIVER, "-od", str(folder), str(port)]
    with _server(command, folder, {} if nagle else NO_DELAY, port) as pid:
        yield port, pid


@contextmanager
def orthanc(folder: Path, move_port: int | None = None) -> Iterator[tuple[int, int]]:
    """Orthanc with a fresh database in `folder`; yields its DICOM port and pid."""
    port = free_port()
    rights = {f"Allow{right}": True for right in ("Echo", "Find", "Move", "Get", "Store")}
    vault = {"AET": RECEIVER, "Host": LOOPBACK, "Port": move_port or free_port(), **rights}
    settings = {
        "StorageDirectory": str(folder / "db"),
        "IndexDirectory": str(folder / "db"),
        "Plugins": [],
        "HttpServerEnabled": False,
        "DicomAet": "ORTHANC",
        "DicomPort": port,
        "DicomModalities": {"vault": vault, "rois": {**vault, "AET": SENDER}},
        "StorageCompression": False,
    }
    (folder / "orthanc.json").write_text(json.dumps(settings))
    with _server(["Orthanc", str(folder / "orthanc.json")], folder, NO_DELAY, port) as pid:
        yield port, pid


@contextmanager
def dcmqrscp(folder: Path, files: Sequence[Path], move_port: int) -> Iterator[int]:
    """DCMTK's archive over `files`, which must lie in `folder`; yields its port. It reads objects as they are sent."""
    port = free_port()
    run(["dcmqridx", folder, *files])
    (folder / "dcmqrscp.cfg").write_text(
        f"NetworkTCPPort = {port}\nMaxPDUSize = {LARGEST_PDU}\nMaxAssociations = 16\n"
        f"HostTable BEGIN\ndestination = ({RECEIVER}, {LOOPBACK}, {move_port})\nHostTable END\n"
        f"VendorTable BEGIN\nVendorTable END\n"
        f"AETable BEGIN\nROIS {folder} RW (500, 4gb) ANY\nAETable END\n"
    )
    with _server(["dcmqrscp", "-c", str(folder / "dcmqrscp.cfg")], folder, NO_DELAY, port):
        yield port


@contextmanager
def _server(command: list[str], folder: Path, environment: Mapping[str, str], port: int) -> Iterator[int]:
    with (folder / "server.log").open("wb") as log:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env={**_DCMTK_DEFAULTS, **environment},
        )
    try:
        _wait_until_it_listens(process, port)
        yield process.pid
    finally:
        process.kill()
        process.wait()


def _wait_until_it_listens(process: subprocess.Popen[bytes], port: int) -> None:
    deadline = time.monotonic() + _READY_WITHIN
    while time.monotonic() < deadline and process.poll() is None:
        with suppress(OSError), socket.create_connection((LOOPBACK, port), timeout=1):
            time.sleep(0.3)  # the server is done with this connection before the clock starts
            return
        time.sleep(0.05)
    raise ToolFailedError(f"{process.args!r} does not listen on port {port}")


def peak_mb(pid: int) -> float:
    """The most memory that a running process ever had resident (VmHWM), in MB."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024 / 1e6
    return 0.0


class TreeMemory:
    """Samples the resident memory of a process and all its descendants together while the block lasts."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._sample, daemon=True)
        self.peak_mb = 0.0

    def __enter__(self) -> TreeMemory:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def _sample(self) -> None:
        while not self._ended.wait(0.1):
            self.peak_mb = max(self.peak_mb, sum(map(_resident_mb, _descendants(self._pid))))


def _descendants(pid: int) -> list[int]:
    found = [pid]
    for parent in found:  # grows while it is read
        with suppress(OSError):
            for task in Path(f"/proc/{parent}/task").iterdir():
                found += map(int, (task / "children").read_text().split())
    return found


def _resident_mb(pid: int) -> float:
    with suppress(OSError):
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") / 1e6
    return 0.0
