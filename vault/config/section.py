"""What every table of vault.toml has in common, and how the secrets are read that it names but never holds."""

from __future__ import annotations

from pathlib import Path

import msgspec

from vault.errors import ConfigError

_LONGEST_SECRET = 4096


class Section(msgspec.Struct, frozen=True, kw_only=True):
    """A table of vault.toml."""


def read_secret(path: Path | None, key: str) -> str | None:
    """The first line of a secret's file; None without one. Raises ConfigError, which names the key."""
    if path is None:
        return None
    try:
        with path.open("rb") as file:
            line = file.read(_LONGEST_SECRET).split(b"\n")[0].rstrip(b"\r")
        return line.decode()
    except OSError as error:
        raise ConfigError(f"{key}: {path} can't be read: {error.strerror}.") from None
    except UnicodeDecodeError:
        raise ConfigError(f"{key}: {path} is not UTF-8.") from None
