"""Whose history is gone: told from new patients, from those who were pruned, and from those who begin with an hour."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from verdict_kit import NIGHT, VerdictVault

from vault.archive.repository import PatientRepository
from vault.lost import lost
from vault.model import PatientID

ANNA, BERTA = PatientID("4711"), PatientID("0815")


@pytest.fixture
def vault(tmp_path: Path) -> VerdictVault:
    made = VerdictVault(tmp_path / "vault")
    made.night(ANNA)
    return made


def gone(vault: VerdictVault) -> set[PatientID]:
    return lost(vault.folder, vault.ledger, vault.pseudonyms, [ANNA, BERTA])


def remove(vault: VerdictVault, patient_id: str) -> None:
    shutil.rmtree(vault.folder / "repos" / f"{patient_id}.git")


def record(vault: VerdictVault, kind: str, **event: object) -> None:
    number = len(list(vault.ledger.names(kind)))
    vault.ledger.append(kind, f"event-{number}", {"run": f"event-{number}", **event}, when=NIGHT)


def test_a_patient_who_is_new_is_not_lost(vault: VerdictVault) -> None:
    assert gone(vault) == set()


def test_a_repository_that_went_is_lost_until_somebody_gives_it_up(vault: VerdictVault) -> None:
    remove(vault, ANNA)
    assert gone(vault) == {ANNA}
    unknown = {"old_commit": None, "new_commit": None}  # of a night that could commit nothing of her
    record(vault, "runs", patients={vault.pseudonyms.of(ANNA): unknown})
    assert gone(vault) == {ANNA}
    record(vault, "repairs", event="given up", patients={vault.pseudonyms.of(ANNA): {}})
    assert gone(vault) == set()


def test_a_repository_that_was_put_there_empty_is_lost_as_well(vault: VerdictVault) -> None:
    remove(vault, ANNA)
    PatientRepository.create(vault.folder, ANNA)
    assert gone(vault) == {ANNA}


def test_who_was_pruned_is_not_lost(vault: VerdictVault) -> None:
    remove(vault, ANNA)
    record(vault, "prunes", event="intent", patients={})
    assert gone(vault) == set()  # the pruning is not over
    done = {"before": {}, "after": {}}
    vault.ledger.append(
        "prunes",
        "event-1",
        {"run": "event-0", "event": "done", "patients": {vault.pseudonyms.of(ANNA): done}},
        when=NIGHT,
    )
    assert gone(vault) == set()


def test_hours_before_the_first_night_are_no_lost_night(vault: VerdictVault) -> None:
    record(
        vault,
        "hourly",
        patients={vault.pseudonyms.of(BERTA): {"old_commit": None, "new_commit": "1" * 40}},
        overview=None,
    )
    assert gone(vault) == {BERTA}
    repository = PatientRepository.create(vault.folder, BERTA)
    (repository.path / "refs/heads/hourly").write_text("1" * 40 + "\n")
    assert gone(vault) == set()


def test_a_ledger_that_is_damaged_says_nothing(vault: VerdictVault) -> None:
    remove(vault, ANNA)
    record(vault, "prunes", event=1)
    vault.ledger.append("runs", "damaged", {"run": 1}, when=NIGHT)
    assert gone(vault) == set()
