"""Try whether the share can be reached. What it takes to write there, `vault share check` tries, by writing."""

from __future__ import annotations

from vault.config import Config
from vault.delivery import open_outbox
from vault.doctor.check import Check
from vault.errors import VaultError
from vault.share import layout
from vault.share.backend import share_of

NOTHING = f"{layout.MANIFESTS}{0:010}-{0:032}.age"
"""A name that no share has, to be asked for."""


def check_share(config: Config) -> Check:
    """Look for a file that is not there."""
    if config.share is None:
        text = "[share] is not in vault.toml: no encrypted copy leaves this computer"
        return Check("share", True, text, off=True)
    try:
        share = share_of(config.share)
        if not open_outbox(config.vault.root).has_begun(share.place):
            return Check(
                "share", True, f"{share.place}: nothing was brought there yet; `vault share check` tries it"
            )
        share.exists(NOTHING)
    except VaultError as error:
        return Check("share", False, str(error), "`vault share check` tries all that the vault relies on")
    return Check("share", True, f"{share.place} answers")
