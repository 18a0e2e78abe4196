"""Two processes commit an inbox: the same archive as one makes, and one that dies costs its patient's night only."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from bench.corpus import Size, make_corpus
from bench.vaults import BenchVault
from vault import commit
from vault.archive.repository import PatientRepository

TINY = Size(matrix=16, slices=2, control_points=2, records=1)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    return make_corpus(tmp_path_factory.mktemp("corpus"), 4, TINY)


@pytest.fixture
def vault(tmp_path: Path, corpus) -> BenchVault:
    return BenchVault(tmp_path / "vault", corpus.patients)


def committed(vault: BenchVault, inbox) -> dict[str, commit.Committed]:
    return {
        str(result.patient_id): result
        for result in commit.commit_patients(vault.job(inbox), inbox.patients())
    }


def trees(vault: BenchVault) -> dict[str, dict[str, str]]:
    repositories = {patient: PatientRepository.open(vault.root, patient) for patient in vault.patients}
    return {patient: each.tree(each.tip()) for patient, each in repositories.items()}


def test_two_processes_make_what_one_makes(tmp_path, vault, corpus, monkeypatch) -> None:
    alone = committed(vault, vault.fill_inbox(corpus))
    other = BenchVault(tmp_path / "other", corpus.patients)
    monkeypatch.setattr(commit, "WORTH", 1)
    together = committed(other, other.fill_inbox(corpus))
    assert all(result.done for result in together.values())
    assert trees(other) == trees(vault)
    assert {patient: result.outcome.added for patient, result in together.items()} == {
        patient: result.outcome.added for patient, result in alone.items()
    }
    assert not multiprocessing.active_children()


def test_no_process_is_started_for_what_the_vault_has(vault, corpus, monkeypatch) -> None:
    inbox = vault.fill_inbox(corpus)
    committed(vault, inbox)
    monkeypatch.setattr(commit, "WORTH", 1)
    monkeypatch.setattr(commit, "shared_out", None)
    again = committed(vault, inbox)
    assert {len(files) for files in corpus.patients.values()} == {
        result.outcome.unchanged + len(result.outcome.added) for result in again.values()
    }


def test_what_was_committed_waits_for_the_share(vault, corpus) -> None:
    committed(vault, vault.fill_inbox(corpus))
    fresh = [path.name for path in (vault.root / "outbox" / ".fresh").iterdir()]
    objects = sum(len(files) for files in corpus.patients.values())
    assert len(fresh) == 2 * objects + len(corpus.patients)  # normal forms, and patient.json of each


def test_a_process_that_dies_costs_its_patient_only_and_the_next_run_finishes(
    vault, corpus, monkeypatch
) -> None:
    monkeypatch.setattr(commit, "WORTH", 1)
    inbox = vault.fill_inbox(corpus)
    results = commit.commit_patients(vault.job(inbox), inbox.patients())
    first = next(results)
    victim = multiprocessing.active_children()[0]
    os.kill(victim.pid, signal.SIGSTOP)
    killer = threading.Timer(0.5, os.kill, (victim.pid, signal.SIGKILL))
    killer.start()
    outcomes = [first, *results]
    killer.join()
    failed = [result for result in outcomes if not result.done]
    assert len(outcomes) == 4
    assert len(failed) <= 1
    assert all("ended unexpectedly" in result.outcome.failed[0].reason for result in failed)
    assert all(result.done for result in committed(vault, inbox).values())
    assert not multiprocessing.active_children()


def test_processes_end_with_the_one_that_started_them(tmp_path, corpus) -> None:
    program = f"""
from pathlib import Path
from bench.corpus import Size, make_corpus
from bench.vaults import BenchVault
from vault import commit
if __name__ == "__main__":
    commit.WORTH = 1
    corpus = make_corpus(Path({str(tmp_path / "corpus")!r}), 4, Size(matrix=16, slices=2, control_points=2, records=1))
    vault = BenchVault(Path({str(tmp_path / "vault")!r}), corpus.patients)
    inbox = vault.fill_inbox(corpus)
    results = commit.commit_patients(vault.job(inbox), inbox.patients())
    next(results)
    import multiprocessing, time
    print(*(child.pid for child in multiprocessing.active_children()), flush=True)
    time.sleep(60)
"""
    script = tmp_path / "program.py"
    script.write_text(program)
    process = subprocess.Popen(
        [sys.executable, str(script)],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(Path.cwd())},
    )
    assert process.stdout
    with process.stdout as output:
        children = [int(number) for number in output.readline().split()]
    assert children
    process.kill()
    process.wait()
    deadline = time.monotonic() + 10
    while any(Path(f"/proc/{child}").exists() for child in children):
        assert time.monotonic() < deadline
        time.sleep(0.02)
