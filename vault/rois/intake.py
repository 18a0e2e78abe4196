"""What happens to one received object between its last byte and our answer.

1. The file pynetdicom spooled becomes a Part 10 file with our own head; the data set's bytes are copied as they came.
2. Its own data set must say what the sender's command said, and name a patient that was asked for.
3. It is filed in the inbox, with its hash, before the sender hears "success". The patient's objects are made durable
   together, when the retrieval is recorded: the sender is the ROIS that we asked for a copy, and forgets nothing.

Whatever fails a check goes to the quarantine, with a status of PS3.4 Table B.2-1 or PS3.7 Annex C.
"""

from __future__ import annotations

import os
import shutil
import struct
import threading
from collections import Counter
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from vault.dicom.header import Header, read_header
from vault.dicom.part10 import dataset_offset, file_head
from vault.digests import blob_hash
from vault.files import CHUNK, temporary
from vault.model import PatientID
from vault.rois.inbox import Filed, Inbox
from vault.rois.quarantine import Quarantined
from vault.rois.uids import is_uid

SUCCESS = 0x0000
DUPLICATE = 0x0111
"""Duplicate SOP Instance (PS3.7 C.5.2)."""
NOT_AUTHORIZED = 0x0124
"""Refused: Not Authorized (PS3.7 C.5.18)."""
OUT_OF_RESOURCES = 0xA700
MISMATCH = 0xA900
"""Data Set does not match SOP Class."""
CANNOT_UNDERSTAND = 0xC000

MOST_REASONS = 50
"""Different reasons that are counted one by one."""

RESERVE = 1 << 30
"""Bytes that stay free on the disk: the commit, and the system, need room too."""

_PREFIX = 132
_LARGE = 1 << 20
"""Bytes of a file's preamble and its "DICM"."""

_GROUP_LENGTH = struct.Struct("<HH2sHI")
"""File Meta Information Group Length (0002,0000), with which group 0002 begins (PS3.10 7.1)."""


@dataclass(frozen=True, slots=True)
class Arrival:
    """One C-STORE: the spooled file, and what its command said."""

    spooled: Path
    sop_class_uid: str
    sop_uid: str
    transfer_syntax: str
    peer: str


@dataclass(frozen=True, slots=True)
class _Refusal:
    status: int
    reason: str


