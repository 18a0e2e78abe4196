"""Try the DICOM side: may the vault query, who would be retrieved, can it be heard, and does one object arrive."""

from __future__ import annotations

import errno
import shutil
import socket
import time
from collections.abc import Iterator, Sequence
from datetime import date

import msgspec

from vault.config import Config
from vault.doctor.check import Check
from vault.errors import PeerError, VaultError
from vault.files import private_folder
from vault.lock import run_lock
from vault.model import FoundObject, PatientID
from vault.rois.association import FIND, MOVE, Connection
from vault.rois.census import census
from vault.rois.inbox import Inbox
from vault.rois.query import Finder
from vault.rois.retrieve import retrieve_these

MOST_ASKED = 5
"""Patients of the census who are asked for until one has an object."""

PREFERRED = "RTPLAN"
"""Modality of the object that is retrieved where there is one: small, and what a night is for."""


def check_rois(config: Config, *, today: date, patient_id: PatientID | None = None) -> Iterator[Check]:
    """Ask as a night asks, and retrieve one object of `patient_id`, or of somebody of the census; it is not kept."""
    if config.rois.dicom.retrieve == MOVE:
        yield _listening(config.receiver.host, config.receiver.port)
    patients = [patient_id] if patient_id else []
    try:
        patients = patients or census(config, today=today)
    except PeerError as error:  # the ROIS itself
        yield Check("ROIS", False, str(error))
        return
    except VaultError as error:  # a database that is away is no reason not to try the rest
        yield Check("census", False, str(error))
    if patients and patient_id is None:
        yield Check("census", True, f"{len(patients)} under treatment, by {config.census.source}")
    found: dict[PatientID, FoundObject] = {}
    try:
        with Connection(config) as connection:
            found = _somebodys(config, connection, patients)
            yield Check("ROIS", True, f"{connection.label} lets {config.receiver.ae_title} query")
    except PeerError as error:
        yield Check("ROIS", False, str(error))
        return
    if found:
        yield _retrieval(config, found)
    else:
        yield Check("retrieval", True, "not tried: those who were asked for have no object there", off=True)


def _somebodys(
    config: Config, connection: Connection, patients: Sequence[PatientID]
) -> dict[PatientID, FoundObject]:
    """An object of the first who has any. Raises PeerError."""
    operation = config.rois.dicom.retrieve
    connection.model(FIND, operation)
    finder = Finder(connection, operation, relational=config.retrieve.relational)
    for patient_id in patients[:MOST_ASKED]:
        for item in sorted(finder.find(patient_id).found, key=lambda item: item.key.modality != PREFERRED):
            return {patient_id: item}
    return {}


def _retrieval(config: Config, wanted: dict[PatientID, FoundObject]) -> Check:
    """Retrieve one object as a night would, once, into a folder of its own that is gone afterwards."""
    once = msgspec.structs.replace(config, retrieve=msgspec.structs.replace(config.retrieve, retries=0))
    try:
        with run_lock(config.vault.root):
            workspace = private_folder(config.vault.root / "work" / "doctor")
            began = time.monotonic()
            try:
                inbox = Inbox(workspace / "inbox" / "doctor")
                (result,) = retrieve_these(once, {who: [item] for who, item in wanted.items()}, inbox)
            finally:
                shutil.rmtree(workspace, ignore_errors=True)
    except VaultError as error:
        return Check("retrieval", False, str(error))
    except OSError as error:
        return Check("retrieval", False, f"the disk refused: {error.strerror or type(error).__name__}")
    (item,) = wanted.values()
    operation = f"C-{config.rois.dicom.retrieve.upper()}"
    if result.missing:
        reasons = dict.fromkeys(failure.reason for failure in result.failures)
        text = "; ".join(reasons) or "it was asked for, and did not come"
        return Check("retrieval", False, f"{operation} of one {item.key.modality}: {text}")
    seconds = time.monotonic() - began
    return Check(
        "retrieval", True, f"one {item.key.modality} came by {operation} in {seconds:.1f} s; it is not kept"
    )


def _listening(host: str, port: int) -> Check:
    try:
        with socket.create_server((host, port)):
            pass
    except OSError as error:
        text = f"{host} port {port} can't be listened on: {error.strerror or error}"
        return Check("receiver", False, text, _LISTENING.get(error.errno or 0, ""))
    return Check("receiver", True, f"{host} port {port} can be listened on")


_LISTENING = {
    errno.EADDRINUSE: "A run is at work (`vault status`), or another program listens there: end it, or name another "
    "port in [receiver] and at the ROIS",
    errno.EADDRNOTAVAIL: "[receiver] host is no address of this computer: `ip address` lists them",
    errno.EACCES: "Ports below 1024 want a right: give the service AmbientCapabilities=CAP_NET_BIND_SERVICE, or name a "
    "higher port in [receiver] and at the ROIS",
}
