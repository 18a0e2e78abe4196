"""Verdicts at the console: the same as by mail, but for who carries them.

Who has enrolled a phone proves who they are with its digits; who has not, with the code of the report.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime

from vault.config import MailRecipient
from vault.errors import UsageError, VaultError
from vault.verification.enrolment import read_totp_secret
from vault.verification.poll import SHARED, Desk
from vault.verification.proof import is_code, totp_step
from vault.verification.quorum import Answer, State, Verdict
from vault.verification.state import Recorded, RunState

LATEST = "latest"
LONGEST_REASON = 200
"""Characters of a reason."""


def find_run(desk: Desk, wanted: str) -> RunState:
    """The run whose name is, or begins with, `wanted`, or the latest. Raises UsageError when that is not one run."""
    runs = desk.docket.runs
    found = [run for run in runs if run.run.name == wanted] or [
        run for run in runs if wanted and run.run.name.startswith(wanted)
    ]
    if wanted == LATEST:
        found = list(runs[:1])
    if len(found) != 1:
        how = (
            "More than one run's name begins"
            if found
            else "No run that changed something has a name that begins"
        )
        raise UsageError(f"{how} with {wanted!r}: `vault verify list` names them; `{LATEST}` is the last.")
    return found[0]


def named_patients(desk: Desk, run: RunState, patients: Sequence[str]) -> frozenset[str] | None:
    """Pseudonyms of patients as people call them; None for all. Raises UsageError for a stranger to the run."""
    found = set()
    for patient in patients:
        pseudonym = desk.docket.names.get(patient.casefold(), "")
        if pseudonym not in run.patients:
            raise UsageError(f"The run {run.run.name} changed nothing of a patient {patient}.")
        found.add(pseudonym)
    return frozenset(found) or None


def is_asked_for_totp(person: MailRecipient) -> bool:
    """Whether this recipient shows a phone's digits: else the code of the report."""
    return read_totp_secret(person) is not None


def console_verdict(
    desk: Desk,
    run: RunState,
    person: MailRecipient,
    answer: Answer,
    patients: frozenset[str] | None,
    proof: str,
    now: datetime,
    reason: str = "",
) -> Recorded:
    """Return the verdict, if it is one; nothing is recorded yet. Raises VaultError that says why it is none.

    `reason` goes into the ledger, so it may not name a patient.
    """
    if len(reason) > LONGEST_REASON or any(
        re.search(rf"(?<!\w){re.escape(each)}(?!\w)", reason, re.IGNORECASE)
        for each in desk.patients.values()
    ):
        raise UsageError(
            f"The reason goes into the ledger and into mails: no patient's name or ID, and {LONGEST_REASON} characters "
            "at most."
        )
    _check_open(run, person.name, answer, patients)
    step, secret = None, read_totp_secret(person)
    if answer is Answer.VERIFY and person.name in desk.shared:
        raise VaultError(f"{' and '.join(desk.shared)} {SHARED}. Nothing was recorded.")
    if secret is not None:
        step = totp_step(secret, proof, now, desk.docket.used.get(person.name))
        if step is None:
            raise VaultError(
                "The six digits are wrong, too old, or were used before; nothing was recorded. Take new ones. If "
                "they are always wrong, compare the clocks of the phone and of this computer."
            )
    elif desk.config.verification.totp == "required":
        raise UsageError(
            f"This site asks for a phone's digits: give {person.name} a totp_file, then vault verify enrol."
        )
    elif not is_code(proof, desk.key, person.name, run.run.name, run.run.changes.digest):
        raise VaultError(
            f"That is not the code of {person.name} for the run {run.run.name}; nothing was recorded. It stands in the "
            "mail of that night."
        )
    verdict = Verdict(person.name, answer, patients)
    late = now >= run.deadline
    return Recorded(
        run.run.name, run.run.changes.digest, verdict, now, "console", None, step, late=late, reason=reason
    )


def _check_open(run: RunState, name: str, answer: Answer, patients: frozenset[str] | None) -> None:
    """Refuse what would change nothing."""
    about = [run.patients[each] for each in (run.patients if patients is None else patients)]
    if answer is Answer.REJECT:
        if all(name in each.rejected_by for each in about):
            raise UsageError(f"{name} has rejected this already.")
        return
    waiting = [each for each in about if each.state is State.PENDING]
    if not waiting:
        states = " and ".join(sorted({each.state.value for each in about}))
        raise UsageError(f"Nothing is left to confirm: this is {states} already.")
    if all(name in each.confirmed_by for each in waiting):
        raise UsageError(f"{name} has confirmed this already; somebody else has to, too.")
