"""What a measure may be on an ordinary night: a threshold that the site sets, and what its own past nights were like.

The past makes a measure more sensitive and never less: whoever makes every night a little worse than the one before
must not teach the vault to find that ordinary. A night on which a measure was past its limit teaches nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median

SCALE = 1.4826
"""Median absolute deviation to standard deviation, were the nights normally distributed."""

FLOOR = 0.75
"""Share of the site's threshold that a limit never falls below: one odd thing is no alarm, however quiet a place."""

LEARNT = 60
"""Nights that are learnt from; older ones are of another department."""


def limit(past: Sequence[float], threshold: float, *, nights: int, deviations: float) -> float:
    """The value from which a measure is an anomaly.

    `past` are its values on earlier nights, newest first. With fewer than `nights` of them it is the site's
    `threshold`, else what is `deviations` robust standard deviations above their median, where that is less.
    """
    recent = list(past[:LEARNT])
    if len(recent) < nights:
        return threshold
    usual = median(recent)
    spread = SCALE * median(abs(value - usual) for value in recent)
    return min(threshold, max(usual + deviations * spread, FLOOR * threshold))
