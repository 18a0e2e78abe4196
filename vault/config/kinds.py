"""What a value in vault.toml may be: how it is read, and the words that say what is allowed.

A kind never sees the key it is used for; `vault.config.reader` puts file, line and key around its words.
"""

from __future__ import annotations

import re
import shlex
import zoneinfo
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from vault.keys import check_recipient

_UNITS_OF_TIME = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_UNITS_OF_SIZE = {"B": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30, "TiB": 1 << 40}
_DURATION = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,3})?)(s|m|h|d)", re.ASCII)
_SIZE = re.compile(r"([0-9]{1,9})(B|KiB|MiB|GiB|TiB)", re.ASCII)
_MODALITY = re.compile(r"[A-Z0-9_]{1,16}", re.ASCII)
_HOST = re.compile(r"[0-9A-Za-z_.:%-]{1,253}", re.ASCII)
_ATTRIBUTE = re.compile(r"[^\s].{0,250}[^\s]|[^\s]")


PASSWORD = re.compile(r"(?:^|[;\"])\s*(?:pwd|password)\s*=", re.IGNORECASE)
"""What gives away that a connection string holds a password."""


class RefusedError(Exception):
    """The value is not allowed. `str` says more than the kind's own words do, or is empty."""


@dataclass(frozen=True, slots=True)
class Kind:
    """One sort of value."""

    allowed: str
    """What is allowed, to follow "must be"."""
    read: Callable[[Any, Path], Any]
    """From the TOML value and the folder of vault.toml; raises `RefusedError`."""


def check(condition: object, why: str = "") -> None:
    """Refuse the value unless `condition` is true."""
    if not condition:
        raise RefusedError(why)


def _text(value: Any, _folder: Path) -> str:
    check(isinstance(value, str) and value.strip() and value.isprintable())
    return str(value)


def _ae_title(value: Any, _folder: Path) -> str:
    # VR AE (PS3.5 6.2): default repertoire without backslash and control characters; outer spaces are padding
    check(isinstance(value, str) and value.isascii() and value.isprintable() and "\\" not in value)
    check(value == value.strip() and 1 <= len(value) <= 16)
    return str(value)


def _host(value: Any, _folder: Path) -> str:
    check(isinstance(value, str) and _HOST.fullmatch(value))
    return str(value)


def _path(value: Any, folder: Path) -> Path:
    check(isinstance(value, str) and value and "\0" not in value)
    return Path(folder, Path(value).expanduser())


def _boolean(value: Any, _folder: Path) -> bool:
    check(isinstance(value, bool))
    return bool(value)


def _timezone(value: Any, _folder: Path) -> str:
    check(isinstance(value, str))
    try:
        zoneinfo.ZoneInfo(value)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        raise RefusedError from None
    return str(value)


def _recipient(value: Any, _folder: Path) -> str:
    check(isinstance(value, str))
    check(not value.startswith("AGE-SECRET-KEY-"), "that is a secret key; put its public key here")
    check(check_recipient(value))
    return str(value)


def _patient(value: Any, _folder: Path) -> str:
    # an empty ID, or one that C-FIND reads as a wildcard (PS3.4 C.2.2.2.4), matches every patient of the ROIS
    check(isinstance(value, str) and value.strip() and value.isprintable())
    check(not set(value) & set("*?\\") and len(value.strip()) <= 64)
    return str(value).strip()


def _modality(value: Any, _folder: Path) -> str:
    check(isinstance(value, str) and _MODALITY.fullmatch(value))
    return str(value)


def _attribute(value: Any, _folder: Path) -> str:
    check(isinstance(value, str) and value.isprintable() and _ATTRIBUTE.fullmatch(value))
    return str(value)


def _command(value: Any, _folder: Path) -> tuple[str, ...]:
    if isinstance(value, str):
        try:
            value = shlex.split(value)
        except ValueError:
            raise RefusedError("a quotation mark is not closed") from None
    check(isinstance(value, list) and value and all(isinstance(word, str) for word in value))
    check(value[0] and not any("\0" in word for word in value))
    return tuple(value)


def _share_url(value: Any, folder: Path) -> str:
    check(isinstance(value, str) and value and "\0" not in value)
    if "://" not in value:
        return Path(folder, Path(value).expanduser()).as_uri()
    parts = urlsplit(value)
    check(not parts.query and not parts.fragment)
    check(not parts.username and not parts.password, "put the account into user and password_file")
    if parts.scheme == "file":
        check(parts.netloc in ("", "localhost") and Path(unquote(parts.path)).is_absolute())
    elif parts.scheme == "smb":
        check(parts.hostname and parts.path.strip("/"), "it names no share")
    else:
        check(parts.scheme == "s3")
        check(parts.hostname and ":" not in parts.netloc, "it names no bucket; a server goes into endpoint")
    return str(value)


def _endpoint(value: Any, _folder: Path) -> str:
    check(isinstance(value, str) and value.isprintable())
    parts = urlsplit(value)
    check(parts.scheme in ("https", "http") and parts.hostname and not parts.username and not parts.query)
    return str(value)


def _connection(value: Any, _folder: Path) -> str:
    check(isinstance(value, str) and value.strip() and value.isprintable())
    check(
        not PASSWORD.search(value), "it holds a password; put that into a file, and name it in password_file"
    )
    check("=" in value)
    return str(value).strip()


