"""From what arrived to what is committed: which objects of a patient are new, changed, re-encoded, gone.

Unchanged bytes are recognised by their git blob id and never parsed. What differs gets its normal form, and
only a different normal form is a change. Nothing here writes to the repository: the result is a set of edits.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Protocol

from vault.archive import summary
from vault.archive.blobs import Blob, Bytes, file_blob
from vault.archive.forms import Forms
from vault.errors import VaultError
from vault.files import CHUNK
from vault.model import Failure, FoundObject, ObjectKey, PatientOutcome, Retrieval
from vault.names import safe_name
from vault.normal.lines import Line, of_keywords, parse
from vault.normal.volatile import VolatileTable
from vault.rois.inbox import InboxObject

Tree = Mapping[str, str]
"""Path to blob id, the whole tree of a commit."""

LONGEST_LINE = 1 << 16
"""Bytes of a line of a normal form that the summary reads; contours and leaf positions tell it nothing."""


class Readable(Protocol):
    """A blob's content."""

    def read(self, size: int = ..., /) -> bytes:
        """Up to `size` bytes; none at the end."""


OpenBlob = Callable[[str], AbstractContextManager[Readable]]
"""Opens a blob of the repository by its id."""

DICOM = "dicom/"
"""Where the objects are in the tree."""

PLANS = frozenset({"RTPLAN"})
RECORDS = frozenset({"RTRECORD"})


def object_path(key: ObjectKey) -> str:
    """Where an object's bytes are filed in the tree; its normal form lies beside it as `.txt`."""
    return f"{DICOM}{safe_name(key.modality)}/{safe_name(key.series_uid)}/{safe_name(key.sop_uid)}.dcm"


def normal_form_path(path: str) -> str:
    """The path of the normal form of the object at `path`."""
    return path.removesuffix(".dcm") + ".txt"


def modality_of(path: str) -> str:
    """The modality folder of a tree path, empty for what is not a DICOM object."""
    parts = PurePosixPath(path).parts
    return parts[1] if len(parts) == 4 and parts[0] == "dicom" else ""


def objects_in(tree: Iterable[str]) -> list[str]:
    """The paths of the DICOM objects in a tree."""
    return [path for path in tree if path.startswith(DICOM) and path.endswith(".dcm")]


@dataclass(slots=True)
class Staged:
    """What one patient's night comes to: the edits to commit, and the account of them."""

    edits: dict[str, Blob | None] = field(default_factory=dict)
    outcome: PatientOutcome = field(default_factory=PatientOutcome)


