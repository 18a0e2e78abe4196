"""The normal forms of documents and rows written anew, when a new version of the vault writes them otherwise."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from vault.archive.blobs import Blob, Bytes
from vault.archive.emr_paths import FILED, RECORD, database_path, is_document
from vault.archive.stage import OpenBlob, Tree
from vault.files import CHUNK
from vault.normal import document, rows


def renormalized(base: Tree, open_blob: OpenBlob, workspace: Path) -> Iterator[tuple[str, Blob]]:
    """Yield path and normal form of every document and query of a tree whose normal form is no longer the one.

    What came from the database is taken over, since the rows are not kept otherwise; the text is extracted again from
    the documents' bytes. Raises IntegrityError when a blob is damaged.
    """
    for path in (database_path(query) for query in FILED):
        if path in base:
            yield from _if_other(path, base, rows.with_header(_read(open_blob, base[path])))
    for path in filter(is_document, base):
        record = str(PurePosixPath(path).with_name(RECORD))
        if record in base:
            head = rows.with_header(document.head_of(_read(open_blob, base[record])))
            content = _content(open_blob, base[path], workspace)
            yield from _if_other(record, base, head + content)


def _if_other(path: str, base: Tree, form: bytes) -> Iterator[tuple[str, Blob]]:
    blob = Bytes(form)
    if base[path] != blob.oid:
        yield path, blob


def _content(open_blob: OpenBlob, oid: str, workspace: Path) -> bytes:
    workspace.mkdir(mode=0o700, exist_ok=True)
    copy = workspace / "document"
    with open_blob(oid) as blob, copy.open("wb") as file:
        while piece := blob.read(CHUNK):
            file.write(piece)
    try:
        return document.content(copy)
    finally:
        copy.unlink()


def _read(open_blob: OpenBlob, oid: str) -> bytes:
    with open_blob(oid) as stream:
        return b"".join(iter(lambda: stream.read(CHUNK), b""))
