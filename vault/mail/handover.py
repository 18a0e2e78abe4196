"""Mail that waits is handed over while the network is open; whatever goes wrong then is a value, never an exception."""

from __future__ import annotations

from vault.config import Config
from vault.errors import VaultError
from vault.mail import outbox
from vault.mail.transport import transport_of
from vault.model import Failure
from vault.progress import Progress


def waits(config: Config) -> bool:
    """Whether any mail waits for the network."""
    return config.mail is not None and bool(outbox.waiting(config.vault.root))


def deliver(config: Config, progress: Progress | None = None) -> outbox.Delivered:
    """Hand over what waits, while the network is open. Failures are in the result; raises nothing."""
    if config.mail is None:
        return outbox.Delivered()
    try:
        return outbox.deliver(config.vault.root, transport_of(config.mail), progress)
    except VaultError as error:
        failure = Failure("mail", str(error))
    except OSError as error:
        failure = Failure("mail", disk_trouble(error))
    except (
        Exception
    ) as error:  # a defect of ours, or of a library that a server has met, must not stop the share
        failure = Failure("mail", f"it could not be handed over: an unforeseen {type(error).__name__}")
    return outbox.Delivered(waiting=len(outbox.waiting(config.vault.root)), failed=[failure])


def disk_trouble(error: OSError) -> str:
    """Why this computer's disk refused; without the path, which may name a patient."""
    return (
        f"this computer's disk refused ({error.strerror or type(error).__name__}): look at it, then run again"
    )
