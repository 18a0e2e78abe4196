"""`refs/vault/verified` of each patient: the newest commit that people have vouched for.

It moves to a confirmed run's commit, forward along `main` only, and never past a night whose verdict is missing: else
the confirmation of one night would vouch for what the night before had changed. A disputed night is passed when a
later one has been confirmed. It never moves back.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import takewhile

from vault.archive.refs import VERIFIED
from vault.archive.repository import PatientRepository
from vault.errors import IntegrityError, VaultError
from vault.keys import Pseudonyms
from vault.model import Failure
from vault.verification.quorum import State
from vault.verification.state import RunState


@dataclass(slots=True)
class Moved:
    """What became of the refs."""

    patients: list[str] = field(default_factory=list)
    """Pseudonyms of those whose ref has moved."""
    failed: list[Failure] = field(default_factory=list)
    integrity: bool = False


def vouched(pseudonym: str, runs: Sequence[RunState]) -> str | None:
    """The commit that people have vouched for, given where the runs stand, newest first; None when there is none."""
    newest = None
    for run in reversed(runs):
        patient = run.patients.get(pseudonym)
        if patient is None:
            continue
        if patient.state is State.PENDING and run.run.somebody:
            break
        if patient.state is State.CONFIRMED:
            newest = patient.step.new
    return newest


def move_refs(
    repositories: Iterable[PatientRepository], runs: Sequence[RunState], pseudonyms: Pseudonyms
) -> Moved:
    """Bring every patient's ref to where the verdicts say. Repeating it changes nothing; failures are in the result."""
    moved = Moved()
    for repository in repositories:
        pseudonym = pseudonyms.of(repository.patient_id)
        target = vouched(pseudonym, runs)
        try:
            if target is not None and _is_ahead(repository, target):
                repository.set_ref(VERIFIED, target)
                moved.patients.append(pseudonym)
        except VaultError as error:
            moved.failed.append(Failure(f"verdicts on {pseudonym}", str(error)))
            moved.integrity |= isinstance(error, IntegrityError)
    return moved


def _is_ahead(repository: PatientRepository, target: str) -> bool:
    """Whether a commit of `main` is newer than the one that is verified. One that was rewritten since is neither."""
    verified = repository.ref(VERIFIED)
    if target == verified:
        return False
    newer = takewhile(lambda oid: oid != verified, (commit.oid for commit in repository.log()))
    return any(oid == target for oid in newer)
