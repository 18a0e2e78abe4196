"""Whose history should be here and is not: removed by somebody, or by a disk.

Nothing is committed for such a patient. Beside an empty repository a plan that was tampered with would pass for a new
one, and the share would in time let go of the history that could have told.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from vault.archive import hours
from vault.archive.ledger import Ledger
from vault.archive.repository import PatientRepository
from vault.audit.findings import Finding
from vault.audit.ledger import read
from vault.errors import IntegrityError
from vault.keys import Pseudonyms
from vault.model import Failure, PatientID

LOST = Failure(
    "",
    "could not be committed: the history is gone from this computer, and no pruning says so. Nothing is committed, "
    "since whatever changed would pass for new; what was retrieved waits. Find out who removed it. "
    "`vault repair PATIENT --from-share` brings it back; where the share does not have it either, `--begin-anew` gives "
    "it up",
)


def lost(root: Path, ledger: Ledger, pseudonyms: Pseudonyms, patients: Iterable[PatientID]) -> set[PatientID]:
    """Those of `patients` of whom the ledger has commits, on a branch on which the vault has none.

    Where the ledger is damaged it says nothing here: the audit does.
    """
    branches = {patient_id: _branches(root, patient_id) for patient_id in patients}
    lacking = {patient_id for patient_id, has in branches.items() if "main" not in has}
    if not lacking:
        return set()
    findings: list[Finding] = []
    recorded = read(ledger, findings)
    if findings or recorded.interrupted:  # by a pruning that the night will finish
        return set()
    return {
        patient_id
        for patient_id in lacking
        for branch, tip in recorded.tips.get(pseudonyms.of(patient_id), {}).items()
        if tip and branch not in branches[patient_id]
    }


def _branches(root: Path, patient_id: PatientID) -> set[str]:
    try:
        repository = PatientRepository.open(root, patient_id)
    except IntegrityError:  # it is there; what is wrong with it is said when it is committed to
        return {"main", hours.BRANCH}
    return {name for name in ("main", hours.BRANCH) if repository and repository.tip(name)}
