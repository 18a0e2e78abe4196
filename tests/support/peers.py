"""Real DICOM servers on loopback, for the tests: each in its own folder, on free ports, stopped by its pid.

    with orthanc(tmp_path, move_to=("VAULT", "127.0.0.1", port)) as rois:
        rois.load(corpus())
        rois.ae_title, rois.host, rois.port        # what a configuration needs
        rois.modify(uid, {"RTPlanLabel": "X"})     # the object anew, same SOP Instance UID
        rois.delete(uid)

Every server keeps its log in its folder; what goes wrong is raised as `PeerFailed` with the end of that log.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import pydicom
import pynetdicom
from pynetdicom.sop_class import Verification

from vault.department.ports import LOOPBACK, free_ports

READY_WITHIN = 30.0
"""Seconds a server gets until it answers C-ECHO; Orthanc needs two on an idle machine, more on a busy one."""

MoveTo = tuple[str, str, int]
"""Where C-MOVE delivers: AE title, host, port."""

DATA = Path(__file__).resolve().parent.parent / "data" / "dicom"

_PACKAGES = {
    "Orthanc": "orthanc",
    "dcmqrscp": "dcmtk",
    "dcmqridx": "dcmtk",
    "dcmodify": "dcmtk",
    "storescu": "dcmtk",
    "dcmdump": "dcmtk",
    "dcmconv": "dcmtk",
    "dcmcrle": "dcmtk",
    "dcmcjpeg": "dcmtk",
    "dcmcjpls": "dcmtk",
    "age": "age",
    "git": "git",
    "sha256sum": "coreutils",
}


class PeerFailed(AssertionError):
    """A server of the test did not start or did not do what it was told; the message ends with its log."""


def missing_tools(*tools: str) -> str:
    """Why a test that needs `tools` must be skipped, and what installs them; empty if all are here."""
    missing = [tool for tool in tools if shutil.which(tool) is None]
    if not missing:
        return ""
    packages = sorted({_PACKAGES.get(tool, tool) for tool in missing})
    return f"{', '.join(missing)} not installed: apt-get install {' '.join(packages)}"


def corpus() -> list[Path]:
    """Every DICOM file that the tests ship, sorted by name."""
    return sorted(DATA.rglob("*.dcm"))


def loadable(files: Iterable[Path] | None = None) -> list[Path]:
    """Of `files` (by default the corpus), those that an archive can list and send, and a vault may ask for.

    They have the IDs that DICOM demands, and do not write them as VR UN, which DCMTK can't read.
    """
    wanted = ("PatientID", "StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID")
    return [
        file
        for file in (corpus() if files is None else files)
        if b"\x08\0\x18\0UN" not in file.read_bytes()[:4096]
        and all(dataset(file).get(keyword) for keyword in wanted)
    ]


def patients_in(files: Iterable[Path]) -> list[str]:
    """The patient IDs of `files`, sorted."""
    return sorted({str(dataset(file).get("PatientID", "")).strip() for file in files} - {""})


def dataset(file: Path) -> pydicom.Dataset:
    """A DICOM file without its pixels, also one without a preamble."""
    return pydicom.dcmread(file, force=True, stop_before_pixels=True)


def free_port() -> int:
    """A TCP port on loopback that nothing listens on now."""
    return free_ports(1)[0]


class Peer:
    """A running DICOM archive: a client needs `ae_title`, `host` and `port`; `folder` holds its log."""

    def __init__(self, ae_title: str, port: int, folder: Path, process: subprocess.Popen[bytes]) -> None:
        self.ae_title = ae_title
        self.host = LOOPBACK
        self.port = port
        self.folder = folder
        self.process = process
        self.receiver_port = 0
        """The port that C-MOVE delivers to."""

    @property
    def log(self) -> Path:
        """What the server printed."""
        return self.folder / "log"

    def failed(self, what: str) -> PeerFailed:
        """An exception that says `what` and shows the end of the log."""
        text = self.log.read_text(errors="replace") if self.log.exists() else ""
        return PeerFailed(f"{self.ae_title} on port {self.port}: {what}\n{text[-3000:]}")

    def load(self, files: Iterable[Path]) -> None:
        """Put files into the archive; one that is there under the same SOP Instance UID is replaced."""
        raise NotImplementedError

    def instances(self) -> set[str]:
        """The SOP Instance UIDs it holds."""
        raise NotImplementedError

    def file(self, sop_uid: str) -> bytes:
        """An object as the archive keeps it on its disk (what it sends may be encoded otherwise)."""
        raise NotImplementedError

    def delete(self, sop_uid: str) -> None:
        """Remove one object."""
        raise NotImplementedError

    def modify(self, sop_uid: str, changes: Mapping[str, str]) -> None:
        """Change attributes of one object in place with DCMTK's dcmodify, whose path syntax the keys have.

        `{"RTPlanLabel": "X", "BeamSequence[0].BeamName": "Y"}`
        """
        edited = self.folder / "edited.dcm"
        edited.write_bytes(self.file(sop_uid))
        arguments = [word for path, value in changes.items() for word in ("-m", f"{path}={value}")]
        done = subprocess.run(["dcmodify", "-nb", *arguments, edited], capture_output=True, check=False)
        if done.returncode:
            raise self.failed(f"dcmodify: {done.stderr.decode(errors='replace')}")
        self.load([edited])
        edited.unlink()

    def stop(self) -> None:
        """End this server, and only it, at once (asked politely, Orthanc takes 3 s)."""
        self.process.kill()
        self.process.wait()


class Orthanc(Peer):
    """Orthanc, loaded through its REST interface on `http_port`."""

    http_port: int

    def load(self, files: Iterable[Path]) -> None:
        for file in files:
            try:
                self._rest("/instances", file.read_bytes())
            except urllib.error.HTTPError as error:
                raise self.failed(f"refused {file.name}: HTTP {error.code}") from error

    def instances(self) -> set[str]:
        return set(self._identifiers())

    def file(self, sop_uid: str) -> bytes:
        return self._rest(f"/instances/{self._identifiers()[sop_uid]}/file")

    def delete(self, sop_uid: str) -> None:
        self._rest(f"/instances/{self._identifiers()[sop_uid]}", method="DELETE")

    def _identifiers(self) -> dict[str, str]:
        """Orthanc's own identifier of each SOP Instance UID."""
        found = json.loads(self._rest("/instances?expand"))
        return {entry["MainDicomTags"]["SOPInstanceUID"]: entry["ID"] for entry in found}

    def _rest(self, path: str, data: bytes | None = None, method: str | None = None) -> bytes:
        request = urllib.request.Request(
            f"http://{LOOPBACK}:{self.http_port}{path}", data=data, method=method
        )
        direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with direct.open(request, timeout=30) as answer:
            body: bytes = answer.read()
            return body


