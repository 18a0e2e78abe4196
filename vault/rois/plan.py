"""What of a patient is retrieved tonight: a pure function of what was found, what is held, and the date."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import date

from vault.config import Refresh
from vault.model import FoundObject, ObjectKey
from vault.names import safe_name

DAYS = 7
"""Held images are retrieved anew at least once in this many days."""

BY_INSTANCE = frozenset(
    {"RTPLAN", "RTSTRUCT", "RTDOSE", "RTRECORD", "REG", "SR", "DOC", "PLAN", "FID", "SEG"}
)
"""Modalities asked for object by object. The rest comes by series: image-level moves of images are known to fail
at some ROISs, series-level moves of plans to end at the first one that can't be exported."""


@dataclass(frozen=True, slots=True)
class Move:
    """One request to the ROIS: a whole series when `sop_uids` is empty, else these objects of it."""

    study_uid: str
    series_uid: str
    sop_uids: tuple[str, ...] = ()
    objects: int = 1
    """How many objects it asks for."""


@dataclass(frozen=True, slots=True)
class RetrievalPlan:
    """`due` is what must arrive; the moves ask for it, and may bring more of the same series."""

    series_moves: tuple[Move, ...]
    instance_moves: tuple[FoundObject, ...]
    due: tuple[FoundObject, ...]
    not_due: frozenset[ObjectKey]


def plan(
    found: Iterable[FoundObject],
    held: frozenset[ObjectKey],
    policy: Callable[[str], Refresh],
    today: date,
    last_complete: date | None,
) -> RetrievalPlan:
    """Decide what to retrieve of `found` when `held` is in the archive.

    `policy` gives the refresh policy of a modality. `last_complete` is the last day before today on which
    this patient was retrieved completely: images whose turn came on a night that was missed are due now.
    `held` spells its values as file names (`safe_name`) do. What is held is refreshed by the modality and series it
    is held under: a query that calls a plan an image does not put it off for a week.
    """
    held_as = {key.sop_uid: key for key in sorted(held)}
    days = _days(today, last_complete)
    series_moves: list[Move] = []
    instances: list[FoundObject] = []
    due: list[FoundObject] = []
    not_due: list[ObjectKey] = []
    for series in _series(found):
        keys = [held_as.get(safe_name(item.key.sop_uid)) for item in series]
        wanted = [
            item
            for item, key in zip(series, keys, strict=True)
            if key is None or _is_due(key, policy(key.modality), days)
        ]
        first = series[0]
        if first.key.modality in BY_INSTANCE or len(wanted) * 2 <= len(series):
            instances += wanted
        elif wanted:
            series_moves.append(Move(first.study_uid, first.key.series_uid, objects=len(series)))
            wanted = series
        due += wanted
        asked = {item.key for item in wanted}
        not_due += [item.key for item in series if item.key not in asked]
    return RetrievalPlan(tuple(series_moves), tuple(instances), tuple(due), frozenset(not_due))


def instance_moves(objects: Iterable[FoundObject], at_once: int) -> Iterator[Move]:
    """Requests for single objects, up to `at_once` of the same series in one (a list of UIDs, PS3.4 C.4.2.1.4.1)."""
    for series in _series(objects):
        first = series[0]
        for start in range(0, len(series), at_once):
            batch = series[start : start + at_once]
            uids = tuple(item.key.sop_uid for item in batch)
            yield Move(first.study_uid, first.key.series_uid, uids, len(uids))


def _series(found: Iterable[FoundObject]) -> list[list[FoundObject]]:
    grouped: dict[tuple[str, str], list[FoundObject]] = defaultdict(list)
    for item in found:
        grouped[item.study_uid, item.key.series_uid].append(item)
    return list(grouped.values())


def _days(today: date, last_complete: date | None) -> frozenset[int]:
    """The turns, 0 to 6, that came up in (last_complete, today]; all of them when it was never complete."""
    if last_complete is None:
        return frozenset(range(DAYS))
    first = max(last_complete.toordinal() + 1, today.toordinal() - DAYS + 1)
    return frozenset(ordinal % DAYS for ordinal in range(first, today.toordinal() + 1))


def _is_due(key: ObjectKey, policy: Refresh, days: frozenset[int]) -> bool:
    if policy == "nightly":
        return True
    return policy == "weekly" and _turn(key.series_uid) in days


def _turn(series_uid: str) -> int:
    digest = hashlib.sha256(series_uid.encode("utf-8", "surrogatepass")).digest()
    return int.from_bytes(digest[:8], "big") % DAYS
