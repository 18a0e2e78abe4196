"""The policy that confirms what every night brings: it holds for nothing else."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest
from wireless import Wireless

from vault.archive.ledger import Ledger
from vault.config import load
from vault.department.nights import night
from vault.department.patients import Scale, roster
from vault.keys import Pseudonyms

DAY = date(2026, 11, 2)


@pytest.mark.parametrize("policy", ["confirm", "verdict"])
def test_only_a_night_of_daily_additions_is_routine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, policy: str
) -> None:
    patients = roster(4, DAY, scale=Scale(matrix=8, slices=3, control_points=3, dose_pitch=60))
    department = Wireless(tmp_path, patients, DAY, monkeypatch)
    toml = department.config.path
    toml.write_text(toml.read_text().replace('#routine = "verdict"', f'routine = "{policy}"'))
    department.config = load(toml)
    pseudonyms = Pseudonyms.load(department.config.vault.pseudonym_key)

    def routine() -> dict[str, bool | None]:
        recorded = next(Ledger(department.config.vault.root).events("runs"))["patients"]
        return {
            patient.patient_id: recorded[pseudonyms.of(patient.patient_id)].get("routine")
            for patient in patients
        }

    found = []
    for number in (1, 2, 3):
        department.night(night(patients, number, DAY))
        found.append(routine())
    if policy == "verdict":
        assert found == [dict.fromkeys(found[0], None)] * 3
        return
    new, eventful, usual = found
    assert set(new.values()) == {False}, "who is new is looked at"
    assert set(eventful.values()) == {None}, "nobody is confirmed unasked in a night that raises an alarm"
    assert set(usual.values()) == {True}
