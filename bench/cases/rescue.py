"""The way back and the proof: `vault restore` and `vault audit --full` beside what restic has for them."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path

from bench import processes
from bench.cases import Bench
from bench.cases.night import COMMAND
from bench.cases.store import PASSWORD, store
from bench.harness import VAULT, Case, Run, Sample, Target
from bench.vaults import RUN, WHEN, BenchVault, environment
from vault.archive.ledger import Ledger
from vault.archive.repository import all_repositories
from vault.keys import Pseudonyms
from vault.model import PatientOutcome
from vault.sync_report import counts

RESTORE = "restic restore"
CHECK = "restic check --read-data"


def cases(bench: Bench) -> Iterator[Case]:
    """Everything from the share into an empty folder; then every byte of a vault read and checked."""
    held = _Held(bench)
    reason = processes.missing("restic")
    left_out = [reason] if reason else []  # each case gets a list of its own, to add to
    amount = bench.corpus.bytes / 1e6
    yield Case(
        "Restore of everything from the share, durable",
        _sides(held.restore, RESTORE, held.restic_restore, left_out),
        amount,
        targets=(Target("≥ 1.0 x restic restore", RESTORE, ratio=1.0),),
        left_out=[*left_out],
    )
    yield Case(
        "Audit that reads everything",
        _sides(held.audit, CHECK, held.restic_check, left_out),
        amount,
        targets=(Target("≥ 0.5 x restic check --read-data", CHECK, ratio=0.5),),
        left_out=[*left_out],
    )


def _sides(vault: Run, name: str, reference: Run, left_out: list[str]) -> dict[str, Run]:
    return {VAULT: vault} if left_out else {VAULT: vault, name: reference}


class _Held:
    """A vault and a restic repository that hold the corpus."""

    def __init__(self, bench: Bench) -> None:
        self._bench = bench
        self._folder = bench.scratch / "held"

    @cached_property
    def _vault(self) -> BenchVault:
        self._folder.mkdir(exist_ok=True)
        vault = BenchVault(self._folder / "vault", self._bench.corpus.patients)
        store(vault, self._bench.corpus)
        vault.inbox().remove()
        pseudonyms = Pseudonyms.load(vault.config.vault.pseudonym_key)
        fate = {"old_commit": None, **counts(PatientOutcome(complete=True)), "failed": 0}
        patients = {
            pseudonyms.of(repository.patient_id): {**fate, "new_commit": repository.tip()}
            for repository in all_repositories(vault.root)
        }
        event = {"run": RUN, "procedure": "sync", "started": WHEN.isoformat(), "patients": patients}
        Ledger(vault.root, vault.signer).append(
            "runs", RUN, {**event, "anomalies": [], "failed": 0}, when=WHEN
        )
        vault.deliver()
        return vault

    @cached_property
    def _restic(self) -> list[str]:
        self._folder.mkdir(exist_ok=True)
        repository = ["restic", "--quiet", "--no-cache", "--repo", str(self._folder / "restic")]
        processes.run([*repository, "init"], PASSWORD)
        processes.run([*repository, "backup", str(self._bench.corpus.folder)], PASSWORD)
        return repository

    def restore(self, folder: Path) -> Sample:
        """Rebuild every repository from the share and an identity."""
        vault, target = self._vault, folder / "restored"
        identity = vault.config.vault.signing_key.parent / "identity.txt"
        words = ["restore", "--from", vault.share.as_uri(), "--identity", identity, "--to", target]
        return _timed([COMMAND, *words], target)

    def restic_restore(self, folder: Path) -> Sample:
        """Write every file anew."""
        target = folder / "restored"
        return _timed([*self._restic, "restore", "latest", "--target", target], target)

    def audit(self, _folder: Path) -> Sample:
        """Read all histories, and look for every file on the share."""
        return Sample(processes.run([COMMAND, "-c", self._vault.toml, "audit", "--full"], environment()))

    def restic_check(self, _folder: Path) -> Sample:
        """Read and decrypt all packs."""
        return Sample(processes.run([*self._restic, "check", "--read-data"], PASSWORD))


def _timed(command: list[str | Path], target: Path) -> Sample:
    seconds = processes.run(command, {**environment(), **PASSWORD})
    shutil.rmtree(target)
    return Sample(seconds)
