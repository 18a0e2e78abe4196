"""The lists of ciphertexts that nothing needs any more, until they are removed from the share."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from vault.share import layout

FOLDER = "removals"
"""Below the vault's root."""


def waiting(root: Path) -> int:
    """How many ciphertexts wait to be removed from the share."""
    return len(names_in(lists(root)))


def lists(root: Path) -> list[Path]:
    """The lists, one per repository and pruning."""
    return sorted((root / FOLDER).glob("[!.]*.txt"))


def names_in(files: Iterable[Path]) -> set[str]:
    """The names on the share that these lists hold. Raises OSError."""
    found: set[str] = set()
    for path in files:
        for line in path.read_text("ascii", "replace").splitlines():
            try:
                found.add(layout.checked(line))
            except ValueError:  # not ours: a list is written at once, so it never holds half a line
                continue
    return found
