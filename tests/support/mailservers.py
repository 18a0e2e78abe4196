"""Real mail servers on loopback, for the tests, all of them Debian's.

Dovecot's submission service has the encrypted ports and the accounts, OpenSMTPD behind it has the queue and knows the
addresses, Dovecot's LMTP and IMAP services keep what arrives. (OpenSMTPD's own TLS fails with Debian 12's OpenSSL.)

with mail_servers() as servers:
    servers.smtp_url(), servers.smtps_url()     # STARTTLS; TLS from the first byte. They want the account vault
    servers.imap_url(), servers.imaps_url()
    servers.ca                                  # the authority that vouches for both: [mail] ca
    servers.password_file                       # of every account (mode 0600)
    servers.address("ann")                      # ann@test.local; who has a mailbox: PEOPLE
    servers.inbox("ann")                        # the messages there, over IMAP with TLS, oldest first
    servers.send("ann", message)                # what a person's mail program does, with an account of its own
    servers.toml(...)                           # [mail] of a vault.toml

Needs root, and the Debian packages dovecot-imapd, dovecot-lmtpd, dovecot-submissiond and opensmtpd. A mailbox is
a maildir.
"""

from __future__ import annotations

import datetime
import imaplib
import ipaddress
import os
import shutil
import signal
import smtplib
import socket
import ssl
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from pathlib import Path

from peers import LOOPBACK, PeerFailed

from vault.department.ports import free_ports

os.environ["PATH"] += ":/usr/sbin:/sbin"

DOMAIN = "test.local"
PEOPLE = ("vault", "ann", "ben", "cem")
PASSWORD = "Mail-Pa55"
READY_WITHIN = 20.0

_DOVECOT = """
base_dir = {folder}/run
state_dir = {folder}/state
protocols = imap lmtp submission
listen = 127.0.0.1
ssl = required
ssl_cert = <{folder}/server.pem
ssl_key = <{folder}/server.key
log_path = {folder}/dovecot.log
default_internal_user = dovecot
default_login_user = dovenull
default_vsz_limit = 1G
first_valid_uid = 1
mail_location = maildir:{folder}/mail/%n
mail_uid = {uid}
mail_gid = {gid}
auth_mechanisms = plain login
auth_failure_delay = 0
service anvil {{
  unix_listener anvil-auth-penalty {{
    mode = 0
  }}
}}
passdb {{
  driver = static
  args = password={password}
}}
userdb {{
  driver = static
  args = uid={uid} gid={gid} home={folder}/mail/%n allow_all_users=yes
}}
namespace inbox {{
  inbox = yes
}}
service imap-login {{
  inet_listener imap {{
    port = {imap}
  }}
  inet_listener imaps {{
    port = {imaps}
    ssl = yes
  }}
}}
service lmtp {{
  inet_listener lmtp {{
    port = {lmtp}
  }}
}}
service submission-login {{
  inet_listener submission {{
    port = {smtp}
  }}
  inet_listener submissions {{
    port = {smtps}
    ssl = yes
  }}
}}
hostname = {host}
submission_max_mail_size = {largest}
submission_relay_host = 127.0.0.1
submission_relay_port = {relay}
submission_relay_trusted = no
"""

_SMTPD = """
table people {{ {people} }}
table addresses {{ {addresses} }}
smtp max-message-size "100M"
listen on 127.0.0.1 port {relay}
action "keep" lmtp "127.0.0.1:{lmtp}" rcpt-to virtual <people>
match from any for domain "{domain}" rcpt-to <addresses> action "keep"
"""


