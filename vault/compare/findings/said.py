"""What a finding says before the rules weigh it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Said:
    """One finding without its severity.

    `subject` is its place in the rules, `table.key` (`plan.meterset`); `text` is the sentence; `attributes` are the
    attributes that it tells of, as the normal form names them, so that a rule can name one.
    """

    subject: str
    text: str
    attributes: frozenset[str] = frozenset()
