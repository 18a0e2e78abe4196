from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1
from cryptography.hazmat.primitives.asymmetric.ec import generate_private_key as generate_ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
)
from hypothesis import given
from hypothesis import strategies as st

from vault.archive.signing import Signer, allowed_keys, verify
from vault.errors import ConfigError, IntegrityError

SIGNER = Signer(Ed25519PrivateKey.from_private_bytes(bytes(range(32))))


def allowed_of(signer: Signer, folder: Path) -> frozenset[bytes]:
    path = folder / "allowed"
    path.write_text(f"# a comment: ssh-ed25519 nothing\n\nvault@localhost {signer.public_line} comment\n")
    return allowed_keys(path)


def write_key(path: Path, key: Any) -> Path:
    path.touch(mode=0o600)
    path.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption()))
    return path


def test_ssh_keygen_accepts_a_signature(tmp_path: Path) -> None:
    (tmp_path / "allowed").write_text(f'vault@localhost namespaces="git" {SIGNER.public_line}\n')
    (tmp_path / "signature").write_text(SIGNER.sign(b"what was signed"))
    argv = [
        "ssh-keygen",
        "-Y",
        "verify",
        "-f",
        "allowed",
        "-I",
        "vault@localhost",
        "-n",
        "git",
        "-s",
        "signature",
    ]
    good = subprocess.run(argv, cwd=tmp_path, input=b"what was signed", capture_output=True, check=False)
    assert good.returncode == 0, good.stderr
    bad = subprocess.run(argv, cwd=tmp_path, input=b"what was altered", capture_output=True, check=False)
    assert bad.returncode != 0


def test_a_signature_by_ssh_keygen_is_accepted(tmp_path: Path) -> None:
    key = write_key(tmp_path / "key", Ed25519PrivateKey.generate())
    done = subprocess.run(
        ["ssh-keygen", "-Y", "sign", "-f", key, "-n", "git"],
        input=b"payload",
        check=True,
        capture_output=True,
    )
    assert verify(b"payload", done.stdout.decode(), allowed_of(Signer.load(key), tmp_path))


@given(st.binary(max_size=200), st.binary(max_size=200))
def test_only_what_was_signed_verifies(
    tmp_path_factory: pytest.TempPathFactory, payload: bytes, other: bytes
) -> None:
    allowed = allowed_of(SIGNER, tmp_path_factory.mktemp("keys"))
    signature = SIGNER.sign(payload)
    assert verify(payload, signature, allowed) in allowed
    if other != payload:
        with pytest.raises(IntegrityError):
            verify(other, signature, allowed)
    with pytest.raises(IntegrityError, match="does not list"):
        verify(payload, signature, frozenset())
    with pytest.raises(IntegrityError):
        verify(payload, signature, allowed, namespace=b"file")


@given(st.text(max_size=100) | st.binary(max_size=200).map(lambda data: data.decode("latin-1")))
def test_no_text_is_taken_for_a_signature(text: str) -> None:
    framed = f"-----BEGIN SSH SIGNATURE-----\n{text}\n-----END SSH SIGNATURE-----"
    for armored in (text, framed):
        with pytest.raises(IntegrityError):
            verify(b"", armored, frozenset({bytes(32)}))


def test_a_key_that_cannot_be_used_is_refused_with_the_remedy(tmp_path: Path) -> None:
    key = Ed25519PrivateKey.generate()
    with pytest.raises(ConfigError, match="No such file"):
        Signer.load(tmp_path / "missing")
    readable = write_key(tmp_path / "readable", key)
    readable.chmod(0o640)
    with pytest.raises(ConfigError, match="chmod 600"):
        Signer.load(readable)
    encrypted = write_key(tmp_path / "encrypted", key)
    subprocess.run(["ssh-keygen", "-q", "-p", "-N", "secret", "-f", encrypted], check=True)
    with pytest.raises(ConfigError, match="passphrase"):
        Signer.load(encrypted)
    with pytest.raises(ConfigError, match="not an Ed25519"):
        Signer.load(write_key(tmp_path / "other", generate_ec(SECP256R1())))
    (tmp_path / "readable").write_bytes(b"no key")
    readable.chmod(0o600)
    with pytest.raises(ConfigError, match="not an OpenSSH"):
        Signer.load(readable)


def test_an_allowed_signers_file_without_keys_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "allowed"
    with pytest.raises(ConfigError, match="can't be read"):
        allowed_keys(path)
    path.write_text("# nobody\n")
    with pytest.raises(ConfigError, match="no ssh-ed25519 key"):
        allowed_keys(path)
    path.write_text("vault@localhost ssh-ed25519 AAAA\n")
    with pytest.raises(ConfigError, match="damaged"):
        allowed_keys(path)
