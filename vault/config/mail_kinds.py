"""Mail servers and addresses as vault.toml may name them."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from vault.config.kinds import Kind, check

_ADDRESS = re.compile(
    r"[A-Za-z0-9!#$%&'*+/=?^_{|}~-]+(?:\.[A-Za-z0-9!#$%&'*+/=?^_{|}~-]+)*"
    r"@[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?(?:\.[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?)*"
)
_LONGEST_ADDRESS = 254  # RFC 5321, section 4.5.3.1.3, without the angle brackets


@dataclass(frozen=True, slots=True)
class Server:
    """A mail server."""

    host: str
    port: int
    implicit_tls: bool
    """TLS from the first byte (smtps://, imaps://); else the connection begins in clear and asks for STARTTLS."""

    @property
    def place(self) -> str:
        """Host and port, for messages."""
        return f"{self.host}:{self.port}"

    @property
    def is_loopback(self) -> bool:
        """Whether it is this computer: then nobody else hears a connection without TLS."""
        if self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False


def _server(ports: Mapping[str, int]) -> Callable[[Any, Path], Server]:
    """A reader of URLs whose schemes have these ports by default; the scheme that ends in `s` has implicit TLS."""

    def read(value: Any, _folder: Path) -> Server:
        check(isinstance(value, str) and value.isprintable() and value.isascii())
        parts = urlsplit(value)
        check(parts.scheme in ports)
        check("@" not in parts.netloc, "the account goes into the keys for user and password_file")
        check(parts.hostname and not parts.path.strip("/") and not parts.query and not parts.fragment)
        try:
            port = parts.port
        except ValueError:
            port = 0
        port = ports[parts.scheme] if port is None else port
        check(1 <= port <= 65535, "there is no such port")
        return Server(str(parts.hostname), port, implicit_tls=parts.scheme.endswith("s"))

    return read


def _address(value: Any, _folder: Path) -> str:
    check(isinstance(value, str) and len(value) <= _LONGEST_ADDRESS and _ADDRESS.fullmatch(value))
    return str(value)


SMTP_URL = Kind(
    '"smtps://host:465" (TLS from the first byte) or "smtp://host:587" (STARTTLS)',
    _server({"smtp": 587, "smtps": 465}),
)
IMAP_URL = Kind(
    '"imaps://host:993" (TLS from the first byte) or "imap://host:143" (STARTTLS)',
    _server({"imap": 143, "imaps": 993}),
)
ADDRESS = Kind('a mail address such as "physics@hospital.example"', _address)
