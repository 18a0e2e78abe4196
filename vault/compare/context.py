"""What an object that came or went means beside the others: its series' slices, its plan, the fractions before it."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from functools import cached_property
from pathlib import PurePosixPath
from typing import Any

from vault.archive import summary
from vault.archive.repository import PatientRepository
from vault.compare.findings import delivered, series
from vault.compare.findings.said import Said
from vault.names import safe_name

PREDECESSORS = 20
"""Plans that one plan replaced, one after the other, that are looked at."""

SLICES = 4096
"""Images of a series whose positions are looked up; a longer one is only counted."""


class Context:
    """Two commits of a patient, of which what is wanted is read when it first is.

    `read` gives a blob's bytes, None of one too large. With no earlier commit there is nothing to hold against.
    """

    def __init__(
        self,
        repository: PatientRepository,
        old: str | None,
        new: str,
        read: Callable[[str], bytes | None],
    ) -> None:
        self._repository = repository
        self._old = old
        self._new = new
        self._read = read
        self._heights: dict[str, list[float | None]] = {}

    def said(self, path: str, kind: str, form: bytes) -> Iterator[Said]:
        """What there is to say of an object beyond that it came or went."""
        if self._old is None:
            return
        modality = PurePosixPath(path).parts[1]
        if modality in series.MODALITIES:
            if others := self._others(path):
                yield series.told(kind, series.height(form), others)
        elif modality == "RTRECORD" and kind == "added":
            uid = delivered.plan_of(form)
            if plan := self._plan(uid):
                yield from delivered.against_plan(form, plan)
            replaced = self._replaced(uid)
            yield from delivered.in_sequence(PurePosixPath(path).stem, *self._fractions, replaced)

    def _others(self, path: str) -> list[float | None]:
        """Where the slices of a series lie that both commits have."""
        folder = path.rpartition("/")[0]
        if folder not in self._heights:
            held = self._series.get(folder, [])
            forms = (self._read(oid) or b"" for oid in held) if len(held) <= SLICES else (b"" for _ in held)
            self._heights[folder] = [series.height(form) for form in forms]
        return self._heights[folder]

    @cached_property
    def _series(self) -> Mapping[str, list[str]]:
        """The normal forms of the objects that both commits have, by folder."""
        before = self._repository.tree(self._old)
        found = defaultdict(list)
        for path, oid in self._tree.items():
            if path in before and path.startswith("dicom/") and path.endswith(".txt"):
                found[path.rpartition("/")[0]].append(oid)
        return found

    @cached_property
    def _tree(self) -> Mapping[str, str]:
        return self._repository.tree(self._new)

    def _replaced(self, uid: str) -> set[str]:
        """The plans that a plan replaces, and those that they replaced, as far as the vault has them."""
        found: set[str] = set()
        waiting = [uid]
        while waiting and len(found) < PREDECESSORS:
            plan = self._plan(waiting.pop()) or b""
            fresh = set(delivered.predecessors_of(plan)) - found - {uid}
            found |= fresh
            waiting.extend(fresh)
        return found

    def _plan(self, uid: str) -> bytes | None:
        name = f"/{safe_name(uid)}.txt" if uid else ""
        found = (oid for path, oid in self._plans.items() if name and path.endswith(name))
        oid = next(found, None)
        return self._read(oid) if oid else None

    @cached_property
    def _plans(self) -> Mapping[str, str]:
        return {path: oid for path, oid in self._tree.items() if path.startswith("dicom/RTPLAN/")}

    @cached_property
    def _fractions(self) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
        """Treatments and plans of patient.json."""
        oid = self._tree.get(summary.PATH)
        try:
            plans, treatments = summary.parse(self._read(oid) or b"" if oid else b"")
        except (ValueError, KeyError, TypeError, json.JSONDecodeError):  # somebody else's: it says nothing
            return {}, {}
        return treatments, plans
