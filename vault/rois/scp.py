"""The storage SCP's rules: who may connect, who may associate, what is proposed and accepted (PS3.4 Annex B)."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

from pynetdicom import AE, _config, evt
from pynetdicom.sop_class import Verification
from pynetdicom.transport import AssociationServer

from vault.rois.fragments import take
from vault.rois.intake import CANNOT_UNDERSTAND, Intake, arrival_of
from vault.rois.sockets import MAXIMUM_PDU, QuickSocket, Traffic, handlers

if TYPE_CHECKING:
    from vault.rois.server import Order

ASSOCIATIONS = 16
"""Connections at once; a ROIS opens one, or one per C-MOVE."""

SILENCE = 1.0
"""Seconds that a connection may be idle when all are taken and another one comes."""


def listen(order: Order, intake: Intake, traffic: Traffic) -> Any:
    """Bind the port and return the server, ready for `serve_forever`. Raises OSError when the port is taken."""
    _config.UNRESTRICTED_STORAGE_SERVICE = True  # a class nobody has heard of must not make a move fail
    _config.STORE_RECV_CHUNKED_DATASET = True
    application = AE(ae_title=order.ae_title)
    application.maximum_pdu_size = MAXIMUM_PDU
    application.maximum_associations = 2 * ASSOCIATIONS  # ours is the limit; those that are ending count here
    application.acse_timeout = application.dimse_timeout = application.network_timeout = order.timeout
    application.require_called_aet = True
    application.require_calling_aet = [title for title, _ in order.peers]
    application.add_supported_context(Verification)
    server = application.make_server(
        (order.host, order.port),
        evt_handlers=[
            *handlers(order.timeout, traffic, intake.refuse),
            (evt.EVT_REQUESTED, _requested, [dict(order.peers)]),
            (evt.EVT_REJECTED, _rejected, [intake]),
            (evt.EVT_C_STORE, _stored, [intake]),
        ],
        server_class=_PeersOnly,
    )
    server.intake = intake
    server.allowed = frozenset(_canonical(address) for _, addresses in order.peers for address in addresses)
    return server


class _PeersOnly(AssociationServer):  # type: ignore[misc]
    """Closes connections from unknown addresses, and those beyond the limit, before anything is made for them."""

    intake: Intake
    allowed: frozenset[str]
    request_queue_size = 128  # a flood of strangers must not fill what the ROIS waits in

    def verify_request(self, _request: Any, client_address: Any) -> bool:
        address = _canonical(client_address[0])
        if address not in self.allowed:
            self.intake.refuse(f"a connection from {address}, which is not in [receiver] peers")
            return False
        if not self._has_room():
            self.intake.refuse(f"a connection from {address}: there are {ASSOCIATIONS} open already")
            return False
        return True

    def _has_room(self) -> bool:
        """Whether one more connection may be; the one that is idle longest makes room if it must."""
        connections = [association.dul.socket for association in self.active_associations]
        connections = [link for link in connections if not (isinstance(link, QuickSocket) and link.was_cut)]
        if len(connections) < ASSOCIATIONS:
            return True
        quiet = max((link for link in connections if isinstance(link, QuickSocket)), key=_idle, default=None)
        if quiet is None or quiet.idle <= SILENCE:
            return False
        quiet.give_way("a connection that was idle made way for another")
        return True

    def handle_error(self, _request: Any, client_address: Any) -> None:
        self.intake.refuse(f"a connection from {_canonical(client_address[0])} could not be served")


def _requested(event: Any, peers: Mapping[str, tuple[str, ...]]) -> None:
    """Reject an AE title that calls from the address of another peer."""
    association = event.assoc
    addresses = peers.get(str(association.requestor.primitive.calling_ae_title).strip())
    caller = _canonical(association.requestor.address_info.address)
    if addresses is not None and caller not in map(_canonical, addresses):
        association.acse.send_reject(0x01, 0x01, 0x03)  # calling AE title not recognized, PS3.8 Table 9-21
        evt.trigger(association, evt.EVT_REJECTED, {})
        association.kill()


def _rejected(event: Any, intake: Intake) -> None:
    """Count a rejection without the titles: they are the peer's own text, which may be anything."""
    association = event.assoc
    called = str(association.requestor.primitive.called_ae_title).strip()
    if called != association.ae.ae_title.strip():
        why = "called another AE title than [receiver] ae_title"
    else:
        why = "has an AE title that is not in [receiver] peers with this address"
    address = _canonical(association.requestor.address_info.address)
    intake.refuse(f"an association from {address}, which {why}")


def _idle(connection: QuickSocket) -> float:
    return connection.idle


def _stored(event: Any, intake: Intake) -> int:
    take(event)
    connection = event.assoc.dul.socket  # None when it has ended meanwhile
    try:
        with connection.handling() if connection is not None else nullcontext():
            return intake.accept(arrival_of(event))
    except Exception as error:  # one object's trouble must not end the association, nor be silent
        intake.refuse(f"an object could not be handled ({type(error).__name__})")
        return CANNOT_UNDERSTAND


def _canonical(address: str) -> str:
    """An address in one spelling; IPv4 in IPv6's clothes is IPv4."""
    parsed = ipaddress.ip_address(address.partition("%")[0])
    mapped = getattr(parsed, "ipv4_mapped", None)
    return str(mapped or parsed)
