"""The refs of a repository beside its branches: what people vouched for, and how much of it the share has.

`vault.verification.verified` moves the first, `vault.share.mirror` the others.
"""

from __future__ import annotations

VERIFIED = "refs/vault/verified"
"""The newest commit of `main` that people have vouched for."""

SHARED = "refs/vault/shared"
"""Marks the commit up to which every blob of `main` is on the share or waits for it."""

HISTORY = "refs/vault/history"
"""Marks the commit up to which every commit of `main` is on the share or waits for it."""

BRANCHES = ("main", "hourly")
"""What goes to the share of each repository."""

MARKS = frozenset(
    f"{mark}{suffix}"
    for mark in (SHARED, HISTORY)
    for suffix in ("", *(f"-{branch}" for branch in BRANCHES[1:]))
)
"""Every ref that says what has been shared."""


def shared_ref(branch: str) -> str:
    """The ref that marks how much of a branch is shared."""
    return SHARED if branch == "main" else f"{SHARED}-{branch}"


def history_ref(branch: str) -> str:
    """The ref that marks up to which commit a branch's own commits are shared."""
    return HISTORY if branch == "main" else f"{HISTORY}-{branch}"


def is_mark(ref: str) -> bool:
    """Whether a ref only says what this computer has shared: it is none of the history's own."""
    return ref in MARKS
