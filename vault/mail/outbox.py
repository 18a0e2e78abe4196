"""Mail that waits to be handed over: nothing twice, nothing lost, wherever the process is killed.

    <root>/mail/outbox/<id>.mail    waits: one message to one recipient
    <root>/mail/sent/<id>           was handed over
    <root>/mail/refused/<id>.mail   the mail server will never take it; somebody has to look

A file is one line of JSON (who, and a checksum) and the message. Its id is made from the key under which the message
was queued and the recipient's address, so queueing again is no second message. A letter is handed over, then recorded
as sent, then removed: a process that is killed between the first two hands it over once more, under the same
Message-ID, by which a mailbox can tell. To try a refused letter again, move its file back to `outbox/`.
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vault import files
from vault.errors import MailError
from vault.mail.transport import Letter, RefusedError, Session, Transport, UnavailableError
from vault.model import Failure
from vault.progress import Progress, Silent

if TYPE_CHECKING:
    from email.message import EmailMessage

FOLDER = "mail"
"""Below the vault's root."""

SENT_KEPT = 20_000
"""Records of sent mail; the oldest go. Years of it, and far more than the days in which anything is queued again."""

_BEGUN = ".begun-"
"""Begins the name of a record whose letter is being handed over."""

_NAME = re.compile(r"[0-9a-f]{32}\.mail", re.ASCII)
_HEAD_LIMIT = 4096
_NOT_OURS = "is not a letter that the vault wrote, or it is damaged: look at it and move it away"


@dataclass(slots=True)
class Delivered:
    """What a delivery came to."""

    sent: int = 0
    waiting: int = 0
    """Letters that go with the next delivery."""
    refused: int = 0
    """Letters that somebody has to look at, old ones included."""
    failed: list[Failure] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Refused:
    """A letter that the mail server will never take."""

    path: Path
    recipient: str
    reason: str


def queue(root: Path, message: EmailMessage, key: str) -> str:
    """Let `message` wait for each of its recipients (To, Cc); returns its Message-ID, which `key` alone decides.

    `key` says what the message is about ("digest RUN NAME") and names no patient; queueing again under the same key is
    no second message, whatever has become of the first. Durable on return. Raises OSError, and ValueError for a
    message without sender, recipient or date.
    """
    for letter in letters(message, key):
        if not _known(root, letter.id):
            files.write_file(_folder(root, "outbox") / f"{letter.id}.mail", _packed(letter))
    return str(message["Message-ID"])


def letters(message: EmailMessage, key: str) -> list[Letter]:
    """What goes to each recipient of `message`, which gets its Message-ID here. Raises ValueError as `queue` does."""
    from email.policy import SMTP  # noqa: PLC0415  # 50 ms that whoever only counts letters does not pay

    sender, recipients, written = _envelope(message)
    del message["Message-ID"]
    message["Message-ID"] = f"<{_digest('message', key)}@{sender.rpartition('@')[2]}>"
    data = message.as_bytes(policy=SMTP.clone(cte_type="7bit"))
    return [Letter(letter_id(key, each), sender, each, written, data) for each in recipients]


def letter_id(key: str, recipient: str) -> str:
    """The id of what was queued under `key` for an address."""
    return _digest("letter", key, recipient.casefold())


def known(root: Path, key: str, recipient: str) -> bool:
    """Whether something was queued under `key` for an address: it waits, was sent, or was refused."""
    return _known(root, letter_id(key, recipient))


def waiting(root: Path) -> list[Path]:
    """The letters that wait, oldest first."""
    found = [
        path for path in _files(root / FOLDER / "outbox") if not (root / FOLDER / "sent" / path.stem).exists()
    ]
    return [path for _, path in sorted((_age(path), path) for path in found)]


def _age(path: Path) -> int:
    """When a letter was queued; first of all where another delivery has just taken it away."""
    try:
        return path.stat().st_mtime_ns
    except FileNotFoundError:
        return 0


def refused(root: Path) -> list[Refused]:
    """The letters that somebody has to look at, oldest first."""
    found = []
    for path in sorted(_files(root / FOLDER / "refused"), key=lambda path: path.stat().st_mtime_ns):
        try:
            head = _head(path.read_bytes())
            found.append(Refused(path, str(head["to"]), str(head["refused"])))
        except (ValueError, KeyError):
            found.append(Refused(path, "", f"the file {_NOT_OURS}"))
    return found


def deliver(root: Path, transport: Transport, progress: Progress | None = None) -> Delivered:
    """Hand over what waits. Never raises for the mail system's sake: failures are in the result.

    Another delivery that is at work has it all already: then nothing is done. Raises OSError for this computer's disk.
    """
    from filelock import FileLock, Timeout  # noqa: PLC0415

    lock = FileLock(_folder(root) / "lock", timeout=0, mode=0o600)
    try:
        lock.acquire()
    except Timeout:
        return Delivered(waiting=len(waiting(root)), refused=len(refused(root)))
    try:
        return _deliver(root, transport, progress or Silent())
    finally:
        lock.release()