class Stage:
    """Stages the objects of one patient against `base`, the tree before the night.

    `open_blob` opens a blob of the repository by id; normal forms are written to `workspace` until they are
    committed. `modalities` are those the census asks for: held objects of others are left alone. `resumed` says that
    an earlier run is finished late; with `stale`, a later run has committed since, so that nothing held is
    overwritten or removed.
    """

    def __init__(
        self,
        base: Tree,
        open_blob: OpenBlob,
        workspace: Path,
        volatile: VolatileTable,
        modalities: Collection[str] = (),
        *,
        resumed: bool = False,
        stale: bool = False,
    ) -> None:
        self._base = base
        self._open_blob = open_blob
        self._forms = Forms(workspace, volatile)
        self._modalities = frozenset(safe_name(modality) for modality in modalities)
        self._resumed = resumed
        self._stale = stale
        self._staged = Staged()

    def stage(self, objects: Iterable[InboxObject], retrieval: Retrieval | None) -> Staged:
        """Account for every object that arrived and for those that a complete query no longer finds.

        An object that can't be read or written is a failure of its own; the others go on. Errors of our own
        disk (no space) are raised, since no other object would fare better.
        """
        arrived = set()
        for item in objects:
            path = object_path(item.key)
            arrived.add(path)
            try:
                self._stage_object(path, item)
            except VaultError as error:
                self._fail(f"{item.key.modality} {item.key.sop_uid}", str(error))
        outcome = self._staged.outcome
        if retrieval is not None:
            outcome.complete = retrieval.complete
            outcome.not_due = len(retrieval.not_due)
            outcome.failed.extend(retrieval.failures)
            outcome.failed.extend(_missing(retrieval))
            if retrieval.found is not None:
                self._notice_what_was_not_listed(retrieval.found)
                if not self._stale:
                    self._remove_what_is_gone(arrived, retrieval.found)
        elif not self._resumed:
            self._fail(
                "",
                "the retrieval was interrupted: what had arrived is kept, the rest follows with the next run",
            )
        if self._staged.edits:
            self._staged.edits[summary.PATH] = Bytes(self._summary())
        return self._staged

    def _stage_object(self, path: str, item: InboxObject) -> None:
        outcome, edits = self._staged.outcome, self._staged.edits
        if item.digest is None or self._base.get(path) == item.digest.oid:
            outcome.unchanged += 1
            return
        file = file_blob(item.path, item.digest)
        form = self._forms.of(item.path)
        if self._base.get(normal_form_path(path)) == form.oid:
            outcome.reencoded += 1  # the first bytes are kept
            self._forms.drop(form)
            return
        if path not in self._base:
            outcome.added.append(path)
        elif self._stale:
            self._forms.drop(form)
            self._fail(
                f"{item.key.modality} {item.key.sop_uid}",
                "came in a run that was interrupted, and a later run has committed another version since: that is kept",
            )
            return
        else:
            outcome.changed.append(path)
        edits[path] = file
        edits[normal_form_path(path)] = form

    def _notice_what_was_not_listed(self, found: Iterable[FoundObject]) -> None:
        """Say what a ROIS sent that it did not list: it is kept, and may have come in between, or been slipped in."""
        listed = {safe_name(item.key.sop_uid) for item in found}
        new = [path for path in self._staged.outcome.added if PurePosixPath(path).stem not in listed]
        if new:
            self._staged.outcome.anomalies.append(
                f"{len(new)} of what arrived, {new[0]} for one, C-FIND did not list: it is kept. If it is not listed "
                "tomorrow either, find out where it came from"
            )

    def _remove_what_is_gone(self, arrived: set[str], found: Iterable[FoundObject]) -> None:
        """Remove what a complete query no longer finds, and what it now lists, and sent, elsewhere.

        A query may call an object's series or modality otherwise than the object itself does, so only its SOP
        instance decides that it is gone. One that arrived stays where its own data set says.
        """
        listed = {object_path(item.key) for item in found}
        present = {PurePosixPath(path).name for path in listed | arrived}
        sent = {PurePosixPath(path).name for path in arrived}
        for path in objects_in(self._base):
            name = PurePosixPath(path).name
            moved = name in sent and path not in arrived and path not in listed
            wanted = not self._modalities or modality_of(path) in self._modalities
            if moved or (wanted and name not in present):
                self._staged.outcome.removed.append(path)
                self._staged.edits[path] = None
                self._staged.edits[normal_form_path(path)] = None

    def _fail(self, subject: str, reason: str) -> None:
        self._staged.outcome.failed.append(Failure(subject, reason))

    def _summary(self) -> bytes:
        plans: dict[str, summary.Summary] = {}
        records: dict[str, summary.Summary] = {}
        if summary.PATH in self._base:
            with self._open_blob(self._base[summary.PATH]) as stream:
                plans, records = summary.parse(b"".join(iter(lambda: stream.read(CHUNK), b"")))
        removals_first = sorted(self._staged.edits.items(), key=lambda edit: edit[1] is not None)
        for path, blob in removals_first:  # an object that moved to another series comes after it went
            modality, name = modality_of(path), PurePosixPath(path)
            if name.suffix != ".txt" or modality not in PLANS | RECORDS:
                continue
            entries, describe = (
                (plans, summary.plan_entry) if modality in PLANS else (records, summary.record_entry)
            )
            if blob is None:
                entries.pop(name.stem, None)
            else:
                entries[name.stem] = describe(self._lines(blob))
        return summary.compose(self._demographics(), plans, records)

    def _demographics(self) -> dict[str, str]:
        tree = {**self._base, **self._staged.edits}
        for path in sorted(objects_in(tree)):
            blob = tree[normal_form_path(path)]
            if blob is not None and tree[path] is not None:
                return summary.demographics(self._lines(blob))
        return {}

    def _lines(self, blob: Blob | str) -> Iterator[Line]:
        """The lines of a normal form that a summary is made of."""
        with self._open_blob(blob) if isinstance(blob, str) else blob.open() as stream:
            yield from _summed_up(lines_of(stream))


def _summed_up(text: Iterable[bytes]) -> Iterator[Line]:
    return parse(of_keywords(text, summary.KEYWORDS))


def lines_of(stream: Readable) -> Iterator[bytes]:
    """The lines of a normal form, without those too long to say anything that a summary needs."""
    rest = b""
    passing_over = False
    while piece := stream.read(CHUNK):
        *lines, rest = (rest + piece).split(b"\n")
        for line in lines:
            if not passing_over and len(line) <= LONGEST_LINE:
                yield line
            passing_over = False
        if len(rest) > LONGEST_LINE:
            rest, passing_over = b"", True


def _missing(retrieval: Retrieval) -> Iterator[Failure]:
    """One failure per series that is not whole: four hundred lines would hide the one that matters."""
    series: dict[tuple[str, str], int] = {}
    for item in retrieval.missing:
        key = (item.key.modality or "object", item.key.series_uid)
        series[key] = series.get(key, 0) + 1
    for (modality, uid), count in sorted(series.items()):
        yield Failure(
            f"{modality} series {uid}",
            f"{count} found but not retrieved, though asked for again: the ROIS did not send them; "
            "see whether it can export them by hand",
        )
