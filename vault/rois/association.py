"""The vault as a client of the ROIS: one association, opened when needed and again after it was lost.

Whatever goes wrong becomes a PeerError whose sentence says what was tried and what to check.
"""

from __future__ import annotations

import logging
import math
import socket
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from types import TracebackType
from typing import Any, Self

from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian
from pynetdicom import AE, _config, build_context, evt
from pynetdicom.pdu_primitives import SOPClassExtendedNegotiation

from vault.config import Config
from vault.errors import PeerError
from vault.rois.sockets import MAXIMUM_PDU, Traffic, handlers

FIND, MOVE, GET = "find", "move", "get"

MODELS = {
    "study": {
        FIND: "1.2.840.10008.5.1.4.1.2.2.1",
        MOVE: "1.2.840.10008.5.1.4.1.2.2.2",
        GET: "1.2.840.10008.5.1.4.1.2.2.3",
    },
    "patient": {
        FIND: "1.2.840.10008.5.1.4.1.2.1.1",
        MOVE: "1.2.840.10008.5.1.4.1.2.1.2",
        GET: "1.2.840.10008.5.1.4.1.2.1.3",
    },
}
"""Query/Retrieve SOP classes by information model (PS3.4 C.6)."""

SYNTAXES = [ImplicitVRLittleEndian, ExplicitVRLittleEndian]

PENDING = (0xFF00, 0xFF01)
"""Statuses after which more follows (PS3.4 Tables C.4-1 to C.4-3)."""

ABORT_WITHIN = 1.0
"""Seconds that an A-ABORT may take until the peer closes the connection; then we do."""

TIMEOUTS = 10
"""How many time-outs any request may take from its first byte to its final response."""

LEAST_TIME = 60.0
"""Seconds that it may take at any rate."""

TIME_PER_OBJECT = 2.0
"""Seconds that a request may take longer for each object that it asks for."""

_REJECTIONS = {
    (1, 2): "it does not know DICOM's application context",
    (
        1,
        3,
    ): "it does not know the AE title {own!r}: register [receiver] ae_title there, with this computer's address",
    (1, 7): "its AE title is not {peer!r}: correct [rois.dicom] ae_title",
    (3, 1): "it is congested for the moment",
    (3, 2): "it has reached its limit of associations; something else holds them",
}
"""By source and diagnostic (PS3.8 Table 9-21)."""


