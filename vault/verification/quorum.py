"""Whether a run's changes of one patient are confirmed: by different recipients, and by nobody's objection."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum


class Answer(StrEnum):
    """What a recipient can say."""

    VERIFY = "verify"
    REJECT = "reject"


class State(StrEnum):
    """Where a patient's changes stand."""

    PENDING = "pending"
    CONFIRMED = "confirmed"
    DISPUTED = "disputed"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What one recipient, proven to be that one, answered to one run."""

    recipient: str
    answer: Answer
    patients: frozenset[str] | None = None
    """Pseudonyms of the patients it is about; None for the whole run."""

    def about(self, pseudonym: str) -> bool:
        """Whether this is an answer about the patient."""
        return self.patients is None or pseudonym in self.patients


def state_of(pseudonym: str, verdicts: Iterable[Verdict], required: int) -> State:
    """Return where a changed patient stands, given all verdicts on the run in any order.

    One REJECT disputes, whatever else was said before or after, also by the same recipient. `required` different
    recipients confirm. Raises ValueError when `required` is less than 1: nobody's word confirms nothing.
    """
    if required < 1:
        raise ValueError("at least one recipient must confirm")
    about = [verdict for verdict in verdicts if verdict.about(pseudonym)]
    if any(verdict.answer is Answer.REJECT for verdict in about):
        return State.DISPUTED
    confirming = {verdict.recipient for verdict in about}
    return State.CONFIRMED if len(confirming) >= required else State.PENDING
