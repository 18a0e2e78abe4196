"""DICOM peers that break the rules on purpose, over raw sockets: no library stands between a test and the wire.

`Link` speaks the upper layer (PS3.8) and DIMSE (PS3.7) as exactly or as wrongly as it is told. `Sender` is an SCU
that connects to the receiver; `HostileRois` an SCP that queries and retrievals talk to: it serves its patients
properly, but for those of whom a script says what happens instead.
"""

from __future__ import annotations

import io
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

from pydicom.config import disable_value_validation
from pydicom.dataset import Dataset
from pynetdicom.dsutils import decode, encode

LOOPBACK = "127.0.0.1"
APPLICATION = b"1.2.840.10008.3.1.1.1"
EXPLICIT, IMPLICIT = "1.2.840.10008.1.2.1", "1.2.840.10008.1.2"
DEFLATED = "1.2.840.10008.1.2.1.99"
CT = "1.2.840.10008.5.1.4.1.1.2"
STUDY_FIND, STUDY_MOVE, STUDY_GET = (f"1.2.840.10008.5.1.4.1.2.2.{n}" for n in (1, 2, 3))

ASSOCIATE_RQ, ASSOCIATE_AC, ASSOCIATE_RJ, DATA, RELEASE_RQ, RELEASE_RP, ABORT = range(1, 8)
STORE_RQ, GET_RQ, FIND_RQ, MOVE_RQ, RESPONSE = 0x0001, 0x0010, 0x0020, 0x0021, 0x8000
PENDING, SUCCESS = 0xFF00, 0x0000
LAST, COMMAND = 2, 1
"""Bits of a message control header (PS3.8 E.2)."""
PIECE = 1 << 15


class GoneError(Exception):
    """The other side closed the connection."""


def item(kind: int, payload: bytes) -> bytes:
    """An item of an association PDU (PS3.8 9.3.2)."""
    return struct.pack(">BxH", kind, len(payload)) + payload


def user_information(*further: bytes) -> bytes:
    """The user information item, with maximum length and implementation."""
    return item(0x50, item(0x51, struct.pack(">I", 1 << 17)) + item(0x52, b"1.2.3") + b"".join(further))


def association(called: str, calling: str, *items: bytes) -> bytes:
    """The body of an A-ASSOCIATE-RQ or -AC."""
    titles = called.encode().ljust(16)[:16] + calling.encode().ljust(16)[:16]
    return struct.pack(">HH", 1, 0) + titles + bytes(32) + item(0x10, APPLICATION) + b"".join(items)


def proposal(number: int, sop_class: str, *syntaxes: str) -> bytes:
    """A presentation context as an SCU proposes it."""
    names = b"".join(item(0x40, name.encode()) for name in syntaxes)
    return item(0x20, bytes([number, 0, 0, 0]) + item(0x30, sop_class.encode()) + names)


def acceptance(number: int, syntax: str = IMPLICIT, result: int = 0) -> bytes:
    """A presentation context as an SCP answers it."""
    return item(0x21, bytes([number, 0, result, 0]) + item(0x40, syntax.encode()))


def pdu(kind: int, body: bytes, length: int | None = None) -> bytes:
    """A PDU; `length` is what its header claims, where that is a lie."""
    return struct.pack(">BxI", kind, len(body) if length is None else length) + body


def pdv(context: int, control: int, data: bytes, length: int | None = None) -> bytes:
    """A presentation data value item; `length` is what it claims, where that is a lie."""
    return struct.pack(">IBB", len(data) + 2 if length is None else length, context, control) + data


def command(field_: int, **values: int | str | bytes) -> bytes:
    """An encoded command set (PS3.7 E.1); values by name as in `_ELEMENTS`."""
    body = _element(0x0100, field_)
    for name, value in sorted(values.items(), key=lambda entry: _ELEMENTS[entry[0]]):
        body += _element(_ELEMENTS[name], value)
    return struct.pack("<HHII", 0, 0, 4, len(body)) + body


_ELEMENTS = {
    "sop_class": 0x0002,
    "message": 0x0110,
    "answers": 0x0120,
    "priority": 0x0700,
    "data_set": 0x0800,
    "status": 0x0900,
    "sop_uid": 0x1000,
    "remaining": 0x1020,
    "completed": 0x1021,
}