class Connection:
    """An association with the ROIS for C-FIND and C-MOVE or C-GET. Not for several threads.

    For C-GET, `on_store` handles what comes over it.
    """

    def __init__(
        self,
        config: Config,
        on_store: Callable[[Any], int] | None = None,
        traffic: Traffic | None = None,
    ) -> None:
        self._config = config
        self._peer = config.rois.dicom
        self.traffic = traffic or Traffic()
        self._on_store = on_store
        self._association: Any = None
        self._contexts: tuple[Sequence[Any], Sequence[Any]] = ((), ())

    @property
    def label(self) -> str:
        """The peer as messages name it."""
        return f"{self._peer.ae_title} at {self._peer.host}:{self._peer.port}"

    def propose(self, contexts: Sequence[Any], roles: Sequence[Any]) -> None:
        """Have these storage contexts in the association, which is opened anew if it lacks any."""
        self._contexts = (contexts, roles)
        self.close()

    def model(self, *operations: str) -> str:
        """The information model to use: the preferred one where the peer accepted all of `operations` for it.

        Raises PeerError when it accepted none.
        """
        association = self.open()
        accepted = {str(context.abstract_syntax) for context in association.accepted_contexts}
        preferred = self._config.retrieve.model
        for name in (preferred, *(set(MODELS) - {preferred})):
            if all(MODELS[name][operation] in accepted for operation in operations):
                return name
        what = " and ".join(f"C-{operation.upper()}" for operation in operations)
        raise PeerError(
            f"The ROIS ({self.label}) accepts no {what}, neither study root nor patient root; "
            "check its query/retrieve service and [rois.dicom] retrieve."
        )

    def open(self) -> Any:
        """The association, opened if it is not. Raises PeerError."""
        if self._association is None or not self._association.is_established:
            self.close()
            self._association = self._associate()
        return self._association

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Release the association; abort it where the block failed or was told to stop: answers may still come."""
        if error is None:
            self.close()
        else:
            self.drop()

    def close(self) -> None:
        """Release the association, or abort it when it can't be released."""
        association, self._association = self._association, None
        if association is not None and association.is_established:
            association.release()

    def drop(self) -> None:
        """Abort the association: its peer is silent or answers nonsense, or nobody wants the answers any more.

        Takes no longer than a moment, whatever the peer does: a run that is told to stop must stop.
        """
        association, self._association = self._association, None
        if association is None or not association.is_established:
            return
        connection = association.dul.socket
        connection.discard()
        association.abort(block=False)
        association.dul.join(ABORT_WITHIN)
        connection.give_way("it was aborted")
        association.kill()

    def responses(
        self,
        operation: str,
        model: str,
        identifier: Dataset,
        doing: str,
        alive: Callable[[], int] | None = None,
        objects: int = 0,
    ) -> Iterator[tuple[Dataset, Dataset | None]]:
        """Yield status and identifier of each response to one request for so many `objects`.

        While `alive` (a count of what arrived) goes up, the peer is not silent even if it sends no response. All
        in all it has ten time-outs, or a minute and two seconds per object if that is longer: neither a pending
        response nor a trickle of bytes makes it more.

        Raises PeerError when the association is lost or the time is up.
        """
        association = self.open()
        started = time.monotonic()
        allowed = max(self._config.retrieve.timeout * TIMEOUTS, LEAST_TIME + TIME_PER_OBJECT * objects)
        association.dimse.get_msg.expect(alive or (lambda: 0), started + allowed)
        for status, answer in self._sent(association, operation, model, identifier, doing):
            over = time.monotonic() > association.dimse.get_msg.deadline
            if over and ("Status" not in status or status.Status in PENDING):
                self._unfinished(doing, allowed)
            if "Status" not in status:
                self._lost(doing, time.monotonic() - started)
            started = time.monotonic()
            yield status, answer

    def _sent(
        self, association: Any, operation: str, model: str, identifier: Dataset, doing: str
    ) -> Iterator[tuple[Dataset, Dataset | None]]:
        """Send one request; what pynetdicom raises on the way, of whatever kind, is a lost association."""
        arguments: list[Any] = [identifier]
        if operation == MOVE:
            arguments.append(self._config.receiver.ae_title)
        try:
            send = getattr(association, f"send_c_{operation}")
            yield from send(*arguments, query_model=MODELS[model][operation])
        except Exception as error:
            self.drop()
            raise PeerError(
                f"The connection with the ROIS ({self.label}) was lost during {doing} ({type(error).__name__}): "
                "it ended early, or brought something that can't be understood; see the log of the ROIS."
            ) from None

    def _unfinished(self, doing: str, allowed: float) -> None:
        self.drop()
        raise PeerError(
            f"The ROIS ({self.label}) did not finish within {allowed:.0f} s during {doing}; check its service and "
            "the network, or raise [retrieve] timeout."
        )

    def _lost(self, doing: str, waited: float) -> None:
        timeout = self._config.retrieve.timeout
        self.drop()
        if waited >= timeout:
            raise PeerError(
                f"The ROIS ({self.label}) stopped answering for {timeout:.0f} s during {doing}; "
                "check its service, or raise [retrieve] timeout."
            )
        raise PeerError(
            f"The ROIS ({self.label}) ended the connection during {doing}. Check that it allows AE title "
            f"{self._config.receiver.ae_title!r} to query and retrieve, and see its log."
        )

    def _associate(self) -> Any:
        quiet()
        timeout = self._config.retrieve.timeout
        application = AE(ae_title=self._config.receiver.ae_title)
        application.acse_timeout = application.dimse_timeout = application.network_timeout = timeout
        application.connection_timeout = timeout
        events = handlers(timeout, self.traffic)
        if self._on_store is not None:
            events.append((evt.EVT_C_STORE, self._on_store))
        storage, roles = self._contexts
        try:
            association = application.associate(
                self._peer.host,
                self._peer.port,
                contexts=[*_query_contexts(self._peer.retrieve), *storage],
                ae_title=self._peer.ae_title,
                max_pdu=MAXIMUM_PDU,
                ext_neg=[
                    *(_relational(self._peer.retrieve) if self._config.retrieve.relational else ()),
                    *roles,
                ],
                evt_handlers=events,
            )
        except OSError as error:  # the name does not resolve
            raise PeerError(_unreachable(self.label, error)) from None
        if not association.is_established:
            raise PeerError(self._why_not(association))
        association.dimse.get_msg = _Patience(association)
        return association

    def _why_not(self, association: Any) -> str:
        answer = association.acceptor.primitive
        if association.is_rejected and answer is not None:
            text = _REJECTIONS.get((answer.result_source, answer.diagnostic), "it gave no reason")
            reason = text.format(own=self._config.receiver.ae_title, peer=self._peer.ae_title)
            return f"The ROIS ({self.label}) rejected the association: {reason}."
        try:
            with socket.create_connection((self._peer.host, self._peer.port), timeout=5):
                return (
                    f"The ROIS ({self.label}) is reachable, but did not answer the association request; "
                    "check that this port is its DICOM service."
                )
        except OSError as error:
            return _unreachable(self.label, error)


