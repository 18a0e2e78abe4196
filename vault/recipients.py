"""Who can open the share is pinned: a recipient that somebody adds to vault.toml gets nothing until a person says so.

`keys/recipients` holds the public keys of `[vault] recipients`, one a line, signed by the vault's signing key. It is
written at the first delivery, and by `vault keys`. Where the configuration says something else, nothing is encrypted,
and the run says why: better a night without a copy than a copy for a stranger.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from vault.archive import signing
from vault.archive.signing import Signer
from vault.config import Config
from vault.errors import ConfigError, IntegrityError
from vault.files import write_file
from vault.share.manifest import split

NAME = "recipients"
_HEAD = "vault-recipients 1"
_LARGEST = 1 << 16


def pin_path(config: Config) -> Path:
    """Where the pin lies: beside the signing key."""
    return config.vault.signing_key.parent / NAME


def pinned(config: Config) -> tuple[str, ...]:
    """Return the recipients that may be encrypted to, and pin them where nothing is pinned yet.

    Raises ConfigError when vault.toml names others, IntegrityError when the pin is not what the vault signed.
    """
    wanted = config.vault.recipients
    known = read_pin(config)
    if known is None:
        pin(config, wanted)
    elif set(known) != set(wanted):
        added, gone = sorted(set(wanted) - set(known)), sorted(set(known) - set(wanted))
        said = [f"new: {', '.join(added)}"] * bool(added) + [f"gone: {', '.join(gone)}"] * bool(gone)
        raise ConfigError(
            f"[vault] recipients of {config.path} is not what was pinned ({'; '.join(said)}), so nothing is encrypted. "
            "If you changed it, `vault keys pin` says so; if nobody did, somebody wants to read the share"
        )
    return wanted


def read_pin(config: Config) -> tuple[str, ...] | None:
    """Return the pinned recipients; None where nothing is pinned. Raises IntegrityError for a pin that is not ours."""
    try:
        with pin_path(config).open("rb") as file:
            data = file.read(_LARGEST)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise ConfigError(f"{pin_path(config)} can't be read: {error.strerror}.") from None
    try:
        text, signature = split(data)
        signing.verify(text, signature, signing.allowed_keys(pin_path(config).parent / "allowed_signers"))
        head, *keys = text.decode("ascii").splitlines()
    except (IntegrityError, ValueError):
        head, keys = "", []
    if head != _HEAD:
        raise IntegrityError(
            f"{pin_path(config)} is not what the vault signed: somebody changed it. Look at [vault] recipients in "
            f"{config.path} key by key, then `vault keys pin` pins what stands there"
        )
    return tuple(keys)


def pin(config: Config, recipients: Iterable[str]) -> None:
    """Pin these recipients. Raises ConfigError when the signing key can't be used, OSError."""
    text = "".join(f"{line}\n" for line in (_HEAD, *recipients)).encode("ascii")
    signed = text + Signer.load(config.vault.signing_key).sign(text).encode()
    write_file(pin_path(config), signed, replace=True)
