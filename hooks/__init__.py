"""What happens around a run: listeners to the vault's announcements (`vault.events`)."""

from __future__ import annotations

import pluggy

from hooks.network import NetworkGate
from vault.config import Config
from vault.events import ENTRY_POINTS, plugin_manager


def plugins(config: Config) -> pluggy.PluginManager:
    """Everybody who listens: the parts that the configuration turns on, and what the site has installed."""
    manager = plugin_manager()
    if config.network is not None:
        manager.register(NetworkGate(config.network), "network")
    manager.load_setuptools_entrypoints(ENTRY_POINTS)
    return manager
