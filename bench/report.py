"""The result as text: one table, what was met, the machine, and where the time of the store stage goes."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from bench.corpus import Corpus
from bench.harness import VAULT, Result, Target

_BUSY = 0.5
"""Load before the run from which others clearly worked on the machine."""

_TOOLS = (
    ("storescu", "--version"),
    ("Orthanc", "--version"),
    ("restic", "version"),
    ("borg", "--version"),
    ("git", "--version"),
)
_LIBRARIES = ("pynetdicom", "pydicom", "pygit2", "pyrage", "isal", "numpy")


@dataclass(frozen=True, slots=True)
class Circumstances:
    """What a reader must know of a run to weigh it."""

    command: str
    load: float
    """Load average (1 minute) before it began."""
    corpus: Corpus
    repetitions: int


def table(results: Iterable[Result]) -> str:
    """One row per side, the vault first."""
    lines = [
        "| case | side | median | spread (s) | vault is | peak memory | on disk |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for result in results:
        for side in result.samples:
            lines.append(_row(result, side))
    return "\n".join(lines)


def verdicts(results: Iterable[Result]) -> str:
    """Every target beside what was measured."""
    lines = ["| case | target | measured | met |", "| --- | --- | --- | --- |"]
    for result in results:
        for target in result.case.targets:
            met = {True: "yes", False: "**no**", None: "not measured"}[result.met(target)]
            lines.append(f"| {result.case.title} | {target.text} | {_measured(result, target)} | {met} |")
    return "\n".join(lines)


def left_out(results: Iterable[Result]) -> list[str]:
    """What could not be measured, and why."""
    return [f"{result.case.title}: {reason}" for result in results for reason in result.case.left_out]


def document(results: list[Result], about: Circumstances, profile: str) -> str:
    """The whole of docs/benchmarks.md."""
    missing = "".join(f"- {line}\n" for line in left_out(results))
    return f"""# Benchmarks

Written by `{about.command}`; run it again rather than believe it.

Every case runs in turns with its references, in one run on one machine, {about.repetitions} times.
"Vault is" says how many times as
fast as that side the vault is, the median over the pairs of runs: above 1 the vault is the quicker. With few patients,
what every command pays once (starting, finding, closing) weighs more in the nights than it would with many.
Spread is the quickest and the slowest run. Absolute figures move from machine to machine, ratios less.

{_machine(about)}

## Targets

{verdicts(results)}

## Measurements

{table(results)}

{"Left out:" if missing else "Nothing was left out."}

{missing}
## Where the time goes

The store stage of one patient under cProfile (which slows Python code down, so read shares and not seconds), the
functions with the most time of their own:

```text
{profile}
```

## What limits the targets that are not met

- The night of new data: receiving alone ("the bare receive" above) takes longer than restic takes for the files on
  disk, so no store stage is quick enough. pynetdicom decodes, dispatches and acknowledges each object on one core;
  storescp is three times as quick. A receiver outside of Python would lift it.
- The store stage: each byte is parsed into the normal form, hashed for its two names, again for its pixels and again
  on its way into the pack and into the envelope, compressed for the history and encrypted whole for the share, so
  that stock git, age and sha256sum can read both. restic hashes once and writes one compressed copy: a third of the
  bytes. Compressing before encrypting would halve what is written, and a stranger would need one more tool. A file
  for each blob and each normal form on the share is the rest: thousands of files, each made durable by itself.

## What this does not measure

A real network, an SMB share, spinning disks, TLS, a power cut. The references read files that are on disk and in the
page cache; restic and borg keep one encrypted copy, the vault a signed history and an encrypted copy.
The 20 kB objects carry no pixels worth the name: that case counts round trips.
"""


def _row(result: Result, side: str) -> str:
    low, high = result.spread(side)
    seconds = result.seconds(side)
    amount = result.case.amount
    median = f"{seconds:.3f} s" + (f" ({amount / seconds:.0f} {result.case.unit})" if amount else "")
    ratio = "" if side == VAULT or VAULT not in result.samples else f"{result.ratio(side):.2f} x"
    peak, stored = result.peak_mb(side), result.stored(side)
    return (
        f"| {result.case.title if side == VAULT else ''} | {side} | {median} | {low:.3f}-{high:.3f} | {ratio} "
        f"| {f'{peak:.0f} MB' if peak is not None else ''} | {f'{stored / 1e6:.0f} MB' if stored else ''} |"
    )


def _measured(result: Result, target: Target) -> str:
    if VAULT not in result.samples:
        return ""
    if target.ratio is not None:
        return f"{result.ratio(target.against):.2f} x" if target.against in result.samples else ""
    if target.seconds is not None:
        return f"{result.seconds(VAULT):.3f} s"
    return f"{result.peak_mb(VAULT) or 0:.0f} MB"


def _machine(about: Circumstances) -> str:
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9
    calm = "others worked on it meanwhile" if about.load > _BUSY else "it had nothing else to do at the start"
    files = about.corpus.files
    return (
        f"- Machine: {_processor()}, {os.cpu_count()} cores, {memory:.0f} GB, Linux {platform.release()}; load average "
        f"before the run {about.load:.2f}: {calm}\n"
        f"- Corpus: synthetic patients: {len(about.corpus.patients)}, {len(files)} objects, "
        f"{about.corpus.bytes / 1e6:.0f} MB (`bench/corpus.py`, seeded)\n"
        f"- Versions: Python {platform.python_version()}, {', '.join(_versions())}\n"
        f"- Measured {datetime.now(UTC):%Y-%m-%d}"
    )


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def _versions() -> list[str]:
    found = [f"{name} {version(name)}" for name in _LIBRARIES]
    for tool, option in _TOOLS:
        if shutil.which(tool):
            done = subprocess.run([tool, option], capture_output=True, text=True, check=False)
            words = done.stdout.replace("$", "").split()
            number = next((word for word in words if word.lstrip("v")[:1].isdigit()), "?")
            found.append(f"{'DCMTK' if tool == 'storescu' else tool} {number}")
    return found
