"""Storing: a signed commit beside pygit2's own objects, and the whole store stage beside the backup tools."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pygit2

from bench import processes
from bench.cases import Bench
from bench.corpus import Corpus
from bench.harness import VAULT, Case, Run, Sample, Target
from bench.vaults import WHEN, BenchVault, folder_bytes
from vault.archive.blobs import hash_file
from vault.archive.repository import PatientRepository

PYGIT2 = "pygit2 loose, fsync"
RESTIC = "restic backup"
BORG = "borg create zstd,1"

PASSWORD = {"RESTIC_PASSWORD": "bench", "BORG_PASSPHRASE": "bench"}


def cases(bench: Bench) -> Iterator[Case]:
    """A signed commit of one patient; then everybody, from the inbox to the share."""
    patient, files = next(iter(bench.corpus.patients.items()))
    yield Case(
        "Files of one patient into a signed, durable commit",
        {
            VAULT: lambda folder: _commit(folder, patient, files),
            PYGIT2: lambda folder: _commit_loose(folder, files),
        },
        sum(file.stat().st_size for file in files) / 1e6,
        targets=(
            Target("≥ 3 x pygit2 loose objects with fsync, no larger", PYGIT2, ratio=3, no_larger=True),
        ),
    )
    sides: dict[str, Run] = {VAULT: lambda folder: _store(folder, bench.corpus)}
    sides.update(backup_tools(bench.corpus.folder))
    yield Case(
        "Store stage: inbox → normal form → commit → age ciphertexts on a local share",
        sides,
        bench.corpus.bytes / 1e6,
        targets=(
            Target("≥ 1.0 x restic backup", RESTIC, ratio=1.0),
            Target("stretch: ≥ 1.0 x borg create zstd,1", BORG, ratio=1.0),
        ),
        left_out=missing_tools(),
    )


def backup_tools(source: Path) -> dict[str, Run]:
    """restic and borg, where they are installed, backing up `source` into a new repository."""
    sides: dict[str, Run] = {}
    if processes.missing("restic") is None:
        sides[RESTIC] = lambda folder: _restic(folder, source)
    if processes.missing("borg") is None:
        sides[BORG] = lambda folder: _borg(folder, source)
    return sides


def missing_tools() -> list[str]:
    """Why backup tools are left out."""
    return [reason for tool in ("restic", "borg") if (reason := processes.missing(tool))]


def store(vault: BenchVault, corpus: Corpus) -> float:
    """Fill the inbox, then time the stage."""
    inbox = vault.fill_inbox(corpus)
    began = time.perf_counter()
    vault.commit(inbox)
    vault.deliver()
    return time.perf_counter() - began


def _store(folder: Path, corpus: Corpus) -> Sample:
    vault = BenchVault(folder / "vault", corpus.patients)
    seconds = store(vault, corpus)
    return Sample(seconds, stored=folder_bytes(vault.root / "repos") + folder_bytes(vault.share))


def _commit(folder: Path, patient: str, files: list[Path]) -> Sample:
    vault = BenchVault(folder / "vault", [patient])
    began = time.perf_counter()
    repository = PatientRepository.create(vault.root, patient)
    repository.commit(
        parent=None,
        edits={f"dicom/{file.name}": hash_file(file) for file in files},
        message="Night\n",
        when=WHEN,
        signer=vault.signer,
    )
    return Sample(time.perf_counter() - began, stored=folder_bytes(repository.path))


def _commit_loose(folder: Path, files: list[Path]) -> Sample:
    pygit2.option(pygit2.enums.Option.ENABLE_FSYNC_GITDIR, True)
    began = time.perf_counter()
    repository = pygit2.init_repository(str(folder / "loose.git"), bare=True)
    tree = repository.TreeBuilder()
    for file in files:
        tree.insert(file.name, repository.create_blob(file.read_bytes()), pygit2.enums.FileMode.BLOB)
    author = pygit2.Signature("Benchmark", "bench@localhost")
    repository.create_commit("refs/heads/main", author, author, "Night", tree.write(), [])
    return Sample(time.perf_counter() - began, stored=folder_bytes(folder / "loose.git"))


def _restic(folder: Path, source: Path) -> Sample:
    repository = ["restic", "--quiet", "--no-cache", "--repo", str(folder / "restic")]
    processes.run([*repository, "init"], PASSWORD)
    seconds = processes.run([*repository, "backup", str(source)], PASSWORD)
    return Sample(seconds, stored=folder_bytes(folder / "restic"))


def _borg(folder: Path, source: Path) -> Sample:
    environment = {**PASSWORD, "BORG_BASE_DIR": str(folder / "borg-home")}
    repository = str(folder / "borg")
    processes.run(["borg", "init", "--encryption", "repokey", repository], environment)
    create = ["borg", "create", "--compression", "zstd,1", f"{repository}::night", str(source)]
    seconds = processes.run(create, environment)
    return Sample(seconds, stored=folder_bytes(folder / "borg"))
