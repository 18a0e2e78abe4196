"""The durable inbox of one run: what arrived, and what is known about how complete it is.

    <root>/inbox/<run>/objects/<patient>/<modality>/<series>/<sop>.dcm
    <root>/inbox/<run>/retrievals/<patient>.json      written when the patient is finished
    <root>/inbox/<run>/spool/                         what is still arriving; worthless after a crash

Every name from outside is made safe first; the patient's ID itself stands in the file `.patient` of its folder.
"""

from __future__ import annotations

import filecmp
import shutil
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

import msgspec

from vault.dicom.header import Header, read_header
from vault.errors import IntegrityError
from vault.files import private_folder, sync_folder, write_file
from vault.model import Failure, ObjectKey, PatientID, Retrieval, RunID
from vault.names import safe_name
from vault.rois.quarantine import Quarantine, Quarantined

_PATIENT = ".patient"


class Filed(Enum):
    """What became of an object that was to be filed."""

    NEW = "new"
    AGAIN = "again"
    """The same bytes lie there already."""
    CONFLICT = "conflict"
    """Other bytes lie there; nothing was changed."""


@dataclass(frozen=True, slots=True)
class InboxObject:
    """One received object: a whole Part 10 file, and what its own data set says it is."""

    path: Path
    key: ObjectKey


