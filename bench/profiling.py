"""Where the time of the store stage goes."""

from __future__ import annotations

import cProfile
import io
import pstats
import shutil
from pathlib import Path

from bench.corpus import Corpus
from bench.vaults import BenchVault

_SHOWN = 12


def profile_store(corpus: Corpus, scratch: Path) -> str:
    """Store the first patient under cProfile; returns the functions with the most time of their own."""
    patient, files = next(iter(corpus.patients.items()))
    folder = scratch / "profile"
    shutil.rmtree(folder, ignore_errors=True)
    vault = BenchVault(folder / "vault", [patient])
    inbox = vault.fill_inbox(Corpus(corpus.folder, {patient: files}))
    profiler = cProfile.Profile()
    profiler.enable()
    vault.commit(inbox)
    vault.deliver()
    profiler.disable()
    out = io.StringIO()
    pstats.Stats(profiler, stream=out).strip_dirs().sort_stats("tottime").print_stats(_SHOWN)
    shutil.rmtree(folder)
    return "\n".join(line.rstrip() for line in out.getvalue().splitlines() if line.strip())
