"""A share in an S3-compatible object store, with object lock where the site wants it.

An object appears whole or not at all, and the store itself checks the SHA-256 that comes with it; it is read back all
the same. `If-None-Match` makes the store refuse a name that is taken; one that does not know it is asked first. With
object lock in mode COMPLIANCE nobody, whatever the password, can remove or replace what was put before its time.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO, cast
from urllib.parse import unquote, urlsplit

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError, NoCredentialsError

from vault.errors import ShareError, UsageError
from vault.files import CHUNK
from vault.share import layout
from vault.share.backend import Access, NameTakenError, ShareUnavailableError
from vault.share.folder import pieces

PART = 64 << 20
"""Bytes of one part of a large object; larger objects than this are sent in parts."""

_LOOK = 1000
"""Objects that are looked at to tell whether there is anything."""

_MISSING = frozenset(("404", "NoSuchKey", "NotFound"))
_TAKEN = frozenset(("412", "PreconditionFailed", "ConditionalRequestConflict"))
_REFUSED = frozenset(
    ("403", "AccessDenied", "InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken", "InvalidToken")
)
_FULL = frozenset(("XMinioStorageFull", "QuotaExceeded", "InsufficientStorage", "507"))
_BUSY = frozenset(("SlowDown", "ServiceUnavailable", "InternalError", "RequestTimeout", "503", "500"))
_UNKNOWN = frozenset(("NotImplemented", "501"))


class S3Share:
    """The share below `prefix` in a bucket, which must exist. Several threads may use it at once."""

    READ_AT_ONCE = 2

    def __init__(self, bucket: str, prefix: str, access: Access) -> None:
        self._bucket = bucket
        self._prefix = f"{prefix.strip('/')}/".lstrip("/")
        self._access = access
        self._lock = access.object_lock
        self._conditional = True
        try:
            self._client: Any = boto3.client(
                "s3",
                aws_access_key_id=access.user,
                aws_secret_access_key=access.password,
                endpoint_url=access.endpoint,
                region_name=access.region or "us-east-1",
                config=Config(
                    connect_timeout=access.timeout,
                    read_timeout=access.timeout,
                    retries={"max_attempts": 3, "mode": "standard"},
                    s3={"addressing_style": "path"} if access.endpoint else {},
                ),
            )
        except (BotoCoreError, ValueError) as error:
            raise UsageError(f"[share] endpoint or region can't be right: {type(error).__name__}") from None

    def __reduce__(self) -> tuple[Any, ...]:
        """Goes to a process of our own as a place and an account, which connects anew."""
        return S3Share, (self._bucket, self._prefix, self._access)

    @classmethod
    def at(cls, url: str, access: Access) -> S3Share:
        """The share at `s3://bucket/prefix`. Raises UsageError when it names no bucket."""
        parts = urlsplit(url)
        if not parts.hostname or ":" in parts.netloc:
            raise UsageError(
                f"share.url {url!r} must be s3://bucket/prefix; a server of your own goes into endpoint"
            )
        return cls(parts.netloc, unquote(parts.path), access)

    @property
    def place(self) -> str:
        """`s3://bucket/prefix`."""
        return f"s3://{self._bucket}/{self._prefix}".rstrip("/")

    def begin(self, *, first: bool) -> bool:
        """Check that the bucket is there, and drop what a cut-off delivery left (see `Share.begin`)."""
        try:
            with self._said():
                self._client.head_bucket(Bucket=self._bucket)
        except _NotThereError:
            raise ShareUnavailableError(
                f"the share {self.place} is not there: make the bucket, or correct share.url"
            ) from None
        checked = f"{layout.ROOT}/{layout.CHECK}/"
        empty = all(name.startswith(checked) for name in islice(self.list(f"{layout.ROOT}/"), _LOOK))
        if empty and not first:
            raise ShareUnavailableError(
                f"the share {self.place} does not hold {layout.ROOT}/, although files were delivered there before: "
                "is it the right prefix? If it is a new one, give it another."
            )
        with contextlib.suppress(
            ShareError
        ):  # an account may have no right to; what lies there is only waste
            self._abort_uploads()
        return empty

    def exists(self, name: str) -> bool:
        """Tell whether the share has `name`."""
        try:
            self._head(name)
        except _NotThereError:
            return False
        return True

    def size(self, name: str) -> int:
        """Return the bytes of `name`."""
        return int(self._head(name)["ContentLength"])

    def put(self, name: str, source: Path) -> None:
        """Copy `source` to `name`, checked by the store and read back, never replacing (see `Share.put`)."""
        if self.exists(name):
            raise NameTakenError(f"the share {self.place} already has {name}")
        digest, size = hashlib.sha256(), 0
        for piece in pieces(source):
            digest.update(piece)
            size += len(piece)
        send = self._put_parts if size > PART else self._put_whole
        try:
            send(name, source, digest.digest())
        except _UnknownError:  # a store that has no If-None-Match
            self._conditional = False
            send(name, source, digest.digest())
        if self._hash(name) != digest.digest():
            raise ShareError(
                f"the share {self.place} did not give back what was written to it ({name}); check the object store, "
                "the file stays in the outbox"
            )

    @contextmanager
    def read(self, name: str) -> Iterator[BinaryIO]:
        """Open `name` for reading."""
        with self._said():
            body = self._client.get_object(Bucket=self._bucket, Key=self._key(name))["Body"]
        try:
            yield cast("BinaryIO", _Reader(self, body))
        finally:
            body.close()

    def list(self, prefix: str) -> Iterator[str]:
        """Yield the names that begin with `prefix`."""
        with self._said():
            pages = self._client.get_paginator("list_objects_v2").paginate(
                Bucket=self._bucket, Prefix=self._prefix + prefix
            )
            for page in pages:
                yield from (entry["Key"][len(self._prefix) :] for entry in page.get("Contents", ()))

    def remove(self, name: str) -> None:
        """Remove `name`, all its versions; no error if it is not there. Raises ShareError while it is locked."""
        key = self._key(name)
        with self._said():
            pages = self._client.get_paginator("list_object_versions").paginate(
                Bucket=self._bucket, Prefix=key
            )
            for page in pages:
                for version in (*page.get("Versions", ()), *page.get("DeleteMarkers", ())):
                    if version["Key"] == key:
                        self._client.delete_object(
                            Bucket=self._bucket, Key=key, VersionId=version["VersionId"]
                        )

    def locked_until(self, name: str) -> datetime | None:
        """Return until when nobody can remove `name`; None where the store does not say that it is locked."""
        found: datetime | None = self._head(name).get("ObjectLockRetainUntilDate")
        return found

    # --- steps

    def _key(self, name: str) -> str:
        return self._prefix + layout.checked(name)

    def _head(self, name: str) -> dict[str, Any]:
        with self._said():
            found: dict[str, Any] = self._client.head_object(Bucket=self._bucket, Key=self._key(name))
        return found

    def _locked(self) -> dict[str, Any]:
        if self._lock is None:
            return {}
        until = datetime.now(UTC) + timedelta(seconds=self._lock)
        return {"ObjectLockMode": "COMPLIANCE", "ObjectLockRetainUntilDate": until}

    def _if_new(self) -> dict[str, str]:
        return {"IfNoneMatch": "*"} if self._conditional else {}

    def _put_whole(self, name: str, source: Path, sha256: bytes) -> None:
        with self._said(), source.open("rb") as file:
            self._client.put_object(
                Bucket=self._bucket,
                Key=self._key(name),
                Body=file,
                ChecksumAlgorithm="SHA256",
                ChecksumSHA256=base64.b64encode(sha256).decode(),
                **self._locked(),
                **self._if_new(),
            )

    def _put_parts(self, name: str, source: Path, _sha256: bytes) -> None:
        where = {"Bucket": self._bucket, "Key": self._key(name)}
        with self._said():
            upload = self._client.create_multipart_upload(
                **where, ChecksumAlgorithm="SHA256", **self._locked()
            )
            where["UploadId"] = upload["UploadId"]
            try:
                parts = [self._part(where, number, data) for number, data in enumerate(_parts(source), 1)]
                self._client.complete_multipart_upload(
                    **where, MultipartUpload={"Parts": parts}, **self._if_new()
                )
            except BaseException:
                with contextlib.suppress(ClientError, BotoCoreError):
                    self._client.abort_multipart_upload(**where)
                raise

    def _part(self, where: dict[str, str], number: int, data: bytes) -> dict[str, Any]:
        checksum = base64.b64encode(hashlib.sha256(data).digest()).decode()
        sent = self._client.upload_part(
            **where, PartNumber=number, Body=data, ChecksumAlgorithm="SHA256", ChecksumSHA256=checksum
        )
        return {"PartNumber": number, "ETag": sent["ETag"], "ChecksumSHA256": checksum}

    def _hash(self, name: str) -> bytes:
        digest = hashlib.sha256()
        with self.read(name) as file:
            while piece := file.read(CHUNK):
                digest.update(piece)
        return digest.digest()

    def _abort_uploads(self) -> None:
        with self._said():
            found = self._client.list_multipart_uploads(Bucket=self._bucket, Prefix=self._prefix)
            for upload in found.get("Uploads", ()):
                self._client.abort_multipart_upload(
                    Bucket=self._bucket, Key=upload["Key"], UploadId=upload["UploadId"]
                )

    @contextmanager
    def _said(self) -> Iterator[None]:
        """Say in a ShareError what a failure means and what to do."""
        try:
            yield
        except ClientError as error:
            raise self._meaning(str(error.response.get("Error", {}).get("Code", ""))) from None
        except NoCredentialsError:
            raise ShareUnavailableError(
                f"the share {self.place} needs an account: set [share] user and password_file"
            ) from None
        except (BotoCoreError, HTTPClientError) as error:
            raise ShareUnavailableError(
                f"the share {self.place} can't be reached or went away ({type(error).__name__}): check the network, "
                "[share] endpoint and the object store"
            ) from None

    def _meaning(self, code: str) -> ShareError:
        place = f"the share {self.place}"
        for codes, kind, text in _MEANINGS:
            if code in codes:
                return kind(text.format(place=place, code=code))
        return ShareError(f"{place} failed ({code}): look into the object store's log")


class _NotThereError(ShareError):
    """There is no such object."""


class _UnknownError(ShareError):
    """The store does not know what was asked of it."""


_MEANINGS: tuple[tuple[frozenset[str], type[ShareError], str], ...] = (
    (_MISSING, _NotThereError, "{place} does not have a file that should be there"),
    (_TAKEN, NameTakenError, "{place} already has a file of this name"),
    (
        frozenset(("NoSuchBucket",)),
        ShareUnavailableError,
        "{place} is not there: make the bucket, or correct share.url",
    ),
    (
        _REFUSED,
        ShareUnavailableError,
        "{place} refuses the account ({code}): check [share] user and password_file, its rights, whether it has "
        "expired, and this computer's clock",
    ),
    (_FULL, ShareUnavailableError, "{place} is full ({code}): free space or enlarge it"),
    (_BUSY, ShareUnavailableError, "{place} can't serve now ({code})"),
    (_UNKNOWN, _UnknownError, "{place} does not know what it was asked ({code})"),
    (
        frozenset(("InvalidRequest", "InvalidRetentionPeriod", "ObjectLockConfigurationNotFoundError")),
        ShareUnavailableError,
        "{place} refuses the object lock ({code}): make a bucket with object lock, or leave [share] object_lock out",
    ),
)
"""What error codes of the store mean."""


def _parts(source: Path) -> Iterator[bytes]:
    part = bytearray()
    for piece in pieces(source):
        part += piece
        if len(part) >= PART:
            yield bytes(part)
            part.clear()
    if part:
        yield bytes(part)


class _Reader:
    """An object on its way, as much of `BinaryIO` as readers use."""

    def __init__(self, share: S3Share, body: Any) -> None:
        self._share = share
        self._body = body

    def read(self, size: int = -1, /) -> bytes:
        """Return up to `size` bytes (all that is left when negative), none at the end. Raises ShareError."""
        with self._share._said():  # one module, one thing
            data: bytes = self._body.read(None if size < 0 else size)
        return data
