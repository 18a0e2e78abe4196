"""The embedded ROIS: a query/retrieve SCP over a folder of Part 10 files, on loopback only.

It answers C-ECHO, and C-FIND, C-MOVE and C-GET in the Study Root and Patient Root models, hierarchical or
relational. C-MOVE sends to destinations that it was told of and to nobody else, as a ROIS does. `Faults` make it
misbehave in the ways that real ones do.
"""

from __future__ import annotations

import logging
import socket
import threading
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

from pydicom import dcmread
from pydicom.dataset import Dataset, FileDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, ImplicitVRLittleEndian
from pynetdicom import AE, StoragePresentationContexts, build_context, evt
from pynetdicom.sop_class import (
    PatientRootQueryRetrieveInformationModelFind,
    PatientRootQueryRetrieveInformationModelGet,
    PatientRootQueryRetrieveInformationModelMove,
    StudyRootQueryRetrieveInformationModelFind,
    StudyRootQueryRetrieveInformationModelGet,
    StudyRootQueryRetrieveInformationModelMove,
    Verification,
)

from vault.department.index import LEVELS, Entry, find, read_entry, retrieved
from vault.department.modules import part10
from vault.department.ports import LOOPBACK
from vault.errors import UsageError
from vault.files import private_folder, write_file
from vault.names import safe_name

_PENDING, _SUCCESS, _CANCEL = 0xFF00, 0x0000, 0xFE00
_UNFIT_IDENTIFIER = 0xA900
_MODELS = (
    PatientRootQueryRetrieveInformationModelFind,
    PatientRootQueryRetrieveInformationModelGet,
    PatientRootQueryRetrieveInformationModelMove,
    StudyRootQueryRetrieveInformationModelFind,
    StudyRootQueryRetrieveInformationModelGet,
    StudyRootQueryRetrieveInformationModelMove,
)
_SYNTAXES = [ExplicitVRLittleEndian, ImplicitVRLittleEndian]
_SILENCE_AT_MOST = 3600.0


@dataclass(slots=True)
class Faults:
    """How the ROIS misbehaves; may be changed while it runs, and holds from the next request on."""

    refuse: bool = False
    """Reject every association: calling AE title not recognized (PS3.8 9.3.4)."""
    silent: bool = False
    """Accept associations and requests, and never answer."""
    skip: Collection[str] = ()
    """SOP Instance UIDs that C-FIND lists but C-MOVE and C-GET leave out, with a final status of Success."""
    break_after: int | None = None
    """Abort the association after so many objects of a C-MOVE or C-GET."""
    choke_on: Collection[str] = ()
    """SOP Instance UIDs at which it aborts the association instead of sending."""


