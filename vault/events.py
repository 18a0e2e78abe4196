"""What the vault announces, so that a site can do something about it without changing the vault.

An implementation is any object with methods of these names, marked with `hookimpl`; it may leave out arguments
that it does not need. The vault knows the announcements only; who listens is decided by `hooks.plugins`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import pluggy

from vault.config import Config

NAME = "vault"
"""The project's name for pluggy."""

ENTRY_POINTS = "vault.hooks"
"""Entry-point group under which an installed package offers a plugin."""

hookspec = pluggy.HookspecMarker(NAME)
hookimpl = pluggy.HookimplMarker(NAME)
"""Marks a method as an implementation of one of the announcements."""


class Events:
    """The announcements. An implementation that raises VaultError fails the step that announced it."""

    @hookspec
    def network_open(self, config: Config) -> None:
        """Before anything is sent or received. After this the network can be used, or VaultError is raised."""

    @hookspec
    def network_close(self, config: Config) -> None:
        """After the last byte, on every way out, also when `network_open` failed half-way."""

    @hookspec
    def commit_made(self, config: Config, patient_id: str, old: str | None, new: str) -> None:
        """A patient's history has a new commit: `old` was the tip before, None for the first."""

    @hookspec
    def run_finished(self, config: Config, report: Mapping[str, Any]) -> None:
        """A run is over and in the ledger; `report` is what `vault sync --json` prints."""


def plugin_manager() -> pluggy.PluginManager:
    """A manager that knows the announcements and has nobody listening yet."""
    manager = pluggy.PluginManager(NAME)
    manager.add_hookspecs(Events)
    return manager


@contextmanager
def network(events: pluggy.PluginManager | None, config: Config) -> Iterator[None]:
    """Open the network and close it again on every way out; nothing happens where nobody listens."""
    if events is None:
        yield
        return
    try:
        events.hook.network_open(config=config)
        yield
    finally:
        events.hook.network_close(config=config)
