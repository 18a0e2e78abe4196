"""The folder that an export goes to, often on a stick: every path in it is made here, and nothing leads out of it.

A file gets its name only when its bytes are on the disk and proved. Renaming, not linking, gives it, since FAT and
exFAT know no hard links; where links work, the DICOMDIR's file-set costs no space.
"""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
from contextlib import suppress
from pathlib import Path, PurePosixPath

from vault.emergency import manifest as manifests
from vault.emergency.attributes import Readable
from vault.emergency.manifest import Manifest
from vault.errors import IntegrityError, UsageError, VaultError
from vault.files import CHUNK, TEMPORARY_PREFIX, private_folder, sweep, temporary

MARGIN = 16 << 20
"""Bytes that must stay free beyond the files themselves, for the index, the manifest and folders."""


class Target:
    """An open export folder. `manifest` is what it holds according to itself."""

    def __init__(self, root: Path, manifest: Manifest) -> None:
        self.root = root
        self.manifest = manifest
        self.can_link = False
        """Whether a second name for a file costs no space here."""
        self._folders: set[Path] = set()

    @classmethod
    def open(cls, root: Path, fresh: Manifest) -> Target:
        """Open `root`: empty or absent, or an earlier export, which is then continued.

        Raises UsageError when it holds anything else, VaultError when it can't be written.
        """
        root = root.absolute()
        try:
            if root.exists() and not root.is_dir():
                raise UsageError(
                    f"{root} is not a folder. Name an empty folder, or one that does not exist yet."
                )
            holds_something = root.is_dir() and any(
                not entry.name.startswith(TEMPORARY_PREFIX) for entry in root.iterdir()
            )
            manifest = manifests.load(root) if holds_something else fresh
            private_folder(root)
            sweep(root)
            target = cls(root, manifest)
            target.can_link = target._try_link()
        except OSError as error:
            raise explained(error, root) from error
        return target

    def _try_link(self) -> bool:
        with temporary(self.root) as (path, _):
            other = path.with_name(path.name + "-link")
            try:
                other.hardlink_to(path)
            except OSError:
                return False
            other.unlink()
            return True

    def require_space(self, size: int) -> None:
        """Raise VaultError when fewer than `size` bytes, and a margin, are free."""
        free = shutil.disk_usage(self.root).free
        if free < size + MARGIN:
            raise VaultError(
                f"The export needs {_human(size + MARGIN)}, and {self.root} has {_human(free)} free. "
                "Make room there, name another disk, or export fewer patients at once."
            )

    def holds(self, relative: str, sha256: str, size: int) -> bool:
        """Whether the file is there with these bytes; it is read whole to know."""
        path = self._path(relative)
        try:
            if path.is_symlink() or path.stat().st_size != size:
                return False
            with path.open("rb") as file:
                return hashlib.file_digest(file, "sha256").hexdigest() == sha256
        except FileNotFoundError:
            return False
        except OSError as error:
            raise explained(error, self.root) from error

    def size(self, relative: str) -> int | None:
        """The size of a file, None when it is not there."""
        try:
            return self._path(relative).lstat().st_size
        except OSError:
            return None

    def head(self, relative: str) -> bytes:
        """The first bytes of a file."""
        with _Explaining(self.root), self._path(relative).open("rb") as file:
            return file.read(CHUNK)

    def write(self, relative: str, source: Readable, sha256: str | None = None) -> tuple[str, int, bytes]:
        """Stream `source` into a file, durably; returns its SHA-256, its size and its first bytes.

        Raises IntegrityError, and leaves no file, when the SHA-256 is not the one given; VaultError when the disk
        refuses.
        """
        path = self._path(relative)
        digest, size, head = hashlib.sha256(), 0, b""
        with _Explaining(self.root):
            self._make_folder(path.parent)
            with temporary(path.parent) as (unfinished, file):
                while chunk := source.read(CHUNK):
                    digest.update(chunk)
                    size += len(chunk)
                    head = head or chunk[:CHUNK]
                    file.write(chunk)
                file.flush()
                os.fsync(file.fileno())
                found = digest.hexdigest()
                if sha256 is not None and found != sha256:
                    raise IntegrityError(
                        "Its bytes are not those that the vault's checksum stands for, so it was not exported. "
                        "Restore the repository from the share, or try --at with an earlier commit."
                    )
                unfinished.replace(path)
        return found, size, head

    def duplicate(self, relative: str, second: str, sha256: str, size: int) -> None:
        """Give a file a second place, as a link or a proved copy. Raises as `write` does."""
        path, other = self._path(relative), self._path(second)
        with _Explaining(self.root):
            self._make_folder(other.parent)
            if self.can_link:
                if other.is_symlink() or not other.exists() or not other.samefile(path):
                    other.unlink(missing_ok=True)
                    other.hardlink_to(path)
                return
            if not self.holds(second, sha256, size):
                with path.open("rb") as file:
                    self.write(second, file, sha256)

    def remove_others(self, folder: str, wanted: set[str]) -> None:
        """Remove the files below `folder` that are not `wanted` (paths relative to the root)."""
        for relative in self.files(folder):
            if relative not in wanted:
                with _Explaining(self.root):
                    self._path(relative).unlink()

    def files(self, folder: str = ".") -> list[str]:
        """Every file below `folder`, relative to the root, with `/`."""
        below = self.root / folder
        return sorted(
            path.relative_to(self.root).as_posix() for path in below.rglob("*") if not path.is_dir()
        )

    def sync(self) -> None:
        """Make the names in all folders durable."""
        for folder in sorted(self._folders | {self.root}):
            with suppress(OSError):  # some file systems of sticks can't; the files themselves are on the disk
                descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
                try:
                    os.fsync(descriptor)
                finally:
                    os.close(descriptor)

    def _path(self, relative: str) -> Path:
        parts = PurePosixPath(relative).parts
        if not parts or parts[0] == "/" or ".." in parts or "\0" in relative:
            raise ValueError("a path that leads out of the export")
        return self.root.joinpath(*parts)

    def _make_folder(self, folder: Path) -> None:
        """Make `folder`; a symbolic link on the way is refused, since it leads elsewhere."""
        if folder in self._folders:
            return
        step = folder
        while step != self.root:
            if step.is_symlink():
                raise UsageError(
                    f"{self.root} holds a symbolic link that this program did not make. Name an empty folder."
                )
            step = step.parent
        private_folder(folder)
        self._folders.add(folder)


class _Explaining:
    """Turns what a disk says into a sentence."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def __enter__(self) -> None:
        pass

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        if isinstance(error, OSError):
            raise explained(error, self._root) from error


def explained(error: OSError, root: Path) -> VaultError:
    """What a failed write to the export means, and what to do; the patient's folder stays out of it."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return VaultError(
            f"There is no room left on the disk of {root}. What was written is whole: make room, or name another "
            "disk, and run the same command again; it goes on from there."
        )
    return VaultError(
        f"{root} can't be written ({error.strerror or type(error).__name__}). Check that the disk is plugged in, "
        "mounted and not write-protected, then run the same command again; what was written is whole."
    )


def _human(size: int) -> str:
    value = float(size)
    for unit in ("bytes", "kB", "MB", "GB"):
        if value < 1000:
            return f"{value:.0f} {unit}" if unit == "bytes" else f"{value:.1f} {unit}"
        value /= 1000
    return f"{value:.1f} TB"
