"""Which documents of a run are the ones that the vault has already: noted instead of kept once more.

    <root>/inbox/<run>/emr/<patient>/known.json       document key to file name and git blob id

Ten thousand unchanged documents a night would otherwise be written to disk only to be thrown away. The notes are not
made durable, which would cost more than reading the documents did: whoever loses one has a document that was not
retrieved tonight, and the next run retrieves it.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import msgspec

from vault.files import private_folder, temporary
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
        """Keep which documents are known, by key; the last call counts."""
        if documents:
            path = self._path(patient_id)
            private_folder(path.parent)
            with temporary(path.parent) as (unfinished, file):
                file.write(msgspec.json.encode(dict(documents)))
                file.flush()
                unfinished.replace(path)

    def read(self, patient_id: str) -> dict[str, KnownDocument]:
        """What was noted of a patient; nothing where a power cut left half of it."""
        path = self._path(patient_id)
        try:
            return msgspec.json.decode(path.read_bytes(), type=dict[str, KnownDocument])
        except (FileNotFoundError, msgspec.DecodeError):
            return {}

    def _path(self, patient_id: str) -> Path:
        return self._folder / safe_name(patient_id) / "known.json"
