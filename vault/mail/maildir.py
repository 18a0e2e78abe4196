"""Mail into a maildir: a folder that any mail program reads, or that another program sends from.

As the format asks (https://cr.yp.to/proto/maildir.html), a message is written in `tmp/` and appears whole in `new/`.
Its name comes from the letter's id, so one that is there already is not put there again.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from vault import files
from vault.mail.transport import Letter, UnavailableError


class MaildirTransport:
    """Puts letters into the maildir `folder`, which is made where it is missing."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @property
    def place(self) -> str:
        """The folder's path."""
        return str(self.folder)

    @contextmanager
    def session(self) -> Iterator[MaildirTransport]:
        """Make the folders, and sweep what a killed process left."""
        try:
            for name in ("tmp", "new", "cur"):
                files.private_folder(self.folder / name)
            files.sweep(self.folder / "tmp")
        except OSError as error:
            raise UnavailableError(
                f"The maildir {self.folder} can't be used ({error.strerror}): correct [mail] maildir, or its rights."
            ) from None
        yield self

    def send(self, letter: Letter) -> None:
        """Put one letter there, durably, unless it is there."""
        name = f"{letter.written}.{letter.id}.vault"
        seen = (
            path.name.partition(":")[0] for path in (self.folder / "cur").iterdir()
        )  # flags follow a colon
        if name in seen:
            return
        try:
            with files.temporary(self.folder / "tmp") as (path, file):
                file.write(letter.data.replace(b"\r\n", b"\n"))
                file.flush()
                files.sync_file(path)
                with suppress(FileExistsError):
                    (self.folder / "new" / name).hardlink_to(path)
            files.sync_folder(self.folder / "new")
        except OSError as error:
            raise UnavailableError(
                f"The maildir {self.folder} can't be written ({error.strerror}): look at its disk."
            ) from None
