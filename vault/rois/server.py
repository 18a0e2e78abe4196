"""The process that listens for the ROIS's objects during the network phase, and nothing else.

It is started by `vault.rois.receiver`, which writes one JSON document (`Order`) to its standard input and keeps
that pipe open: when it closes, by intention or because the parent died, the process ends. On standard output it
writes one JSON document a line (`Report`), the first when it listens. It logs nothing.
"""

from __future__ import annotations

import os
import resource
import sys
import tempfile
import threading
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec

from vault.model import PatientID
from vault.rois.inbox import Inbox

_REPORT_EVERY = 0.2
"""Seconds between looks at whether there is something to report."""


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """What the receiver is to do."""

    inbox: str
    ae_title: str
    host: str
    port: int
    peers: tuple[tuple[str, tuple[str, ...]], ...]
    """AE titles that may send, each with its addresses."""
    patients: tuple[str, ...]
    largest: int
    timeout: float


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """What the receiver has done so far. `error` is why it can't listen, `no_room` why it can't write its inbox."""

    port: int = 0
    bytes: int = 0
    stored: int = 0
    open: int = 0
    refused: Mapping[str, int] = {}
    error: str = ""
    no_room: str = ""


def main() -> None:
    """Serve until standard input closes."""
    os.umask(0o077)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a core dump would hold patients
    sys.modules["numpy"] = None  # type: ignore[assignment]  # 25 MB that nothing here needs
    order = msgspec.json.decode(sys.stdin.buffer.readline(), type=Order)
    inbox = Inbox(Path(order.inbox))
    try:
        tempfile.tempdir = str(inbox.spool())  # where pynetdicom writes what arrives
        inbox.sweep()
    except OSError as error:
        _write(Report(no_room=error.strerror or type(error).__name__))
        return
    try:
        service = Service(order, inbox)
    except OSError as error:
        _write(Report(error=error.strerror or str(error)))
        return
    service.run()
    inbox.sweep()
    with suppress(OSError):  # whoever started us may be gone
        sys.stdout.flush()
    os._exit(0)  # threads of associations that hang are of no interest any more


class Service:
    """The storage SCP (PS3.4 Annex B). Raises OSError when it can't listen."""

    def __init__(self, order: Order, inbox: Inbox) -> None:
        from vault.rois.association import quiet  # noqa: PLC0415  # after numpy is out of the way
        from vault.rois.intake import Intake  # noqa: PLC0415
        from vault.rois.scp import listen  # noqa: PLC0415
        from vault.rois.sockets import Traffic  # noqa: PLC0415

        quiet()
        threading.excepthook = self._thread_failed
        self._intake = Intake(inbox, [PatientID(patient) for patient in order.patients], order.largest)
        self._traffic = Traffic(self._intake.limit)
        self._server = listen(order, self._intake, self._traffic)
        self._last = Report()

    def run(self) -> None:
        """Serve and report until standard input closes."""
        threading.Thread(target=self._server.serve_forever, args=(0.1,), daemon=True).start()
        ended = threading.Event()
        threading.Thread(target=_wait_for_end, args=(ended,), daemon=True).start()
        self._report()
        while not ended.wait(_REPORT_EVERY):
            self._report()
        self._server.socket.close()
        self._report()

    def _report(self) -> None:
        report = Report(
            port=self._server.server_address[1],
            bytes=self._traffic.bytes,
            stored=self._intake.stored,
            open=len(self._server.active_associations),
            refused=dict(self._intake.refused),
        )
        if report != self._last:
            self._last = report
            _write(report)

    def _thread_failed(self, failure: Any) -> None:
        """Count a thread's unexpected end; its message could name a patient, so only its kind is kept."""
        self._intake.refuse(f"a connection ended unexpectedly ({failure.exc_type.__name__})")


def _wait_for_end(ended: threading.Event) -> None:
    while sys.stdin.buffer.read(1):
        continue
    ended.set()


def _write(report: Report) -> None:
    try:
        sys.stdout.buffer.write(msgspec.json.encode(report) + b"\n")
        sys.stdout.buffer.flush()
    except BrokenPipeError:  # the parent died; standard input says so as well
        return


if __name__ == "__main__":
    main()
