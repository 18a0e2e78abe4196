"""Codes are bound to recipient, run and changes; a TOTP is good once."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from vault.verification.proof import Step, change_set_digest, code, is_code, totp_step

KEY = bytes(range(32))
RUN = "20261124T020000Z"
CHANGES = {"aa" * 8: Step(None, "1" * 40), "bb" * 8: Step("2" * 40, "3" * 40)}
DIGEST = change_set_digest(RUN, CHANGES)
SECRET = b"12345678901234567890"
"""The secret of RFC 6238, appendix B, whose last six digits at 59 s are 287082."""


def at(seconds: int) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def test_digest_knows_no_order() -> None:
    assert change_set_digest(RUN, dict(reversed(CHANGES.items()))) == DIGEST


@pytest.mark.parametrize(
    ("run", "changes"),
    [
        ("20261125T020000Z", CHANGES),
        (RUN, {"aa" * 8: CHANGES["aa" * 8]}),
        (RUN, CHANGES | {"aa" * 8: Step("4" * 40, "1" * 40)}),
        (RUN, CHANGES | {"bb" * 8: Step("2" * 40, "5" * 40)}),
    ],
)
def test_digest_differs_with_anything(run: str, changes: dict[str, Step]) -> None:
    assert change_set_digest(run, changes) != DIGEST


def test_code_is_accepted_as_people_type_it() -> None:
    printed = code(KEY, "anna", RUN, DIGEST)
    loose = printed.lower().replace("-", " ").replace("0", "o").replace("1", "l")
    assert len(printed) == 11
    assert all(is_code(typed, KEY, "anna", RUN, DIGEST) for typed in (printed, f" {loose} "))


@pytest.mark.parametrize(
    ("key", "recipient", "run", "digest"),
    [
        (bytes(32), "anna", RUN, DIGEST),
        (KEY, "ben", RUN, DIGEST),
        (KEY, "anna", "20261125T020000Z", DIGEST),
        (KEY, "anna", RUN, "0" * 64),
    ],
)
def test_code_is_good_for_nothing_else(key: bytes, recipient: str, run: str, digest: str) -> None:
    assert not is_code(code(KEY, "anna", RUN, DIGEST), key, recipient, run, digest)


@pytest.mark.parametrize("typed", ["", "-", "ÄÖÜßé-\udcff", "7" * 100_000])
def test_what_is_no_code_is_refused(typed: str) -> None:
    assert not is_code(typed, KEY, "anna", RUN, DIGEST)


def test_totp_of_the_standard() -> None:
    assert totp_step(SECRET, "287 082", at(59)) == 1


@pytest.mark.parametrize(("seconds", "step"), [(0, 1), (30, 1), (89, 1), (90, None)])
def test_totp_allows_one_step_of_drift(seconds: int, step: int | None) -> None:
    assert totp_step(SECRET, "287082", at(seconds)) == step


@pytest.mark.parametrize("last_step", [1, 2])
def test_used_totp_is_refused(last_step: int) -> None:
    assert totp_step(SECRET, "287082", at(59), last_step) is None


@pytest.mark.parametrize("typed", ["", "28708", "2870822", "٢٨٧٠٨٢", "abcdef", "287083"])
def test_what_is_no_totp_is_refused(typed: str) -> None:
    assert totp_step(SECRET, typed, at(59)) is None


def test_totp_needs_a_time_zone_and_a_real_secret() -> None:
    with pytest.raises(ValueError, match="time zone"):
        totp_step(SECRET, "287082", datetime(2026, 11, 24))
    with pytest.raises(ValueError, match="16 bytes"):
        totp_step(b"short", "287082", at(59))
