"""What the archive's tests share: a key pair, a vault root, and stock git to check with."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from archive_kit import Keys, Run
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from vault.archive.repository import PatientRepository
from vault.archive.signing import Signer


@pytest.fixture(scope="session")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Keys:
    folder = tmp_path_factory.mktemp("keys")
    private = folder / "signing_key"
    data = Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption())
    private.touch(mode=0o600)
    private.write_bytes(data)
    signer = Signer.load(private)
    allowed = folder / "allowed_signers"
    allowed.write_text(f'vault@localhost namespaces="git" {signer.public_line}\n')
    return Keys(private, allowed, signer)


@pytest.fixture
def repository(tmp_path: Path, keys: Keys) -> PatientRepository:
    return PatientRepository.create(tmp_path / "root", "4711", keys.allowed)


@pytest.fixture(scope="session")
def git() -> Run:
    """Stock git and friends, as a stranger has them; fails the test when they complain."""

    def run(*argv: str | Path, cwd: Path, check: bool = True) -> str:
        done = subprocess.run(
            [str(part) for part in argv],
            cwd=cwd,
            env={
                "PATH": os.environ["PATH"],
                "HOME": "/nonexistent",
                "LC_ALL": "C.UTF-8",
                "GIT_CONFIG_NOSYSTEM": "1",
            },
            capture_output=True,
            check=False,
        )
        output = (done.stdout + done.stderr).decode("utf-8", "surrogateescape")
        if check:
            assert done.returncode == 0, output
        return output

    return run


@pytest.fixture(scope="session")
def sound(git: Run) -> Callable[[Path], None]:
    """Assert that stock git finds nothing to complain about in a repository."""

    def check(path: Path) -> None:
        output = git("git", "fsck", "--strict", "--full", "--no-dangling", cwd=path)
        complaints = [
            line
            for line in output.splitlines()
            if not line.startswith(("Checking", "notice: HEAD", "notice: No"))
        ]
        assert complaints == []

    return check


@pytest.fixture(scope="session")
def sums_hold(git: Run) -> Callable[[Path, Path], int]:
    """Check a commit out and let stock sha256sum check every SHA256SUMS; returns how many there were."""

    def check(path: Path, into: Path) -> int:
        git("git", "clone", "--quiet", path, into, cwd=path)
        found = list(into.rglob("SHA256SUMS"))
        listed = set()
        for sums in found:
            git("sha256sum", "-c", "--strict", "--quiet", "SHA256SUMS", cwd=sums.parent)
            listed |= {sums.parent / name for name in _names(sums)}
        files = {
            file for file in into.rglob("*") if file.is_file() and ".git" not in file.relative_to(into).parts
        }
        assert files - {into / "SHA256SUMS"} == listed
        return len(found)

    return check


def _names(sums: Path) -> list[str]:
    from vault.archive.sums import parse

    return list(parse(sums.read_bytes()))
