"""Many long lists of numbers at once: what `numbers.canonical_list` says of each, ten times as quickly.

A structure set is a million plain decimals. Vector operations drop the zeros that fractions end in; whatever is
not a plain decimal (`+1`, `1e3`, ` 1`, `01`, garbage) sends its own list back to the slow road.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from vault.normal.numbers import canonical_list

if TYPE_CHECKING:
    from numpy import bool_, uint8
    from numpy.typing import NDArray

_ZEROS_MAXIMUM = 20
"""Zeros at the end of a fraction that are dropped here; each costs a pass, so more go the slow road."""

WORTH_IT = 64 << 10
"""Bytes of lists from which loading numpy, a tenth of a second, pays."""


def canonical_lists(lists: Sequence[bytes]) -> list[bytes | None]:
    """`canonical_list` of each of `lists`."""
    if "numpy" not in sys.modules and sum(map(len, lists)) < WORTH_IT:
        return [canonical_list(data) for data in lists]
    return _vectorised(lists)


def _vectorised(lists: Sequence[bytes]) -> list[bytes | None]:
    import numpy as np  # noqa: PLC0415 - see WORTH_IT

    whole = b"\n" + b"\n".join(lists) + b"\n"
    if whole.count(b"\n") != len(lists) + 1:
        return [canonical_list(data) for data in lists]
    text = np.frombuffer(whole, np.uint8)
    wrong, dropped = _examined(text)
    spelled: list[bytes | None] = list(text[~dropped].tobytes().split(b"\n")[1:-1])
    if wrong.any():
        ends = np.flatnonzero(text == 10)
        for index in np.unique(np.searchsorted(ends, np.flatnonzero(wrong), side="left")):
            for odd in {
                max(int(index) - 1, 0),
                min(int(index), len(lists) - 1),
            }:  # a fault at an end is of either
                spelled[odd] = canonical_list(lists[odd])
    return spelled


def _examined(text: NDArray[uint8]) -> tuple[NDArray[bool_], NDArray[bool_]]:
    """Where `text` is no plain decimal, and which of its characters the one spelling does without."""
    import numpy as np  # noqa: PLC0415

    end = (text == 92) | (text == 10)  # backslash between numbers, line feed between lists
    dot, zero, minus = text == 46, text == 48, text == 45
    digit = (text - 48) < 10  # unsigned: what is below "0" wraps round
    wrong = ~(end | dot | minus | digit)
    wrong[:-1] |= end[:-1] & end[1:]
    wrong[1:] |= minus[1:] & ~end[:-1]
    wrong[:-1] |= (minus | dot)[:-1] & ~digit[1:]
    wrong[1:] |= dot[1:] & ~digit[:-1]
    wrong[1:-1] |= zero[1:-1] & (end | minus)[:-2] & digit[2:]
    marks = np.flatnonzero(end | dot)
    is_dot = dot[marks]
    wrong[marks[1:][is_dot[1:] & is_dot[:-1]]] = True  # two points in one number
    dropped = np.zeros(len(text), np.bool_)
    after = np.zeros(len(text), np.bool_)
    after[marks[1:][is_dot[:-1] & ~is_dot[1:]]] = True  # ends of numbers with a fraction
    for _ in range(_ZEROS_MAXIMUM):
        trailing = np.zeros(len(text), np.bool_)
        np.logical_and(zero[:-1], after[1:], out=trailing[:-1])
        if not trailing.any():
            break
        dropped |= trailing
        after = trailing
    else:
        wrong |= after
    dropped[:-1] |= dot[:-1] & dropped[1:]
    dropped[:-2] |= minus[:-2] & zero[1:-1] & (end[2:] | (dot[2:] & dropped[2:]))
    return wrong, dropped
