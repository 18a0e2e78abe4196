"""The durable inbox of one run: what arrived, and what is known about how complete it is.

    <root>/inbox/<run>/objects/<patient>/<modality>/<series>/<sop>.dcm
    <root>/inbox/<run>/retrievals/<patient>.json      written when the patient is finished
    <root>/inbox/<run>/spool/                         what is still arriving; worthless after a crash

Every name from outside is made safe first. Two files lie beside a patient's objects: `.patient`, the ID itself, and
`.receipts`, the git blob id of every object as it was received. A patient's objects are made durable all at once, when
the retrieval is recorded. Until then the receipts tell what a crash or a power cut has left whole.
"""

from __future__ import annotations

import filecmp
import os
import re
import shutil
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

import msgspec

from vault.dicom.header import Header, read_header
from vault.digests import Digest, digest_file
from vault.errors import IntegrityError
from vault.files import private_folder, sync_folder, sync_tree, write_file
from vault.model import Failure, ObjectKey, PatientID, Retrieval, RunID
from vault.names import safe_name
from vault.rois.quarantine import Quarantine, Quarantined

_PATIENT = ".patient"
_RECEIPTS = ".receipts"
_RECEIPT = re.compile(rb"([0-9a-f]{40}) (.+)\n")

_CUT_OFF = (
    "was not whole when the retrieval ended before its time: left out, and asked for again by the next run"
)

Held = Callable[[str], str | None]
"""The blob id that the vault has of `<modality>/<series>/<sop>.dcm`, if it has that object."""


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
    digest: Digest | None
    """None when its bytes, by the receipt, are those that the vault has: then the file was not read."""


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

    def file(self, spooled: Path, header: Header, oid: str | None = None) -> Filed:
        """Give the finished file `spooled` (on the same file system) its place; it is gone afterwards.

        `oid` is its git blob id, where it is known. It is durable once the patient's retrieval is recorded. On
        CONFLICT the file stays where it is, for the caller to quarantine.
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
        self._write_receipt(
            header.patient_id, target, oid or digest_file(spooled).oid
        )  # of the one that is filed
        spooled.unlink()
        return Filed.NEW

    def patients(self) -> list[PatientID]:
        """Everyone of whom something arrived or is recorded, sorted."""
        ids = {_read_id(path) for path in self._objects.glob(f"*/{_PATIENT}")}
        ids |= {_read_retrieval(path).patient_id for path in self._retrievals.glob("*.json")}
        return sorted(ids)

    def objects(
        self, patient_id: PatientID, damaged: list[Failure] | None = None, held: Held | None = None
    ) -> Iterator[InboxObject]:
        """What arrived of one patient, in the order of its paths.

        What has, by its receipt, the bytes that the vault holds is not read. A file that is no longer what was
        accepted goes to the quarantine, and `damaged` gets a Failure about it; without such a list, IntegrityError is
        raised. Where the retrieval was interrupted, such a file was cut off by that: it is left out, and said.
        """
        receipts = self._receipts(patient_id)
        recorded = self._record(patient_id).exists()
        for path in sorted(self._patient(patient_id).glob("*/*/*.dcm")):
            name = path.relative_to(self._patient(patient_id)).as_posix()
            receipt = receipts.get(name)
            if held and receipt and held(name) == receipt and _is_plain(name):
                yield InboxObject(path, ObjectKey(*name.removesuffix(".dcm").split("/")), None)
                continue
            item = self._checked(patient_id, path, receipt)
            if item is not None:
                yield item
            elif not recorded:
                if damaged is not None:
                    damaged.append(Failure("object", _CUT_OFF))
            elif damaged is None:
                raise _damaged(path)
            else:
                damaged.append(self._put_away(patient_id, path))

    def news(self, patient_id: PatientID, look: Callable[[], Held]) -> Iterator[int]:
        """The size in bytes of each object of one patient that, by its receipt, the vault does not have as it is.

        `look`s what the vault has, where there is anything to compare with it.
        """
        receipts = self._receipts(patient_id)
        if not receipts:
            return
        held = look()
        for path in self._patient(patient_id).glob("*/*/*.dcm"):
            name = path.relative_to(self._patient(patient_id)).as_posix()
            if name not in receipts or held(name) != receipts[name]:
                yield path.stat().st_size

    def _checked(self, patient_id: PatientID, path: Path, receipt: str | None) -> InboxObject | None:
        """The object; None when it is not what its receipt says, can't be read, or is filed under another name."""
        try:
            digest, key = digest_file(path), read_header(path).key
        except (ValueError, OSError, IntegrityError):
            return None
        whole = digest.oid == receipt and self.path(patient_id, key) == path
        return InboxObject(path, key, digest) if whole else None

    def _write_receipt(self, patient_id: str, target: Path, oid: str) -> None:
        name = target.relative_to(self._patient(patient_id)).as_posix()
        receipts = os.open(
            self._patient(patient_id) / _RECEIPTS,
            os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW,
            0o600,
        )
        try:
            os.write(receipts, f"{oid} {name}\n".encode())  # one write: several connections append
        finally:
            os.close(receipts)

    def _receipts(self, patient_id: PatientID) -> dict[str, str]:
        """Path to blob id of what was received; the last receipt of a path counts, a torn line does not."""
        path = self._patient(patient_id) / _RECEIPTS
        if not path.exists():
            return {}
        with path.open("rb") as file:
            lines = (_RECEIPT.fullmatch(line) for line in file)
            return {line[2].decode(): line[1].decode() for line in lines if line}

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
        """Keep, durably, what arrived of one patient and what is known about it; the last record counts."""
        if self._patient(retrieval.patient_id).is_dir():
            sync_tree(self._patient(retrieval.patient_id))
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


def _is_plain(name: str) -> bool:
    """Whether every part of a path is what it stands for, and not an escape for something else."""
    return all(safe_name(part) == part for part in name.removesuffix(".dcm").split("/"))


def _read_id(path: Path) -> PatientID:
    return PatientID(path.read_bytes().decode("utf-8", "surrogatepass"))


def _read_retrieval(path: Path) -> Retrieval:
    return msgspec.json.decode(path.read_bytes(), type=Retrieval)


def _damaged(path: Path) -> IntegrityError:
    return IntegrityError(
        f"An object in the inbox is not what was received: {path.name}. The disk or somebody changed it; "
        "check the disk, remove the file, and run `vault sync` again."
    )
