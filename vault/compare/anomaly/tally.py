"""What of one patient's night could be part of an attack, counted where the patient was committed.

Only what was changed, added or removed is looked at, so a patient for whom nothing is new costs nothing.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from functools import cached_property
from itertools import islice
from pathlib import PurePosixPath

from vault.archive import summary
from vault.archive.emr_paths import document_folder, is_document, record_path
from vault.archive.repository import PatientRepository
from vault.archive.stage import modality_of, normal_form_path, objects_in
from vault.compare.anomaly import content
from vault.compare.anomaly.counts import Tally
from vault.compare.findings import findings
from vault.compare.lines import attribute_changes
from vault.compare.rules import Rules, worst
from vault.files import CHUNK
from vault.model import AttributeChange, PatientOutcome
from vault.normal import rows
from vault.normal.lines import parse

EXAMINED = 64
"""Objects of a kind that are looked into for one patient; where more were changed, so many say enough."""

LARGEST = 64 << 20
"""Bytes of a normal form that is compared; a longer one counts as changed, and no more is known of it."""

APPROVED = frozenset({"planapproval", "treatapproval", "externalapproval", "approved"})
OPEN = frozenset({"unapproved", "reviewed", "rejected", "unplanned", "planning"})
"""Statuses of plans in databases of ROISs, in small letters."""

_PLANNED = frozenset({"RTPLAN", "RTSTRUCT"})
_IDENTITY = frozenset({"PatientID", "PatientName", "PatientBirthDate", "PatientSex"})
_GRAVE = frozenset({"critical", "major"})
_HEAD = 8192


def tally(repository: PatientRepository, outcome: PatientOutcome, rules: Rules) -> Tally:
    """Count one patient's night. Raises what reading the repository does (VaultError)."""
    old, new = outcome.old_commit, outcome.new_commit
    if old is None or new is None:
        return Tally(known=False)
    if old == new:
        return Tally()
    return _Night(repository, outcome, rules, old, new).tally()


