"""Messages and ways out for the tests of mail: a transport that records, fails when told to, or loses connections."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from pathlib import Path

import faults

from vault.mail.transport import Letter


def message(*recipients: str, subject: str = "vault: test", text: str = "Grüße\n") -> EmailMessage:
    """A message from the vault."""
    made = EmailMessage()
    made["From"] = "Vault <vault@test.local>"
    made["To"] = ", ".join(recipients or ("ann@test.local",))
    made["Date"] = "Tue, 24 Nov 2026 04:00:00 +0100"
    made["Subject"] = subject
    made.set_content(text)
    return made


def read(data: bytes) -> EmailMessage:
    """A message from its bytes."""
    found = message_from_bytes(data, policy=default)
    assert isinstance(found, EmailMessage)
    return found


class Recorder:
    """A transport that keeps what it is given; `fails(letter)` may raise first."""

    place = "the recorder"

    def __init__(self, fails: Callable[[Letter], None] = lambda letter: None) -> None:
        self.letters: list[Letter] = []
        self.fails = fails
        self.sessions = 0

    @contextmanager
    def session(self) -> Iterator[Recorder]:
        self.sessions += 1
        yield self

    def send(self, letter: Letter) -> None:
        self.fails(letter)
        self.letters.append(letter)


class Log:
    """A transport that appends each letter's recipient and Message-ID to a file, durably, as a server would."""

    place = "the log"

    def __init__(self, path: Path) -> None:
        self.path = path

    @contextmanager
    def session(self) -> Iterator[Log]:
        yield self

    def send(self, letter: Letter) -> None:
        with self.path.open("a") as file:
            file.write(f"{letter.recipient} {read(letter.data)['Message-ID']}\n")

    def lines(self) -> list[str]:
        return self.path.read_text().splitlines() if self.path.exists() else []


def killed_at(
    folder: Path, fault: faults.Fault | None, act: Callable[[], None], kind: str = "disk"
) -> tuple[int, list[str]]:
    """Do `act` in a process of its own under a fault on files below `folder`; returns exit code and operations."""
    log = folder.parent / "faults"
    log.mkdir(exist_ok=True)
    for stale in log.glob("*.log"):
        stale.unlink()
    child = os.fork()
    if child == 0:
        try:
            plan = {"watched": [str(folder)], "log": str(log), "arguments": [], "constants": {}}
            plan["fault"] = [fault.at, fault.how, fault.kind, fault.role] if fault else None
            os.environ[faults.PLAN] = json.dumps(plan)
            faults.install()
            act()
            os._exit(0)
        except BaseException as error:
            os.write(2, f"{error!r}\n".encode())
            os._exit(1)
    _, status = os.waitpid(child, 0)
    noted = (log / "main.log").read_text("utf-8").splitlines() if (log / "main.log").exists() else []
    return os.waitstatus_to_exitcode(status), [line for line in noted if line.startswith(f"{kind} ")]
