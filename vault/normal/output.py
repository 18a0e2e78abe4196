"""The lines of a normal form on their way out: written in order, long lists of numbers worked out together."""

from __future__ import annotations

from typing import BinaryIO

from vault.normal.batch import canonical_lists
from vault.normal.values import SHORT, number_text, short_number_text

BUDGET_ALWAYS = 16 << 20
"""Bytes that any normal form may have: more than the largest honest plan takes."""

BUDGET_RATIO = 4
"""And this many for each byte of the data set. Every line repeats its path, so deep nesting multiplies."""

_LINES = 4096
_CHARACTERS = 1 << 20
"""Characters of lines that wait: paths may be long."""

_PENDING = 64 << 10
"""Bytes of number lists that wait; as many as stay in a processor's cache while they are worked on, and
in blocks of memory that malloc keeps instead of giving them back to the system each time."""


class TooLongError(ValueError):
    """A normal form would be longer than its object gives it a right to."""


def budget(size: int) -> int:
    """Bytes that the normal form of a data set of `size` bytes may have."""
    return BUDGET_ALWAYS + BUDGET_RATIO * size


class Output:
    """Collects lines and writes them to `out`; `flush` must come last.

    `line`, `numbers` and `flush` raise TooLongError when there are more than `budget` bytes of lines; what was
    written then is the caller's to take back. Whether it is raised depends on the lines alone, not on when they
    are written.
    """

    def __init__(self, out: BinaryIO, budget: int) -> None:
        self._out = out
        self._left = budget
        self._characters = 0
        self._lines: list[str] = []
        self._waiting: list[tuple[int, str, bytes]] = []
        self._bytes = 0

    def line(self, path: str, vr: str, value: str) -> None:
        """One line."""
        self._lines.append(f"{path} {vr} {value}\n")
        self._characters += len(path) + len(value)
        if len(self._lines) >= _LINES or self._characters >= _CHARACTERS:
            self.flush()

    def numbers(self, path: str, vr: str, data: bytes) -> None:
        """The line of a DS or IS value."""
        data = data.rstrip(b" \0")
        if len(data) <= SHORT:
            self.line(path, vr, short_number_text(data))
            return
        self._waiting.append((len(self._lines), f"{path} {vr} ", data))
        self._lines.append("")
        self._bytes += len(data)
        self._characters += len(path)
        if self._bytes >= _PENDING or len(self._lines) >= _LINES or self._characters >= _CHARACTERS:
            self.flush()

    def flush(self) -> None:
        """Write what has come so far."""
        spelled = canonical_lists([data for _, _, data in self._waiting])
        for (index, start, data), numbers in zip(self._waiting, spelled, strict=True):
            self._lines[index] = f"{start}{number_text(data, numbers)}\n"
        self._waiting.clear()
        self._bytes = self._characters = 0
        # lone surrogates, the marks of unreadable bytes, are escaped before they come here
        data = "".join(self._lines).encode("utf-8")
        self._lines.clear()
        self._left -= len(data)
        if self._left < 0:
            raise TooLongError
        self._out.write(data)
