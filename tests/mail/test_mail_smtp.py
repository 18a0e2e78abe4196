"""SMTP against real servers with TLS, and against some that mean harm: each failure is a sentence with its remedy."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import faults
import mailservers
import msgspec
import pytest
from mail_kit import killed_at, message, read

from vault.config import Mail, MailRecipient, Server
from vault.department.ports import free_ports
from vault.errors import ConfigError
from vault.mail import outbox
from vault.mail.smtp import SmtpTransport
from vault.mail.transport import transport_of

ANN = MailRecipient(name="Ann", address="ann@test.local")


def mail_to(server: Server, **more: object) -> Mail:
    plain = Mail(sender="vault@test.local", smtp=server, timeout=5.0, recipients=(ANN,))
    return msgspec.structs.replace(plain, **more)


def deliver(root: Path, mail: Mail) -> outbox.Delivered:
    assert mail.smtp is not None
    return outbox.deliver(root, SmtpTransport(mail, mail.smtp, mail.password()))


def reasons(result: outbox.Delivered) -> str:
    return " ".join(failure.reason for failure in result.failed)


# --- Dovecot and OpenSMTPD


def account(servers: mailservers.MailServers, *, implicit: bool) -> Mail:
    port = servers.ports["smtps" if implicit else "smtp"]
    return mail_to(
        Server("127.0.0.1", port, implicit_tls=implicit),
        ca=servers.ca,
        user="vault",
        password_file=servers.password_file,
    )


@pytest.mark.system
@pytest.mark.parametrize("implicit", [True, False], ids=["implicit TLS", "STARTTLS"])
def test_mail_arrives_over_tls_with_an_account(
    tmp_path: Path, servers: mailservers.MailServers, implicit: bool
) -> None:
    before = len(servers.inbox("ann"))
    sent = message(
        "ann@test.local", subject=f"vault: implicit {implicit}", text=".\nGrüße\n..\n" + "x" * 2000 + "\n"
    )
    message_id = outbox.queue(tmp_path, sent, f"implicit {implicit}")
    result = deliver(tmp_path, account(servers, implicit=implicit))
    assert (result.sent, result.failed) == (1, [])
    found = servers.arrived("ann", before + 1)[-1]
    assert found["Message-ID"] == message_id
    assert found["Subject"] == f"vault: implicit {implicit}"
    assert found.get_content().replace("\r\n", "\n") == ".\nGrüße\n..\n" + "x" * 2000 + "\n"
    assert "ESMTPSA" in " ".join(found.get_all("Received")), "encrypted, with an account"


@pytest.mark.system
def test_one_refused_recipient_does_not_keep_the_mail_from_the_others(
    tmp_path: Path, servers: mailservers.MailServers
) -> None:
    before = len(servers.inbox("ben"))
    outbox.queue(tmp_path, message("nobody@test.local", "ben@test.local"), "one refused")
    result = deliver(tmp_path, account(servers, implicit=True))
    assert (result.sent, result.refused, result.waiting) == (1, 1, 0)
    assert "does not take the mail to nobody@test.local (550" in reasons(result)
    assert "correct the address in [[mail.recipients]]" in reasons(result)
    servers.arrived("ben", before + 1)
    assert deliver(tmp_path, account(servers, implicit=True)).failed == [], "said once"


@pytest.mark.system
def test_what_the_server_says_when_the_configuration_is_wrong(
    tmp_path: Path, servers: mailservers.MailServers
) -> None:
    outbox.queue(tmp_path, message("ann@test.local"), "wrong")
    right = account(servers, implicit=True)
    starttls = account(servers, implicit=False)
    wrong_password = tmp_path / "password"
    wrong_password.write_text("no\n")
    assert right.smtp is not None
    assert starttls.smtp is not None
    crossed = Server("127.0.0.1", starttls.smtp.port, implicit_tls=True)
    cases: list[tuple[Mail, str]] = [
        (msgspec.structs.replace(right, password_file=wrong_password), "refuses the account vault (535"),
        (msgspec.structs.replace(right, ca=None), "a certificate that this vault does not trust"),
        (msgspec.structs.replace(starttls, smtp=crossed), "does not begin with TLS"),
        (
            msgspec.structs.replace(right, smtp=Server("127.0.0.1", free_ports(1)[0], implicit_tls=True)),
            "can't be reached (Connection refused)",
        ),
    ]
    for mail, said in cases:
        result = deliver(tmp_path, mail)
        assert said in reasons(result), said
        assert (result.sent, result.waiting, result.refused) == (0, 1, 0), said
    assert deliver(tmp_path, right).sent == 1


@pytest.mark.system
def test_a_certificate_for_another_host_is_not_taken(
    tmp_path: Path, servers: mailservers.MailServers
) -> None:
    outbox.queue(tmp_path, message("ann@test.local"), "host")
    right = account(servers, implicit=True)
    assert right.smtp is not None
    other = Server("localhost", right.smtp.port, implicit_tls=True)  # the certificate is for 127.0.0.1
    result = deliver(tmp_path, msgspec.structs.replace(right, smtp=other))
    assert "certificate that this vault does not trust" in reasons(result)
    assert result.waiting == 1


@pytest.mark.system
def test_a_message_that_is_too_large_is_refused_with_the_remedy(tmp_path: Path) -> None:
    if reason := mailservers.missing_mail_servers():
        pytest.skip(reason)
    with mailservers.mail_servers(largest="1M") as small:
        outbox.queue(
            tmp_path, message("ann@test.local", text="x" * 70 + "\n" + ("y" * 70 + "\n") * 20_000), "large"
        )
        outbox.queue(tmp_path, message("ann@test.local"), "small")
        result = deliver(tmp_path, account(small, implicit=True))
        assert (result.sent, result.refused, result.waiting) == (1, 1, 0)
        assert "takes 1 MiB at most" in reasons(result)
        assert "lower [mail] largest" in reasons(result)


# --- servers that mean harm, or are broken


Script = Callable[[socket.socket], None]


@contextmanager
def scripted(script: Script) -> Iterator[Server]:
    """A server on loopback that does with each connection what `script` says."""
    listener = socket.create_server(("127.0.0.1", 0))
    ended = threading.Event()

    def serve() -> None:
        while not ended.is_set():
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with connection:
                connection.settimeout(10)
                try:
                    script(connection)
                except OSError:
                    continue

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield Server("127.0.0.1", listener.getsockname()[1], implicit_tls=False)
    finally:
        ended.set()
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()  # a script that sleeps ends by itself


def talk(connection: socket.socket, answers: dict[str, bytes], commands: list[str] | None = None) -> None:
    """Answer command by command; what `answers` has not gets 250. `commands` takes what the client says."""
    commands = [] if commands is None else commands
    connection.sendall(b"220 hello\r\n")
    file = connection.makefile("rb")
    while line := file.readline():
        command = line.decode("latin-1").strip()
        commands.append(command)
        word = command.split(" ")[0].partition(":")[0].upper()
        if word == "QUIT":
            connection.sendall(b"221 bye\r\n")
            break
        answer = answers.get(word, b"250 ok\r\n")
        if not answer:
            break
        connection.sendall(answer)
        if word == "DATA" and answer.startswith(b"354"):
            while (line := file.readline()) and line != b".\r\n":
                pass
            taken = answers.get("END", b"250 taken\r\n")
            if not taken:
                break
            connection.sendall(taken)


@pytest.mark.parametrize(
    ("answers", "said", "waiting", "refused"),
    [
        ({"RCPT": b"451 greylisted, come back\r\n"}, "(451 greylisted, come back)", 1, 0),
        ({"RCPT": b"550 no such user\r\n"}, "(550 no such user)", 0, 1),
        ({"MAIL": b"553 not you\r\n"}, "refuses mail from vault@test.local (553 not you)", 1, 0),
        ({"DATA": b"354 go\r\n", "END": b"452 disk full\r\n"}, "(452 disk full)", 1, 0),
        ({"DATA": b"354 go\r\n", "END": b"554 looks like spam\r\n"}, "(554 looks like spam)", 0, 1),
        ({"RCPT": b"421 going down\r\n"}, "(421 going down)", 1, 0),
        ({"DATA": b"354 go\r\n", "END": b""}, "was lost with the mail to ann@test.local", 1, 0),
        ({"EHLO": b"what?\r\n"}, "does not speak SMTP", 1, 0),
        ({"EHLO": b"250-more\r\n" * 2000}, "broke off, or does not speak SMTP", 1, 0),
        ({"RCPT": b"550 " + b"x" * 9000 + b"\r\n"}, "was lost with the mail", 1, 0),
        ({"RCPT": b"550 \x1b[31mred\x07\xff" + b"y" * 3000 + b"\r\n"}, "(550 [31mred \ufffdyy", 0, 1),
    ],
)
def test_what_a_server_may_say(
    tmp_path: Path, answers: dict[str, bytes], said: str, waiting: int, refused: int
) -> None:
    outbox.queue(tmp_path, message("ann@test.local"), "x")
    with scripted(lambda connection: talk(connection, answers)) as server:
        result = deliver(tmp_path, mail_to(server))
    assert said in reasons(result)
    assert len(reasons(result)) < 700
    assert "\x1b" not in reasons(result)
    assert (result.sent, result.waiting, result.refused) == (0, waiting, refused)


def test_without_tls_nothing_is_sent_over_a_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    outbox.queue(tmp_path, message("ann@test.local"), "x")
    monkeypatch.setattr(Server, "is_loopback", property(lambda server: False))
    commands: list[str] = []
    with scripted(lambda connection: talk(connection, {"DATA": b"354 go\r\n"}, commands)) as server:
        result = deliver(tmp_path, mail_to(server))
        assert "offers no STARTTLS, and mail is not sent in clear" in reasons(result)
        assert result.waiting == 1
        assert deliver(tmp_path, mail_to(server, insecure=True)).sent == 1
    assert [command.split()[0] for command in commands].count("mail") == 1


def test_this_computer_itself_may_take_mail_without_tls(tmp_path: Path) -> None:
    outbox.queue(tmp_path, message("ann@test.local"), "x")
    commands: list[str] = []
    with scripted(lambda connection: talk(connection, {"DATA": b"354 go\r\n"}, commands)) as server:
        assert deliver(tmp_path, mail_to(server)).sent == 1
    assert commands[0] == "ehlo [127.0.0.1]"
    assert any(command.lower().startswith("mail from:<vault@test.local>") for command in commands)


def test_a_server_that_offers_starttls_and_fails_it_gets_nothing(tmp_path: Path) -> None:
    outbox.queue(tmp_path, message("ann@test.local"), "x")
    offers = {"EHLO": b"250-me\r\n250 STARTTLS\r\n", "STARTTLS": b"220 go\r\n"}
    commands: list[str] = []
    with scripted(lambda connection: talk(connection, offers, commands)) as server:
        result = deliver(tmp_path, mail_to(server, timeout=2.0))
    assert (result.sent, result.waiting, len(result.failed)) == (0, 1, 1)
    assert not any(command.upper().startswith("MAIL") for command in commands)


def test_a_connection_that_is_lost_is_made_anew_for_the_next_letter(tmp_path: Path) -> None:
    for number in range(2):
        outbox.queue(tmp_path, message("ann@test.local"), f"letter {number}")
    scripts = iter([{"DATA": b""}, {"DATA": b"354 go\r\n"}, {"DATA": b"354 go\r\n"}])
    with scripted(lambda connection: talk(connection, next(scripts))) as server:
        result = deliver(tmp_path, mail_to(server))
    assert (result.sent, result.waiting) == (1, 1)


def test_after_three_lost_connections_the_rest_waits(tmp_path: Path) -> None:
    for number in range(6):
        outbox.queue(tmp_path, message("ann@test.local"), f"letter {number}")
    connections: list[int] = []

    def lose(connection: socket.socket) -> None:
        connections.append(1)
        talk(connection, {"DATA": b""})

    with scripted(lose) as server:
        result = deliver(tmp_path, mail_to(server))
    assert (result.sent, result.waiting, len(result.failed), len(connections)) == (0, 6, 3, 3)


@pytest.mark.parametrize("drip", [b"", b"2"], ids=["silence", "a byte now and then"])
def test_a_silent_or_slow_server_costs_bounded_time(tmp_path: Path, drip: bytes) -> None:
    outbox.queue(tmp_path, message("ann@test.local"), "x")

    def slow(connection: socket.socket) -> None:
        for _ in range(20):
            if drip:
                connection.sendall(drip)
            time.sleep(0.5)

    began = time.monotonic()
    with scripted(slow) as server:
        result = deliver(tmp_path, mail_to(server, timeout=1.0))
        assert time.monotonic() - began < 15
    assert result.waiting == 1
    assert "does not answer within 1 s" in reasons(result)


def test_the_way_out_is_what_the_configuration_says(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"\[mail\] password_file"):
        transport_of(
            mail_to(Server("mail.example", 465, implicit_tls=True), user="v", password_file=tmp_path / "no")
        )
    folder = mail_to(Server("mail.example", 465, implicit_tls=True), smtp=None, maildir=tmp_path / "out")
    assert transport_of(folder).place == str(tmp_path / "out")


def test_a_host_without_an_address_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(*_arguments: object, **_options: object) -> None:
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    outbox.queue(tmp_path, message("ann@test.local"), "x")
    result = deliver(tmp_path, mail_to(Server("mail.example", 465, implicit_tls=True)))
    assert "The mail server mail.example has no address: correct [mail] smtp" in reasons(result)


def test_a_ca_that_is_none_is_said(tmp_path: Path) -> None:
    server = Server("127.0.0.1", 1, implicit_tls=True)
    (tmp_path / "ca.pem").write_text("no certificate")
    for ca, said in (
        (tmp_path / "ca.pem", "does not hold certificates in PEM"),
        (tmp_path / "no", "can't be read"),
    ):
        mail = mail_to(server, ca=ca)
        assert mail.smtp is not None
        with pytest.raises(ConfigError, match=said), SmtpTransport(mail, mail.smtp, None).session():
            pass


def test_killed_in_the_middle_of_smtp_no_mail_is_lost_and_one_at_most_comes_twice(memory: Path) -> None:
    taken: list[str] = []

    def server_of(connection: socket.socket) -> None:
        """A server that notes the Message-ID of what it has taken."""
        connection.sendall(b"220 hello\r\n")
        file = connection.makefile("rb")
        while line := file.readline():
            if line[:4].upper() != b"DATA":
                connection.sendall(b"250 ok\r\n")
                continue
            connection.sendall(b"354 go\r\n")
            data = b""
            while (line := file.readline()) and line != b".\r\n":
                data += line
            if line:
                taken.append(str(read(data)["Message-ID"]))
                connection.sendall(b"250 taken\r\n")

    def act(root: Path, mail: Mail) -> None:
        for number in range(2):
            outbox.queue(root, message("ann@test.local"), f"letter {number}")
        deliver(root, mail)

    with scripted(server_of) as server:
        mail = mail_to(server)
        (memory / "count").mkdir()
        _, points = killed_at(memory / "count", None, lambda: act(memory / "count", mail), kind="net")
        assert len(points) > 15
        for at in range(1, len(points) + 1):
            taken.clear()
            root = memory / f"v{at}"
            root.mkdir()
            fault = faults.Fault(at, ("before", "after")[at % 2], "net")
            code, _ = killed_at(root, fault, lambda root=root: act(root, mail))
            assert code == faults.KILLED
            act(root, mail)
            assert len(set(taken)) == 2, f"{fault}: {taken}"
            assert len(taken) <= 3, f"{fault}: {taken}"
            assert outbox.waiting(root) == []