def quiet() -> None:
    """Keep pynetdicom and pydicom silent: what they log and warn of holds identifiers, and a peer's own text."""
    warnings.filterwarnings("ignore", module=r"(pynetdicom|pydicom)\b")
    _config.LOG_HANDLER_LEVEL = "none"
    _config.LOG_REQUEST_IDENTIFIERS = _config.LOG_RESPONSE_IDENTIFIERS = False
    for name in ("pynetdicom", "pydicom"):
        logger = logging.getLogger(name)
        logger.handlers = [logging.NullHandler()]
        logger.propagate = False
        logger.setLevel(logging.CRITICAL + 1)


class _Patience:
    """Stands in for `get_msg` of a requestor's DIMSE provider.

    Messages go to whoever waits for an answer, and to nobody else: the association's own thread also looks for
    messages, and pauses for a request only after a moment in which it may take, and drop, an answer. An answer
    lost so would be an object that the ROIS no longer has.

    The time-out begins anew as long as `alive` goes up between two of its expiries, but not past `deadline` (of
    the monotonic clock): then it is as if the peer had fallen silent.
    """

    def __init__(self, association: Any) -> None:
        self._association = association
        self._impatient = association.dimse.get_msg
        self.alive: Callable[[], int] = lambda: 0
        self.deadline = math.inf

    def expect(self, alive: Callable[[], int], deadline: float) -> None:
        """Wait for the answers to another request."""
        self.alive, self.deadline = alive, deadline

    def __call__(self, block: bool = False) -> Any:
        if not block:
            return None, None
        association = self._association
        while time.monotonic() < self.deadline:
            before = self.alive()
            context, message = self._impatient(block)
            ended = not association.is_established or association.acse.is_aborted()
            ended = ended or getattr(association.dul.socket, "was_cut", True)  # by us
            if message is not None or ended or self.alive() == before:
                return context, message
        return None, None


def _query_contexts(retrieve: str) -> list[Any]:
    return [
        build_context(classes[operation], SYNTAXES)
        for classes in MODELS.values()
        for operation in (FIND, retrieve)
    ]


def _relational(retrieve: str) -> Iterator[Any]:
    """SOP Class Extended Negotiation items that ask for relational queries and retrieval (PS3.4 C.5.3)."""
    for classes in MODELS.values():
        for operation in (FIND, retrieve):
            item = SOPClassExtendedNegotiation()
            item.sop_class_uid = classes[operation]
            item.service_class_application_information = b"\x01"
            yield item


def _unreachable(label: str, error: OSError) -> str:
    if isinstance(error, ConnectionRefusedError):
        reason = "nothing listens there; check [rois.dicom] host and port, and that its service runs"
    elif isinstance(error, socket.gaierror):
        reason = "its name can't be resolved; write its address as [rois.dicom] host"
    else:
        reason = (
            f"{(error.strerror or str(error) or 'no route').lower()}; check the network and the firewalls"
        )
    return f"The ROIS ({label}) can't be reached: {reason}."
