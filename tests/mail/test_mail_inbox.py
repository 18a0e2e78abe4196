"""Mail that arrives: a maildir that strangers fill, and IMAP servers that lie."""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from verdict_kit import VerdictVault, recipients

from vault.config import Mail
from vault.mail import imap
from vault.mail.inbox import BEGINNING, LARGEST, MOST, MaildirInbox, open_inbox
from vault.mail.transport import UnavailableError


def maildir(folder: Path) -> MaildirInbox:
    vault = VerdictVault(folder)
    assert vault.config.mail
    opened = open_inbox(vault.config.mail)
    assert opened is not None
    with opened as mailbox:
        assert isinstance(mailbox, MaildirInbox)
        return mailbox


def test_a_maildir_is_made_read_in_order_and_emptied(tmp_path: Path) -> None:
    mailbox = maildir(tmp_path / "vault")
    for number, name in enumerate(("cur/b:2,S", "new/a", "new/c")):
        (mailbox.folder / name).write_bytes(name.encode())
        os.utime(mailbox.folder / name, ns=(number, number))
    (mailbox.folder / "new/.hidden").write_bytes(b"not a message")
    (mailbox.folder / "new/folder").mkdir()
    (mailbox.folder / "new/link").symlink_to(tmp_path / "vault/keys/pseudonym.key")
    found = list(mailbox.messages())
    assert [each.raw for each in found] == [b"cur/b:2,S", b"new/a", b"new/c"]
    for each in found:
        mailbox.done(each)
    assert list(mailbox.messages()) == []
    assert {path.name for path in (mailbox.folder / ".Processed/cur").iterdir()} == {
        "a:2,S",
        "b:2,S",
        "c:2,S",
    }
    with pytest.raises(UnavailableError, match="answers"):
        mailbox.done(found[0])


def test_of_a_large_message_the_beginning_is_read_and_of_a_flood_a_part(tmp_path: Path) -> None:
    mailbox = maildir(tmp_path / "vault")
    with (mailbox.folder / "new/large").open("wb") as file:
        file.truncate(LARGEST + 1)
    (found,) = mailbox.messages()
    assert (found.whole, len(found.raw)) == (False, BEGINNING)
    for number in range(MOST + 5):
        (mailbox.folder / f"new/{number}").write_bytes(b"x")
    assert len(list(mailbox.messages())) == MOST


def test_a_maildir_that_can_not_be_used_is_said(tmp_path: Path) -> None:
    vault = VerdictVault(tmp_path / "vault")
    (vault.folder / "in").write_text("a file")
    opened = open_inbox(vault.config.mail)  # type: ignore[arg-type]
    assert opened is not None
    with pytest.raises(UnavailableError, match="in can't be used"), opened:
        pass


def test_nobody_answers_where_nothing_is_read(tmp_path: Path) -> None:
    section = f'[mail]\nfrom = "vault@test.local"\nmaildir = "out"\n{recipients()}'
    assert open_inbox(VerdictVault(tmp_path / "vault", section).config.mail) is None  # type: ignore[arg-type]


# --- servers that lie


