"""Who a patient is, as a commit's patient.json says it."""

from __future__ import annotations

import json
from dataclasses import dataclass

from vault.archive.repository import PatientRepository
from vault.compare.diff import SUMMARY
from vault.errors import VaultError
from vault.report.build import person


@dataclass(frozen=True, slots=True)
class Person:
    """Name and date of birth, as people write them; empty where nobody says them."""

    name: str = ""
    birth_date: str = ""


def person_in(repository: PatientRepository, commit: str | None) -> Person:
    """Who the patient is by a commit; nobody where that can't be read: whatever is wrong is said by the comparison."""
    try:
        oid = repository.tree(commit).get(SUMMARY) if commit else None
        summary = json.loads(repository.read(oid)) if oid else None
        if not isinstance(summary, dict):
            return Person()
        found = person(repository.patient_id, {}, summary)
    except (VaultError, ValueError, TypeError, AttributeError):
        return Person()
    return Person(found.name, found.birth_date)
