"""The share as the vault sees it: a few operations that a folder, an SMB server and an object store can all do."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, Protocol
from urllib.parse import unquote, urlsplit

from vault.config import Share as ShareSection
from vault.errors import ShareError, UsageError

ALLOWED = "a folder's absolute path, file:///path/of/folder, smb://server[:port]/share/folder, or s3://bucket/prefix"


@dataclass(frozen=True, slots=True)
class Access:
    """What a share asks of whoever comes, beside its URL."""

    user: str | None = None
    """Account of the file server, or access key of the object store."""
    password: str | None = field(default=None, repr=False)
    endpoint: str | None = None
    """URL of the object store, where it is not Amazon's."""
    region: str | None = None
    object_lock: float | None = None
    """Seconds for which the object store must not let anybody remove what is put."""
    timeout: float = 60.0
    """Seconds until a server that says nothing counts as away."""


class ShareUnavailableError(ShareError):
    """No file can be delivered now: the share is away, full or read-only. The rest of the delivery waits."""


class NameTakenError(ShareError):
    """The share already has something under this name; nothing was written."""


class Share(Protocol):
    """Files under names made by `vault.share.layout`. Every method raises ShareError and no other error of its own.

    Several threads may put files at once. A share can be pickled, for a process of our own, which opens it anew.
    """

    READ_AT_ONCE: int
    """Files of one repository that are best read at the same time: while one comes, another is opened."""

    @property
    def place(self) -> str:
        """Where this is, as the operator spells it."""

    def begin(self, *, first: bool) -> bool:
        """Make ready for deliveries, and remove what a cut-off one left unfinished; True if the share was empty.

        `first` says that nothing was ever delivered here: only then may the layout's top folder be made, so that the
        bare mount point of a share that is away is never taken for the share. Raises ShareUnavailableError.
        """

    def exists(self, name: str) -> bool:
        """Tell whether the share has `name`."""

    def size(self, name: str) -> int:
        """Return the bytes of `name`, without reading them."""

    def put(self, name: str, source: Path) -> None:
        """Copy `source` to `name`: durable, read back and compared before it gets its name; never replaces a file.

        Raises NameTakenError when the name is there, ShareUnavailableError when no other file would fare better, and
        ShareError when the share does not give back what was written.
        """

    def read(self, name: str) -> AbstractContextManager[BinaryIO]:
        """Open `name` for reading."""

    def list(self, prefix: str) -> Iterator[str]:
        """Yield the names that begin with `prefix`, in no order, unfinished ones left out."""

    def remove(self, name: str) -> None:
        """Remove `name`; no error if it is not there."""


def open_share(url: str, access: Access | None = None) -> Share:
    """Return the backend for `url` without touching the share; raises UsageError that says what is allowed."""
    parts = urlsplit(url)
    if parts.username or parts.password:
        raise UsageError(
            "share.url holds an account: name it in `user`, and its password in a `password_file`"
        )
    access = access or Access()
    if parts.scheme == "smb":
        from vault.share.smb import SmbShare  # noqa: PLC0415  # 0.2 s that a folder does not cost

        return SmbShare.at(url, access)
    if parts.scheme == "s3":
        from vault.share.s3 import S3Share  # noqa: PLC0415

        return S3Share.at(url, access)
    return _folder(url)


def share_of(section: ShareSection) -> Share:
    """Return the share that `[share]` names, untouched. Raises ConfigError when its password can't be read."""
    access = Access(
        user=section.user,
        password=section.password(),
        endpoint=section.endpoint,
        region=section.region,
        object_lock=section.object_lock,
        timeout=section.timeout,
    )
    return open_share(section.url, access)


def _folder(url: str) -> Share:
    from vault.share.folder import FolderShare  # noqa: PLC0415  # it knows this module

    parts = urlsplit(url)
    if parts.scheme == "file" and parts.netloc in ("", "localhost"):
        path = unquote(parts.path)
    elif not parts.scheme:
        path = url
    else:
        raise UsageError(
            f"share.url {_without_secret(url)!r} is of a kind that vault does not know: it may be {ALLOWED}"
        )
    if not path.startswith("/"):
        raise UsageError(f"share.url {path!r} is not absolute: it may be {ALLOWED}")
    return FolderShare(Path(path))


def _without_secret(url: str) -> str:
    """Drop `user:password@` from a URL that goes into a message."""
    scheme, mark, rest = url.partition("://")
    return f"{scheme}{mark}{rest.rpartition('@')[2]}"