@dataclass(slots=True)
class MailServers:
    """The two servers, running."""

    folder: Path
    ports: dict[str, int]
    processes: list[subprocess.Popen[bytes]] = field(default_factory=list)

    @property
    def ca(self) -> Path:
        """The certificate of the authority that vouches for the servers."""
        return self.folder / "ca.pem"

    @property
    def password_file(self) -> Path:
        """The password of every account."""
        return self.folder / "password"

    def smtp_url(self) -> str:
        """STARTTLS."""
        return f"smtp://{LOOPBACK}:{self.ports['smtp']}"

    def smtps_url(self) -> str:
        """TLS from the first byte."""
        return f"smtps://{LOOPBACK}:{self.ports['smtps']}"

    def imap_url(self) -> str:
        """STARTTLS."""
        return f"imap://{LOOPBACK}:{self.ports['imap']}"

    def imaps_url(self) -> str:
        """TLS from the first byte."""
        return f"imaps://{LOOPBACK}:{self.ports['imaps']}"

    def address(self, person: str) -> str:
        """Someone's mail address."""
        return f"{person}@{DOMAIN}"

    def toml(
        self, people: Sequence[str] = ("ann", "ben"), *, content: str = "full", implicit: bool = True
    ) -> str:
        """`[mail]` for a vault.toml whose mail goes through the servers, and whose answers come from them."""
        recipients = "".join(
            f'[[mail.recipients]]\nname = "{person.title()}"\naddress = "{self.address(person)}"\n'
            for person in people
        )
        return f"""
[mail]
from = "{self.address("vault")}"
content = "{content}"
smtp = "{self.smtps_url() if implicit else self.smtp_url()}"
imap = "{self.imaps_url() if implicit else self.imap_url()}"
user = "vault"
password_file = "{self.password_file}"
ca = "{self.ca}"
timeout = "10s"
{recipients}"""

    def inbox(self, person: str) -> list[EmailMessage]:
        """The messages in someone's INBOX, oldest first."""
        with imaplib.IMAP4_SSL(LOOPBACK, self.ports["imaps"], ssl_context=self.trust(), timeout=10) as imap:
            imap.login(person, PASSWORD)
            imap.select("INBOX", readonly=True)
            _, (numbers,) = imap.search(None, "ALL")
            found = []
            for number in numbers.split():
                _, ((_, data), *_) = imap.fetch(number.decode(), "(BODY.PEEK[])")
                found.append(message_from_bytes(data, policy=default))
        return found  # type: ignore[return-value]  # the policy makes EmailMessages

    def arrived(self, person: str, count: int = 1, within: float = 20.0) -> list[EmailMessage]:
        """The same, once there are at least `count` messages: the servers take a moment to hand one on."""
        deadline = time.monotonic() + within
        while len(found := self.inbox(person)) < count:
            if time.monotonic() > deadline:
                raise AssertionError(f"{person} has {len(found)} of {count} messages: {self.logs()}")
            time.sleep(0.1)
        return found

    def send(self, person: str, message: EmailMessage | bytes, to: str = "vault") -> None:
        """Send what someone wrote, through the SMTP server and with that person's account."""
        data = message if isinstance(message, bytes) else bytes(message)
        with smtplib.SMTP_SSL(LOOPBACK, self.ports["smtps"], context=self.trust(), timeout=10) as smtp:
            smtp.login(person, PASSWORD)
            smtp.sendmail(self.address(person), [self.address(to)], data)

    def trust(self) -> ssl.SSLContext:
        """What the tests' own clients trust."""
        return ssl.create_default_context(cafile=str(self.ca))

    def logs(self) -> str:
        """What the servers said, for a test that failed."""
        logs = (self.folder / "dovecot.log", self.folder / "smtpd.log")
        return "\n".join(log.read_text("utf-8", "replace")[-3000:] for log in logs if log.exists())


def missing_mail_servers() -> str:
    """Why a test that needs the servers must be skipped; empty where it runs."""
    for name in ("imap", "lmtp", "submission"):
        if not Path("/usr/lib/dovecot", name).exists():
            return f"dovecot not installed: apt-get install dovecot-{name}d"
    if shutil.which("smtpd") is None:
        return "smtpd not installed: apt-get install opensmtpd"
    return "" if os.geteuid() == 0 else "dovecot and smtpd run as root only"


@contextmanager
def mail_servers(*, largest: str = "35M") -> Iterator[MailServers]:
    """Run both servers until the end of the block; `largest` message that SMTP takes."""
    folder = Path(tempfile.mkdtemp(prefix="mail-"))  # a short path: it holds sockets
    folder.chmod(0o755)
    names = ("smtp", "smtps", "imap", "imaps", "lmtp", "relay")
    servers = MailServers(folder, dict(zip(names, free_ports(len(names)), strict=True)))
    try:
        _prepare(servers, largest)
        _start(servers)
        yield servers
    finally:
        for process in servers.processes:
            _stop(process)
        shutil.rmtree(folder, ignore_errors=True)