def _element(number: int, value: int | str | bytes) -> bytes:
    raw = struct.pack("<H", value) if isinstance(value, int) else value
    raw = raw.encode() if isinstance(raw, str) else raw
    raw += b"\0" * (len(raw) % 2)
    return struct.pack("<HHI", 0, number, len(raw)) + raw


def store_request(sop_uid: str | bytes, sop_class: str = CT, message: int = 1, **values: int | str) -> bytes:
    """The command of a C-STORE-RQ."""
    known: dict[str, int | str | bytes] = {
        "sop_class": sop_class, "message": message, "priority": 2, "data_set": 1, "sop_uid": sop_uid,
    }  # fmt: skip
    return command(STORE_RQ, **{**known, **values})


def encoded(dataset: Dataset, syntax: str = EXPLICIT) -> bytes:
    """A data set's bytes, whatever its values."""
    with disable_value_validation():
        return encode(dataset, syntax == IMPLICIT, True) or b""


@dataclass(slots=True)
class Request:
    """One message that came in: its PDVs' context, its command by element number, its data set."""

    context: int
    command: Mapping[int, bytes]
    data: bytes
    syntax: str

    @property
    def kind(self) -> int:
        """The command field."""
        return self.number(0x0100)

    def number(self, element: int) -> int:
        """A command element that is a US."""
        return int(struct.unpack("<H", self.command.get(element, b"\0\0"))[0])

    def text(self, element: int) -> str:
        """A command element that is text."""
        return self.command.get(element, b"").rstrip(b"\0 ").decode()

    @property
    def identifier(self) -> Dataset:
        """The data set, of a query or retrieval."""
        return decode(io.BytesIO(self.data), self.syntax == IMPLICIT, True)


class Link:
    """One connection, of either side; what it sends is the caller's affair."""

    def __init__(self, connection: socket.socket) -> None:
        self.socket = connection
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket.settimeout(20)
        self.syntaxes: dict[int, str] = {}
        self.contexts: dict[str, int] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection."""
        self.socket.close()

    def reset(self) -> None:
        """Close it with RST instead of FIN."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()

    def raw(self, data: bytes) -> None:
        """Send bytes. Raises GoneError when nobody takes them any more."""
        try:
            self.socket.sendall(data)
        except OSError:
            raise GoneError from None

    def silence(self, seconds: float = 20) -> None:
        """Say nothing until the other side closes the connection, or so many seconds have passed."""
        self.socket.settimeout(seconds)
        with suppress(OSError):
            while self.socket.recv(65536):
                continue

    def closed(self, within: float) -> bool:
        """Whether the other side closes the connection within so many seconds."""
        self.socket.settimeout(within)
        try:
            while self.socket.recv(65536):
                continue
        except TimeoutError:
            return False
        except OSError:
            return True
        return True

    def message(self, context: int, encoded_command: bytes, data: bytes | None = None) -> None:
        """Send a whole message in proper pieces."""
        pieces = [pdu(DATA, pdv(context, COMMAND | LAST, encoded_command))]
        if data is not None:
            for start in range(0, len(data) or 1, PIECE):
                last = LAST if start + PIECE >= len(data) else 0
                pieces.append(pdu(DATA, pdv(context, last, data[start : start + PIECE])))
        self.raw(b"".join(pieces))

    def read_pdu(self) -> tuple[int, bytes]:
        """One PDU. Raises GoneError when there is none any more."""
        kind, length = struct.unpack(">BxI", self._exactly(6))
        return kind, self._exactly(length)

    def _exactly(self, count: int) -> bytes:
        data = b""
        while len(data) < count:
            try:
                piece = self.socket.recv(count - len(data))
            except OSError:
                raise GoneError from None
            if not piece:
                raise GoneError
            data += piece
        return data

    def receive(self) -> Request | None:
        """The next message; None when the other side releases or aborts."""
        context, parts = 0, [b"", b""]
        while True:
            kind, body = self.read_pdu()
            if kind == RELEASE_RQ:
                self.raw(pdu(RELEASE_RP, bytes(4)))
                return None
            if kind != DATA:
                return None
            while body:
                length, context, control = struct.unpack(">IBB", body[:6])
                is_command = control & COMMAND
                parts[not is_command] += body[6 : 4 + length]
                body = body[4 + length :]
                if control & LAST:
                    elements = _elements(parts[0])
                    no_data = elements.get(0x0800, b"\x01\x01") == b"\x01\x01"
                    if not is_command or no_data:
                        return Request(context, elements, parts[1], self.syntaxes.get(context, IMPLICIT))