class Department:
    """The ROIS as a context manager: serving from `__enter__` to `__exit__`.

    `folder` holds its objects and is made if need be; `destinations` maps AE titles to the addresses that C-MOVE
    may send to; with `port` 0 a free one is taken, and `port` says which. Entering raises UsageError when the port
    is not free.
    """

    def __init__(
        self,
        folder: Path,
        ae_title: str = "ROIS",
        port: int = 0,
        destinations: Mapping[str, tuple[str, int]] | None = None,
        faults: Faults | None = None,
    ) -> None:
        self.folder = folder
        self.ae_title = ae_title
        self.port = port
        self.destinations = dict(destinations or {})
        self.faults = faults or Faults()
        self._closing = threading.Event()
        self._lock = threading.Lock()
        self._entries: dict[tuple[str, str], Entry] = {}
        self._server: Any = None
        self._load()

    def __enter__(self) -> Department:
        logging.getLogger("pynetdicom").setLevel(logging.CRITICAL)  # its messages would name patients
        self._closing.clear()
        entity = AE(ae_title=self.ae_title)
        entity.require_called_aet = True
        entity.maximum_pdu_size = 131072
        entity.add_supported_context(Verification, _SYNTAXES)
        for model in _MODELS:
            entity.add_supported_context(model, _SYNTAXES)
        for context in StoragePresentationContexts:
            entity.add_supported_context(context.abstract_syntax, _SYNTAXES, scu_role=False, scp_role=True)
        try:
            self._server = entity.start_server(
                (LOOPBACK, self.port), block=False, evt_handlers=self._handlers()
            )
        except OSError as error:
            raise UsageError(
                f"The simulated ROIS can't listen on {LOOPBACK}:{self.port}: {(error.strerror or 'refused').lower()}. "
                "Another program, perhaps another demo, holds the port."
            ) from None
        self.port = self._server.server_address[1]
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._closing.set()
        for association in self._server.active_associations:
            association.abort()
        self._server.shutdown()

    def put(self, objects: Iterable[FileDataset]) -> int:
        """Store objects, each in the place of an older one of the same patient and UID; returns how many."""
        added = {}
        for dataset in objects:
            path = self._path(dataset)
            private_folder(path.parent)
            write_file(path, part10(dataset), replace=True)
            entry = read_entry(path)
            added[entry.patient_id, entry.sop_uid] = entry
        with self._lock:
            self._entries = {**self._entries, **added}
        return len(added)

    def remove(self, sop_uids: Collection[str]) -> None:
        """Forget objects, their files too, as a ROIS does whose user deleted them."""
        with self._lock:
            gone = {key: entry for key, entry in self._entries.items() if key[1] in sop_uids}
            self._entries = {key: entry for key, entry in self._entries.items() if key not in gone}
        for entry in gone.values():
            entry.path.unlink()

    @property
    def entries(self) -> tuple[Entry, ...]:
        """What the ROIS holds now."""
        return tuple(self._entries.values())

    def _path(self, dataset: Dataset) -> Path:
        names = (safe_name(str(dataset.PatientID)), safe_name(str(dataset.Modality)))
        return self.folder.joinpath(*names, f"{safe_name(str(dataset.SOPInstanceUID))}.dcm")

    def _load(self) -> None:
        private_folder(self.folder)
        for path in sorted(self.folder.rglob("*.dcm")):
            entry = read_entry(path)
            self._entries[entry.patient_id, entry.sop_uid] = entry

    def _handlers(self) -> list[tuple[Any, ...]]:
        return [
            (evt.EVT_CONN_OPEN, _no_delay),
            (evt.EVT_REQUESTED, self._on_request),
            (evt.EVT_C_ECHO, self._on_echo),
            (evt.EVT_C_FIND, self._on_find),
            (evt.EVT_C_MOVE, self._on_move),
            (evt.EVT_C_GET, self._on_get),
        ]

    def _on_request(self, event: Any) -> None:
        event.assoc.ae.require_calling_aet = ["NOBODY"] if self.faults.refuse else []

    def _on_echo(self, _event: Any) -> int:
        self._maybe_silent()
        return _SUCCESS

    def _on_find(self, event: Any) -> Iterator[tuple[int, Dataset | None]]:
        self._maybe_silent()
        level = str(event.identifier.get("QueryRetrieveLevel", ""))
        if level not in LEVELS:
            yield _UNFIT_IDENTIFIER, None
            return
        for answer in find(self.entries, event.identifier, level):
            if event.is_cancelled:
                yield _CANCEL, None
                return
            answer.RetrieveAETitle = self.ae_title
            yield _PENDING, answer

    def _on_move(self, event: Any) -> Iterator[Any]:
        self._maybe_silent()
        address = self.destinations.get(str(event.move_destination).strip())
        if address is None:
            yield None, None  # pynetdicom answers 0xA801, move destination unknown
            return
        entries = self._asked_for(event.identifier)
        wanted: list[tuple[str, str]]
        wanted = sorted({(entry.sop_class_uid, entry.transfer_syntax) for entry in entries or ()})
        wanted = wanted or [(CTImageStorage, ExplicitVRLittleEndian)]  # an association needs a context
        contexts = [build_context(sop_class, syntax) for sop_class, syntax in wanted]
        yield (*address, {"contexts": contexts, "evt_handlers": [(evt.EVT_CONN_OPEN, _no_delay)]})
        yield from self._send(event, entries)

    def _on_get(self, event: Any) -> Iterator[Any]:
        self._maybe_silent()
        yield from self._send(event, self._asked_for(event.identifier))

    def _asked_for(self, identifier: Dataset) -> list[Entry] | None:
        """The objects to send, or None when the unique key of the level is missing (PS3.4 C.4.2.2.1)."""
        key = LEVELS.get(str(identifier.get("QueryRetrieveLevel", "")))
        if key is None or not identifier.get(key):
            return None
        return [
            entry for entry in retrieved(self.entries, identifier) if entry.sop_uid not in self.faults.skip
        ]

    def _send(self, event: Any, entries: list[Entry] | None) -> Iterator[Any]:
        """First the number of objects, then each with the status Pending, as pynetdicom wants it."""
        if entries is None:
            yield 1
            yield _UNFIT_IDENTIFIER, None
            return
        yield len(entries)
        for sent, entry in enumerate(entries):
            if event.is_cancelled:
                yield _CANCEL, None
                return
            if sent == self.faults.break_after or entry.sop_uid in self.faults.choke_on:
                event.assoc.abort()
                return
            yield _PENDING, dcmread(entry.path)

    def _maybe_silent(self) -> None:
        if self.faults.silent:
            self._closing.wait(_SILENCE_AT_MOST)


def _no_delay(event: Any) -> None:
    """A small PDU must not wait for the acknowledgement of the last one."""
    event.assoc.dul.socket.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
