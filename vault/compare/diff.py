"""What changed in a patient's tree between two commits.

Git says which paths differ without reading them; only objects that were changed have their normal forms compared.
Where the two commits wrote different versions of the normal form, or the configuration now leaves out other
attributes than they did, both sides are normalized anew from the objects themselves.
"""

from __future__ import annotations

import io
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath

from vault.archive.emr_paths import RECORD, is_document
from vault.archive.repository import PatientRepository
from vault.compare.context import Context
from vault.compare.emr import document_title, form_changes
from vault.compare.findings import charts, findings, of_whole
from vault.compare.findings.contents import Contents
from vault.compare.findings.places import place
from vault.compare.findings.said import Said
from vault.compare.findings.series import MODALITIES as SLICED
from vault.compare.findings.telling import tell
from vault.compare.findings.vocabulary import Vocabulary
from vault.compare.flat import DERIVED, json_changes
from vault.compare.lines import attribute_changes
from vault.compare.revisions import CANDIDATES, MODALITIES, Issued, pairs
from vault.compare.rules import SEVERITIES, Rules, load, worst
from vault.compare.titles import title
from vault.files import CHUNK
from vault.model import AttributeChange, Change
from vault.normal.volatile import SHIPPED, VolatileTable

LARGEST_FORM = 256 << 20
"""Bytes of a normal form that is compared line by line; a longer one is only said to differ."""

LARGEST_OBJECT = 96 << 20
"""Bytes of an object whose pixels or contours are measured; a dose on a fine grid is half of that."""

RANKS = ("RTPLAN", "RTSTRUCT", "RTDOSE", "RTRECORD")
"""What a physicist reads first; the rest follows by name."""

SUMMARY = "patient.json"

_NOUNS = {"document": "document", "rows": "answer of the database", "summary": "summary", "file": "file"}

_Pair = tuple[str | None, str | None]


def compare(
    repository: PatientRepository,
    old: str | None,
    new: str,
    volatile: VolatileTable = SHIPPED,
    rules: Rules | None = None,
) -> list[Change]:
    """Return the changes between two commits, ordered by modality and path; `old` None stands for an empty tree.

    `volatile` is the running configuration's table of attributes to leave out, `rules` its rules for severities
    (None: those that ship with the vault).

    Objects that were added or removed come without attributes: their title and path say which they are. One that was
    issued anew under a new UID is `revised`, with what differs from its predecessor, which is then no change of its
    own. What the archive derives from the objects (checksums, and what patient.json repeats of them) is none either.
    """
    paths = {path: (before, after) for path, before, after in repository.changed_paths(old, new)}
    anew = old is not None and _labels(repository, old, new) != {volatile.label}
    context = Context(repository, old, new, lambda oid: _read(repository, oid))
    compared = _Comparison(repository, paths, volatile if anew else None, old, new, rules or load(), context)
    return sorted(_alike(list(compared.changes()), compared.tells), key=order)


def _alike(changes: list[Change], tells: Mapping[tuple[str, str], frozenset[str]]) -> Iterator[Change]:
    """The changes, where several objects differ in the same with a word of how many there are."""
    keys = {
        (change.path, finding.text): _differs(change, tells.get((change.path, finding.text), frozenset()))
        for change in changes
        if change.kind == "changed" and change.modality
        for finding in change.findings
    }
    counts = Counter(differs for _, differs in {(path, differs) for (path, _), differs in keys.items()})
    for change in changes:
        said = []
        for finding in change.findings:
            differs = keys.get((change.path, finding.text))
            count = counts[differs] if differs else 0
            text = f"{finding.text} (the same in {count} objects)" if count > 1 else finding.text
            said.append(replace(finding, text=text))
        yield replace(change, findings=tuple(said))