def _elements(data: bytes) -> dict[int, bytes]:
    found = {}
    while data:
        _, number, length = struct.unpack("<HHI", data[:8])
        found[number] = data[8 : 8 + length]
        data = data[8 + length :]
    return found


class Sender(Link):
    """An SCU: connects from `source`, and associates when told to."""

    def __init__(self, port: int, source: str = LOOPBACK) -> None:
        super().__init__(socket.create_connection((LOOPBACK, port), timeout=10, source_address=(source, 0)))

    def associate(
        self,
        *contexts: tuple[str, str],
        calling: str = "ROIS",
        called: str = "VAULT",
        extra: Sequence[bytes] = (),
    ) -> int:
        """Propose (SOP class, transfer syntax) pairs; returns the kind of the answering PDU."""
        offered = contexts or ((CT, EXPLICIT),)
        proposals = [proposal(2 * n + 1, *names) for n, names in enumerate(offered)]
        body = association(called, calling, *proposals, user_information(*extra))
        self.raw(pdu(ASSOCIATE_RQ, body))
        return self.read_pdu()[0]

    def store(self, dataset: Dataset, **values: int | str) -> int:
        """C-STORE on the first context; returns the status."""
        self.message(1, store_request(str(dataset.SOPInstanceUID), **values), encoded(dataset))
        answer = self.receive()
        if answer is None:
            raise GoneError
        return answer.number(0x0900)


Script = Callable[["Served", Request], None]
"""What happens instead of the answer to a request. It may raise GoneError at any time."""


class Served(Link):
    """A connection of the hostile ROIS, with the proper answers at hand for a script to begin or end with."""

    def __init__(self, connection: socket.socket, rois: HostileRois) -> None:
        super().__init__(connection)
        self.rois = rois

    def accept(self, body: bytes) -> None:
        """Accept whatever is proposed, in the first transfer syntax of each context."""
        answers, roles, position = [], [], 68
        while position < len(body):
            kind, length = struct.unpack(">BxH", body[position : position + 4])
            inner = body[position + 4 : position + 4 + length]
            if kind == 0x20:
                number, names = inner[0], dict(_names(inner[4:]))
                syntax, sop_class = names[0x40], names[0x30]
                self.syntaxes[number] = syntax
                self.contexts.setdefault(sop_class, number)
                answers.append(acceptance(number, syntax))
            elif kind == 0x50:
                roles = [item(0x54, text) for code, text in _items(inner) if code == 0x54]
            position += 4 + length
        self.raw(pdu(ASSOCIATE_AC, association("VAULT", "ROIS", *answers, user_information(*roles))))

    def answer(
        self, request: Request, status: int, identifier: bytes | Dataset | None = None, **values: int
    ) -> None:
        """A response to a request."""
        data = encoded(identifier, request.syntax) if isinstance(identifier, Dataset) else identifier
        head = command(
            request.kind | RESPONSE,
            sop_class=request.text(0x0002),
            answers=request.number(0x0110),
            data_set=0x0101 if data is None else 1,
            status=status,
            **values,
        )
        self.message(request.context, head, data)

    def find(self, request: Request) -> None:
        """Answer a query properly."""
        asked = request.identifier
        for made in self.rois.matching(asked):
            self.answer(request, PENDING, listed(made))
        self.answer(request, SUCCESS)

    def retrieve(self, request: Request) -> None:
        """Send what was asked for, then say so."""
        wanted = self.rois.matching(request.identifier)
        with self.storing(request) as storing:
            for number, made in enumerate(wanted, 1):
                storing.give(made, number)
        self.answer(request, SUCCESS, completed=len(wanted), remaining=0)

    @contextmanager
    def storing(self, request: Request, syntax: str = EXPLICIT) -> Iterator[Storing]:
        """Where objects go: over this connection for C-GET, over one of its own in `syntax` for C-MOVE."""
        if request.kind == GET_RQ:
            yield Storing(self, self.contexts[CT], self.syntaxes[self.contexts[CT]])
        else:
            with Sender(self.rois.receiver_port) as sender:
                assert sender.associate((CT, syntax)) == ASSOCIATE_AC
                yield Storing(sender, 1, syntax)


@dataclass(slots=True)
class Storing:
    """Sends objects over `link`."""

    link: Link
    context: int
    syntax: str

    def give(self, made: Dataset, message: int = 1) -> int:
        """Send an object; returns the status."""
        return self.send(store_request(str(made.SOPInstanceUID), message=message), encoded(made, self.syntax))

    def send(self, encoded_command: bytes, data: bytes) -> int:
        """Send what may be no object; returns the status."""
        self.link.message(self.context, encoded_command, data)
        answer = self.link.receive()
        if answer is None:
            raise GoneError
        return answer.number(0x0900)


