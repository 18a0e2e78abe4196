"""What changed in a patient's tree between two commits.

Git says which paths differ without reading them; only objects that were changed have their normal forms compared.
Where the two commits wrote different versions of the normal form, or the configuration now leaves out other
attributes than they did, both sides are normalized anew from the objects themselves.
"""

from __future__ import annotations

import io
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from vault.archive.emr_paths import RECORD, is_document
from vault.archive.repository import PatientRepository
from vault.compare.emr import document_title, form_changes
from vault.compare.flat import DERIVED, json_changes
from vault.compare.lines import attribute_changes
from vault.compare.titles import title
from vault.files import CHUNK
from vault.model import AttributeChange, Change
from vault.normal.dicom import normal_form
from vault.normal.volatile import SHIPPED, VolatileTable

LARGEST_FORM = 256 << 20
"""Bytes of a normal form that is compared line by line; a longer one is only said to differ."""

RANKS = ("RTPLAN", "RTSTRUCT", "RTDOSE", "RTRECORD")
"""What a physicist reads first; the rest follows by name."""

SUMMARY = "patient.json"

_Pair = tuple[str | None, str | None]


def compare(
    repository: PatientRepository, old: str | None, new: str, volatile: VolatileTable = SHIPPED
) -> list[Change]:
    """Return the changes between two commits, ordered by modality and path; `old` None stands for an empty tree.

    `volatile` is the running configuration's table of attributes to leave out.

    Objects that were added or removed come without attributes: their title and path say which they are. What the
    archive derives from the objects (checksums, and what patient.json repeats of them) is no change of its own.
    """
    paths = {path: (before, after) for path, before, after in repository.changed_paths(old, new)}
    anew = old is not None and _labels(repository, old, new) != {volatile.label}
    changes = list(_Comparison(repository, paths, volatile if anew else None, new).changes())
    return sorted(changes, key=order)


def order(change: Change) -> tuple[int, str, str]:
    """Sort key: plans first, then structure sets, doses, records, images, and what is no object last."""
    rank = RANKS.index(change.modality) if change.modality in RANKS else len(RANKS)
    return (rank if change.modality else len(RANKS) + 1, change.modality, change.path)


def _labels(repository: PatientRepository, *commits: str) -> set[str]:
    """The versions of the normal form that commits wrote."""
    return {repository.commit_info(commit).trailers.get("Normal-Form", "") for commit in commits}


