"""The receiver: a process of its own that accepts the objects of a C-MOVE, only while the block lasts.

    with Receiver(config, inbox, patients) as receiver:
        ...                        # it listens
    receiver.refused               # what it turned away

A process, because it is the one part that strangers can talk to: it holds nothing but the names of tonight's
patients, and it can be ended whatever its threads do. It ends with us too, since it watches the pipe between us.
"""

from __future__ import annotations

import contextlib
import socket
import subprocess
import sys
import threading
from collections.abc import Collection
from types import TracebackType
from typing import BinaryIO, Self

import msgspec

from vault.config import Config
from vault.errors import PeerError, UsageError
from vault.model import PatientID
from vault.rois.inbox import Inbox
from vault.rois.server import Order, Report

_STARTS_WITHIN = 30.0
"""Seconds it may take to listen: Python and pynetdicom are loaded first, perhaps by a busy machine."""

_ENDS_WITHIN = 5.0
"""Seconds it gets to end by itself."""


class Receiver:
    """Runs the receiving process while the block lasts.

    Entering returns once it listens. Raises UsageError when the configuration's address can't be listened on,
    PeerError when the process does not start.
    """

    def __init__(self, config: Config, inbox: Inbox, patients: Collection[PatientID]) -> None:
        self._config = config
        self._inbox = inbox
        self._patients = patients
        self._report = Report()
        self._listening = threading.Event()
        self._process: subprocess.Popen[bytes]
        self._reader: threading.Thread

    @property
    def port(self) -> int:
        """The port it listens on."""
        return self._report.port

    @property
    def pid(self) -> int:
        """The process."""
        return self._process.pid

    @property
    def running(self) -> bool:
        """Whether the process is there; nothing arrives any more when it is not."""
        return self._process.poll() is None

    @property
    def report(self) -> Report:
        """What it has done so far, at most a moment old."""
        return self._report

    @property
    def refused(self) -> dict[str, int]:
        """What it turned away and did not keep, by reason."""
        return dict(self._report.refused)

    def __enter__(self) -> Self:
        order = self._order()
        self._process = subprocess.Popen(
            [sys.executable, "-m", "vault.rois.server"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        assert self._process.stdin is not None  # noqa: S101  # for the type checker
        assert self._process.stdout is not None  # noqa: S101
        with contextlib.suppress(BrokenPipeError):  # it ended at once; said below
            self._process.stdin.write(msgspec.json.encode(order) + b"\n")
            self._process.stdin.flush()
        self._reader = threading.Thread(target=self._read, args=(self._process.stdout,), daemon=True)
        self._reader.start()
        if not self._listening.wait(_STARTS_WITHIN) or not self._report.port:
            self._stop()
            raise self._failed()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop()
        self._inbox.sweep()
        self._inbox.note_refusals(self.refused)

    def _order(self) -> Order:
        receiver = self._config.receiver
        return Order(
            inbox=str(self._inbox.folder),
            ae_title=receiver.ae_title,
            host=receiver.host,
            port=receiver.port,
            peers=tuple((peer.ae_title, _addresses(peer.host)) for peer in receiver.peers),
            patients=tuple(self._patients),
            largest=receiver.max_object_size,
            timeout=self._config.retrieve.timeout,
        )

    def _read(self, stream: BinaryIO) -> None:
        """Follow the reports until the process closes its output."""
        for line in stream:
            with contextlib.suppress(msgspec.DecodeError):  # cut off when the process was killed
                self._report = msgspec.json.decode(line, type=Report)
                self._listening.set()
        self._listening.set()

    def _stop(self) -> None:
        process = self._process
        assert process.stdin is not None  # noqa: S101  # for the type checker
        with contextlib.suppress(BrokenPipeError):
            process.stdin.close()
        try:
            process.wait(_ENDS_WITHIN)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        self._reader.join(_ENDS_WITHIN)

    def _failed(self) -> Exception:
        receiver = self._config.receiver
        where = f"{receiver.host}:{receiver.port}"
        if self._report.no_room:
            return PeerError(
                f"The receiver can't write to the inbox: {self._report.no_room.lower()}. Check the disk of "
                "[vault] root: its room, its rights and its health."
            )
        if self._report.error:
            return UsageError(
                f"The receiver can't listen on {where}: {self._report.error.lower()}. Another program may hold the "
                "port, or the address is not this computer's; correct [receiver] host and port."
            )
        return PeerError(
            f"The receiver did not start on {where}; see the messages above; the system's journal may say more."
        )


def _addresses(host: str) -> tuple[str, ...]:
    """Every address of a peer. Raises UsageError when its name can't be resolved."""
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except (socket.gaierror, UnicodeError):
        raise UsageError(
            f"The name {host!r} in [receiver] peers can't be resolved; write the peer's address instead."
        ) from None
    return tuple(sorted({str(entry[4][0]) for entry in found}))