def listed(made: Dataset) -> Dataset:
    """An object as an answer to any query."""
    answer = Dataset()
    uids = ("SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID")
    for keyword in (*uids, "Modality", "PatientID"):
        setattr(answer, keyword, made[keyword].value)
    return answer


def _items(data: bytes) -> Iterator[tuple[int, bytes]]:
    while data:
        kind, length = struct.unpack(">BxH", data[:4])
        yield kind, data[4 : 4 + length]
        data = data[4 + length :]


def _names(data: bytes) -> Iterator[tuple[int, str]]:
    """Abstract and transfer syntaxes of a context; in a dict, the first of a kind."""
    yield from reversed([(kind, text.decode()) for kind, text in _items(data)])


@dataclass
class HostileRois:
    """A ROIS on loopback with `objects`, that for some patients does something else. A context manager."""

    objects: Sequence[Dataset]
    find: Mapping[str, Script] = field(default_factory=dict)
    """What happens instead of the answer to a query about a patient."""
    retrieve: Mapping[str, Script] = field(default_factory=dict)
    """What happens instead of a retrieval of a patient's objects."""
    connect: Callable[[Link], None] | None = None
    """What happens instead of anything, as soon as a connection is there."""
    accept: Callable[[Link, bytes], None] | None = None
    """What happens instead of the answer to an association request, of which it gets the body."""
    receiver_port: int = 0
    ae_title: str = "ROIS"
    host: str = LOOPBACK
    port: int = 0

    def __enter__(self) -> Self:
        self._listener = socket.create_server((LOOPBACK, 0), backlog=50)
        self.port = self._listener.getsockname()[1]
        self._links: list[Served] = []
        threading.Thread(target=self._listen, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for link in self._links:
            with suppress(OSError):
                link.socket.shutdown(socket.SHUT_RDWR)
            link.close()

    def matching(self, asked: Dataset) -> list[Dataset]:
        """The objects that a query or retrieval is about, one for each study or series at those levels."""
        found: dict[str, Dataset] = {}
        level = {"STUDY": "StudyInstanceUID", "SERIES": "SeriesInstanceUID"}.get(asked.QueryRetrieveLevel, "")
        for made in self.objects:
            keys = ("PatientID", "StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID")
            wanted = [asked[key].value for key in keys if asked.get(key)]
            has = [made[key].value for key in keys if asked.get(key)]
            if all(value in _listed(want) for value, want in zip(has, wanted, strict=True)):
                found[made[level or "SOPInstanceUID"].value] = made
        return list(found.values())

    def about(self, request: Request) -> str:
        """The patient that a request is about, as far as it says or the objects do."""
        asked = request.identifier
        owners = {made.StudyInstanceUID: made.PatientID for made in self.objects}
        return str(asked.get("PatientID") or owners.get(asked.get("StudyInstanceUID", ""), ""))

    def _listen(self) -> None:
        with suppress(OSError):
            while True:
                link = Served(self._listener.accept()[0], self)
                self._links.append(link)
                threading.Thread(target=self._serve, args=(link,), daemon=True).start()

    def _serve(self, link: Served) -> None:
        with suppress(GoneError, OSError), link:
            if self.connect is not None:
                self.connect(link)
                return
            _, body = link.read_pdu()
            if self.accept is not None:
                self.accept(link, body)
            else:
                link.accept(body)
            while (request := link.receive()) is not None:
                self._obey(link, request)

    def _obey(self, link: Served, request: Request) -> None:
        proper, scripts = (
            (link.find, self.find) if request.kind == FIND_RQ else (link.retrieve, self.retrieve)
        )
        script = scripts.get(self.about(request))
        if script is not None:
            script(link, request)
        else:
            proper(request)


def _listed(value: object) -> list[str]:
    """A value, of which there may be several."""
    several = not isinstance(value, str) and isinstance(value, Iterable)
    return [str(entry) for entry in value] if several else [str(value)]


def until_gone(do: Callable[[], None], seconds: float = 20) -> None:
    """Repeat `do` until the other side has had enough of it. Raises GoneError then, AssertionError if it never has."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        do()
    raise AssertionError("the other side took it without end")