class Intake:
    """Takes objects of `patients` into `inbox`. Safe to call from several associations' threads."""

    def __init__(self, inbox: Inbox, patients: Collection[PatientID], largest: int) -> None:
        self.stored = 0
        self.refused: Counter[str] = Counter()
        """What was refused and is not in the quarantine, by reason; the texts name no patient."""
        self._inbox = inbox
        self._spool = inbox.spool()
        self._patients = frozenset(patients)
        self._largest = largest
        self._quarantine = inbox.quarantine
        self._lock = threading.Lock()

    def limit(self, size: int) -> str:
        """Why an object of which `size` bytes have come may not go on; empty when it may."""
        if size > self._largest:
            return "an object is larger than [receiver] max_object_size"
        return (
            self._full() if size > _LARGE else ""
        )  # not for each of many small pieces: `accept` looks again

    def _full(self, size: int = 0) -> str:
        """Why `size` more bytes may not be written; empty when they may."""
        full = _free(self._spool) - size < RESERVE
        return "the disk is nearly full; make room in [vault] root" if full else ""

    def accept(self, arrival: Arrival) -> int:
        """Take one object in and return the status to answer with; nothing of it stays in the spool."""
        try:
            return self._accept(arrival)
        except OSError as error:
            self.refuse(f"an object could not be written: {os.strerror(error.errno or 0)}")
            return OUT_OF_RESOURCES
        except Exception as error:  # one object must not end the association; its words could name a patient
            self.refuse(f"an object could not be handled ({type(error).__name__})")
            return CANNOT_UNDERSTAND
        finally:
            arrival.spooled.unlink(missing_ok=True)

    def refuse(self, reason: str) -> None:
        """Count something that was turned away. Reasons end in records that can't be changed: no text of a peer's.

        They may hold addresses, so their variety is bounded.
        """
        with self._lock:
            known = reason in self.refused or len(self.refused) < MOST_REASONS
            self.refused[reason if known else "for further reasons"] += 1

    def _accept(self, arrival: Arrival) -> int:
        size = arrival.spooled.stat().st_size
        too_much = self.limit(size) or self._full(size)  # it is copied before the spooled file goes
        if too_much:
            self.refuse(too_much)
            return OUT_OF_RESOURCES
        try:
            head = file_head(arrival.sop_class_uid, arrival.sop_uid, arrival.transfer_syntax)
        except ValueError:
            self._put_away(arrival.spooled, arrival, None, "the command that sent it has no valid UIDs")
            return CANNOT_UNDERSTAND
        with self._composed(arrival, head) as (path, oid):
            header, refusal = self._check(path, arrival, len(head))
            if header is not None and refusal is None:
                if self._inbox.file(path, header, oid) is not Filed.CONFLICT:
                    with self._lock:
                        self.stored += 1
                    return SUCCESS
                refusal = _Refusal(DUPLICATE, "an object came twice in this run, with different bytes")
            assert refusal is not None  # noqa: S101  # for the type checker: no header without a refusal
            self._put_away(path, arrival, header, refusal.reason)
            return refusal.status

    @contextmanager
    def _composed(self, arrival: Arrival, head: bytes) -> Iterator[tuple[Path, str]]:
        """Yield a Part 10 file of the arrival's data set, and its git blob id; gone afterwards unless it was moved."""
        with temporary(self._spool) as (path, target), arrival.spooled.open("rb", buffering=0) as source:
            offset = _spooled_offset(source)
            size = arrival.spooled.stat().st_size - offset
            digest = blob_hash(len(head) + size)
            target.write(head)
            digest.update(head)
            source.seek(offset)
            _copy(source, target, size, digest)
            target.flush()
            yield path, digest.hexdigest()

    def _check(self, path: Path, arrival: Arrival, head_size: int) -> tuple[Header | None, _Refusal | None]:
        try:
            with path.open("rb") as file:
                # readers take a data set's own group 0002 for more of our head: it could override what we say
                if dataset_offset(file) != (arrival.transfer_syntax, head_size):
                    return None, _Refusal(CANNOT_UNDERSTAND, "the data set begins like the head of a file")
            header = read_header(path)
        except ValueError:
            return None, _Refusal(CANNOT_UNDERSTAND, "the data set can't be read")
        return header, self._objection(header, arrival)

    def _objection(self, header: Header, arrival: Arrival) -> _Refusal | None:
        if not all(
            map(is_uid, (header.key.sop_uid, header.key.series_uid, header.study_uid, arrival.sop_uid))
        ):
            return _Refusal(CANNOT_UNDERSTAND, "an object has no valid SOP, series or study instance UID")
        if header.key.sop_uid != arrival.sop_uid:
            return _Refusal(
                MISMATCH, "the data set has another SOP Instance UID than the command that sent it"
            )
        if header.sop_class_uid != arrival.sop_class_uid:
            return _Refusal(MISMATCH, "the data set has another SOP Class UID than the command that sent it")
        if header.patient_id not in self._patients:
            return _Refusal(NOT_AUTHORIZED, "an object of a patient that was not asked for")
        return None

    def _put_away(self, path: Path, arrival: Arrival, header: Header | None, reason: str) -> None:
        claimed = {"sop_class_uid": arrival.sop_class_uid, "sop_uid": arrival.sop_uid}
        if header is not None:
            claimed |= {"patient_id": header.patient_id, "modality": header.key.modality}
        with self._lock:
            if not self._quarantine.put(path, Quarantined(reason, arrival.peer, claimed)):
                self.refused[f"{reason}; not kept, since the quarantine of this run is full"] += 1


def arrival_of(event: Any) -> Arrival:
    """The arrival that a pynetdicom EVT_C_STORE event is about (with STORE_RECV_CHUNKED_DATASET)."""
    peer = event.assoc.acceptor if event.assoc.is_requestor else event.assoc.requestor
    return Arrival(
        Path(event.dataset_path),
        str(event.request.AffectedSOPClassUID),
        str(event.request.AffectedSOPInstanceUID),
        str(event.context.transfer_syntax),
        str(peer.ae_title),
    )


def _spooled_offset(source: BinaryIO) -> int:
    """Where the data set begins in a file that pynetdicom spooled: where its head says that group 0002 ends.

    Walking the elements would not do, since a data set may, wrongly, go on with the same group.
    """
    source.seek(_PREFIX)
    *_, length = _GROUP_LENGTH.unpack(source.read(_GROUP_LENGTH.size))
    return _PREFIX + _GROUP_LENGTH.size + int(length)


def _copy(source: BinaryIO, target: BinaryIO, count: int, digest: Any) -> None:
    """Append the next `count` bytes of `source` to `target`, and to the hash."""
    while count > 0:
        piece = source.read(min(count, CHUNK))
        if not piece:
            raise OSError(5, "the spooled file is shorter than it was")
        target.write(piece)
        digest.update(piece)
        count -= len(piece)


def _free(folder: Path) -> int:
    return shutil.disk_usage(folder).free
