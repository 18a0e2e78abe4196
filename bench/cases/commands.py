"""What a person waits for: commands in a vault of many patients and nights, beside a bare Python start."""

from __future__ import annotations

import io
import os
import shutil
import sys
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from functools import cached_property, partial
from pathlib import Path

from bench import processes
from bench.cases import Bench
from bench.cases.night import COMMAND
from bench.corpus import small_plan
from bench.harness import VAULT, Case, Sample, Target, say
from bench.vaults import WHEN, BenchVault, environment
from vault.archive.blobs import Bytes
from vault.archive.ledger import Ledger
from vault.archive.repository import PatientRepository
from vault.keys import Pseudonyms
from vault.model import PatientOutcome
from vault.normal.dicom import normal_form
from vault.sync_report import counts

PYTHON = "python -c pass"


def cases(bench: Bench) -> Iterator[Case]:
    """`--help`, `status`, `log` and `diff`."""
    vault = _Grown(bench)
    where = f"{bench.many_patients} patients x {bench.nights} nights"
    for words, limit in (
        (["--help"], 0.25),
        (["status"], 0.4),
        (["log", "P001"], 0.4),
        (["diff", "P001"], 0.4),
    ):
        yield Case(
            f"`vault {words[0]}`, {where}",
            {VAULT: partial(vault.command, words), PYTHON: _python},
            targets=(Target(f"≤ {limit} s", seconds=limit),),
        )


def _python(_folder: Path) -> Sample:
    return Sample(processes.run([sys.executable, "-c", "pass"]))


class _Grown:
    """A vault with a history: every night changes every patient's plan."""

    def __init__(self, bench: Bench) -> None:
        self._bench = bench

    def command(self, words: list[str], _folder: Path) -> Sample:
        """Time one command."""
        return Sample(processes.run([COMMAND, "-c", self._toml, *words], environment()))

    @cached_property
    def _toml(self) -> Path:
        folder = self._bench.scratch / "grown"
        shutil.rmtree(folder, ignore_errors=True)
        patients = [f"P{number:03}" for number in range(1, self._bench.many_patients + 1)]
        vault = BenchVault(folder / "vault", patients)
        say(f"  making {len(patients)} patients x {self._bench.nights} nights")
        tips = self._history(vault, patients[0])
        for patient in patients[1:]:
            self._copy(vault, patients[0], patient)
        self._ledger(vault, dict.fromkeys(patients, tips))
        return vault.toml

    def _history(self, vault: BenchVault, patient: str) -> list[str | None]:
        """Make one patient's commits; returns their ids, beginning with the None before the first."""
        repository = PatientRepository.create(vault.root, patient)
        tips: list[str | None] = [None]
        plan = small_plan(patient, "")
        path = f"dicom/RTPLAN/{plan.SeriesInstanceUID}/{plan.SOPInstanceUID}"
        for night in range(self._bench.nights):
            plan.RTPlanLabel = f"NIGHT {night}"
            content, form = io.BytesIO(), io.BytesIO()
            plan.save_as(content, enforce_file_format=True)
            source = vault.root / "object.dcm"
            source.write_bytes(content.getvalue())
            normal_form(source, form)
            tip = repository.commit(
                parent=tips[-1],
                edits={f"{path}.dcm": Bytes(content.getvalue()), f"{path}.txt": Bytes(form.getvalue())},
                message=f"Night {night}\n\nNormal-Form: 1\n",
                when=WHEN + timedelta(days=night),
                signer=vault.signer,
            )
            tips.append(tip)
            _date_packs(repository.path, WHEN - timedelta(days=self._bench.nights - night))
        return tips

    def _copy(self, vault: BenchVault, original: str, patient: str) -> None:
        """Give another patient the same history: as much to read, and made in a moment."""
        repositories = vault.root / "repos"
        copy = repositories / f"{patient}.git"
        shutil.copytree(repositories / f"{original}.git", copy)
        processes.run(["git", "config", "--file", copy / "config", "vault.patient", patient])

    def _ledger(self, vault: BenchVault, histories: Mapping[str, list[str | None]]) -> None:
        pseudonyms = Pseudonyms.load(vault.config.vault.pseudonym_key)
        ledger = Ledger(vault.root, vault.signer)
        fate = counts(PatientOutcome(complete=True))
        for night in range(self._bench.nights):
            when = WHEN + timedelta(days=night)
            name = f"{when:%Y%m%dT%H%M%SZ}-0000"
            event = {
                "run": name,
                "procedure": "sync",
                "started": when.isoformat(),
                "patients": {
                    pseudonyms.of(patient): {
                        "old_commit": tips[night],
                        "new_commit": tips[night + 1],
                        **fate,
                        "failed": 0,
                    }
                    for patient, tips in histories.items()
                },
                "anomalies": [],
                "failed": 0,
            }
            ledger.append("runs", name, event, when=when)


def _date_packs(repository: Path, when: datetime) -> None:
    """Give what this night wrote its own time: git looks into the newest pack first, and all are of one second here."""
    for path in (repository / "objects" / "pack").iterdir():
        if path.stat().st_mtime > when.timestamp():
            os.utime(path, (when.timestamp(),) * 2)
