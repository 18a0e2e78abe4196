"""When a census is an anomaly and not an instruction."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from statistics import median

RUNS_COMPARED = 14
"""How many earlier runs a census is held against."""

GONE_SHARE = 0.25
"""Share of the last census that may be gone at once; a department of 30 fractions ends with about 1/40 a day."""

SHRUNK_SHARE = 0.6
"""A census smaller than this share of the usual one is no ordinary night, nor a week of public holidays."""

FEWEST = 3
"""So many patients may always go: half of a department of six may finish on one Friday."""


def implausible(previous: Sequence[Collection[str]], current: Collection[str]) -> str | None:
    """Why a census can't be taken at its word, or None.

    `previous` are the censuses of earlier runs, newest first, `current` is tonight's: patient IDs or pseudonyms, all
    of one kind. A reason is an anomaly to report; whoever was dropped is still to be asked for.
    """
    earlier = [set(census) for census in previous if census][:RUNS_COMPARED]
    now = set(current)
    if not earlier:
        return None
    if not now:
        return f"the census is empty; the last one had {len(earlier[0])} patients"
    gone = earlier[0] - now
    if len(gone) > max(FEWEST, GONE_SHARE * len(earlier[0])):
        return f"{len(gone)} of the last census's {len(earlier[0])} patients are no longer in it"
    usual = median(len(census) for census in earlier)
    if usual - len(now) > FEWEST and len(now) < SHRUNK_SHARE * usual:
        return f"the census has {len(now)} patients; over the last {len(earlier)} runs {usual:g} were usual"
    return None
