"""Whether a patient's changes are of the daily kind alone, so that a site's policy may confirm them unasked."""

from __future__ import annotations

from vault.archive.repository import PatientRepository
from vault.compare.diff import compare
from vault.compare.rules import SEVERITIES, load
from vault.config import Config
from vault.errors import VaultError
from vault.model import PatientID, PatientOutcome
from vault.normal.volatile import extended


def only_routine(config: Config, patient_id: PatientID, outcome: PatientOutcome) -> bool:
    """Whether all that a run brought of a patient is what every ordinary night brings, by the site's rules.

    Never of a patient who is new, of whom something failed or is missing, or who is part of an anomaly; nor where that
    can't be found out: people are asked then.
    """
    old, new = outcome.old_commit, outcome.new_commit
    if old is None or new is None or old == new or outcome.failed or outcome.gaps or outcome.anomalies:
        return False
    try:
        repository = PatientRepository.open(config.vault.root, patient_id)
        if repository is None:
            return False
        volatile = extended((entry.attribute, entry.reason) for entry in config.normal.volatile)
        changes = compare(repository, old, new, volatile, load(config.path.parent))
    except VaultError:
        return False
    return bool(changes) and all(change.severity == SEVERITIES[-1] for change in changes)