@contextmanager
def server(behave: Callable[[socket.socket], None]) -> Iterator[int]:
    """A server on loopback that does with each connection whatever it likes."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        with suppress(OSError):
            while True:
                connection, _ = listener.accept()
                with connection, suppress(OSError):
                    behave(connection)

    threading.Thread(target=serve, daemon=True).start()
    try:
        yield listener.getsockname()[1]
    finally:
        listener.close()


def scripted(answers: dict[str, bytes]) -> Callable[[socket.socket], None]:
    """An IMAP server that does as it should, but for these commands."""

    def behave(connection: socket.socket) -> None:
        connection.sendall(b"* OK ready\r\n")
        stream = connection.makefile("rb")
        for line in stream:
            tag, _, command = line.decode("latin-1").strip().partition(" ")
            word = command.upper()
            said = next((answer for begin, answer in answers.items() if word.startswith(begin)), None)
            if said is None:
                said = b""
                if word.startswith("CAPABILITY"):
                    said = b"* CAPABILITY IMAP4rev1\r\n"
                elif word.startswith(("SELECT", "EXAMINE")):
                    said = b"* 1 EXISTS\r\n"
            connection.sendall(said + f"{tag} OK done\r\n".encode())

    return behave


def settings(folder: Path, port: int, more: str = "") -> Mail:
    (folder / "password").write_text("secret\n")
    (folder / "password").chmod(0o600)
    section = (
        f'[mail]\nfrom = "vault@test.local"\nmaildir = "out"\nimap = "imap://127.0.0.1:{port}"\nimap_user = "vault"\n'
        f'imap_password_file = "{folder}/password"\ntimeout = "2s"\n{more}\n{recipients()}'
    )
    mail = VerdictVault(folder / "vault", section).config.mail
    assert mail
    return mail


def read_all(mail: Mail) -> list[bytes]:
    opened = open_inbox(mail)
    assert opened is not None
    with opened as mailbox:
        return [each.raw for each in mailbox.messages()]


ONE = {"UID SEARCH": b"* SEARCH 1\r\n"}
SIZE = {**ONE, "UID FETCH 1 (RFC822": b"* 1 FETCH (UID 1 RFC822.SIZE 10)\r\n"}


SMALL = {
    "CAPABILITY": b"* CAPABILITY IMAP4rev1\r\n",
    "SELECT": b"* 1 EXISTS\r\n",
    **SIZE,
    "UID FETCH 1 (BODY": b"* 1 FETCH (UID 1 BODY[]<0> {10}\r\n0123456789)\r\n",
}


def test_a_server_that_does_as_it_should(tmp_path: Path) -> None:
    good = {**SIZE, "UID FETCH 1 (BODY": b"* 1 FETCH (UID 1 BODY[]<0> {10}\r\n0123456789)\r\n"}
    with server(scripted(good)) as port:
        assert read_all(settings(tmp_path, port)) == [b"0123456789"]


@pytest.mark.parametrize("refused", ["CREATE PROCESSED", "CREATE"])
def test_where_messages_go_on_servers_with_folders_below_inbox_only(tmp_path: Path, refused: str) -> None:
    moved: list[bytes] = []

    def listen(connection: socket.socket) -> None:
        connection.sendall(b"* OK ready\r\n")
        for line in connection.makefile("rb"):
            tag, _, rest = line.decode().strip().partition(" ")
            command = rest.replace('"', "").upper()
            said = next((answer for begin, answer in SMALL.items() if command.startswith(begin)), b"")
            if command.startswith("UID MOVE") or command.startswith("UID COPY"):
                moved.append(line)
            word = "NO" if command.startswith(refused) else "OK"
            connection.sendall(said + f"{tag} {word} done\r\n".encode())

    with server(listen) as port:
        opened = open_inbox(settings(tmp_path, port))
        assert opened is not None
        with opened as mailbox:
            (found,) = mailbox.messages()
            if refused == "CREATE":
                with pytest.raises(UnavailableError, match="make it there"):
                    mailbox.done(found)
            else:
                mailbox.done(found)
                assert b"INBOX.Processed" in moved[0]


@pytest.mark.parametrize(
    "lie",
    [
        {"UID SEARCH": b"* SEARCH " + b"9" * 5000 + b"\r\n"},
        {"UID SEARCH": b"* SEARCH " + b"1 " * 200 + b"nonsense {99999999999}\r\n"},
        {**SIZE, "UID FETCH 1 (BODY": b"* 1 FETCH (UID 1 BODY[]<0> {99999999999}\r\n" + b"x" * 100},
        {**SIZE, "UID FETCH 1 (BODY": b"* 1 EXISTS\r\n" * 3_000_000},
        {"LOGIN": b"* BYE\r\n" * 10 + b"x" * 2_000_000},
        {"CAPABILITY": b"\xff\xfe\r\n"},
        {"SELECT": b"* NO [ALERT] " + b"x" * 900_000 + b"\r\n"},
    ],
    ids=["uid", "search", "literal", "talk", "login", "capability", "alert"],
)
def test_lies_end_the_visit_in_bounded_time_and_memory(tmp_path: Path, lie: dict[str, bytes]) -> None:
    with server(scripted(lie)) as port:
        started = time.monotonic()
        with suppress(UnavailableError):
            assert read_all(settings(tmp_path, port)) == []
        assert time.monotonic() - started < 30


@pytest.mark.parametrize(
    ("behave", "said"),
    [
        (lambda connection: time.sleep(3), "does not answer"),
        (lambda connection: connection.sendall(b"SSH-2.0-x\r\n"), "does not speak IMAP"),
        (lambda connection: connection.close(), "does not speak IMAP"),
    ],
)
def test_what_is_no_imap_server_is_said(
    tmp_path: Path, behave: Callable[[socket.socket], None], said: str
) -> None:
    with server(behave) as port, pytest.raises(UnavailableError, match=said):
        read_all(settings(tmp_path, port))


def test_a_visit_ends_even_when_each_reply_comes_in_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(imap, "VISIT", 0.5)

    def drip(connection: socket.socket) -> None:
        connection.sendall(b"* OK ready\r\n")
        for _ in range(200):
            connection.sendall(b"* OK still here\r\n")
            time.sleep(0.05)

    with server(drip) as port, pytest.raises(UnavailableError):
        read_all(settings(tmp_path, port))


def test_a_visit_ends_even_when_a_line_comes_byte_by_byte(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(imap, "VISIT", 0.5)

    def drip(connection: socket.socket) -> None:
        for _ in range(100):
            connection.sendall(b"*")
            time.sleep(0.1)

    started = time.monotonic()
    with server(drip) as port, pytest.raises(UnavailableError):
        read_all(settings(tmp_path, port))
    assert time.monotonic() - started < 5


def test_no_password_goes_out_without_tls(tmp_path: Path) -> None:
    heard: list[bytes] = []

    def listen(connection: socket.socket) -> None:
        connection.sendall(b"* OK ready\r\n")
        for line in connection.makefile("rb"):
            heard.append(line)
            connection.sendall(b"* CAPABILITY IMAP4rev1\r\n" + line.split()[0] + b" OK done\r\n")

    with server(listen) as port:
        mail = settings(tmp_path, port, f'ca = "{os.devnull}"')
        with pytest.raises(Exception, match=r"TLS|certificates"):
            read_all(mail)
    assert not any(b"LOGIN" in line for line in heard)


def test_a_port_where_nothing_listens(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(UnavailableError, match="can't be reached"):
        read_all(settings(tmp_path, port))
