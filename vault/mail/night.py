"""What a night's run does about mail: little where `[mail]` is left out, and never at the night's expense."""

from __future__ import annotations

from contextlib import suppress
from datetime import datetime

import pluggy

from vault.config import Config
from vault.errors import VaultError
from vault.events import network
from vault.lock import run_lock
from vault.mail import handover
from vault.model import Failure


def queue_digests(config: Config, now: datetime) -> list[Failure]:
    """Queue the mails of every run that has none yet; returns what went wrong."""
    if config.mail is None:
        return []
    try:
        from vault.mail import post  # noqa: PLC0415  # templates, which a vault without mail does not load

        return post.queue_digests(config, now)
    except VaultError as error:
        why = str(error)
    except OSError as error:
        why = handover.disk_trouble(error)
    except Exception as error:  # a defect of ours must not stop the delivery to the share
        why = f"an unforeseen {type(error).__name__}"
    return [Failure("mail", f"the mail of the run could not be composed: {why}")]


def tell_that_the_night_failed(
    config: Config, now: datetime, error: Exception, events: pluggy.PluginManager | None
) -> None:
    """Mail that a night failed as a whole. Raises nothing: the error itself is what the caller raises."""
    if config.mail is None:
        return
    if isinstance(error, VaultError):
        why = str(error)
    elif isinstance(error, OSError):
        why = handover.disk_trouble(error)
    else:
        why = f"an unforeseen {type(error).__name__}; `vault -v sync` says more"
    with suppress(Exception):  # the disk, the keys or the network may be what failed
        from vault.mail import post  # noqa: PLC0415

        post.queue_night_failed(config, now, why)
        with network(events, config):
            handover.deliver(config)


def tell_that_alarms_fail(
    config: Config, now: datetime, error: Exception, events: pluggy.PluginManager | None
) -> None:
    """Mail that nobody knows which alarms are due. Raises nothing: the error itself is what the caller raises."""
    if config.mail is None:
        return
    from vault.mail import post  # noqa: PLC0415

    why = str(error) if isinstance(error, VaultError) else f"An unforeseen {type(error).__name__}."
    if isinstance(error, OSError):
        why = f"Its {handover.disk_trouble(error).removeprefix('this ')}."
    queued = False
    with suppress(Exception):  # the disk may be what failed
        post.queue_alarms_failed(config, now, why)
        queued = True
    with (
        suppress(Exception),
        run_lock(config.vault.root),
        network(events, config),
    ):  # else another run delivers
        if handover.deliver(config).failed or not queued:  # a full disk takes no record of what was sent
            post.send_alarms_failed(config, now, why)