def _deliver(root: Path, transport: Transport, progress: Progress) -> Delivered:
    for name in ("outbox", "sent", "refused"):
        files.sweep(_folder(root, name))
    _finish(root)
    result, paths = Delivered(), waiting(root)
    progress.start("Mailing", len(paths))
    try:
        if paths:
            with transport.session() as session:
                for path in paths:
                    _deliver_one(root, path, session, result)
                    progress.advance()
    except UnavailableError as error:
        result.failed.append(Failure("mail", str(error)))
    finally:
        progress.stop()
    result.waiting, result.refused = len(waiting(root)), len(refused(root))
    _forget(root)
    return result


def _finish(root: Path) -> None:
    """Remove what a process that was killed had done with: sent and recorded, or refused and set aside."""
    for path in _files(root / FOLDER / "outbox"):
        if _sent(root, path.stem).exists() or (root / FOLDER / "refused" / path.name).exists():
            path.unlink(missing_ok=True)


def _deliver_one(root: Path, path: Path, session: Session, result: Delivered) -> None:
    try:
        letter = _unpacked(path)
    except (ValueError, OSError):  # a bad place of the disk, too, holds up nobody else's mail
        result.failed.append(Failure("mail", f"{path} {_NOT_OURS}."))
        return
    record, begun = _sent(root, letter.id), _sent(root, f"{_BEGUN}{letter.id}")
    files.write_file(
        begun, b"", replace=True
    )  # on a full disk this fails, and no letter goes that could not be recorded
    try:
        session.send(letter)
    except RefusedError as error:
        result.failed.append(Failure("mail", f"{error} The letter is in {root / FOLDER / 'refused'}."))
        files.write_file(
            _folder(root, "refused") / path.name, _packed(letter, refused=str(error)), replace=True
        )
        path.unlink()
        begun.unlink(missing_ok=True)
    except UnavailableError:
        raise
    except MailError as error:
        result.failed.append(Failure("mail", f"{error} It goes with the next delivery."))
    else:
        begun.rename(record)  # takes no room
        files.sync_folder(record.parent)
        path.unlink()  # not made durable: if it comes back after a power cut, the record has come, too
        result.sent += 1


def _forget(root: Path) -> None:
    """Drop the oldest records of sent mail beyond `SENT_KEPT`."""
    records = [path for path in _folder(root, "sent").iterdir() if not path.name.startswith(".")]
    if len(records) > SENT_KEPT:
        records.sort(key=lambda path: path.stat().st_mtime_ns)
        for path in records[:-SENT_KEPT]:
            path.unlink(missing_ok=True)


def _envelope(message: EmailMessage) -> tuple[str, list[str], int]:
    """Sender, recipients (each once) and date, from the headers."""
    sender, date = message["From"], message["Date"]
    headers = [header for name in ("To", "Cc") if (header := message[name]) is not None]
    recipients = {
        address.addr_spec.casefold(): address.addr_spec for header in headers for address in header.addresses
    }
    if sender is None or date is None or not recipients:
        raise ValueError("a message needs From, To and Date")
    return str(sender.addresses[0].addr_spec), list(recipients.values()), int(date.datetime.timestamp())


def _known(root: Path, identity: str) -> bool:
    base, name = root / FOLDER, f"{identity}.mail"
    return _sent(root, identity).exists() or any(
        (base / where / name).exists() for where in ("outbox", "refused")
    )


def _sent(root: Path, identity: str) -> Path:
    return root / FOLDER / "sent" / identity


def _folder(root: Path, *names: str) -> Path:
    folder = root.joinpath(FOLDER, *names)
    files.private_folder(folder)
    return folder


def _files(folder: Path) -> list[Path]:
    return [path for path in folder.iterdir() if not path.name.startswith(".")] if folder.is_dir() else []


def _digest(*parts: str) -> str:
    return hashlib.sha256("\0".join(("vault mail", *parts)).encode()).hexdigest()[:32]


def _packed(letter: Letter, **more: str) -> bytes:
    head = {
        "from": letter.sender,
        "to": letter.recipient,
        "written": letter.written,
        "sha256": hashlib.sha256(letter.data).hexdigest(),
        **more,
    }
    return json.dumps(head, sort_keys=True).encode("ascii") + b"\n" + letter.data


def _unpacked(path: Path) -> Letter:
    """Read a letter back. Raises ValueError when it is not whole, or not the vault's."""
    content = path.read_bytes() if _NAME.fullmatch(path.name) and path.is_file() else b""
    head = _head(content)
    data = content.partition(b"\n")[2]
    if hashlib.sha256(data).hexdigest() != head.get("sha256"):
        raise ValueError("the checksum is another")
    try:
        return Letter(path.stem, str(head["from"]), str(head["to"]), int(head["written"]), data)
    except (KeyError, TypeError) as error:
        raise ValueError("not a letter") from error


def _head(content: bytes) -> dict[str, Any]:
    head = json.loads(content[:_HEAD_LIMIT].partition(b"\n")[0] or b"null")
    if not isinstance(head, dict):
        raise ValueError("not a letter")  # noqa: TRY004  # the file's fault
    return head
