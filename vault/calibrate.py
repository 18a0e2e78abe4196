"""Which attributes a ROIS changes by itself: the same patient retrieved twice, and every attribute that differed.

No vendor documents what its export composes anew, so it is measured on site. What is found here may go into
`[[normal.volatile]]`, after somebody has looked at each line: an attribute named there is never compared again.
"""

from __future__ import annotations

import filecmp
import io
import shutil
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

import pluggy

from vault.archive.stage import object_path
from vault.compare.lines import attribute_changes
from vault.config import Config
from vault.errors import PeerError
from vault.events import network
from vault.files import private_folder
from vault.lock import run_lock
from vault.model import AttributeChange, Failure, ObjectKey, PatientID
from vault.normal.dicom import normal_form
from vault.normal.lines import Line
from vault.normal.volatile import VolatileTable, extended
from vault.progress import Progress, Silent
from vault.rois.inbox import Inbox
from vault.rois.retrieve import retrieve

EXAMPLES = 3
"""Values shown per attribute: enough to judge it, few enough to read."""


@dataclass(slots=True)
class Volatile:
    """An attribute that differed between two retrievals of the same objects."""

    attribute: str
    """As `[[normal.volatile]]` names it: a keyword, `(gggg,eeee)` or `{CREATOR}(gggg,xxee)`."""
    objects: int = 0
    examples: list[tuple[str | None, str | None]] = field(default_factory=list)


@dataclass(slots=True)
class Calibration:
    """What two retrievals of one patient had in common and what not."""

    objects: int = 0
    identical: int = 0
    """Objects that came with the very same bytes both times."""
    reencoded: int = 0
    """Objects whose bytes differed, but not their normal form."""
    volatile: dict[str, Volatile] = field(default_factory=dict)
    only_once: list[str] = field(default_factory=list)
    """Tree paths of objects that came one time only."""
    failed: list[Failure] = field(default_factory=list)


def calibrate(
    config: Config,
    patient_id: PatientID,
    *,
    now: datetime,
    progress: Progress | None = None,
    events: pluggy.PluginManager | None = None,
) -> Calibration:
    """Retrieve a patient twice in a row and compare. Nothing is committed; both copies are gone afterwards.

    Raises PeerError when the patient can't be retrieved at all.
    """
    progress = progress or Silent()
    extra = [(entry.attribute, entry.reason) for entry in config.normal.volatile]
    with run_lock(config.vault.root):
        workspace = private_folder(config.vault.root / "work" / "calibrate")
        try:
            result = Calibration()
            rounds = []
            with network(events, config):
                for number in (1, 2):
                    progress.start(f"Retrieving, round {number} of 2")
                    rounds.append(_retrieve(config, patient_id, workspace / str(number), now, result))
            _compare(rounds[0], rounds[1], extended(extra), result)
        finally:
            progress.stop()
            shutil.rmtree(workspace, ignore_errors=True)
    if not result.objects:
        reasons = "; ".join(dict.fromkeys(failure.reason for failure in result.failed)) or "nothing arrived"
        raise PeerError(f"calibration needs objects to compare, and none came twice: {reasons}")
    return result


def _retrieve(
    config: Config, patient_id: PatientID, folder: Path, now: datetime, result: Calibration
) -> dict[ObjectKey, Path]:
    inbox = Inbox(folder)
    for retrieval in retrieve(
        config,
        [patient_id],
        inbox,
        held=lambda _: frozenset(),
        last_complete=lambda _: None,
        today=now.date(),
    ):
        result.failed.extend(retrieval.failures)
    return {item.key: item.path for item in inbox.objects(patient_id)}


def _compare(
    first: dict[ObjectKey, Path],
    second: dict[ObjectKey, Path],
    volatile: VolatileTable,
    result: Calibration,
) -> None:
    result.only_once = sorted(object_path(key) for key in first.keys() ^ second.keys())
    for key in sorted(first.keys() & second.keys()):
        result.objects += 1
        if _same_bytes(first[key], second[key]):
            result.identical += 1
            continue
        changes = attribute_changes(_form(first[key], volatile), _form(second[key], volatile))
        result.reencoded += not changes
        for name, change in {_attribute(change): change for change in changes}.items():
            entry = result.volatile.setdefault(name, Volatile(name))
            entry.objects += 1
            if len(entry.examples) < EXAMPLES:
                entry.examples.append((change.old, change.new))


def _same_bytes(first: Path, second: Path) -> bool:
    return filecmp.cmp(first, second, shallow=False)


def _form(source: Path, volatile: VolatileTable) -> bytes:
    form = io.BytesIO()
    normal_form(source, form, volatile)
    return form.getvalue()


def _attribute(change: AttributeChange) -> str:
    return Line(change.path, change.vr, "").attribute
