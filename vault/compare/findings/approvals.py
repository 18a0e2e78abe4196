"""Approval: a step forward is what every ordinary day brings, a step back is not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from vault.compare.findings.said import Said
from vault.model import AttributeChange

STEPS = ("", "UNAPPROVED", "APPROVED")
"""The status goes forward along these (PS3.3 C.8.8.16); any other change of it withdraws something."""


def weighed(findings: Sequence[Said], attributes: Sequence[AttributeChange], table: str) -> list[Said]:
    """The findings about an object, with a step forward under a rule of its own."""
    steps = [one for one in attributes if one.path.rpartition(".")[2] == "ApprovalStatus"]
    if not steps or not all(is_forward(one.old, one.new) for one in steps):
        return list(findings)
    # who reviewed it, and when, is said with every step
    given = {f"{table}.approval", f"{table}.review"}
    return [
        replace(one, subject=f"{table}.approval-given") if one.subject in given else one for one in findings
    ]


def is_forward(old: str | None, new: str | None) -> bool:
    """Whether an approval status took a step that it takes in the course of planning."""
    before, after = ((value or "").strip('" ') for value in (old, new))
    return before in STEPS and after in STEPS and STEPS.index(before) < STEPS.index(after)
