"""Whole nights: new data from Orthanc, and a night in which nothing has changed."""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path

from bench import processes
from bench.cases import Bench
from bench.cases.receive import receive_into
from bench.cases.store import RESTIC, backup_tools, missing_tools
from bench.harness import VAULT, Case, Run, Sample, Target
from bench.vaults import NEXT_RUN, BenchVault, environment

BARE = "the bare receive"
COMMAND = Path(sys.executable).with_name("vault")


def cases(bench: Bench) -> Iterator[Case]:
    """A night of new data through `vault sync`; then one of known data against receiving alone."""
    if reason := processes.missing("storescu", "Orthanc"):
        yield Case("Nights", {}, left_out=[reason])
        return
    sides: dict[str, Run] = {VAULT: lambda folder: _whole_night(folder, bench)}
    sides.update(backup_tools(bench.corpus.folder))
    yield Case(
        "Night of new data: `vault sync` from Orthanc to the share",
        sides,
        bench.corpus.bytes / 1e6,
        targets=(
            Target("≥ 0.8 x restic backup of files on disk", RESTIC, ratio=0.8),
            Target("stretch: ≥ 1.0 x restic", RESTIC, ratio=1.0),
        ),
        left_out=missing_tools(),
    )
    unchanged = _Unchanged(bench)
    yield Case(
        "Unchanged night: receive and compare",
        {VAULT: unchanged.night, BARE: unchanged.receive},
        bench.corpus.bytes / 1e6,
        targets=(Target("≥ 0.9 x its own receiver writing files", BARE, ratio=0.9),),
    )


def _whole_night(folder: Path, bench: Bench) -> Sample:
    receiver_port = processes.free_port()
    with processes.orthanc(folder, receiver_port) as (port, _pid):
        processes.send(bench.corpus.files, port, "ORTHANC")
        vault = BenchVault(
            folder / "vault", bench.corpus.patients, rois=("ORTHANC", port), receiver_port=receiver_port
        )
        return Sample(processes.run([COMMAND, "-c", vault.toml, "sync"], environment()))


class _Unchanged:
    """A vault that holds the corpus already; each run receives it once more."""

    def __init__(self, bench: Bench) -> None:
        self._bench = bench

    @cached_property
    def _vault(self) -> BenchVault:
        folder = self._bench.scratch / "unchanged"
        shutil.rmtree(folder, ignore_errors=True)
        patients = self._bench.corpus.patients
        vault = BenchVault(folder / "vault", patients, receiver_port=processes.free_port())
        inbox = (
            vault.inbox()
        )  # received, as every night is: a file's head is ours, so only then are the bytes the same
        receive_into(vault, inbox, patients, self._bench.corpus.files)
        vault.commit(inbox)
        inbox.remove()
        return vault

    def receive(self, _folder: Path) -> Sample:
        """Receive, no more."""
        inbox = self._vault.inbox(NEXT_RUN)
        corpus = self._bench.corpus
        sample = receive_into(self._vault, inbox, corpus.patients, corpus.files)
        inbox.remove()
        return sample

    def night(self, _folder: Path) -> Sample:
        """Receive, compare with what is held, and find nothing to commit."""
        inbox = self._vault.inbox(NEXT_RUN)
        corpus = self._bench.corpus
        sample = receive_into(self._vault, inbox, corpus.patients, corpus.files)
        began = time.perf_counter()
        self._vault.commit(inbox)
        sample.seconds += time.perf_counter() - began
        inbox.remove()
        return sample
