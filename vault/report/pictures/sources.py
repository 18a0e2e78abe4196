"""The objects that a picture is made of, read from a patient's repository: both sides, each up to a bound."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field

from vault.archive.repository import PatientRepository
from vault.archive.stage import modality_of
from vault.compare.geometry import GeometryError
from vault.compare.geometry.datasets import DataSet, read
from vault.compare.geometry.grids import Grid, image
from vault.model import Change

LARGEST = 96 << 20
"""Bytes of an object that is read for a picture: a dose of 400 planes, a structure set of a million points."""

_APART = 0.5
"""mm within which an image lies at the height of a contour that was drawn on it."""


@dataclass(slots=True)
class Sources:
    """The two commits that a change lies between, and the paths of the object in each."""

    repository: PatientRepository
    old: str
    new: str
    change: Change
    _trees: dict[str, dict[str, str]] = field(default_factory=dict, repr=False)
    _objects: dict[str, DataSet] = field(default_factory=dict, repr=False)

    def tree(self, *, late: bool) -> dict[str, str]:
        """Path and blob id of every file before or after."""
        commit = self.new if late else self.old
        if commit not in self._trees:
            self._trees[commit] = self.repository.tree(commit)
        return self._trees[commit]

    def pair(self) -> tuple[DataSet, DataSet]:
        """The object before and after; of one that was issued anew, its predecessor before."""
        return self.read(self.path(late=False), late=False), self.read(self.path(late=True), late=True)

    def path(self, *, late: bool) -> str:
        """Where the object is on one side. Raises GeometryError when it was issued anew from one that is not there."""
        return self.change.path if late or self.change.kind == "changed" else self._predecessor()

    def read(self, path: str, *, late: bool) -> DataSet:
        """An object of one side. Raises GeometryError when it is not there, too large, or no DICOM."""
        oid = self.tree(late=late).get(path)
        if oid is None:
            raise GeometryError("the object is not in the archive on both sides")
        if oid not in self._objects:
            self._objects[oid] = self._read(oid)
        return self._objects[oid]

    def _read(self, oid: str) -> DataSet:
        size = self.repository.size(oid)
        if size > LARGEST:
            raise GeometryError(
                f"the object has {size >> 20} MiB, more than the {LARGEST >> 20} MiB that are drawn"
            )
        with self.repository.stream(oid) as stream:
            return read(stream.read())

    def find(self, modality: str, uid: str, *, late: bool) -> str | None:
        """The path of an object by its SOP Instance UID; None where the archive does not have it."""
        end = f"/{uid}.dcm"
        tree = self.tree(late=late)
        return next((path for path in tree if path.endswith(end) and modality_of(path) == modality), None)

    def image(self, uid: str, z: float, frames: Collection[str]) -> Grid | None:
        """The axial CT or MR of that UID, after or else before; None where there is none that can be shown.

        It is one at that height, in one of these frames of reference: what names it may name any.
        """
        for late in (True, False) if uid else ():
            for modality in ("CT", "MR"):
                path = self.find(modality, uid, late=late)
                if path is not None:
                    try:
                        data = self.read(path, late=late)
                        found = image(data)
                    except GeometryError:
                        return None
                    frame = data.text("FrameOfReferenceUID")
                    known = not frame or not frames or frame in frames
                    return found if known and found.axial and abs(found.z[0] - z) <= _APART else None
        return None

    def _predecessor(self) -> str:
        uid = next((one.old for one in self.change.attributes if one.path == "SOPInstanceUID"), None)
        found = self.find(self.change.modality, (uid or "").split(" ")[0], late=False) if uid else None
        if found is None:
            raise GeometryError("the predecessor is not in the archive")
        return found