@dataclass(frozen=True, slots=True)
class _Comparison:
    repository: PatientRepository
    paths: dict[str, _Pair]
    anew: VolatileTable | None
    """The table to normalize both sides with; None where the committed normal forms can be compared."""
    new: str
    """The later commit."""

    def changes(self) -> Iterator[Change]:
        objects = {_object_path(path) for path in self.paths if _object_path(path)}
        for path in sorted(objects):
            change = self._object(path)
            if change:
                yield change
        folders = {folder for path in self.paths if (folder := _document_folder(path))}
        for folder in sorted(folders):
            yield from self._document(folder)
        rows = {path for path in self.paths if _is_rows(path)}
        for path in sorted(rows):
            yield from self._rows(path)
        for path in sorted(self.paths):
            if path == SUMMARY:
                yield from self._summary(derived=bool(objects or folders or rows))
            elif not (_object_path(path) or _document_folder(path) or path in rows or _is_sums(path)):
                yield self._other(path)

    def _object(self, path: str) -> Change | None:
        """The change of one object, or None if its content is the same."""
        data = self.paths.get(path, (None, None))
        form = self.paths.get(_form_path(path), (None, None))
        modality = PurePosixPath(path).parts[1]
        present = data if any(data) else form
        if None in present:
            kind = "added" if present[0] is None else "removed"
            return Change(path, kind, modality, title(modality, self._either(form)))
        if self.anew is not None and not any(data):
            return None  # the same bytes, written down in another version of the normal form
        forms = self._forms(data, form)
        if forms is None:
            return Change(path, "changed", modality, modality, attributes=(_bytes_change(form),))
        attributes = attribute_changes(*forms)
        if not attributes and self.anew is None:  # other bytes, and nothing in the normal form says so
            attributes = (_bytes_change(data),)
        return (
            Change(path, "changed", modality, title(modality, forms[1]), attributes=attributes)
            if attributes
            else None
        )

    def _forms(self, data: _Pair, form: _Pair) -> tuple[bytes, bytes] | None:
        """Both normal forms, or None if they are too large to compare."""
        if self.anew is not None:
            sides = [self._normalized(oid, self.anew) for oid in data if oid]
        else:
            sides = [self._read(oid) for oid in form if oid]
            if not sides:  # only the bytes differ
                return b"", b""
        old, new = sides
        return None if old is None or new is None else (old, new)

    def _either(self, form: _Pair) -> bytes:
        """The normal form of an object that only one side has."""
        return next((self._read(oid) or b"" for oid in form if oid), b"")

    def _read(self, oid: str) -> bytes | None:
        if self.repository.size(oid) > LARGEST_FORM:
            return None
        with self.repository.stream(oid) as stream:
            return b"".join(iter(lambda: stream.read(CHUNK), b""))

    def _normalized(self, oid: str, volatile: VolatileTable) -> bytes | None:
        """The normal form of an object of the repository, made anew."""
        form = io.BytesIO()
        # without a name, so that no way out leaves patient data behind; beside the repository, on its encrypted disk
        with tempfile.TemporaryFile(dir=self.repository.path) as copy:
            with self.repository.stream(oid) as stream:
                while piece := stream.read(CHUNK):
                    copy.write(piece)
            copy.flush()
            normal_form(Path(f"/proc/self/fd/{copy.fileno()}"), form, volatile)
        return form.getvalue() if form.tell() <= LARGEST_FORM else None

    def _document(self, folder: str) -> Iterator[Change]:
        """The change of a document, under whatever file name; nothing where only stamps moved."""
        record = f"{folder}/{RECORD}"
        form = self.paths.get(record, (None, None))
        files = sorted(path for path in self.paths if path.startswith(f"{folder}/") and is_document(path))
        path = next(
            (path for path in files if self.paths[path][1]), files[0] if files else self._held(folder)
        )
        data = self.paths.get(path, (None, None)) if files else (None, None)
        title = document_title(self._either((form[1], form[0])), PurePosixPath(path).name)
        whole = form if any(form) else data
        if None in whole:
            yield Change(path, "removed" if whole[1] is None else "added", "", title)
            return
        attributes = self._form_changes(form) if any(form) else ()
        if not attributes and any(data):  # other bytes, and nothing in the normal form says so
            attributes = (_bytes_change(data),)
        if attributes:
            yield Change(path, "changed", "", title, attributes=attributes)

    def _held(self, folder: str) -> str:
        """The document in a folder of which only the record differs."""
        tree = self.repository.tree(self.new)
        held = (path for path in tree if path.startswith(f"{folder}/") and is_document(path))
        return next(held, f"{folder}/{RECORD}")

    def _rows(self, path: str) -> Iterator[Change]:
        """The change of what a query returned; nothing where only stamps moved."""
        form, query = self.paths[path], PurePosixPath(path).stem
        if None in form:
            yield Change(path, "removed" if form[1] is None else "added", "", query)
        elif attributes := self._form_changes(form):
            yield Change(path, "changed", "", query, attributes=attributes)

    def _form_changes(self, form: _Pair) -> tuple[AttributeChange, ...]:
        old, new = (self._read(oid) for oid in form if oid)
        return (_bytes_change(form),) if old is None or new is None else form_changes(old, new)

    def _summary(self, *, derived: bool) -> Iterator[Change]:
        old, new = (self._read(oid) if oid else None for oid in self.paths[SUMMARY])
        attributes = json_changes(old, new, without=DERIVED if derived else ())
        if attributes:
            kind = "added" if old is None else "removed" if new is None else "changed"
            shown = attributes if kind == "changed" else ()
            yield Change(SUMMARY, kind, "", "patient summary", attributes=shown)

    def _other(self, path: str) -> Change:
        old, new = pair = self.paths[path]
        kind = "added" if old is None else "removed" if new is None else "changed"
        attributes = (_bytes_change(pair),) if kind == "changed" else ()
        return Change(path, kind, "", PurePosixPath(path).name, attributes=attributes)


def _object_path(path: str) -> str:
    """The path of the DICOM object that `path` belongs to, itself or its normal form; empty if to none."""
    parts = PurePosixPath(path)
    if len(parts.parts) != 4 or parts.parts[0] != "dicom" or parts.suffix not in (".dcm", ".txt"):
        return ""
    return str(parts.with_suffix(".dcm"))


def _document_folder(path: str) -> str:
    """The folder of the document that `path` belongs to; empty if to none."""
    parts = path.split("/")
    return "/".join(parts[:2]) if len(parts) == 3 and parts[0] == "documents" and not _is_sums(path) else ""


def _is_rows(path: str) -> bool:
    return path.startswith("database/") and path.endswith(".txt") and path.count("/") == 1


def _is_sums(path: str) -> bool:
    return PurePosixPath(path).name == "SHA256SUMS"


def _form_path(path: str) -> str:
    return path.removesuffix(".dcm") + ".txt"


def _bytes_change(pair: _Pair) -> AttributeChange:
    """Says that a file's bytes differ, by git's ids, where no attribute can say more."""
    return AttributeChange("(bytes)", "", "", "", *pair)