class _Night:
    def __init__(
        self, repository: PatientRepository, outcome: PatientOutcome, rules: Rules, old: str, new: str
    ) -> None:
        self._repository = repository
        self._outcome = outcome
        self._rules = rules
        self._before = repository.tree(old)
        self._after = repository.tree(new)

    def tally(self) -> Tally:
        changed = [path for path in self._outcome.changed if _counts(path)]
        vanished = [path for path in self._outcome.removed if _counts(path)]
        held = objects_in(self._before)
        plans = list(self._plans(changed))
        papers = list(self._documents())
        edits = {stamp for *_, stamp in plans if stamp} | {stamp for *_, stamp in papers if stamp}
        return Tally(
            held=len(held) + sum(map(is_document, self._before)),
            changed=len(changed),
            vanished=len(vanished),
            unstamped=sum(unstamped for unstamped, *_ in plans),
            withdrawn=sum(withdrawn for _, withdrawn, _ in plans)
            + sum(withdrawn for *_, withdrawn, _ in papers)
            + sum(map(self._row_withdrawn, self._rows_changed("plans"))),
            unreadable=sum(unreadable for unreadable, *_ in papers),
            misnamed=sum(misnamed for _, misnamed, *_ in papers),
            identity=self._identity(changed),
            new_uids=self._new_uids(held, vanished),
            edits=tuple(sorted(edits | set(self._row_edits()))),
        )

    # plans and structure sets

    def _plans(self, changed: list[str]) -> Iterator[tuple[bool, bool, str]]:
        """Of each changed one: whether no stamp moved, whether its approval was withdrawn, and when it was edited."""
        mine = (path for path in changed if modality_of(path) in _PLANNED)
        for path in islice(mine, EXAMINED):
            old, new = self._form(self._before, path), self._form(self._after, path)
            if not (old and new):
                continue
            attributes = attribute_changes(old, new)
            said = findings(modality_of(path), attributes, old, new)
            # a corrected name, an upgrade: what every object says moves no plan's stamp
            own = (one for one in said if not one.subject.startswith("any."))
            grave = worst(self._rules.weigh(one).severity for one in own) in _GRAVE
            withdrawn = any(_took_back(one) for one in attributes if one.keyword == "ApprovalStatus")
            yield grave and self._stood_still(path), withdrawn, _dicom_stamp(old, new) if grave else ""

    def _stood_still(self, path: str) -> bool:
        """Whether the database says that nobody edited a plan, or the plans that a structure set may be of."""
        old, new = self._plan_rows
        stamped = {name: row for name, row in new.items() if name in old and row.get("changed_at")}
        if modality_of(path) == "RTPLAN":
            uid = PurePosixPath(path).stem
            stamped = {name: row for name, row in stamped.items() if row.get("plan_uid") == uid}
        return bool(stamped) and all(
            row["changed_at"] == old[name].get("changed_at") for name, row in stamped.items()
        )

    # the database

    @cached_property
    def _plan_rows(self) -> tuple[Mapping[str, Mapping[str, str]], Mapping[str, Mapping[str, str]]]:
        return self._rows(self._before, "plans"), self._rows(self._after, "plans")

    def _rows(self, tree: Mapping[str, str], query: str) -> Mapping[str, Mapping[str, str]]:
        oid = tree.get(f"database/{query}.txt")
        return rows.parse(self._read(oid)) if oid else {}

    def _rows_changed(self, query: str) -> Iterator[tuple[Mapping[str, str], Mapping[str, str]]]:
        if f"database/{query}.txt" not in self._outcome.changed:
            return
        old, new = self._rows(self._before, query), self._rows(self._after, query)
        for name, row in new.items():
            if name in old and row != old[name]:
                yield old[name], row

    def _row_edits(self) -> Iterator[str]:
        """When rows of plans and prescriptions were edited in more than their status."""
        for query in ("plans", "prescriptions"):
            for before, after in self._rows_changed(query):
                differ = {name for name in {**before, **after} if before.get(name) != after.get(name)}
                content = {name for name in differ if not name.startswith(("status", "changed_"))}
                if content and "changed_at" in differ and after.get("changed_at"):
                    yield after["changed_at"]

    def _row_withdrawn(self, pair: tuple[Mapping[str, str], Mapping[str, str]]) -> bool:
        before, after = (row.get("status", "").replace(" ", "").lower() for row in pair)
        return before in APPROVED and after in OPEN

    # documents

    def _documents(self) -> Iterator[tuple[bool, bool, bool, str]]:
        """Of each new or changed one: unreadable, misnamed, approval withdrawn, and when its text was edited."""
        held = {folder: path for path in self._before if (folder := document_folder(path))}
        mine = (path for path in (*self._outcome.changed, *self._outcome.added) if is_document(path))
        for path in islice(mine, EXAMINED):
            if path not in self._after:
                continue
            name, head = PurePosixPath(path).name, self._head(self._after[path])
            earlier = held.get(document_folder(path), "")
            old, new = (
                self._read(oid) if (oid := tree.get(record_path(document_folder(path)))) else b""
                for tree in (self._before, self._after)
            )
            lost = bool(old) and b"\n(unread) " in new and b"\n(unread) " not in old
            misnamed = content.contradicts(name, head) or content.renamed(PurePosixPath(earlier).name, name)
            withdrawn = b"\nrecord.approved " in old and b"\nrecord.approved " not in new
            edited = bool(old) and _text(old) != _text(new)
            yield (
                lost or content.is_random(head),
                misnamed and self._before.get(earlier) != self._after[path],
                withdrawn,
                _stamp(new) if edited else "",
            )

    # whose it is, and under which names

    def _identity(self, changed: list[str]) -> int:
        other = 0
        for path in islice((path for path in changed if modality_of(path)), EXAMINED):
            old, new = (self._who(tree, path) for tree in (self._before, self._after))
            other += any(old.get(key) != new.get(key) for key in old)
        known = self._known
        for path in islice((path for path in self._outcome.added if modality_of(path)), EXAMINED):
            said = self._who(self._after, path)
            other += any(_plain(said[key]) != _plain(known[key]) for key in known if said.get(key))
        return other

    @cached_property
    def _known(self) -> Mapping[str, str]:
        """Name and date of birth that the patient had, as far as they were known."""
        oid = self._before.get(summary.PATH)
        try:
            said = json.loads(self._read(oid) if oid else b"{}").get("patient", {})
            known = {"PatientName": said.get("name"), "PatientBirthDate": said.get("birth_date")}
        except (ValueError, AttributeError):
            return {}
        return {key: value for key, value in known.items() if isinstance(value, str) and value}

    def _who(self, tree: Mapping[str, str], path: str) -> dict[str, str]:
        oid = tree.get(normal_form_path(path))
        lines = self._head(oid, _HEAD).split(b"\n")[:-1] if oid else []
        return {line.path: line.value.strip('"') for line in parse(lines) if line.path in _IDENTITY}

    def _new_uids(self, held: list[str], vanished: list[str]) -> bool:
        lasting = [path for path in held if modality_of(path) != "RTRECORD"]
        gone = [path for path in vanished if modality_of(path) not in {"", "RTRECORD"}]
        come = [path for path in self._outcome.added if modality_of(path) not in {"", "RTRECORD"}]
        return bool(gone) and 2 * len(gone) > len(lasting) and 2 * len(come) > len(gone)

    # reading

    def _form(self, tree: Mapping[str, str], path: str) -> bytes:
        oid = tree.get(normal_form_path(path))
        return self._read(oid) if oid and self._repository.size(oid) <= LARGEST else b""

    def _read(self, oid: str) -> bytes:
        with self._repository.stream(oid) as stream:
            return b"".join(iter(lambda: stream.read(CHUNK), b""))

    def _head(self, oid: str, size: int = content.HEAD) -> bytes:
        with self._repository.stream(oid) as stream:
            return stream.read(size)


