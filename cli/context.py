"""What every command gets as `ctx.obj`: the configuration, and how to speak to whoever called."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import click

from vault.compare.values import is_seen
from vault.errors import ConfigError, UsageError
from vault.model import PatientID

if TYPE_CHECKING:
    from cli.progress import Bars, Quiet
    from vault.config import Config

ENVIRONMENT = "VAULT_CONFIG"
"""The environment variable that names the configuration where `-c` does not."""

PLACES = (Path("vault.toml"), Path("/etc/vault/vault.toml"))
"""Where the configuration is looked for where nothing names it."""


@dataclass
class Context:
    """The options before the command, and what follows from them."""

    config_path: Path | None = None
    json: bool = False
    verbose: bool = False
    emitted: bool = False
    """A JSON document has been printed."""
    _config: Config | None = field(default=None, repr=False)

    def config(self) -> Config:
        """The configuration, read on first use. Raises ConfigError."""
        if self._config is None:
            from vault.config import load

            self._config = load(self._find())
        return self._config

    def _find(self) -> Path:
        if self.config_path:
            return self.config_path
        if named := os.environ.get(ENVIRONMENT):
            return Path(named)
        for place in PLACES:
            if place.exists():
                return place
        raise ConfigError(
            f"There is no configuration: neither {PLACES[0]} here nor {PLACES[1]}. "
            f"`vault init DIR` makes one; -c FILE or ${ENVIRONMENT} names one elsewhere."
        )

    @staticmethod
    def patient_id(text: str) -> PatientID:
        """A patient ID from the command line. Raises UsageError where it can't be one (empty, or a wildcard)."""
        from vault.config.kinds import PATIENT, RefusedError

        try:
            return PatientID(PATIENT.read(text, Path()))
        except RefusedError:
            raise UsageError(f'"{text}" can\'t be {PATIENT.allowed}.') from None

    @staticmethod
    def exit(code: int) -> NoReturn:
        """End the command with an exit code of `vault.errors.ExitCode`."""
        click.get_current_context().exit(int(code))

    def emit(self, document: Mapping[str, Any]) -> None:
        """Print one JSON document on standard output."""
        self.emitted = True
        text = json.dumps(document, ensure_ascii=False, indent=2)
        click.echo("\n".join(map(_escaped, text.split("\n"))))  # json escapes those of a value

    def progress(self) -> Bars | Quiet:
        """Progress on standard error, silent where that is no terminal. Also a context manager."""
        from cli.progress import progress

        return progress()


def _escaped(line: str) -> str:
    """A line of JSON that says the same, and commands no terminal: what can't be seen, which values alone hold."""
    if line.isascii() and line.isprintable():
        return line
    return "".join(letter if is_seen(letter) else json.dumps(letter)[1:-1] for letter in line)
