"""After a patient's commit: what should be in the vault and is not, by every list and reference there is."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import PurePosixPath
from zoneinfo import ZoneInfo

from vault.archive.hours import BRANCH
from vault.archive.night import Night
from vault.archive.repository import PatientRepository
from vault.archive.stage import lines_of, normal_form_path, objects_in
from vault.completeness import Missing, Reference, examine, references_of
from vault.model import Failure, ObjectKey, PatientID
from vault.rois.emr_inbox import EmrInbox
from vault.rois.inbox import Inbox

REFERRING = frozenset({"RTRECORD", "RTDOSE", "RTPLAN", "RTSTRUCT"})
"""Modalities whose references are followed."""


def gaps(night: Night, inbox: Inbox, repository: PatientRepository | None) -> list[Failure]:
    """What is missing of one patient after `night`, each with its likely reason; empty before the first commit.

    What C-FIND listed and the ROIS did not send has failed, and is said with the failures. Raises VaultError when
    the repository or the inbox can't be read.
    """
    tip = repository.tip() if repository else None
    if repository is None or tip is None:
        return []
    tree = repository.tree(tip)
    retrieval = inbox.retrieval(PatientID(repository.patient_id))
    answered = EmrInbox(inbox.folder).rows(repository.patient_id) or {}
    known = examine(
        answered.get("expected_objects"),
        retrieval.found if retrieval else None,
        [_key(path) for path in objects_in(tree)],
        _references(repository, tree),
        modalities=night.modalities,
    )
    found = [gap.as_failure() for gap in known.gaps if gap.missing is not Missing.NOT_RECEIVED]
    return found + _unmatched(repository, night)


def _unmatched(repository: PatientRepository, night: Night) -> list[Failure]:
    """What the hourly runs saw since the night before, and no treatment record says."""
    if repository.tip(BRANCH) is None:
        return []
    from vault.hourly_check import unmatched_of  # noqa: PLC0415  # few patients have hours; it loads the reports

    today, zone = night.when.date(), ZoneInfo(night.timezone)
    days = (today - timedelta(days=1), today)
    return [failure for day in days for failure in unmatched_of(repository, day, zone)]


def _key(path: str) -> ObjectKey:
    """Modality, series and SOP instance of an object's path. UIDs are their own safe names."""
    _, modality, series, name = PurePosixPath(path).parts
    return ObjectKey(modality, series, name.removesuffix(".dcm"))


def _references(repository: PatientRepository, tree: dict[str, str]) -> Iterator[Reference]:
    for path in objects_in(tree):
        key = _key(path)
        form = tree.get(normal_form_path(path))
        if key.modality in REFERRING and form is not None:
            with repository.stream(form) as stream:
                yield from references_of(key, lines_of(stream))
