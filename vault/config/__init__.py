"""vault.toml as one typed, frozen model. Each error names file, line, key, value and what is allowed."""

from __future__ import annotations

import stat
from pathlib import Path

from msgspec.structs import replace

from vault.config.mail import Mail, MailRecipient, completed, contradiction
from vault.config.mail_kinds import Server
from vault.config.model import (
    MODALITIES,
    REFRESH,
    Census,
    Config,
    Dicom,
    Network,
    Normal,
    Peer,
    Receiver,
    Refresh,
    Report,
    Retention,
    Retrieve,
    Rois,
    Share,
    Site,
    Sql,
    Vault,
    Volatile,
)
from vault.config.reader import parse
from vault.config.verification import Verification
from vault.errors import ConfigError

__all__ = [
    "MODALITIES",
    "REFRESH",
    "Census",
    "Config",
    "Dicom",
    "Mail",
    "MailRecipient",
    "Network",
    "Normal",
    "Peer",
    "Receiver",
    "Refresh",
    "Report",
    "Retention",
    "Retrieve",
    "Rois",
    "Server",
    "Share",
    "Site",
    "Sql",
    "Vault",
    "Verification",
    "Volatile",
    "load",
    "loads",
]

_LARGEST = 1 << 20
"""Bytes of the largest configuration file that is read."""


def load(path: Path) -> Config:
    """Read and check the configuration file `path`.

    Raises ConfigError, whose message lists every error, when the file can't be read, is not TOML, holds a key
    or value that is not allowed, or when it or a key file that it names is open to other users.
    """
    path = path.absolute()
    try:
        with path.open("rb") as file:
            mode = path.stat().st_mode
            data = file.read(_LARGEST + 1)
    except OSError as error:
        reason = error.strerror or "it can't be read"
        raise ConfigError(
            f"{path}: {reason}. `vault init DIR` writes a configuration; -c names another."
        ) from None
    if len(data) > _LARGEST:
        raise ConfigError(f"{path}: larger than 1 MiB, so it is no vault.toml.")
    if mode & stat.S_IWOTH:
        raise ConfigError(f"{path}: every user can change it. Run: chmod o-w {path}")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise ConfigError(f"{path}, line {line}: not UTF-8. Save the file as UTF-8.") from None
    config = loads(text, path)
    _check_key_files(config)
    return config


def loads(text: str, path: Path) -> Config:
    """Check a configuration's text as if it stood in the file `path`. Raises ConfigError."""
    return _completed(parse(text.replace("\r\n", "\n"), path.absolute()))


def _completed(config: Config) -> Config:
    """Fill in what follows from other keys, and check what concerns more than one."""
    if config.share is not None and not config.vault.recipients:
        raise ConfigError(
            f"{config.path}: [share] is on, but [vault] recipients is empty. Name at least one age "
            f'public key ("age1…"), or nobody could ever read the share.'
        )
    rois = Peer(ae_title=config.rois.dicom.ae_title, host=config.rois.dicom.host)
    receiver = replace(config.receiver, peers=config.receiver.peers or (rois,))
    retrieve = replace(config.retrieve, refresh={**REFRESH, **config.retrieve.refresh})
    if config.census.source == "sql" and config.rois.sql is None:
        raise ConfigError(
            f'{config.path}: [census] source = "sql" needs the table [rois.sql]: how to reach the database.'
        )
    mail = config.mail and completed(config.mail)
    if mail and (wrong := contradiction(mail)):
        raise ConfigError(f"{config.path}: {wrong}")
    return replace(config, receiver=receiver, retrieve=retrieve, mail=mail)


def _check_key_files(config: Config) -> None:
    """Refuse keys and passwords that other users can read: what is signed with them would prove nothing."""
    vault, sql, mail = config.vault, config.rois.sql, config.mail
    named = {
        "[vault] signing_key": vault.signing_key,
        "[vault] pseudonym_key": vault.pseudonym_key,
        "[vault] identity": vault.identity,
        "[rois.sql] password_file": sql and sql.password_file,
        "[rois.sql] documents_password_file": sql and sql.documents_password_file,
        "[mail] password_file": mail and mail.password_file,
        "[mail] imap_password_file": mail and mail.imap_password_file,
    }
    for recipient in mail.recipients if mail else ():
        named[f"[[mail.recipients]] totp_file of {recipient.name}"] = recipient.totp_file
    for key, path in named.items():
        try:
            mode = stat.S_IMODE(path.stat().st_mode) if path else 0
        except OSError:
            continue  # a key that is not here is missed by the command that needs it
        if mode & 0o077:
            raise ConfigError(
                f"{config.path}: {key}: other users can read {path} (mode {mode:04o}). Run: chmod 600 {path}"
            )
