from __future__ import annotations

import hashlib
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vault.archive.blobs import Bytes, hash_file
from vault.files import CHUNK


@pytest.mark.parametrize("size", [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 3 * CHUNK])
def test_a_file_gets_gits_blob_id_and_its_sha256(tmp_path: Path, size: int) -> None:
    path = tmp_path / "object"
    path.write_bytes(b"\x5a" * size)
    found = hash_file(path)
    expected = subprocess.run(["git", "hash-object", path], check=True, capture_output=True, text=True)
    assert found.oid == expected.stdout.strip()
    assert found.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert found.size == size
    assert b"".join(found.chunks()) == path.read_bytes()


@given(st.binary(max_size=300))
def test_bytes_and_a_file_of_the_same_content_agree(
    tmp_path_factory: pytest.TempPathFactory, data: bytes
) -> None:
    path = tmp_path_factory.mktemp("blob") / "object"
    path.write_bytes(data)
    one, two = hash_file(path), Bytes(data)
    assert (one.oid, one.sha256, one.size) == (two.oid, two.sha256, two.size)
    assert b"".join(two.chunks()) == data


def test_a_symbolic_link_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("/etc/passwd")
    with pytest.raises(OSError):
        hash_file(tmp_path / "link")
