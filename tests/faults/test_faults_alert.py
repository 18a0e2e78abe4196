"""A fault anywhere in `vault alert`: every answer becomes a verdict once, and everybody is told once."""

from __future__ import annotations

import shutil
from collections import Counter
from datetime import timedelta

import pytest
from test_faults_sweep import LIMIT, disturbed
from verdict_kit import MAILDIR, TEN, VerdictVault, recipients

from vault.verification.alarms import sent
from vault.verification.state import recorded

pytestmark = LIMIT

NOW = TEN + timedelta(minutes=1)


@pytest.fixture(scope="module")
def morning(tmp_path_factory) -> VerdictVault:
    """The deadline is over; a verdict, an objection and what is neither lie in the mailbox."""
    vault = VerdictVault(tmp_path_factory.mktemp("morning") / "vault", MAILDIR + recipients(("Ann", "Ben")))
    run = vault.night("4711")
    vault.answer("Ann", f"VERIFY {vault.code('Ann', run)}")
    vault.answer("Ben", f"REJECT {vault.code('Ben', run)}")
    vault.answer("Ben", "VERIFY 0")
    return vault


def test_alert(runner, morning, tmp_path, told):
    expected = {}

    def begin() -> VerdictVault:
        twin = object.__new__(VerdictVault)
        twin.__dict__.update(morning.__dict__)
        twin.folder = tmp_path / "swept"
        twin.toml = twin.folder / "vault.toml"
        shutil.rmtree(twin.folder, ignore_errors=True)
        shutil.copytree(morning.folder, twin.folder)
        return twin

    def check(vault: VerdictVault):
        mails = Counter((str(mail["Subject"]), str(mail["To"])) for mail in vault.mailed())
        said = {
            "verdicts": sorted(
                (one.verdict.recipient, one.verdict.answer.value) for one in recorded(vault.ledger)
            ),
            "mails": {mail: number for mail, number in mails.items() if "not confirmed" not in mail[0]},
            "alarms": sorted(alarm.key for alarm in sent(vault.ledger) if alarm.reason != "unanswered"),
        }
        if not expected:
            expected.update(said)
            assert said["verdicts"] == [("Ann", "verify"), ("Ben", "reject")]
            assert sum(said["mails"].values()) == 5, "two receipts, a refusal, and an alarm for each of two"
            assert len(said["alarms"]) == 1
        yield from (
            f"{what} are {said[what]} and not {expected[what]}"
            for what in said
            if said[what] != expected[what]
        )
        for left in ("in/new", "in/tmp", "mail/outbox", "mail/refused", "out/tmp"):
            yield from (f"{path.name} is left in {left}" for path in (vault.folder / left).glob("*"))
        yield from (f"{path.name} is unfinished" for path in vault.folder.rglob(".tmp-*"))

    disturbed(
        runner,
        told,
        "alert",
        begin=begin,
        command=lambda vault: ["-c", vault.toml, "--json", "alert"],
        again=lambda vault: ["-c", vault.toml, "--json", "verify", "poll"],
        watched=lambda vault: [vault.folder],
        check=check,
        wanted=3,
        now=NOW,
    )