def _counts(path: str) -> bool:
    """Whether a path is an object or a document; rows of the database are looked at by what they say."""
    return bool(modality_of(path)) or is_document(path)


def _took_back(change: AttributeChange) -> bool:
    before, after = ((value or "").strip('" ').upper() for value in (change.old, change.new))
    return before == "APPROVED" and after != "APPROVED"


def _plain(name: str) -> str:
    """A name without what systems write differently: case, and empty parts of it."""
    return " ".join(name.replace("^", " ").casefold().split())


def _dicom_stamp(old: bytes, new: bytes) -> str:
    """When a plan or structure set says that it was made, where it says otherwise than before."""
    for kind in (b"RTPlan", b"StructureSet"):
        when = [_said(form, kind + b"Date") + _said(form, kind + b"Time") for form in (old, new)]
        if when[1] and when[0] != when[1] and len(when[1]) >= 14 and when[1][:14].isdecimal():
            now = when[1]
            return f"{now[:4]}-{now[4:6]}-{now[6:8]}T{now[8:10]}:{now[10:12]}:{now[12:14]}"
    return ""


def _said(form: bytes, keyword: bytes) -> str:
    start = form.find(b"\n" + keyword + b" ")
    if start < 0:
        return ""
    return form[start + len(keyword) + 5 : form.find(b"\n", start + 1)].decode("ascii", "replace").strip('"')


def _stamp(record: bytes) -> str:
    mark = b'\nstamp.changed_at UT "'
    start = record.find(mark)
    return record[start + len(mark) :].split(b'"', 1)[0].decode("ascii", "replace") if start >= 0 else ""


def _text(record: bytes) -> bytes:
    """What a document's normal form says of its content."""
    return b"\n".join(line for line in record.split(b"\n") if not line.startswith((b"record.", b"stamp.")))
