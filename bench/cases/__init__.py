"""The cases, one topic a module; each has `cases(bench)`, which yields what can be measured here."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from bench.corpus import Corpus


@dataclass(frozen=True, slots=True)
class Bench:
    """What all cases share."""

    corpus: Corpus
    scratch: Path
    """A folder for what a case sets up before its clock starts."""
    small_objects: int = 200
    """Objects of the case that counts objects."""
    many_patients: int = 300
    nights: int = 40
    """Patients and nights of the vault whose commands are timed."""
    chart_patients: int = 500
    """Patients whose documents are compared."""
    large_object: int = 1_000_000_000
    """Bytes of the object whose memory is watched; dcmqridx takes none above 1 GiB."""
