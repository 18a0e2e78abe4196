"""The share in an object store: the contract, object lock, and what goes wrong there."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from contract import NAME, ShareContract
from share_kit import SharedVault, refs

from vault.department.ports import free_ports
from vault.errors import ExitCode, ShareError, UsageError
from vault.restore import restore
from vault.share import s3
from vault.share.backend import Access, NameTakenError, ShareUnavailableError, open_share
from vault.share.envelope import parse_identities
from vault.share.s3 import S3Share


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    from moto.server import ThreadedMotoServer

    (port,) = free_ports(1)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=port, verbose=False)
    server.start()
    yield f"http://127.0.0.1:{port}"
    server.stop()


@pytest.fixture
def client(endpoint: str) -> Any:
    return boto3.client(
        "s3",
        endpoint_url=endpoint,
        region_name="us-east-1",
        aws_access_key_id="a",
        aws_secret_access_key="b",
    )


@pytest.fixture
def bucket(client: Any, request: pytest.FixtureRequest) -> str:
    """A bucket of its own for each test, with object lock."""
    name = f"b{abs(hash(request.node.name))}"
    client.create_bucket(Bucket=name, ObjectLockEnabledForBucket=True)
    return name


def access(endpoint: str, **more: Any) -> Access:
    return Access(user="a", password="b", endpoint=endpoint, timeout=5, **more)


class TestS3(ShareContract):
    @pytest.fixture
    def share(self, endpoint: str, bucket: str) -> S3Share:
        share = open_share(f"s3://{bucket}/department/backup", access(endpoint))
        assert isinstance(share, S3Share)
        return share

    def test_lies_below_the_prefix(self, share: S3Share, source: Path, client: Any, bucket: str) -> None:
        share.begin(first=True)
        share.put(NAME, source)
        (found,) = client.list_objects_v2(Bucket=bucket)["Contents"]
        assert found["Key"] == f"department/backup/{NAME}"

    def test_a_name_taken_meanwhile_is_refused_by_the_store(
        self, share: S3Share, source: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        share.begin(first=True)
        share.put(NAME, source)
        monkeypatch.setattr(S3Share, "exists", lambda self, name: False)
        with pytest.raises(NameTakenError):
            share.put(NAME, source)

    def test_large_objects_go_in_parts(
        self, share: S3Share, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(s3, "PART", 5 << 20)
        share.begin(first=True)
        (tmp_path / "big").write_bytes(os.urandom(12 << 20))
        share.put(NAME, tmp_path / "big")
        with share.read(NAME) as file:
            assert file.read() == (tmp_path / "big").read_bytes()
        with pytest.raises(NameTakenError):
            share.put(NAME, tmp_path / "big")

    def test_what_comes_back_changed_is_not_delivered(
        self, share: S3Share, source: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        share.begin(first=True)
        monkeypatch.setattr(S3Share, "_hash", lambda self, name: b"other")
        with pytest.raises(ShareError, match="did not give back"):
            share.put(NAME, source)

    def test_an_old_store_without_if_none_match_is_asked_first(
        self, share: S3Share, source: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        true_put = share._client.put_object

        def put(**arguments: Any) -> Any:
            if "IfNoneMatch" in arguments:
                from botocore.exceptions import ClientError

                raise ClientError({"Error": {"Code": "NotImplemented"}}, "PutObject")
            return true_put(**arguments)

        monkeypatch.setattr(share._client, "put_object", put)
        share.begin(first=True)
        share.put(NAME, source)
        with pytest.raises(NameTakenError):
            share.put(NAME, source)


def test_what_is_locked_can_not_be_removed(endpoint: str, bucket: str, tmp_path: Path) -> None:
    share = S3Share.at(f"s3://{bucket}", access(endpoint, object_lock=3600.0))
    share.begin(first=True)
    (tmp_path / "source").write_bytes(b"x")
    share.put(NAME, tmp_path / "source")
    assert share.locked_until(NAME) is not None
    with pytest.raises(ShareError, match="refuses"):
        share.remove(NAME)
    assert share.exists(NAME)


def test_every_version_is_removed(endpoint: str, bucket: str, client: Any) -> None:
    share = S3Share.at(f"s3://{bucket}", access(endpoint))
    for content in (b"one", b"two"):
        client.put_object(Bucket=bucket, Key=NAME, Body=content)
    client.delete_object(Bucket=bucket, Key=NAME)
    share.remove(NAME)
    found = client.list_object_versions(Bucket=bucket)
    assert "Versions" not in found
    assert "DeleteMarkers" not in found


def test_a_bucket_that_is_not_there_is_said(endpoint: str) -> None:
    share = S3Share.at("s3://nothing-here/x", access(endpoint))
    with pytest.raises(ShareUnavailableError, match="s3://nothing-here/x is not there"):
        share.begin(first=True)


def test_a_share_that_was_used_and_is_empty_is_another(endpoint: str, bucket: str) -> None:
    with pytest.raises(ShareUnavailableError, match="although files were delivered"):
        S3Share.at(f"s3://{bucket}", access(endpoint)).begin(first=False)


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("AccessDenied", "refuses the account"),
        ("ExpiredToken", "expired"),
        ("SignatureDoesNotMatch", "clock"),
        ("XMinioStorageFull", "is full"),
        ("SlowDown", "can't serve now"),
        ("InvalidRequest", "object lock"),
    ],
)
def test_what_the_store_says_is_one_clear_sentence(
    endpoint: str, bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: str, said: str
) -> None:
    from botocore.exceptions import ClientError

    def refused(**arguments: Any) -> Any:
        raise ClientError({"Error": {"Code": code}}, "PutObject")

    share = S3Share.at(f"s3://{bucket}", access(endpoint))
    monkeypatch.setattr(share._client, "put_object", refused)
    (tmp_path / "source").write_bytes(b"x")
    with pytest.raises(ShareUnavailableError, match=said):
        share.put(NAME, tmp_path / "source")


def test_a_store_that_is_not_there_is_said() -> None:
    (port,) = free_ports(1)
    share = S3Share.at("s3://b/x", Access("a", "b", f"http://127.0.0.1:{port}", timeout=1))
    with pytest.raises(ShareUnavailableError, match="can't be reached"):
        share.begin(first=True)


def test_an_endpoint_that_is_none() -> None:
    with pytest.raises(UsageError, match="endpoint"):
        open_share("s3://b/x", Access("a", "b", "not a url"))
    with pytest.raises(UsageError, match="s3://bucket"):
        open_share("s3:///x")


def test_there_and_back(endpoint: str, bucket: str, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.touch(mode=0o600)
    secret.write_text("b\n")
    extra = f'user = "a"\npassword_file = "{secret}"\nendpoint = "{endpoint}"\nobject_lock = "35d"\n'
    vault = SharedVault(tmp_path / "vault", url=f"s3://{bucket}/x", extra=extra).usual()
    report = restore(
        open_share(f"s3://{bucket}/x", access(endpoint)),
        parse_identities(vault.identity.read_text()),
        tmp_path / "new",
    )
    assert report.exit_code == ExitCode.DONE, report
    assert refs(tmp_path / "new") == refs(vault.folder)
