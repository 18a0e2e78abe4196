"""How connections to mail servers are encrypted: always, but for this computer itself or where the site says so."""

from __future__ import annotations

import ssl

from vault.config import Mail, Server
from vault.errors import ConfigError


def required(mail: Mail, server: Server) -> bool:
    """Whether a connection must be encrypted, to a server whose certificate is right."""
    return server.implicit_tls or mail.ca is not None or not (mail.insecure or server.is_loopback)


def context(mail: Mail, server: Server) -> ssl.SSLContext:
    """What TLS asks of the server: its certificate is checked wherever encryption is required.

    Where it is not, it is used when offered, whoever's certificate it may be. Raises ConfigError for `[mail] ca`.
    """
    try:
        made = ssl.create_default_context(cafile=mail.ca)
    except ssl.SSLError:
        raise ConfigError(f"[mail] ca: {mail.ca} does not hold certificates in PEM.") from None
    except OSError as error:
        raise ConfigError(f"[mail] ca: {mail.ca} can't be read: {error.strerror}.") from None
    if not required(mail, server):
        made.check_hostname = False
        made.verify_mode = ssl.CERT_NONE
    return made


def explained(error: ssl.SSLError, server: Server) -> str:
    """Why an encrypted connection failed, and what to do, as one sentence."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return (
            f"The mail server {server.place} has a certificate that this vault does not trust "
            f"({error.verify_message}): name the authority that vouches for it in [mail] ca, or correct the host."
        )
    if error.reason in {"WRONG_VERSION_NUMBER", "UNKNOWN_PROTOCOL", "RECORD_LAYER_FAILURE"}:
        return (
            f"The mail server {server.place} does not begin with TLS: is the port right, or does it speak STARTTLS "
            "(smtp:// or imap:// instead of smtps:// or imaps://)?"
        )
    return f"The encrypted connection to the mail server {server.place} failed ({error.reason or 'it broke off'})."