def _prepare(servers: MailServers, largest: str) -> None:
    folder = servers.folder
    make_certificates(folder)
    servers.password_file.write_text(f"{PASSWORD}\n")
    servers.password_file.chmod(0o600)
    import pwd

    nobody = pwd.getpwnam("nobody")
    for name in ("run", "state", "mail", "spool", "smtpd-run"):
        (folder / name).mkdir()
    (folder / "spool").chmod(0o711)
    for person in PEOPLE:
        (folder / "mail" / person).mkdir()
        os.chown(folder / "mail" / person, nobody.pw_uid, nobody.pw_gid)
    os.chown(folder / "mail", nobody.pw_uid, nobody.pw_gid)
    values = {
        **servers.ports,
        "folder": folder,
        "uid": nobody.pw_uid,
        "gid": nobody.pw_gid,
        "password": PASSWORD,
        "host": LOOPBACK,
        "domain": DOMAIN,
        "largest": largest,
        "people": ", ".join(f'"{person}@{DOMAIN}" = "nobody"' for person in PEOPLE),
        "addresses": ", ".join(f'"{person}@{DOMAIN}"' for person in PEOPLE),
    }
    (folder / "dovecot.conf").write_text(_DOVECOT.format(**values))
    (folder / "smtpd.conf").write_text(_SMTPD.format(**values))
    (folder / "smtpd.conf").chmod(0o600)


def _start(servers: MailServers) -> None:
    folder = servers.folder
    with (folder / "smtpd.log").open("wb") as log:
        servers.processes.append(_spawn(["dovecot", "-F", "-c", str(folder / "dovecot.conf")], log))
        # its spool and its control socket have fixed places: it gets its own, which nobody else sees
        script = (
            f"mkdir -p /var/spool/smtpd && mount --bind {folder}/spool /var/spool/smtpd && "
            f"mount --bind {folder}/smtpd-run /run && exec smtpd -d -f {folder}/smtpd.conf"
        )
        servers.processes.append(_spawn(["unshare", "--mount", "sh", "-c", script], log))
    for port in servers.ports.values():
        _wait(port, servers)


def _spawn(command: list[str], log: object) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=log,  # type: ignore[call-overload]
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )


def _stop(server: subprocess.Popen[bytes]) -> None:
    """End a server and its helpers, which are a session of their own."""
    with suppress(ProcessLookupError):
        os.killpg(server.pid, signal.SIGTERM)
    try:
        server.wait(10)
    except subprocess.TimeoutExpired:
        os.killpg(server.pid, signal.SIGKILL)
        server.wait()


def _wait(port: int, servers: MailServers) -> None:
    deadline = time.monotonic() + READY_WITHIN
    while time.monotonic() < deadline and all(process.poll() is None for process in servers.processes):
        try:
            with socket.create_connection((LOOPBACK, port), timeout=1):
                return
        except OSError:
            time.sleep(0.05)
    raise PeerFailed(f"the mail servers did not start: {servers.logs()}")


def make_certificates(folder: Path, host: str = LOOPBACK) -> None:
    """Make an authority (ca.pem, ca.key) in `folder`, and a certificate of it for `host` (server.pem, server.key)."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import rsa
    from cryptography.x509.oid import NameOID

    now = datetime.datetime.now(datetime.UTC)
    keys = {name: rsa.generate_private_key(65537, 2048) for name in ("ca", "server")}
    names = {
        "ca": x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Test authority")]),
        "server": x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, host)]),
    }
    for name, key in keys.items():
        builder = (
            x509.CertificateBuilder()
            .subject_name(names[name])
            .issuer_name(names["ca"])
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(days=1))
            .not_valid_after(now + datetime.timedelta(days=30))
            .add_extension(x509.BasicConstraints(ca=name == "ca", path_length=None), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(keys["ca"].public_key()), critical=False
            )
        )
        if name == "ca":
            usage = x509.KeyUsage(False, False, False, False, False, True, True, False, False)
            builder = builder.add_extension(usage, critical=True)
        else:
            alternative = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(host))])
            builder = builder.add_extension(alternative, critical=False)
        certificate = builder.sign(keys["ca"], hashes.SHA256())
        (folder / f"{name}.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        secret = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        (folder / f"{name}.key").write_bytes(secret)
        (folder / f"{name}.key").chmod(0o600)
