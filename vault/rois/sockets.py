"""Sockets that neither wait for acknowledgements nor for a polling loop, and that bound what a stranger sends.

A sender with Nagle's algorithm on keeps the tail of each object until the last piece is acknowledged, and Linux
delays that by 40 ms unless TCP_QUICKACK is set; the kernel takes that option back by itself, so it is set anew
after every read. pynetdicom reads in pieces of 4 KiB and sleeps a millisecond between looks at the socket; here
a PDU is read as a whole, and the loop sleeps in select() until there is something to do.
"""

from __future__ import annotations

import os
import queue
import select
import socket
import time
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any

from pynetdicom import evt
from pynetdicom.dimse_messages import C_STORE_RQ
from pynetdicom.transport import AssociationSocket

from vault.rois.fragments import Fragments, forget

MAXIMUM_PDU = 131072
"""Bytes of a P-DATA PDU that we offer to take (PS3.8 D.1); larger ones measured no faster."""

LARGEST_PDU = 1 << 20
"""Bytes of a PDU beyond which the connection is cut: its header may claim 4 GiB, which would be our memory."""

LARGEST_IN_MEMORY = 1 << 20
"""Bytes of a message other than C-STORE: a query, an answer, a command set. They are held in memory."""

MOST_WAITING = 8
"""Messages that a peer may send ahead of our answers before it is cut off."""

MOST_UNREAD = 64
"""Answers to a query of ours that may wait for us; the rest waits in the network, not in memory."""

_IDLE = 0.01
"""Seconds that the loop of an association sleeps at most: how quickly it notices its timers and its end."""

_QUICKACK: int | None = getattr(socket, "TCP_QUICKACK", None)


class TooMuchError(OSError):
    """A peer sent more than it may; the connection is closed."""


class Traffic:
    """Counts what one side receives, and says when a message is too large.

    `limit` is asked with the bytes that an incoming C-STORE has so far, and returns why it must stop, or "".
    """

    def __init__(self, limit: Callable[[int], str] | None = None) -> None:
        self.bytes = 0
        self._limit = limit or (lambda _size: "")

    def refuses(self, association: Any, message_size: int) -> str:
        """Why the message that is coming in may not go on; empty when it may."""
        if isinstance(association.dimse.message, C_STORE_RQ):
            reason = self._limit(message_size)
        else:
            reason = "a message that is no object is too long" if message_size > LARGEST_IN_MEMORY else ""
        if association.dimse.msg_queue.qsize() > MOST_WAITING and not association.is_requestor:
            reason = "it does not wait for answers"
        return reason


class QuickSocket(AssociationSocket):  # type: ignore[misc]
    """pynetdicom's socket with whole reads, re-armed TCP_QUICKACK, a deadline per PDU, and limits."""

    timeout: float
    traffic: Traffic
    on_refusal: Callable[[str], None] | None
    was_cut: bool
    _message_size: int
    _busy: bool
    _discards: bool
    _last_heard: float

    def reset(self) -> None:
        """Begin to count, as a connection does that is new."""
        self.was_cut = self._busy = self._discards = False
        self._last_heard = time.monotonic()
        self.message_complete()

    @property
    def idle(self) -> float:
        """Seconds since the peer last said something; 0 in the middle of a message, and while one is handled."""
        dimse = self.assoc.dimse
        if self._busy or dimse.message is not None or not dimse.msg_queue.empty():
            return 0.0
        return time.monotonic() - self._last_heard

    @contextmanager
    def handling(self) -> Iterator[None]:
        """While the peer waits for us: its silence begins when we are done."""
        self._busy = True
        try:
            yield
        finally:
            self._last_heard = time.monotonic()
            self._busy = False

    def give_way(self, reason: str) -> None:
        """End the connection from another thread than its own, which finds it closed and cleans up."""
        if self.on_refusal is not None:
            self.on_refusal(reason)
        self.was_cut = True
        with suppress(OSError, AttributeError):  # it ended meanwhile
            self.socket.shutdown(socket.SHUT_RDWR)

    def discard(self) -> None:
        """Take what still comes although nobody reads it: an abort, and the peer's end, are behind it."""
        self._discards = True

    def message_complete(self) -> None:
        """Begin to count the next message."""
        self._message_size = 0

    @property
    def ready(self) -> bool:
        """Wait until the peer has sent something, there is something to send, or a moment has passed."""
        if self.socket is None or not self._is_connected:
            return False
        unread = self.assoc.dimse.msg_queue.qsize()
        if self.assoc.is_requestor and unread > MOST_UNREAD and not self._discards:
            return False
        waker = self.assoc.dul.to_provider_queue
        try:
            readable, _, _ = select.select([self.socket, waker], [], [], _IDLE)
        except (OSError, ValueError):
            self.event_queue.put("Evt17")  # transport connection closed (PS3.8 9.2.2)
            return False
        if waker in readable:
            waker.quiet()
        return self.socket in readable

    def recv(self, nr_bytes: int) -> bytearray:
        """Read `nr_bytes`, fewer when the peer closes. Raises OSError when they take too long or are too many."""
        if nr_bytes > LARGEST_PDU:
            self._refuse("a PDU longer than any that was negotiated")
        data = bytearray(nr_bytes)
        received = self._fill(memoryview(data))
        _acknowledge_at_once(self.socket)
        self.traffic.bytes += received
        self._message_size += received
        reason = self.traffic.refuses(self.assoc, self._message_size)
        if reason:
            self._refuse(reason)
        return data if received == nr_bytes else data[:received]

    def _fill(self, view: memoryview) -> int:
        received, deadline = 0, time.monotonic() + self.timeout
        while received < len(view):
            count = self.socket.recv_into(view[received:])
            if not count:
                break
            received += count
            self._last_heard = time.monotonic()
            if received < len(view) and time.monotonic() > deadline:
                raise TimeoutError("the rest of a PDU did not come in time")
        return received

    def cut(self, reason: str) -> None:
        """End the connection for a reason of ours."""
        if self.on_refusal is not None:
            self.on_refusal(reason)
        self.was_cut = True
        self._shutdown_socket()
        self.assoc.dimse.msg_queue.put((None, None))  # wakes whoever waits for an answer

    def _refuse(self, reason: str) -> None:
        self.cut(reason)
        raise TooMuchError(reason)