class Inbox:
    """One run's inbox in `folder` = `<root>/inbox/<run>`; the folder is made when the first thing is put there."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.run = RunID(folder.name)
        self._objects = folder / "objects"
        self._retrievals = folder / "retrievals"

    @property
    def root(self) -> Path:
        """The vault's root."""
        return self.folder.parent.parent

    @property
    def quarantine(self) -> Quarantine:
        """This run's part of the quarantine."""
        return Quarantine(self.root, self.run)

    def spool(self) -> Path:
        """The folder for what is still arriving, made if need be."""
        return private_folder(self.folder / "spool")

    def sweep(self) -> int:
        """Remove what was still arriving when a process ended; returns how many files there were."""
        leftovers = list((self.folder / "spool").glob("*"))
        for path in leftovers:
            path.unlink(missing_ok=True)
        return len(leftovers)

    def path(self, patient_id: str, key: ObjectKey) -> Path:
        """Where an object is or would be."""
        series = Path(safe_name(key.modality), safe_name(key.series_uid))
        return self._patient(patient_id) / series / f"{safe_name(key.sop_uid)}.dcm"

    def file(self, spooled: Path, header: Header) -> Filed:
        """Give the finished, durable file `spooled` (on the same file system) its place; it is gone afterwards.

        On CONFLICT it stays where it is, for the caller to quarantine.
        """
        self._claim(header.patient_id)
        target = self.path(header.patient_id, header.key)
        private_folder(target.parent)
        try:
            target.hardlink_to(spooled)
        except FileExistsError:
            if not filecmp.cmp(spooled, target, shallow=False):
                return Filed.CONFLICT
            spooled.unlink()
            return Filed.AGAIN
        sync_folder(target.parent)
        spooled.unlink()
        return Filed.NEW

    def patients(self) -> list[PatientID]:
        """Everyone of whom something arrived or is recorded, sorted."""
        ids = {_read_id(path) for path in self._objects.glob(f"*/{_PATIENT}")}
        ids |= {_read_retrieval(path).patient_id for path in self._retrievals.glob("*.json")}
        return sorted(ids)

    def objects(self, patient_id: PatientID, damaged: list[Failure] | None = None) -> Iterator[InboxObject]:
        """What arrived of one patient, in the order of its paths.

        A file that is no longer what was accepted goes to the quarantine, and `damaged` gets a Failure about it;
        without such a list, IntegrityError is raised.
        """
        for path in sorted(self._patient(patient_id).glob("*/*/*.dcm")):
            key = self._key(patient_id, path)
            if key is not None:
                yield InboxObject(path, key)
            elif damaged is None:
                raise _damaged(path)
            else:
                damaged.append(self._put_away(patient_id, path))

    def _key(self, patient_id: PatientID, path: Path) -> ObjectKey | None:
        """What the file says it is; None when it can't be read, or says something else than its name."""
        try:
            key = read_header(path).key
        except (ValueError, OSError):
            return None
        return key if self.path(patient_id, key) == path else None

    def _put_away(self, patient_id: PatientID, path: Path) -> Failure:
        """Quarantine a damaged file; where its share is used up, the file goes with the rest of the inbox."""
        claimed = {"patient_id": patient_id, "modality": path.parts[-3], "sop_uid": path.stem}
        reason = "an object was damaged in the inbox"
        kept = self.quarantine.put(path, Quarantined(reason, "", claimed))
        where = "it was put into the quarantine" if kept else "it is not kept, since the quarantine is full"
        return Failure(
            "object",
            f"An object in the inbox is not what was received, and {where}: the disk or somebody changed it. "
            "Check the disk; the next run asks for the object again.",
        )

    def arrived(self, patient_id: PatientID) -> dict[str, tuple[str, str]]:
        """The objects of one patient that are here: safe SOP Instance UID to safe modality and series UID."""
        found = self._patient(patient_id).glob("*/*/*.dcm")
        return {path.stem: (path.parts[-3], path.parts[-2]) for path in found}

    def record(self, retrieval: Retrieval) -> None:
        """Keep, durably, what is known about one patient; the last record counts."""
        private_folder(self._retrievals)
        write_file(self._record(retrieval.patient_id), msgspec.json.encode(retrieval), replace=True)

    def retrieval(self, patient_id: PatientID) -> Retrieval | None:
        """What was recorded about a patient, or None when the retrieval did not get that far."""
        path = self._record(patient_id)
        return _read_retrieval(path) if path.exists() else None

    def note_refusals(self, counts: Mapping[str, int]) -> None:
        """Keep, durably, how often something was refused for which reason (no patient in the text)."""
        if counts:
            private_folder(self.folder)
            total = self._noted() + Counter(counts)
            write_file(self.folder / "refused.json", msgspec.json.encode(total), replace=True)

    def refusals(self) -> list[str]:
        """Sentences about what was refused or quarantined in this run, without patients."""
        kept = self.quarantine.reasons()
        lines = [f"{count} quarantined: {reason}" for reason, count in sorted(kept.items())]
        return lines + [f"{count} refused: {reason}" for reason, count in sorted(self._noted().items())]

    def clear(self, patient_id: PatientID) -> None:
        """Forget one patient."""
        self._record(patient_id).unlink(missing_ok=True)
        if self._patient(patient_id).is_dir():
            shutil.rmtree(self._patient(patient_id))

    def remove(self) -> None:
        """Remove the whole inbox."""
        if self.folder.is_dir():
            shutil.rmtree(self.folder)
            sync_folder(self.folder.parent)

    def _patient(self, patient_id: str) -> Path:
        return self._objects / safe_name(patient_id)

    def _record(self, patient_id: str) -> Path:
        return self._retrievals / f"{safe_name(patient_id)}.json"

    def _claim(self, patient_id: str) -> None:
        """Write the patient's ID into its folder before the first object is there."""
        marker = self._patient(patient_id) / _PATIENT
        if not marker.exists():
            private_folder(marker.parent)
            try:
                write_file(marker, patient_id.encode("utf-8", "surrogatepass"))
            except FileExistsError:  # another association of the same run was quicker
                return

    def _noted(self) -> Counter[str]:
        path = self.folder / "refused.json"
        return (
            Counter(msgspec.json.decode(path.read_bytes(), type=dict[str, int]))
            if path.exists()
            else Counter()
        )


def unfinished(root: Path) -> list[Inbox]:
    """The inboxes that earlier runs left behind, oldest first."""
    folder = root / "inbox"
    return [Inbox(path) for path in sorted(folder.iterdir()) if path.is_dir()] if folder.is_dir() else []


def _read_id(path: Path) -> PatientID:
    return PatientID(path.read_bytes().decode("utf-8", "surrogatepass"))


def _read_retrieval(path: Path) -> Retrieval:
    return msgspec.json.decode(path.read_bytes(), type=Retrieval)


def _damaged(path: Path) -> IntegrityError:
    return IntegrityError(
        f"An object in the inbox is not what was received: {path.name}. The disk or somebody changed it; "
        "check the disk, remove the file, and run `vault sync` again."
    )
