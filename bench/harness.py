"""Runs a case and its references in turns, so that whatever else the machine does falls on all of them alike."""

from __future__ import annotations

import shutil
import statistics
import sys
import tempfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

from bench.processes import ToolFailedError

VAULT = "vault"
"""The side that is compared with the others."""


@dataclass(slots=True)
class Sample:
    """One run of one side."""

    seconds: float = 0.0
    peak_mb: float | None = None
    """Peak memory in MB (10^6 bytes) where the case measures it."""
    stored: int | None = None
    """Bytes that it left on disk, where the case measures it."""


Run = Callable[[Path], Sample]
"""Does the work once in the empty folder it is given; only what it times counts."""


@dataclass(frozen=True, slots=True)
class Target:
    """What is wanted: a speed relative to one reference, or an upper limit."""

    text: str
    against: str | None = None
    """The side whose time is divided by the vault's."""
    ratio: float | None = None
    no_larger: bool = False
    """What it leaves on disk must not be more than the reference's, either."""
    seconds: float | None = None
    peak_mb: float | None = None


@dataclass(slots=True)
class Case:
    """One thing to measure."""

    title: str
    sides: dict[str, Run]
    amount: float = 0.0
    """How many of `unit` are done in a run; 0 where seconds say it best."""
    unit: str = "MB/s"
    targets: tuple[Target, ...] = ()
    left_out: list[str] = field(default_factory=list)
    """Sides that could not run, with the reason."""
    repetitions: int | None = None
    """Fewer than the others, where one run takes minutes."""


@dataclass(slots=True)
class Result:
    """The samples of a case, side by side."""

    case: Case
    samples: dict[str, list[Sample]]

    def seconds(self, side: str) -> float:
        """Median seconds of a side."""
        return statistics.median(sample.seconds for sample in self.samples[side])

    def spread(self, side: str) -> tuple[float, float]:
        """The quickest and the slowest run."""
        times = [sample.seconds for sample in self.samples[side]]
        return min(times), max(times)

    def ratio(self, side: str) -> float:
        """How many times as fast as `side` the vault is: the median over the pairs of runs made in turn."""
        pairs = zip(self.samples[side], self.samples[VAULT], strict=True)
        return statistics.median(theirs.seconds / ours.seconds for theirs, ours in pairs)

    def peak_mb(self, side: str) -> float | None:
        """The highest memory of all runs."""
        peaks = [sample.peak_mb for sample in self.samples[side] if sample.peak_mb is not None]
        return max(peaks, default=None)

    def stored(self, side: str) -> int | None:
        """Bytes left on disk by the last run."""
        return self.samples[side][-1].stored

    def met(self, target: Target) -> bool | None:
        """Whether a target was met; None when its reference did not run."""
        if VAULT not in self.samples:
            return None
        if target.ratio is not None:
            if target.against not in self.samples:
                return None
            return self.ratio(target.against) >= target.ratio and self._fits(target)
        if target.seconds is not None:
            return self.seconds(VAULT) <= target.seconds
        peak = self.peak_mb(VAULT)
        return None if peak is None or target.peak_mb is None else peak <= target.peak_mb

    def _fits(self, target: Target) -> bool:
        ours, theirs = self.stored(VAULT), self.stored(target.against or "")
        return not target.no_larger or (ours is not None and theirs is not None and ours <= theirs)


def run_case(case: Case, scratch: Path, repetitions: int) -> Result:
    """Run every side `repetitions` times, in turns, the order reversed each time.

    What they made goes at the end of the case: a file system may look for minutes at what was just removed when new
    files are made (ext4 without a journal does), and who makes many would pay for what others left.
    """
    samples: dict[str, list[Sample]] = {name: [] for name in case.sides}
    for number in range(case.repetitions or repetitions):
        for name in _order(case.sides, number):
            folder = Path(tempfile.mkdtemp(prefix="run-", dir=scratch))
            try:
                sample = case.sides[name](folder)
            except ToolFailedError as error:
                case.left_out.append(f"{name} failed: {error}")
                say(f"  {name} failed: {error}")
            else:
                samples[name].append(sample)
                say(f"  {name}: {sample.seconds:.3f} s")
    for folder in scratch.glob("run-*"):
        shutil.rmtree(folder)
    whole = max(map(len, samples.values()), default=0)
    return Result(case, {name: found for name, found in samples.items() if found and len(found) == whole})


def say(text: str) -> None:
    """Tell whoever waits."""
    print(text, file=sys.stderr, flush=True)


def _order(names: Iterable[str], number: int) -> list[str]:
    order = list(names)
    return order if number % 2 == 0 else order[::-1]
