"""What a person says at the console about keeping: `vault hold`, `vault emergency`."""

from __future__ import annotations

import json
import re
from datetime import datetime

from vault.archive import summary
from vault.archive.ledger import Ledger
from vault.archive.repository import PatientRepository, no_such_patient
from vault.archive.signing import Signer
from vault.config import Config
from vault.errors import UsageError, VaultError
from vault.keys import Pseudonyms
from vault.model import PatientID
from vault.retention import standing

LONGEST_REASON = 500
"""Characters."""


def hold(config: Config, patient_id: PatientID, *, held: bool, reason: str, now: datetime) -> bool:
    """Hold a patient, or release; returns whether that changes anything.

    Raises UsageError for a patient whom the vault does not have (a slip of the pen would hold nobody) and for a reason
    that names the patient, VaultError when the ledger can't be written. A run at work does not stand in the way.
    """
    repository = PatientRepository.open(config.vault.root, patient_id)
    if repository is None:
        raise no_such_patient(config.vault.root, patient_id)
    _check(reason, _names(repository))
    pseudonym = Pseudonyms.load(config.vault.pseudonym_key).of(patient_id)
    ledger = _ledger(config)
    if (pseudonym in standing.holds(ledger)) == held:
        return False
    standing.hold(ledger, pseudonym, held=held, reason=reason, now=now)
    return True


def emergency(config: Config, *, declared: bool, reason: str, now: datetime) -> tuple[datetime | None, bool]:
    """Declare an emergency, or end it; returns since when there is one, and whether that is new. Errors as `hold`."""
    _check(reason, [])
    ledger = _ledger(config)
    since = standing.emergency_since(ledger)
    if (since is not None) == declared:
        return since, False
    standing.emergency(ledger, declared=declared, reason=reason, now=now)
    return standing.emergency_since(ledger), True


def _ledger(config: Config) -> Ledger:
    signers = config.vault.signing_key.parent / "allowed_signers"
    return Ledger(config.vault.root, Signer.load(config.vault.signing_key), allowed_signers=signers)


def _names(repository: PatientRepository) -> list[str]:
    """Words that must not stand in the ledger: the patient's ID and the parts of the name."""
    words = [repository.patient_id]
    try:
        oid = repository.tree(repository.tip()).get(summary.PATH)
        patient = json.loads(repository.read(oid)).get("patient", {}) if oid else {}
        words += re.split(r"[\W\d_]+", str(patient.get("name", "")))
    except (VaultError, ValueError, AttributeError):  # a damaged patient can be held, too
        pass
    return [word for word in words if len(word) > 1]


def _check(reason: str, names: list[str]) -> None:
    if len(reason) > LONGEST_REASON or not (reason.isprintable()):
        raise UsageError(f"A reason is one line of at most {LONGEST_REASON} characters.")
    if any(re.search(rf"\b{re.escape(name)}\b", reason, re.IGNORECASE) for name in names):
        raise UsageError("The reason names the patient, and the ledger is kept for ever: say it without.")
