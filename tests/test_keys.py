"""The keys of a vault, read back by the stock tools that must understand them."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vault import keys
from vault.errors import ConfigError


def test_a_recipient_is_an_age_public_key() -> None:
    _, public = keys.new_identity()
    assert keys.check_recipient(public)
    assert not keys.check_recipient(public[:-1] + ("q" if public[-1] != "q" else "p"))
    assert not keys.check_recipient("ssh-ed25519 AAAA")
    assert not keys.check_recipient("")
    assert not keys.check_recipient("age1" + "q" * 1000)


def test_public_key_of_an_identity() -> None:
    secret, public = keys.new_identity()
    assert secret.startswith("AGE-SECRET-KEY-1")
    assert keys.public_key(secret) == public
    with pytest.raises(ValueError, match="not an age secret key"):
        keys.public_key(public)


def test_signing_key_is_one_that_ssh_keygen_reads(tmp_path: Path) -> None:
    path = tmp_path / "signing_key"
    path.touch(0o600)
    path.write_bytes(keys.new_signing_key())
    said = subprocess.run(["ssh-keygen", "-y", "-f", path], capture_output=True, check=True, text=True).stdout
    assert said.split()[:2] == keys.signing_public_key(path).split()


@pytest.mark.parametrize("content", [b"", b"-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n", b"\xff" * 100])
def test_what_is_no_signing_key(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "signing_key"
    path.write_bytes(content)
    with pytest.raises(ConfigError, match="not an OpenSSH private key"):
        keys.signing_public_key(path)


def test_pseudonym_key_comes_back(tmp_path: Path) -> None:
    path = tmp_path / "pseudonym.key"
    path.write_bytes(keys.new_pseudonym_key())
    key = keys.read_pseudonym_key(path)
    assert len(key) == keys.PSEUDONYM_KEY_LENGTH
    assert keys.Pseudonyms.load(path).of("1") == keys.Pseudonyms(key).of("1")


@pytest.mark.parametrize("content", [b"", b"0" * 63, b"0" * 66, b"G" * 64, b"\xff" * 64])
def test_what_is_no_pseudonym_key(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "pseudonym.key"
    path.write_bytes(content)
    with pytest.raises(ConfigError, match="64 hexadecimal digits"):
        keys.read_pseudonym_key(path)


def test_a_missing_pseudonym_key_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="safe"):
        keys.read_pseudonym_key(tmp_path / "absent")


@given(st.text(), st.text())
def test_pseudonyms_tell_patients_apart_and_do_not_name_them(one: str, two: str) -> None:
    pseudonyms = keys.Pseudonyms(bytes(32))
    assert (pseudonyms.of(one) == pseudonyms.of(two)) == (one == two)
    assert len(pseudonyms.of(one)) == 16
    assert pseudonyms.of(one) != keys.Pseudonyms(bytes(31) + b"\1").of(one)


def test_pseudonyms_are_the_same_for_ever() -> None:
    # HMAC-SHA256 of "12345" under 32 zero bytes: `printf 12345 | openssl dgst -sha256 -mac HMAC -macopt hexkey:00…`
    assert keys.Pseudonyms(bytes(32)).of("12345") == "ae23c8f573d36c7a"


def test_a_short_pseudonym_key_is_refused() -> None:
    with pytest.raises(ValueError, match="32 bytes"):
        keys.Pseudonyms(b"short")