def _documents(value: Any, folder: Path) -> str:
    check(isinstance(value, str) and value and value.isprintable())
    if value.startswith(("\\\\", "//")):
        value = "smb://" + value.replace("\\", "/").lstrip("/")
    if "://" not in value:
        return str(Path(folder, Path(value).expanduser()))
    parts = urlsplit(value)
    check(parts.scheme == "smb" and parts.hostname and parts.path.strip("/"), "it names no share")
    check(not parts.username and not parts.password, "put the account into documents_user")
    return str(value)


def whole_number(least: int, most: int) -> Kind:
    """A whole number between two bounds, both allowed."""

    def read(value: Any, _folder: Path) -> int:
        check(isinstance(value, int) and not isinstance(value, bool) and least <= value <= most)
        return int(value)

    return Kind(f"a whole number from {least} to {most}", read)


def fraction(least: float, most: float) -> Kind:
    """A share of a whole between two bounds, both allowed."""

    def read(value: Any, _folder: Path) -> float:
        check(isinstance(value, int | float) and not isinstance(value, bool) and least <= value <= most)
        return float(value)

    return Kind(f"a number from {least:g} to {most:g}", read)


def duration(least: float, most: float, bounds: str) -> Kind:
    """A time such as "60s", read as seconds."""

    def read(value: Any, _folder: Path) -> float:
        match = _DURATION.fullmatch(value) if isinstance(value, str) else None
        check(match)
        assert match is not None  # noqa: S101  # for the type checker; `check` has refused None
        seconds = float(match[1]) * _UNITS_OF_TIME[match[2]]
        check(least <= seconds <= most)
        return seconds

    return Kind(f'a time such as "60s", "10m", "2h" or "30d", {bounds}', read)


def size(least: int, most: int, bounds: str) -> Kind:
    """An amount of data such as "4GiB", read as bytes."""

    def read(value: Any, _folder: Path) -> int:
        match = _SIZE.fullmatch(value) if isinstance(value, str) else None
        check(match)
        assert match is not None  # noqa: S101  # for the type checker; `check` has refused None
        amount = int(match[1]) * _UNITS_OF_SIZE[match[2]]
        check(least <= amount <= most)
        return amount

    return Kind(f'a size such as "512MiB" or "4GiB", {bounds}', read)


def choice(*words: str) -> Kind:
    """One of a few words."""

    def read(value: Any, _folder: Path) -> str:
        check(isinstance(value, str) and value in words)
        return str(value)

    return Kind(" or ".join(f'"{word}"' for word in words), read)


def each(kind: Kind, *, at_least: int = 0) -> Kind:
    """A list whose elements are all of one kind, none of them twice."""

    def read(value: Any, folder: Path) -> tuple[Any, ...]:
        check(isinstance(value, list) and len(value) >= at_least)
        elements: list[Any] = []
        for element in value:
            try:
                elements.append(kind.read(element, folder))
            except RefusedError as refused:
                raise RefusedError(str(refused) or f"{element!r} is not") from None
            check(elements[-1] not in elements[:-1], f"{element!r} stands there twice")
        return tuple(elements)

    return Kind(f"a list, each {kind.allowed}", read)


def table(keys: Kind, values: Kind) -> Kind:
    """A table whose keys the site chooses."""

    def read(value: Any, folder: Path) -> Mapping[str, Any]:
        check(isinstance(value, dict))
        entries = {}
        for key, entry in value.items():
            try:
                entries[keys.read(key, folder)] = values.read(entry, folder)
            except RefusedError:
                raise RefusedError(f"{key} = {entry!r} is not") from None
        return entries

    return Kind(f"a table from {keys.allowed} to {values.allowed}", read)


TEXT = Kind("text that is not empty", _text)
AE_TITLE = Kind("an AE title: 1 to 16 ASCII characters, no backslash, no space at either end", _ae_title)
HOST = Kind("a host name or an IP address", _host)
PORT = whole_number(1, 65535)
PATH = Kind("a path; a relative one starts at the folder of this file", _path)
BOOLEAN = Kind("true or false", _boolean)
TIMEZONE = Kind('an IANA time zone such as "Europe/Zurich" or "America/New_York"', _timezone)
RECIPIENT = Kind('an age public key ("age1…", as `age-keygen -y` prints it)', _recipient)
PATIENT = Kind("a patient ID: 1 to 64 characters, without *, ? and backslash", _patient)
MODALITY = Kind('a DICOM modality such as "CT" or "RTPLAN" (upper case)', _modality)
ATTRIBUTE = Kind('an attribute as `vault calibrate` prints it, such as "InstanceCreationTime"', _attribute)
COMMAND = Kind('a command as a list of words, such as ["nmcli", "networking", "on"]', _command)
SHARE_URL = Kind(
    'a folder ("/mnt/share/vault" or "file:///mnt/share/vault"), "smb://server/share/folder" or "s3://bucket/prefix"',
    _share_url,
)
ENDPOINT = Kind('the URL of an object store, such as "https://s3.example.org:9000"', _endpoint)
CONNECTION = Kind(
    'an ODBC connection string without a password: "DRIVER=…;SERVER=…;DATABASE=…;UID=…"', _connection
)
DOCUMENTS = Kind('a folder, or a folder on an SMB share: "smb://server/share/folder"', _documents)
