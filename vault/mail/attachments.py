"""The report that goes with a mail: in clear in a full one, in a limited one encrypted to its reader alone."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from email.message import EmailMessage
from email.policy import SMTP
from typing import TYPE_CHECKING

from vault.config import Mail, MailRecipient
from vault.errors import ConfigError, VaultError
from vault.mail.message import Attachment
from vault.share import envelope

if TYPE_CHECKING:
    from cryptography import x509

SMIME_NAME = "report-encrypted.eml"

_NO_KEY = (
    "The report is not attached, since [[mail.recipients]] {0} has neither certificate nor age key that it could be "
    "encrypted to. `vault report {1}` at the vault shows it."
)


@dataclass(frozen=True, slots=True)
class Enclosed:
    """What goes with a mail to one recipient, and what is said of it."""

    attachments: tuple[Attachment, ...] = ()
    said: tuple[str, ...] = ()
    trouble: str = ""
    """Why it is less than the configuration wants, for the run's report."""


def enclosed(mail: Mail, recipient: MailRecipient, files: Sequence[Attachment], run: str) -> Enclosed:
    """Choose what goes with the mail to a recipient. Never raises: the mail goes without it rather than not at all."""
    fitting = [file for file in files if len(file.data) <= mail.largest]
    said = [
        f"{file.name} has {len(file.data) / 2**20:.1f} MiB, too much for a mail: `vault report {run}` makes it again."
        for file in files
        if file not in fitting
    ]
    if not fitting:
        return Enclosed(said=tuple(said))
    names = " and ".join(file.name for file in fitting)
    if mail.content == "full":
        return Enclosed(tuple(fitting), (f"Attached, with everything: {names}. Any browser opens it.", *said))
    if recipient.certificate is None and recipient.age is None:
        return Enclosed(said=(_NO_KEY.format(recipient.name, run), *said))
    try:
        attachments, how = _encrypted(recipient, fitting)
    except (VaultError, ValueError) as error:
        return Enclosed((), (f"Nothing is attached: {error}", *said), str(error))
    return Enclosed(attachments, (how.format(names), *said))


def _encrypted(recipient: MailRecipient, files: Sequence[Attachment]) -> tuple[tuple[Attachment, ...], str]:
    if recipient.certificate is not None:
        sealed = Attachment(SMIME_NAME, smime(recipient, files), "message", "rfc822")
        return (
            (sealed,),
            f"Attached, encrypted to your certificate: {SMIME_NAME}, which your mail program opens; in it {{}}.",
        )
    return (
        tuple(Attachment(f"{file.name}.age", age(recipient.age or "", file.data)) for file in files),
        "Attached, encrypted to your age key: {}. `age -d -i KEY-FILE NAME.age > NAME` opens it.",
    )


def age(key: str, data: bytes) -> bytes:
    """Data in an age envelope. Raises VaultError."""
    sealed = io.BytesIO()
    envelope.encrypt(io.BytesIO(data), len(data), sealed, envelope.parse_recipients([key]))
    return sealed.getvalue()


def smime(recipient: MailRecipient, files: Sequence[Attachment]) -> bytes:
    """A message that only the certificate's owner can read, with the files in it (S/MIME, RFC 8551).

    Raises ConfigError when the certificate can't be read or has no RSA key, which is all that the format's reader need
    have in common.
    """
    from cryptography.hazmat.primitives.ciphers.algorithms import AES256  # noqa: PLC0415  # 50 ms
    from cryptography.hazmat.primitives.serialization import Encoding, pkcs7  # noqa: PLC0415

    certificate = certificate_of(recipient)
    inner = EmailMessage(policy=SMTP)
    inner.set_content("The report of the vault's run.\n")
    for file in files:
        inner.add_attachment(file.data, maintype=file.maintype, subtype=file.subtype, filename=file.name)
    try:
        builder = pkcs7.PKCS7EnvelopeBuilder().set_data(inner.as_bytes()).add_recipient(certificate)
        builder = builder.set_content_encryption_algorithm(AES256)
        sealed = builder.encrypt(Encoding.DER, [pkcs7.PKCS7Options.Binary])
    except (TypeError, ValueError):
        raise ConfigError(
            f"{_where(recipient)} has no RSA key, which S/MIME needs here: name an age key instead."
        ) from None
    outer = EmailMessage(policy=SMTP)
    outer["Subject"] = "vault: the report, encrypted"
    outer.set_content(
        sealed, maintype="application", subtype="pkcs7-mime", disposition="attachment", filename="smime.p7m"
    )
    outer.set_param("smime-type", "enveloped-data")
    return outer.as_bytes()


def certificate_of(recipient: MailRecipient) -> x509.Certificate:
    """The recipient's certificate. Raises ConfigError when it can't be read."""
    from cryptography import x509  # noqa: PLC0415  # 50 ms that only certificates cost

    try:
        return x509.load_pem_x509_certificate(
            recipient.certificate.read_bytes() if recipient.certificate else b""
        )
    except OSError as error:
        raise ConfigError(
            f"{_where(recipient)}: {recipient.certificate} can't be read ({error.strerror})."
        ) from None
    except ValueError:
        raise ConfigError(f"{_where(recipient)}: {recipient.certificate} is no certificate in PEM.") from None


def _where(recipient: MailRecipient) -> str:
    return f"[[mail.recipients]] certificate of {recipient.name}"
