from __future__ import annotations

import subprocess

from hypothesis import given
from hypothesis import strategies as st

from vault.share import layout

OID = "ce013625030ba8dba906f756967f9e9ca394464a"


def test_names_mean_nothing_and_stay_the_same() -> None:
    name = layout.blob_name(bytes(32), OID)
    assert name == layout.blob_name(bytes(32), OID)
    assert name != layout.blob_name(b"\1" * 32, OID)
    assert OID not in name


def test_stock_openssl_makes_the_same_name() -> None:
    made = subprocess.run(
        ["openssl", "dgst", "-sha256", "-mac", "HMAC", "-macopt", f"hexkey:{'07' * 32}"],
        input=OID.encode(),
        capture_output=True,
        check=True,
    )
    digest = made.stdout.decode().split()[-1]
    assert layout.blob_name(b"\7" * 32, OID) == f"v1/blobs/{digest}.age"


@given(st.text(alphabet="0123456789abcdef", min_size=40, max_size=40), st.binary(min_size=32, max_size=32))
def test_made_names_are_allowed_names(oid: str, key: bytes) -> None:
    name = layout.blob_name(key, oid)
    assert layout.checked(name) == name