class Dcmqrscp(Peer):
    """DCMTK's dcmqrscp, loaded by registering files in its index (storescu stops at unknown SOP classes)."""

    @property
    def database(self) -> Path:
        """The folder of its one storage area."""
        return self.folder / "db"

    def load(self, files: Iterable[Path]) -> None:
        held = self._held()
        for file in files:
            sop_uid = _sop_uid(file)
            target = self.database / f"{secrets.token_hex(8)}.dcm"
            shutil.copyfile(file, target)
            if sop_uid in held:
                held[sop_uid].unlink()
            held[sop_uid] = target
        self._register()

    def instances(self) -> set[str]:
        return set(self._held())

    def file(self, sop_uid: str) -> bytes:
        return self._held()[sop_uid].read_bytes()

    def delete(self, sop_uid: str) -> None:
        self._held()[sop_uid].unlink()
        self._register()

    def _held(self) -> dict[str, Path]:
        return {_sop_uid(path): path for path in sorted(self.database.glob("*.dcm"))}

    def _register(self) -> None:
        """Write the index anew from what lies in the folder; the server reads it at every association."""
        (self.database / "index.dat").unlink(missing_ok=True)
        held = sorted(self.database.glob("*.dcm"))
        if not held:
            return
        done = subprocess.run(["dcmqridx", self.database, *held], capture_output=True, check=False)
        if done.returncode:
            raise self.failed(f"dcmqridx: {done.stderr.decode(errors='replace')}")


