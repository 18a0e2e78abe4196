"""What `vault init` does: keys, folders and a configuration, each made once and never overwritten.

The order makes it resumable: the configuration is written last, so while it is missing, whatever keys are there
are completed. Once it is there, a missing key is a loss to report and nothing to replace: a new pseudonym key
would cut the ledger off from its past, a new identity would not open what is on the share.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from importlib import resources
from pathlib import Path
from zoneinfo import ZoneInfo

from vault import config, keys
from vault.archive import signing
from vault.errors import VaultError
from vault.files import private_folder, write_file
from vault.rois.sql.queries import SHIPPED, shipped

FOLDERS = ("keys", "queries", "repos", "inbox", "outbox", "quarantine")
"""Made in the vault's folder, 0700 each."""

CONFIGURATION = "vault.toml"
PRINCIPAL = "vault@localhost"
"""Whom the allowed-signers file names: the address in every commit."""
SECRETS = ("keys/signing_key", "keys/pseudonym.key")
"""Key files that no second run may make anew."""


@dataclass
class Initialized:
    """What `initialize` did, file by file, relative to the folder."""

    folder: Path
    made: list[str] = field(default_factory=list)
    existed: list[str] = field(default_factory=list)
    recipient: str | None = None
    """The public half of keys/identity.txt; None once that has gone to its safe."""
    fingerprint: str = ""
    """Of the key that signs, as `ssh-keygen -l` prints it."""


def template() -> str:
    """The commented configuration that ships with the vault."""
    return resources.files("vault.config").joinpath(CONFIGURATION).read_text("utf-8")


def initialize(folder: Path, *, name: str | None = None, timezone: str | None = None) -> Initialized:
    """Make a vault in `folder`, or complete one that was begun.

    `name` and `timezone` go into a new configuration. Raises ConfigError when they are not allowed, and
    VaultError when a finished vault lacks a key or a file there is not what its name says.
    """
    folder = folder.absolute()
    text = _configuration("", name, timezone)
    config.loads(text, folder / CONFIGURATION)  # complain before anything is made
    done = Initialized(folder)
    _make_folders(done)
    if (folder / CONFIGURATION).exists():
        _require_secrets(folder)
        done.existed += [name for name in ("keys/identity.txt", *SECRETS) if (folder / name).exists()]
    else:
        _make_once(done, "keys/identity.txt", _new_identity)
        _make_once(done, "keys/signing_key", keys.new_signing_key)
        _make_once(done, "keys/pseudonym.key", keys.new_pseudonym_key)
    done.recipient = _recipient(folder / "keys/identity.txt")
    public = keys.signing_public_key(folder / "keys/signing_key")
    done.fingerprint = signing.fingerprint_of_line(public)
    _make_once(done, "keys/signing_key.pub", f"{public} vault\n".encode)
    _make_once(done, "keys/allowed_signers", f'{PRINCIPAL} namespaces="git" {public}\n'.encode)
    for file_name in SHIPPED:
        _make_once(done, f"queries/{file_name}", shipped(file_name).encode)
    _make_once(done, CONFIGURATION, lambda: _configuration(done.recipient or "", name, timezone).encode())
    return done


def local_timezone() -> str | None:
    """The IANA name of this computer's time zone, where the system says it."""
    for guess in (os.environ.get("TZ", "").lstrip(":"), _link_target(), _first_line(Path("/etc/timezone"))):
        with suppress(ValueError, OSError, KeyError):  # ZoneInfoNotFoundError is a KeyError
            return ZoneInfo(guess).key
    return None


def _link_target() -> str:
    return str(Path("/etc/localtime").resolve()).partition("/zoneinfo/")[2]


def _first_line(path: Path) -> str:
    try:
        return path.read_text("utf-8").partition("\n")[0].strip()
    except (OSError, UnicodeDecodeError):
        return ""


def _make_folders(done: Initialized) -> None:
    private_folder(done.folder)
    for name in FOLDERS:
        path = done.folder / name
        (done.existed if path.is_dir() else done.made).append(f"{name}/")
        private_folder(path)
        path.chmod(0o700)


def _make_once(done: Initialized, name: str, content: Callable[[], bytes]) -> None:
    """Write a file unless it is there; the check and the naming are one step."""
    path = done.folder / name
    if not path.exists():
        with suppress(FileExistsError):  # another `vault init` was quicker: its key is the key
            write_file(path, content())
            done.made.append(name)
            return
    done.existed.append(name)


def _require_secrets(folder: Path) -> None:
    missing = [name for name in SECRETS if not (folder / name).exists()]
    if missing:
        raise VaultError(
            f"{folder} is a vault already, but {' and '.join(missing)} is missing. A new one would cut it off from "
            f"its past: bring the old one back from where its copy is kept."
        )


def _new_identity() -> bytes:
    """An identity file as `age-keygen` writes it."""
    secret, public = keys.new_identity()
    created = datetime.now().astimezone().isoformat(timespec="seconds")
    return f"# created: {created}\n# public key: {public}\n{secret}\n".encode()


def _recipient(path: Path) -> str | None:
    """The public key of an identity file. None when it is not there."""
    try:
        lines = path.read_text("utf-8").splitlines()
    except FileNotFoundError:
        return None
    secrets = [line.strip() for line in lines if line.strip() and not line.startswith("#")]
    try:
        return keys.public_key(secrets[0])
    except (ValueError, IndexError):
        raise VaultError(
            f"{path} is not an age identity. Move it away, then run `vault init` again."
        ) from None


def _configuration(recipient: str, name: str | None, timezone: str | None) -> str:
    text = template()
    if recipient:
        text = _fill(text, "recipients", [recipient])
    if name is not None:
        text = _fill(text, "name", name)
    if timezone is not None:
        text = _fill(text, "timezone", timezone)
    return text


def _fill(text: str, key: str, value: str | list[str]) -> str:
    """Set the value of the first line `key = …`. Strings and lists of them are the same in JSON and TOML."""
    line = f"{key} = {json.dumps(value, ensure_ascii=False)}"
    return re.sub(rf"(?m)^{key} = .*$", lambda _match: line, text, count=1)
