"""Runs the fuzzer for a number of inputs and says what it saw: `python tests/fuzz/fuzz_run.py --runs 1000000`.

Exit code 1 and a file in `build/fuzz/findings` where an input breaks what must hold; 2 where there is no fuzzer for
this Python.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib.util
import json
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent / "support"))
_PROGRESS = re.compile(r"#(\d+)\s.*?\bcov: (\d+) ft: (\d+) corp: (\d+)/")


@dataclass
class Result:
    """What came of a run."""

    inputs: int = 0
    edges: int = 0
    features: int = 0
    corpus: int = 0
    seconds: float = 0.0
    code: int = 0
    slowest: tuple[float, int] = (0.0, 0)
    slowest_rate: tuple[float, int] = (0.0, 0)
    peak: int = 0

    def __str__(self) -> str:
        rate = self.inputs / self.seconds if self.seconds else 0
        lines = [
            f"{self.inputs:,} inputs in {self.seconds:.0f} s ({rate:.0f}/s)",
            f"coverage: {self.edges} edges, {self.features} features, {self.corpus} inputs worth keeping",
            f"slowest: {self.slowest[0] * 1e3:.1f} ms for {self.slowest[1]:,} bytes; of 4 kB and more "
            f"{self.slowest_rate[0]:.2f} s/MB for {self.slowest_rate[1]:,} bytes",
            f"memory: grew by at most {self.peak / 1e6:.0f} MB",
        ]
        return "\n".join(lines)


def available() -> bool:
    """Whether this Python has the fuzzer."""
    return importlib.util.find_spec("atheris") is not None


def run(
    folder: Path, runs: int, seed: int, longest: int, *, quiet: bool = False, plain: bool = False
) -> Result:
    """Fuzz `runs` inputs, keeping what it finds in `folder`."""
    corpus, seeds, findings = (folder / name for name in ("corpus", "seeds", "findings"))
    for part in (corpus, seeds, findings):
        part.mkdir(parents=True, exist_ok=True)
    for data in _beginnings():
        (seeds / hashlib.sha256(data).hexdigest()[:16]).write_bytes(data)
    notes = folder / "notes.json"
    command = [
        *(
            sys.executable,
            str(HERE / "fuzz_target.py"),
            "--notes",
            str(notes),
            f"-runs={runs}",
            f"-seed={seed}",
        ),
        *(f"-max_len={longest}", "-timeout=60", "-rss_limit_mb=0", f"-artifact_prefix={findings}/"),
        *(["--plain"] if plain else []),
        *(str(corpus), str(seeds)),
    ]
    result, began = Result(), time.monotonic()
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as child:
        assert child.stdout
        for line in child.stdout:
            if match := _PROGRESS.match(line):
                result.inputs, result.edges, result.features, result.corpus = map(int, match.groups())
            if (
                not quiet
                and (not match or " pulse " in line or "DONE" in line)
                and "Instrumenting" not in line
            ):
                print(line, end="", flush=True)
    result.code, result.seconds = child.returncode, time.monotonic() - began
    if notes.exists():
        for name, value in json.loads(notes.read_text()).items():
            setattr(result, name, tuple(value) if isinstance(value, list) else value)
    return result


def _beginnings() -> Iterator[bytes]:
    from fuzz_seeds import seeds

    yield from seeds()
    yield from (path.read_bytes() for path in sorted((HERE / "corpus").glob("*.dcm")))


def main() -> int:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=1_000_000, help="inputs (default 1,000,000)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--longest", type=int, default=1024, help="bytes of an input (default 1024)")
    parser.add_argument(
        "--folder", type=Path, default=Path("build/fuzz"), help="what is found and kept (build/fuzz)"
    )
    parser.add_argument("--plain", action="store_true", help="without the mutations that know DICOM")
    options = parser.parse_args()
    if not available():
        print(
            f"atheris has no wheel for this Python ({sys.version.split()[0]}, {sys.platform}): nothing was fuzzed."
        )
        return 2
    result = run(options.folder, options.runs, options.seed, options.longest, plain=options.plain)
    print(result)
    if result.code:
        print(f"FOUND: an input breaks what must hold; it is in {options.folder / 'findings'}")
        return 1
    print("nothing found")
    return 0


if __name__ == "__main__":
    sys.exit(main())
