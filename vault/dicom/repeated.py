"""Work that is done once for what comes again: hostile values repeat, as short ones can hardly differ."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import TypeVar

_FEW = 16

_Value = TypeVar("_Value", bound=Hashable)
_Result = TypeVar("_Result")


def each(function: Callable[[_Value], _Result], values: list[_Value]) -> list[_Result]:
    """`function`, which must be pure, of each of `values`; called once for those that are equal."""
    if len(values) <= _FEW:
        return [function(value) for value in values]
    results = {value: function(value) for value in set(values)}
    return [results[value] for value in values]