@contextmanager
def orthanc(
    folder: Path, *, move_to: MoveTo, ae_title: str = "ORTHANC", calling: Sequence[str] = ("VAULT",)
) -> Iterator[Orthanc]:
    """Run Orthanc in `folder` (made when absent) until the end of the block.

    `move_to` is the one destination C-MOVE knows; `calling` are the AE titles that may query. Orthanc
    aborts an association whose calling AE title it was not told of, at the first request.
    """
    folder.mkdir(parents=True, exist_ok=True)
    port, http_port = free_port(), free_port()
    title, host, move_port = move_to
    rights = {f"Allow{right}": True for right in ("Echo", "Find", "Move", "Get", "Store")}
    known = {aet: {"AET": aet, "Host": LOOPBACK, "Port": move_port, **rights} for aet in calling}
    known[title] = {"AET": title, "Host": host, "Port": move_port, **rights}
    settings = {
        "Name": ae_title,
        "StorageDirectory": str(folder / "db"),
        "IndexDirectory": str(folder / "db"),
        "Plugins": [],
        "HttpServerEnabled": True,
        "HttpPort": http_port,
        "RemoteAccessAllowed": False,
        "AuthenticationEnabled": False,
        "DicomAet": ae_title,
        "DicomPort": port,
        "DicomCheckCalledAet": True,
        "DicomAlwaysAllowFind": False,
        "OverwriteInstances": True,
        "DicomScuTimeout": 20,
        "DicomModalities": known,
        "DefaultEncoding": "Latin1",
        "StorageCompression": False,
    }
    (folder / "orthanc.json").write_text(json.dumps(settings, indent=1))
    process = _start(["Orthanc", str(folder / "orthanc.json")], folder)
    peer = Orthanc(ae_title, port, folder, process)
    peer.http_port, peer.receiver_port = http_port, move_port
    try:
        _wait_until_it_answers(peer, calling[0] if calling else title)
        yield peer
    finally:
        peer.stop()


@contextmanager
def dcmqrscp(folder: Path, *, move_to: MoveTo, ae_title: str = "DCMTK_QR") -> Iterator[Dcmqrscp]:
    """Run DCMTK's dcmqrscp in `folder` (made when absent) until the end of the block.

    It accepts any calling AE title; `move_to` is the one destination C-MOVE knows.
    """
    (folder / "db").mkdir(parents=True, exist_ok=True)
    port = free_port()
    title, host, move_port = move_to
    (folder / "dcmqrscp.cfg").write_text(
        f"""NetworkTCPPort  = {port}
MaxPDUSize      = 16384
MaxAssociations = 16
HostTable BEGIN
destination = ({title}, {host}, {move_port})
HostTable END
VendorTable BEGIN
VendorTable END
AETable BEGIN
{ae_title}  {folder / "db"}  RW (500, 1gb)  ANY
AETable END
"""
    )
    process = _start(["dcmqrscp", "-v", "-c", str(folder / "dcmqrscp.cfg")], folder)
    peer = Dcmqrscp(ae_title, port, folder, process)
    peer.receiver_port = move_port
    try:
        _wait_until_it_answers(peer, title)
        yield peer
    finally:
        peer.stop()


def _sop_uid(file: Path) -> str:
    return str(dataset(file).get("SOPInstanceUID", ""))


def _start(command: list[str], folder: Path) -> subprocess.Popen[bytes]:
    # TCP_NODELAY: with Nagle's algorithm each small object costs DCMTK 50 ms on loopback.
    environment = {**os.environ, "TCP_NODELAY": "1"}
    with (folder / "log").open("wb") as log:
        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            cwd=folder,
            env=environment,
        )


def _wait_until_it_answers(peer: Peer, calling: str) -> None:
    """Return when `peer` answers C-ECHO; raise with its log when it ends or stays silent."""
    deadline = time.monotonic() + READY_WITHIN
    while time.monotonic() < deadline:
        if peer.process.poll() is not None:
            raise peer.failed(f"ended with code {peer.process.returncode} before it answered")
        if _echo(peer, calling):
            return
        time.sleep(0.1)
    raise peer.failed(f"did not answer C-ECHO within {READY_WITHIN:.0f} s")


def _echo(peer: Peer, calling: str) -> bool:
    try:
        socket.create_connection((peer.host, peer.port), timeout=1).close()
    except OSError:  # not listening yet; asking so keeps pynetdicom from logging every attempt as an error
        return False
    client = pynetdicom.AE(ae_title=calling)
    client.acse_timeout = client.dimse_timeout = client.network_timeout = 5
    association = client.associate(
        peer.host, peer.port, contexts=[pynetdicom.build_context(Verification)], ae_title=peer.ae_title
    )
    if not association.is_established:
        return False
    status = association.send_c_echo()
    association.release()
    return "Status" in status and status.Status == 0
