"""Two different recipients confirm; one objection disputes."""

from __future__ import annotations

from itertools import permutations

import pytest

from vault.verification.quorum import Answer, State, Verdict, state_of

ONE, OTHER = "aa" * 8, "bb" * 8
ANNA, BEN = Verdict("anna", Answer.VERIFY), Verdict("ben", Answer.VERIFY)
NO = Verdict("cem", Answer.REJECT)


def only(recipient: str, answer: Answer, *patients: str) -> Verdict:
    return Verdict(recipient, answer, frozenset(patients))


@pytest.mark.parametrize(
    ("verdicts", "state"),
    [
        ([], State.PENDING),
        ([ANNA], State.PENDING),
        ([ANNA, ANNA], State.PENDING),
        ([ANNA, only("anna", Answer.VERIFY, ONE)], State.PENDING),
        ([ANNA, BEN], State.CONFIRMED),
        ([ANNA, only("ben", Answer.VERIFY, ONE)], State.CONFIRMED),
        ([ANNA, only("ben", Answer.VERIFY, OTHER)], State.PENDING),
        ([ANNA, only("ben", Answer.VERIFY)], State.PENDING),
        ([NO], State.DISPUTED),
        ([ANNA, BEN, NO], State.DISPUTED),
        ([ANNA, BEN, only("anna", Answer.REJECT, ONE)], State.DISPUTED),
        ([ANNA, BEN, only("anna", Answer.REJECT, OTHER)], State.CONFIRMED),
    ],
)
def test_state_in_any_order(verdicts: list[Verdict], state: State) -> None:
    assert {state_of(ONE, order, 2) for order in permutations(verdicts)} == {state}


def test_more_can_be_required() -> None:
    assert state_of(ONE, [ANNA, BEN], 3) is State.PENDING


def test_nobody_confirms_nothing() -> None:
    with pytest.raises(ValueError, match="at least one"):
        state_of(ONE, [], 0)
