"""Memory of all of the vault's processes together while one large object goes through `vault sync`."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

from pydicom import dcmread

from bench import processes
from bench.cases import Bench
from bench.cases.night import COMMAND
from bench.harness import VAULT, Case, Sample, Target
from bench.processes import ToolFailedError
from bench.vaults import BenchVault, environment

_FRAME = 2 * 1024 * 1024


def cases(bench: Bench) -> Iterator[Case]:
    """One multi-frame object from dcmqrscp to the share."""
    if reason := processes.missing("dcmqrscp", "dcmqridx"):
        yield Case("Memory", {}, left_out=[reason])
        return
    yield Case(
        f"`vault sync` of one object of {bench.large_object / 1e9:.1f} GB",
        {VAULT: lambda folder: _sync(folder, bench)},
        bench.large_object / 1e6,
        targets=(Target("all processes together ≤ 300 MB", peak_mb=300),),
        repetitions=1,
    )


def _sync(folder: Path, bench: Bench) -> Sample:
    store = folder / "rois"
    store.mkdir()
    patient, files = next(iter(bench.corpus.patients.items()))
    source = next(file for file in files if file.name.startswith("CT"))
    large = store / "large.dcm"
    write_large(source, large, bench.large_object // _FRAME)
    receiver_port = processes.free_port()
    with processes.dcmqrscp(store, [large], receiver_port) as port:
        vault = BenchVault(folder / "vault", [patient], rois=("ROIS", port), receiver_port=receiver_port)
        return _watched([str(COMMAND), "-c", str(vault.toml), "sync"])


def _watched(command: list[str]) -> Sample:
    began = time.perf_counter()
    with subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env={**os.environ, **environment()},
    ) as process:
        with processes.TreeMemory(process.pid) as memory:
            output, _ = process.communicate()
        if process.returncode:
            raise ToolFailedError(output.decode(errors="replace")[-1000:])
        return Sample(time.perf_counter() - began, memory.peak_mb)


def write_large(source: Path, target: Path, frames: int) -> None:
    """A multi-frame object of `frames` x 2 MiB with the identity of `source`, never held whole."""
    dataset = dcmread(source)
    dataset.Rows = dataset.Columns = 1024
    dataset.NumberOfFrames = frames
    del dataset.PixelData
    dataset.save_as(target)
    with target.open("ab") as out:  # PixelData is the last element (PS3.5 7.1: tags ascend)
        out.write(b"\xe0\x7f\x10\x00OW\0\0" + (frames * _FRAME).to_bytes(4, "little"))
        for _ in range(frames):
            out.write(os.urandom(_FRAME))