class _WakingQueue(queue.Queue[Any]):
    """A queue that select() can wait for."""

    def __init__(self) -> None:
        super().__init__()
        self._event = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        weakref.finalize(self, os.close, self._event)

    def fileno(self) -> int:
        return self._event

    def put(self, item: Any, block: bool = True, timeout: float | None = None) -> None:
        super().put(item, block, timeout)
        os.eventfd_write(self._event, 1)

    def quiet(self) -> None:
        """Take the signal back; what is in the queue stays."""
        try:
            os.eventfd_read(self._event)
        except BlockingIOError:  # somebody else was quicker
            return


def handlers(
    timeout: float, traffic: Traffic, on_refusal: Callable[[str], None] | None = None
) -> list[tuple[Any, ...]]:
    """Event handlers that make every connection of an AE quick and bounded, opened or accepted alike.

    `timeout` is how many seconds one PDU may take; `on_refusal` learns why a connection was cut.
    """
    return [
        (evt.EVT_CONN_OPEN, _opened, [timeout, traffic, on_refusal]),
        (evt.EVT_DIMSE_RECV, _message_received),
        (evt.EVT_CONN_CLOSE, forget),
    ]


def _opened(event: Any, timeout: float, traffic: Traffic, on_refusal: Callable[[str], None] | None) -> None:
    """Put a `QuickSocket` in the place of the association's socket before it is first read."""
    dul, plain = event.assoc.dul, event.assoc.dul.socket
    quick = QuickSocket.__new__(QuickSocket)
    quick.__dict__.update(plain.__dict__)
    quick.timeout, quick.traffic, quick.on_refusal = timeout, traffic, on_refusal
    quick.reset()
    quick.socket.settimeout(timeout)
    quick.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    _acknowledge_at_once(quick.socket)
    waking = _WakingQueue()
    while not dul.to_provider_queue.empty():
        waking.put(dul.to_provider_queue.get_nowait())
    dul.to_provider_queue = waking
    dul.socket = quick
    event.assoc.dimse.receive_primitive = Fragments(event.assoc, quick.cut)
    dul.state_machine.do_action = partial(_act, quick, dul.state_machine.do_action)
    dul._run_loop_delay = 0.0001  # `ready` sleeps; this would only come on top


def _act(connection: QuickSocket, do_action: Callable[[str], None], event: str) -> None:
    """Let the upper layer's state machine act: a PDU that its state has no place for ends the connection.

    pynetdicom's thread would die of it, with the connection half open and its pieces in the spool.
    """
    try:
        do_action(event)
    except Exception:  # whatever the library makes of nonsense
        connection.cut("a PDU that has no place there")


def _message_received(event: Any) -> None:
    event.assoc.dul.socket.message_complete()


def _acknowledge_at_once(connection: socket.socket) -> None:
    if _QUICKACK is not None:
        connection.setsockopt(socket.IPPROTO_TCP, _QUICKACK, 1)