def _differs(change: Change, told: frozenset[str]) -> tuple[AttributeChange, ...]:
    """What of an object's attributes a finding tells of; all of them, where it does not say."""
    return tuple(one for one in change.attributes if not told or place(one.path).name in told)


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
    old: str | None
    """The earlier commit."""
    new: str
    """The later commit."""
    rules: Rules
    context: Context
    tells: dict[tuple[str, str], frozenset[str]] = field(default_factory=dict)
    """Which attributes a finding tells of, by path and text."""

    def changes(self) -> Iterator[Change]:
        objects = {_object_path(path) for path in self.paths if _object_path(path)}
        whole = [path for path in sorted(objects) if self._kind(path) != "changed"]
        revised, replaced = self._revisions(whole)
        for path in sorted(objects):
            if path in replaced:
                continue
            change = revised.get(path) or self._object(path)
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

    def _kind(self, path: str) -> str:
        """Whether an object was added, removed or changed."""
        data = self.paths.get(path, (None, None))
        return _pair_kind(data if any(data) else self.paths.get(_form_path(path), (None, None)))

    def _object(self, path: str) -> Change | None:
        """The change of one object, or None if its content is the same."""
        data = self.paths.get(path, (None, None))
        form = self.paths.get(_form_path(path), (None, None))
        modality, kind = _modality(path), self._kind(path)
        if kind != "changed":
            text = self._either(form)
            more = list(self.context.said(path, kind, text))
            said = more if more and modality in SLICED else [*of_whole(modality, kind, text), *more]
            return self._weighed(Change(path, kind, modality, title(modality, text)), said)
        if self.anew is not None and not any(data):
            return None  # the same bytes, written down in another version of the normal form
        forms = self._forms(data, form)
        if forms is None:
            return self._told(
                Change(path, "changed", modality, modality, attributes=(_bytes_change(form),)), b"", b"", data
            )
        attributes = attribute_changes(*forms)
        if not attributes and self.anew is None:  # other bytes, and nothing in the normal form says so
            attributes = (_bytes_change(data),)
        if not attributes:
            return None
        change = Change(path, "changed", modality, title(modality, forms[1]), attributes=attributes)
        return self._told(change, *forms, data)

    def _told(self, change: Change, old: bytes, new: bytes, data: _Pair) -> Change:
        """A changed object with its findings."""
        contents = Contents(lambda: (self._content(oid) for oid in data if oid))
        return self._weighed(change, findings(change.modality, change.attributes, old, new, contents))

    def _contents(self, earlier: str, later: str) -> Contents:
        """An object and the one that it replaces."""
        trees = (self.repository.tree(self.old), self.repository.tree(self.new))
        oids = [tree.get(path) for tree, path in zip(trees, (earlier, later), strict=True)]
        return Contents(lambda: (self._content(oid) for oid in oids if oid))

    def _content(self, oid: str) -> bytes | None:
        return self._read(oid) if self.repository.size(oid) <= LARGEST_OBJECT else None

    def _weighed(self, change: Change, said: Sequence[Said]) -> Change:
        """A change with what is said of it, worst first, and the severity of the worst."""
        self.tells.update({(change.path, one.text): one.attributes for one in said})
        weighed = sorted(map(self.rules.weigh, said), key=lambda one: SEVERITIES.index(one.severity))
        return replace(change, severity=worst(one.severity for one in weighed), findings=tuple(weighed))

    def _revisions(self, whole: Sequence[str]) -> tuple[dict[str, Change], set[str]]:
        """The objects issued anew, and the removed ones that they replace."""
        mine = [path for path in whole if _modality(path) in MODALITIES]
        added = [self._issued(path) for path in mine if self._kind(path) == "added"]
        if self.old is None or not added:
            return {}, set()
        gone = [self._issued(path) for path in mine if self._kind(path) == "removed"]
        found = pairs(added, gone, self._present({one.modality for one in added}))
        removed = {one.path for one in gone}
        revised = {
            one.path: self._revised(one, found[one.path], gone=found[one.path].path in removed)
            for one in added
            if one.path in found
        }
        return revised, {earlier.path for earlier in found.values()} & removed

    def _issued(self, path: str) -> Issued:
        data = next((oid for oid in self.paths.get(path, ()) if oid), None)
        if self.anew is not None and data:
            return Issued(path, _modality(path), self._normalized(data, self.anew) or b"")
        return Issued(path, _modality(path), self._either(self.paths.get(_form_path(path), (None, None))))

    def _present(self, modalities: set[str]) -> Iterator[Issued]:
        """What both commits have of some modalities."""
        tree = self.repository.tree(self.old)
        after = self.repository.tree(self.new)
        for modality in sorted(modalities):
            held = [
                path
                for path in tree
                if path.endswith(".dcm") and _modality(path) == modality and path in after
            ]
            for path in held if len(held) <= CANDIDATES else ():
                anew, form = self.anew, tree.get(_form_path(path))
                data = self._normalized(tree[path], anew) if anew else self._read(form) if form else None
                yield Issued(path, modality, data or b"")

    def _revised(self, one: Issued, earlier: Issued, *, gone: bool) -> Change:
        """An object with what differs from its predecessor."""
        attributes = attribute_changes(earlier.form, one.form)
        told = [change for change in attributes if not _says_only_that(change.path, earlier.uid)]
        what = "plan" if one.modality == "RTPLAN" else "structure set"
        still = "which the ROIS no longer has" if gone else "which the ROIS still has"
        text = f"{what} issued anew under a new UID: it replaces {earlier.label} ({earlier.uid}), {still}"
        kind = "plan" if one.modality == "RTPLAN" else "structures"
        told_of = findings(one.modality, told, earlier.form, one.form, self._contents(earlier.path, one.path))
        said = [Said(f"revised.{kind}", text), *told_of]
        return self._weighed(
            Change(one.path, "revised", one.modality, one.label, attributes=attributes), said
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
        return _read(self.repository, oid)

    def _normalized(self, oid: str, volatile: VolatileTable) -> bytes | None:
        """The normal form of an object of the repository, made anew."""
        from vault.normal.dicom import normal_form  # noqa: PLC0415  # seldom needed, and `vault diff` is waited for

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
            yield self._whole(path, _pair_kind(whole), title, "document")
            return
        attributes = self._form_changes(form) if any(form) else ()
        if not attributes and any(data):  # other bytes, and nothing in the normal form says so
            attributes = (_bytes_change(data),)
        if attributes:
            change = Change(path, "changed", "", title, attributes=attributes)
            forms = [self._read(oid) or b"" if oid else b"" for oid in form]
            yield self._weighed(change, charts.document(attributes, *forms))

    def _whole(self, path: str, kind: str, title: str, what: str) -> Change:
        """What is no object, and came or went."""
        text = f"new {_NOUNS[what]}" if kind == "added" else f"{_NOUNS[what]} gone"
        return self._weighed(Change(path, kind, "", title), [Said(f"{kind}.{what}", text)])

    def _held(self, folder: str) -> str:
        """The document in a folder of which only the record differs."""
        tree = self.repository.tree(self.new)
        held = (path for path in tree if path.startswith(f"{folder}/") and is_document(path))
        return next(held, f"{folder}/{RECORD}")

    def _rows(self, path: str) -> Iterator[Change]:
        """The change of what a query returned; nothing where only stamps moved."""
        form, query = self.paths[path], PurePosixPath(path).stem
        if None in form:
            yield self._whole(path, _pair_kind(form), query, "rows")
        elif attributes := self._form_changes(form):
            forms = (self._read(oid) or b"" for oid in form if oid)
            change = Change(path, "changed", "", query, attributes=attributes)
            yield self._weighed(change, charts.rows(query, attributes, *forms))

    def _form_changes(self, form: _Pair) -> tuple[AttributeChange, ...]:
        old, new = (self._read(oid) for oid in form if oid)
        return (_bytes_change(form),) if old is None or new is None else form_changes(old, new)

    def _summary(self, *, derived: bool) -> Iterator[Change]:
        old, new = (self._read(oid) if oid else None for oid in self.paths[SUMMARY])
        attributes = json_changes(old, new, without=DERIVED if derived else ())
        if attributes:
            if None in (old, new):
                yield self._whole(SUMMARY, _pair_kind(self.paths[SUMMARY]), "patient summary", "summary")
                return
            change = Change(SUMMARY, "changed", "", "patient summary", attributes=attributes)
            yield self._weighed(change, tell(Vocabulary("summary", {}), attributes, b"", b""))

    def _other(self, path: str) -> Change:
        pair = self.paths[path]
        kind, name = _pair_kind(pair), PurePosixPath(path).name
        if kind != "changed":
            return self._whole(path, kind, name, "file")
        change = Change(path, kind, "", name, attributes=(_bytes_change(pair),))
        return self._weighed(change, [Said("file.other", "other content")])


def _read(repository: PatientRepository, oid: str) -> bytes | None:
    """A blob's bytes; None of one too large to compare."""
    if repository.size(oid) > LARGEST_FORM:
        return None
    with repository.stream(oid) as stream:
        return b"".join(iter(lambda: stream.read(CHUNK), b""))


def _says_only_that(path: str, predecessor: str) -> bool:
    """Whether an attribute of a revision says nothing but that it is one: its own UIDs, and what it replaces."""
    named = ("ReferencedRTPlanSequence", "PredecessorStructureSetSequence")
    return path in {"SOPInstanceUID", "SeriesInstanceUID"} or path.startswith(
        tuple(f"{sequence}[{predecessor}]." for sequence in named)
    )


def _pair_kind(pair: _Pair) -> str:
    """Whether what git names before and after was added, removed or changed."""
    return "added" if pair[0] is None else "removed" if pair[1] is None else "changed"


def _modality(path: str) -> str:
    """The modality that an object is filed under."""
    parts = PurePosixPath(path).parts
    return parts[1] if parts[0] == "dicom" and len(parts) > 1 else ""


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
