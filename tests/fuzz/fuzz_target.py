"""The coverage-guided fuzzer of the normal form: `fuzz_run.py` starts it, libFuzzer's options are its arguments.

`--notes FILE` is where it says what was slowest and largest, `--plain` switches off the mutations that know DICOM.
"""

from __future__ import annotations

import importlib
import json
import sys
import zlib
from pathlib import Path

import atheris
import numpy as np  # noqa: F401 - a tenth of a second that no input is to be charged with

sys.path.insert(0, str(Path(__file__).parent.parent / "support"))
from fuzz_checks import Checker, Reading
from fuzz_mutator import mutate

PUMPED = 1 << 20
"""Bytes to which one input in `PUMPED_EACH` is repeated, so that what grows faster than its input is seen to."""
PUMPED_EACH = 8192
_NOTES_EACH = 100


def main(arguments: list[str]) -> None:
    """Fuzz until libFuzzer has had enough; it ends the process."""
    notes = None
    if "--notes" in arguments:
        index = arguments.index("--notes")
        notes = Path(arguments[index + 1])
        del arguments[index : index + 2]
    plain = "--plain" in arguments
    arguments = [argument for argument in arguments if argument != "--plain"]
    checker = Checker(instrumented())

    def one(data: bytes) -> None:
        checker.check(data)
        if zlib.crc32(data) % PUMPED_EACH == 0 and len(data) > 200:
            checker.check(data + data[-len(data) // 2 :] * (2 * PUMPED // len(data)))
        if notes and checker.inputs % _NOTES_EACH == 0:
            write_notes(notes, checker)

    known = {} if plain else {"custom_mutator": _mutated}
    atheris.Setup(arguments, one, **known)
    atheris.Fuzz()


def instrumented() -> Reading:
    """A second copy of the code under test, which records coverage; a third of the speed of the first."""
    first = {name: sys.modules.pop(name) for name in list(sys.modules) if name.partition(".")[0] == "vault"}
    with atheris.instrument_imports(include=["vault.normal", "vault.dicom"]):
        dicom = importlib.import_module("vault.normal.dicom")
        header = importlib.import_module("vault.dicom.header")
    sys.modules.update(first)
    return Reading(dicom.normal_form, header.read_header, header.NotDicom)


def write_notes(notes: Path, checker: Checker) -> None:
    """Say what was worst so far."""
    worst = {"slowest": checker.slowest, "slowest_rate": checker.slowest_rate, "peak": checker.peak}
    notes.write_text(json.dumps(worst))


def _mutated(data: bytes, maximum: int, seed: int) -> bytes:
    return mutate(bytes(data), maximum, seed, _plain)


def _plain(data: bytes, maximum: int) -> bytes:
    return bytes(atheris.Mutate(data, maximum))


if __name__ == "__main__":
    main(sys.argv)
