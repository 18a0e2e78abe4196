"""What goes with a mail: in clear, or encrypted so that stock tools of its reader alone open it."""

from __future__ import annotations

import datetime
import shutil
import subprocess
from email import message_from_bytes
from email.policy import default
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID
from mail_kit import read
from mail_reports import BEGAN

from vault.config import Mail, MailRecipient
from vault.keys import new_identity
from vault.mail.attachments import SMIME_NAME, enclosed
from vault.mail.content import Content, Light
from vault.mail.message import Attachment, message

PAGE = Attachment("vault-2026-11-24.html", b"<p>MARKER</p>" * 1000, "text", "html")
PAPER = Attachment("vault-2026-11-24.pdf", b"%PDF-MARKER" * 1000, "application", "pdf")
CONTENT = Content("vault: x", "O", "t", Light("green", "w", "s"), ())


def mail(content: str, *recipients: MailRecipient, largest: int = 1 << 20) -> Mail:
    return Mail(sender="vault@test.local", content=content, recipients=recipients, largest=largest)  # type: ignore[arg-type]


def certificate(folder: Path, *, elliptic: bool = False) -> Path:
    key = ec.generate_private_key(ec.SECP256R1()) if elliptic else rsa.generate_private_key(65537, 2048)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Ann")])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now)
        .not_valid_after(now + datetime.timedelta(days=9))
        .sign(key, hashes.SHA256())
    )
    (folder / "ann.pem").write_bytes(made.public_bytes(serialization.Encoding.PEM))
    (folder / "ann.key").write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    return folder / "ann.pem"


def test_a_full_mail_has_the_report_in_clear() -> None:
    ann = MailRecipient(name="Ann", address="ann@test.local")
    found = enclosed(mail("full", ann), ann, [PAGE, PAPER], "RUN")
    assert found.attachments == (PAGE, PAPER)
    assert "vault-2026-11-24.html and vault-2026-11-24.pdf" in found.said[0]
    made = read(
        bytes(
            message(
                mail("full", ann), "O", CONTENT, [("Ann", ann.address)], BEGAN, attachments=found.attachments
            )
        )
    )
    assert [(part.get_filename(), part.get_content_type()) for part in made.iter_attachments()] == [
        ("vault-2026-11-24.html", "text/html"),
        ("vault-2026-11-24.pdf", "application/pdf"),
    ]
    assert made.get_body(("plain",)) is not None, "the attached page is not the mail's text"


def test_what_is_too_large_stays_and_is_said() -> None:
    ann = MailRecipient(name="Ann", address="ann@test.local")
    found = enclosed(mail("full", ann, largest=12_000), ann, [PAGE, PAPER], "RUN")
    assert found.attachments == (PAPER,)
    assert "vault-2026-11-24.html has 0.0 MiB, too much for a mail: `vault report RUN`" in " ".join(
        found.said
    )
    assert enclosed(mail("full", ann, largest=1024), ann, [PAGE], "RUN").attachments == ()


def test_without_a_key_a_limited_mail_has_no_report_and_says_so() -> None:
    ann = MailRecipient(name="Ann", address="ann@test.local")
    found = enclosed(mail("limited", ann), ann, [PAGE], "RUN")
    assert found.attachments == ()
    assert "neither certificate nor age key" in found.said[0]


@pytest.mark.system
def test_age_opens_what_is_encrypted_to_an_age_key(tmp_path: Path) -> None:
    if shutil.which("age") is None:
        pytest.skip("age not installed: apt-get install age")
    secret, public = new_identity()
    (tmp_path / "key").write_text(secret + "\n")
    ann = MailRecipient(name="Ann", address="ann@test.local", age=public)
    found = enclosed(mail("limited", ann), ann, [PAGE, PAPER], "RUN")
    assert [attachment.name for attachment in found.attachments] == [f"{PAGE.name}.age", f"{PAPER.name}.age"]
    for attachment, plain in zip(found.attachments, (PAGE, PAPER), strict=True):
        assert b"MARKER" not in attachment.data
        opened = subprocess.run(
            ["age", "-d", "-i", tmp_path / "key"], input=attachment.data, capture_output=True, check=True
        )
        assert opened.stdout == plain.data


@pytest.mark.system
def test_openssl_opens_what_is_encrypted_to_a_certificate(tmp_path: Path) -> None:
    if shutil.which("openssl") is None:
        pytest.skip("openssl not installed: apt-get install openssl")
    ann = MailRecipient(
        name="Ann", address="ann@test.local", certificate=certificate(tmp_path), age=new_identity()[1]
    )
    found = enclosed(mail("limited", ann), ann, [PAGE, PAPER], "RUN")
    assert [attachment.name for attachment in found.attachments] == [SMIME_NAME], (
        "the certificate comes first"
    )
    whole = bytes(
        message(
            mail("limited", ann), "O", CONTENT, [("Ann", ann.address)], BEGAN, attachments=found.attachments
        )
    )
    assert b"MARKER" not in whole
    (part,) = read(whole).iter_attachments()
    assert (part.get_content_type(), part.get_filename()) == ("message/rfc822", SMIME_NAME)
    inner = part.get_content()
    assert inner.get_content_type() == "application/pkcs7-mime"
    assert inner.get_param("smime-type") == "enveloped-data"
    (tmp_path / "report.eml").write_bytes(bytes(inner))
    opened = subprocess.run(
        ["openssl", "cms", "-decrypt", "-in", tmp_path / "report.eml", "-recip", tmp_path / "ann.pem",
         "-inkey", tmp_path / "ann.key"],
        capture_output=True,
        check=True,
    )  # fmt: skip
    files = {
        attached.get_filename(): attached.get_payload(decode=True)
        for attached in message_from_bytes(opened.stdout, policy=default).iter_attachments()  # type: ignore[attr-defined]
    }
    assert files == {PAGE.name: PAGE.data, PAPER.name: PAPER.data}


@pytest.mark.parametrize(
    ("made", "said"),
    [
        (lambda folder: folder / "no.pem", "can't be read"),
        (
            lambda folder: (folder / "ann.txt", (folder / "ann.txt").write_text("no"))[0],
            "is no certificate in PEM",
        ),
        (lambda folder: certificate(folder, elliptic=True), "has no RSA key"),
    ],
)
def test_a_certificate_that_can_not_be_used_costs_the_attachment_not_the_mail(
    tmp_path: Path, made, said
) -> None:
    ann = MailRecipient(name="Ann", address="ann@test.local", certificate=made(tmp_path))
    found = enclosed(mail("limited", ann), ann, [PAGE], "RUN")
    assert found.attachments == ()
    assert said in found.trouble
    assert said in found.said[0]
