"""How objects get from the ROIS into the inbox: C-MOVE to the receiver, or C-GET over the query's association."""

from __future__ import annotations

import tempfile
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, Protocol

from pydicom import uid
from pydicom.dataset import Dataset
from pynetdicom import _config, build_context, build_role

from vault.config import Config
from vault.errors import PeerError
from vault.model import PatientID
from vault.rois.association import GET, MOVE, Connection
from vault.rois.fragments import take
from vault.rois.inbox import Inbox
from vault.rois.intake import Intake, arrival_of
from vault.rois.plan import Move
from vault.rois.receiver import Receiver
from vault.rois.sockets import Traffic

_MOST_CLASSES = 60
"""SOP classes proposed for C-GET: each takes up to two of the 128 presentation contexts of an association."""

_COMPRESSED = [
    uid.JPEGLosslessSV1,
    uid.JPEGLossless,
    uid.JPEG2000Lossless,
    uid.JPEGLSLossless,
    uid.RLELossless,
    uid.JPEGBaseline8Bit,
    uid.JPEGExtended12Bit,
    uid.JPEG2000,
    uid.JPEGLSNearLossless,
    uid.MPEG2MPML,
    uid.MPEG4HP41,
    uid.HEVCMP51,
]
_PLAIN = [
    uid.ExplicitVRLittleEndian,
    uid.ImplicitVRLittleEndian,
    uid.DeflatedExplicitVRLittleEndian,
    uid.ExplicitVRBigEndian,
]

_STANDARD = (
    "2 2.1 4 4.1 128 130 20 1 1.1 7 12.1 66.1 66.3 66.4 "
    "481.1 481.2 481.3 481.4 481.5 481.6 481.7 481.8 481.9 104.1 11.1"
)
_PRIVATE = ("1.2.246.352.70.1.70", "1.2.246.352.70.1.71", "1.2.246.352.70.1.72", "1.2.246.352.70.1.10")
USUAL_CLASSES = (*(f"1.2.840.10008.5.1.4.1.1.{tail}" for tail in _STANDARD.split()), *_PRIVATE)
"""Proposed when the peer does not say which SOP classes it holds: what a department has, Varian's private plans too."""


class Transfer(Protocol):
    """One way to get objects."""

    operation: str
    connection: Connection

    def expect(self, sop_classes: Iterable[str]) -> None:
        """Prepare for objects of these SOP classes; an empty one stands for what is not known."""

    def request(self, patient_id: PatientID, move: Move) -> int:
        """Have the objects sent; returns the final status. Raises PeerError when the association is lost."""

    def activity(self) -> int:
        """A count that goes up whenever something arrives."""

    def remarks(self) -> list[str]:
        """What was turned away, for the message about what is missing."""


@contextmanager
def opened(config: Config, inbox: Inbox, patients: Collection[PatientID]) -> Iterator[Transfer]:
    """Yield the way `[rois.dicom] retrieve` names; the receiver runs only for "move", and only in the block.

    Raises UsageError when the receiver can't listen.
    """
    if config.rois.dicom.retrieve == MOVE:
        with Receiver(config, inbox, patients) as receiver:
            mover = _Mover(config, receiver)
            with mover.connection:
                yield mover
    else:
        getter = _Getter(config, inbox, patients)
        try:
            with getter.connection:
                yield getter
        finally:
            getter.close()


class _Mover:
    operation = MOVE

    def __init__(self, config: Config, receiver: Receiver) -> None:
        self.connection = Connection(config)
        self._receiver = receiver

    def expect(self, sop_classes: Iterable[str]) -> None:
        """The receiver takes any class."""

    def request(self, patient_id: PatientID, move: Move) -> int:
        self._check()
        try:
            status = _request(self.connection, MOVE, patient_id, move, self.activity)
        except PeerError:
            self._check()
            raise
        if status:
            self._check()
        return status

    def _check(self) -> None:
        """Raise PeerError when nobody receives any more: what the ROIS says of it would mislead."""
        if not self._receiver.running:
            raise PeerError(
                "The receiver ended in mid-run: something on this computer killed it, perhaps for want of memory. See "
                "the system's journal, and run `vault sync` again."
            )

    def activity(self) -> int:
        return self._receiver.report.bytes

    def remarks(self) -> list[str]:
        return sorted(self._receiver.refused)


class _Getter:
    operation = GET

    def __init__(self, config: Config, inbox: Inbox, patients: Collection[PatientID]) -> None:
        self._globals = (_config.STORE_RECV_CHUNKED_DATASET, _config.UNRESTRICTED_STORAGE_SERVICE)
        _config.STORE_RECV_CHUNKED_DATASET = _config.UNRESTRICTED_STORAGE_SERVICE = True
        self._inbox = inbox
        inbox.sweep()
        self._intake = Intake(inbox, patients, config.receiver.max_object_size)
        self._before, tempfile.tempdir = tempfile.tempdir, str(inbox.spool())
        self.connection = Connection(config, self._store, Traffic(self._intake.limit))
        self._classes: tuple[str, ...] = ()

    def expect(self, sop_classes: Iterable[str]) -> None:
        wanted = dict.fromkeys(name for name in sop_classes if name)
        if "" in sop_classes or not wanted:
            wanted |= dict.fromkeys(USUAL_CLASSES)
        if not wanted.keys() <= set(self._classes):
            self._classes = tuple(wanted | dict.fromkeys(self._classes))[:_MOST_CLASSES]
            contexts = [
                build_context(name, syntaxes) for name in self._classes for syntaxes in (_PLAIN, _COMPRESSED)
            ]
            self.connection.propose(contexts, [build_role(name, scp_role=True) for name in self._classes])

    def request(self, patient_id: PatientID, move: Move) -> int:
        return _request(self.connection, GET, patient_id, move, self.activity)

    def activity(self) -> int:
        return self.connection.traffic.bytes

    def remarks(self) -> list[str]:
        return sorted(self._intake.refused)

    def close(self) -> None:
        tempfile.tempdir = self._before
        _config.STORE_RECV_CHUNKED_DATASET, _config.UNRESTRICTED_STORAGE_SERVICE = self._globals
        self._inbox.sweep()
        self._inbox.note_refusals(self._intake.refused)

    def _store(self, event: Any) -> int:
        take(event)
        return self._intake.accept(arrival_of(event))


def _request(connection: Connection, operation: str, patient_id: PatientID, move: Move, activity: Any) -> int:
    model = connection.model(operation)
    identifier = Dataset()
    identifier.QueryRetrieveLevel = "IMAGE" if move.sop_uids else "SERIES"
    if model == "patient":
        if not patient_id.isascii():
            identifier.SpecificCharacterSet = "ISO_IR 192"
        identifier.PatientID = patient_id
    identifier.StudyInstanceUID = move.study_uid
    identifier.SeriesInstanceUID = move.series_uid
    if move.sop_uids:
        identifier.SOPInstanceUID = list(move.sop_uids)
    final = 0
    doing = f"a C-{operation.upper()}"
    for status, _ in connection.responses(operation, model, identifier, doing, activity, move.objects):
        final = int(status.Status)
    return final
