"""Where documents and database rows are in a patient's tree.

documents/<document key>/<file name>      a document's bytes as received
documents/<document key>/record.txt       its normal form: the row, its stamps, the text
database/<query>.txt                      the normal form of a query's rows
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from vault.names import safe_name

FILED = ("contacts", "demographics", "plans", "prescriptions", "schedule")
"""Queries whose rows are kept in `database/`."""

RECORD = "record.txt"
"""The normal form in a document's folder."""

_SUFFIX = re.compile(r"~~?[0-9a-v]*$")
_EXTENSION = re.compile(r"(?<=[^.])\.[0-9A-Za-z]{1,8}$")
_RESERVED = frozenset((RECORD, "sha256sums"))


def held_documents(tree: Iterable[tuple[str, str]]) -> dict[str, str]:
    """The documents of a tree (path and blob id): folder, which is the `safe_name` of the key, to blob id."""
    return {folder: oid for path, oid in tree if (folder := document_folder(path))}


def is_document(path: str) -> bool:
    """Whether `path` of a tree is a document's bytes."""
    parts = path.split("/")
    return len(parts) == 3 and parts[0] == "documents" and parts[2] not in (RECORD, "SHA256SUMS")


def file_name(original: str) -> str:
    """The name of a document in its folder: harmless, and still with the extension that a computer opens it by.

    It need not be unique, since a folder has one document: so it goes without the suffix that tells case apart.
    """
    name = _SUFFIX.sub("", safe_name(original))
    extension = _EXTENSION.search(original)
    if extension and not name.endswith(extension[0]):
        name += extension[0]
    return f"~{name}" if not name or name.lower() in _RESERVED else name


def database_path(query: str) -> str:
    """Where the rows of a query are kept in the tree."""
    return f"database/{query}.txt"


def record_path(folder: str) -> str:
    """The normal form of the document in `documents/<folder>`."""
    return f"documents/{folder}/{RECORD}"


def document_folder(path: str) -> str:
    """The folder of a document, given the path of its bytes; empty for any other path."""
    return path.split("/")[1] if is_document(path) else ""
