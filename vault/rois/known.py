"""Which documents of a run are the ones that the vault has already: noted instead of kept once more.

    <root>/inbox/<run>/emr/<patient>/known.json       document key to file name and git blob id

Ten thousand unchanged documents a night would otherwise be written to disk only to be thrown away.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import msgspec

from vault.errors import IntegrityError
from vault.files import private_folder, write_file
from vault.names import safe_name


class KnownDocument(msgspec.Struct, frozen=True):
    """A document that was read and found to be the one that the vault has."""

    file_name: str
    """Its name at the source, without folders."""
    oid: str
    """Its git blob id, 40 hexadecimal digits."""


class Known:
    """The notes of one run; `folder` = `<root>/inbox/<run>`. `EmrInbox.clear` forgets them with the rest."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder / "emr"

    def write(self, patient_id: str, documents: Mapping[str, KnownDocument]) -> None:
        """Keep, durably, which documents are known, by key; the last call counts."""
        if documents:
            path = self._path(patient_id)
            private_folder(path.parent)
            write_file(path, msgspec.json.encode(dict(documents)), replace=True)

    def read(self, patient_id: str) -> dict[str, KnownDocument]:
        """What was noted of a patient. Raises IntegrityError when that is damaged."""
        path = self._path(patient_id)
        if not path.exists():
            return {}
        try:
            return msgspec.json.decode(path.read_bytes(), type=dict[str, KnownDocument])
        except msgspec.DecodeError:
            raise IntegrityError(
                f"{path} in the inbox is not what was written there: the disk or somebody changed it. Check the disk, "
                "remove the file, and run `vault sync` again."
            ) from None

    def _path(self, patient_id: str) -> Path:
        return self._folder / safe_name(patient_id) / "known.json"
