"""Alarms from the deadline on until enough people have answered, and at once for what can't wait."""

from __future__ import annotations

import errno
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from answer_kit import SECRET, totp_at
from verdict_kit import MAILDIR, NIGHT, PEOPLE, TEN, VerdictVault, recipients

from vault.alert import AlertReport, alert
from vault.errors import ConfigError, ExitCode, IntegrityError, VaultError
from vault.lock import run_lock
from vault.verification.alarms import sent
from vault.verification.console import console_verdict
from vault.verification.enrolment import keep_secret
from vault.verification.poll import MOST_TOLD, Desk, Polled
from vault.verification.quorum import Answer, State
from vault.verification.state import policy_of, states

MINUTE = timedelta(minutes=1)


@pytest.fixture
def vault(tmp_path: Path) -> VerdictVault:
    return VerdictVault(tmp_path / "vault")


def state(vault: VerdictVault, run: str) -> State:
    return next(each.state for each in states(vault.ledger, policy_of(vault.config)) if each.run.name == run)


def at(vault: VerdictVault, now: datetime) -> AlertReport:
    report = alert(vault.config, now=now)
    assert report.exit_code is ExitCode.DONE, report.as_json()
    return report


def test_one_answer_brings_alarms_each_ten_minutes_and_the_second_ends_them(vault: VerdictVault) -> None:
    run = vault.night("4711", "0815")
    vault.answer("Ann", f"VERIFY {vault.code('Ann', run)}")
    for minute in range(-60, 20):
        at(vault, TEN + minute * MINUTE)
    assert vault.subjects() == ["Your VERIFY was counted"] + ["ALARM: 2 patients not confirmed"] * 2
    report = at(vault, TEN + 20 * MINUTE)
    assert [alarm.answered for alarm in report.alarms] == [("Ann",)]
    alarms = [each for each in vault.mailed() if "ALARM" in each["Subject"]]
    assert len(alarms) == 9
    text = alarms[0].get_body(("plain",)).get_content()
    assert "Answered: Ann (VERIFY)" in text
    assert "Not answered: Ben, Cem" in text
    assert "4711" not in text
    times = sorted(each.at for each in sent(vault.ledger))
    assert times == [TEN, TEN + 10 * MINUTE, TEN + 20 * MINUTE]
    assert vault.verified("4711") is None
    vault.answer("Ben", f"VERIFY {vault.code('Ben', run)}")
    for minute in range(21, 60):
        at(vault, TEN + minute * MINUTE)
    assert len(sent(vault.ledger)) == 3
    assert vault.subjects().count("Your VERIFY was counted") == 2
    assert state(vault, run) is State.CONFIRMED
    for patient in ("4711", "0815"):
        assert vault.verified(patient) == vault.tip(patient)
    assert list((vault.folder / "in/new").iterdir()) == []


def test_a_caller_that_comes_late_sends_one_alarm(vault: VerdictVault) -> None:
    vault.night("4711")
    at(vault, TEN + 95 * MINUTE)
    at(vault, TEN + 96 * MINUTE)
    assert vault.subjects() == ["ALARM: 1 patient not confirmed"]


@pytest.mark.parametrize(
    ("night", "ten"), [("2026-03-29T00:15", "2026-03-29T08:00"), ("2026-10-25T00:15", "2026-10-25T09:00")]
)
def test_the_days_when_clocks_change(vault: VerdictVault, night: str, ten: str) -> None:
    vault.night("4711", began=datetime.fromisoformat(night).replace(tzinfo=UTC))
    deadline = datetime.fromisoformat(ten).replace(tzinfo=UTC)
    assert at(vault, deadline - MINUTE).alarms == []
    assert [each.reason for each in at(vault, deadline).alarms] == ["unanswered"]


def test_an_objection_alarms_everybody_at_once_and_once(vault: VerdictVault) -> None:
    run = vault.night("4711", "0815")
    vault.answer("Cem", f"REJECT {vault.code('Cem', run)} 4711", written=NIGHT + 5 * MINUTE)
    now = NIGHT + 10 * MINUTE
    assert [each.reason for each in at(vault, now).alarms] == ["disputed"]
    at(vault, now + 10 * MINUTE)
    alarms = [each for each in vault.mailed() if "ALARM" in each["Subject"]]
    assert {str(each["Subject"]) for each in alarms} == {"ALARM: Cem REJECTS 1 patient"}
    assert len(alarms) == len(PEOPLE)
    assert "4711" not in alarms[0].get_body(("plain",)).get_content()
    for name in ("Ann", "Ben"):
        vault.answer(name, f"VERIFY {vault.code(name, run)}", written=now)
    at(vault, now + 20 * MINUTE)
    assert state(vault, run) is State.DISPUTED
    assert vault.verified("4711") is None
    assert vault.verified("0815") == vault.tip("0815")
    assert at(vault, TEN).alarms == []


def test_a_night_is_not_verified_by_the_verdict_on_another(vault: VerdictVault) -> None:
    first = vault.night("4711")
    second = vault.night("4711")
    one, two = (run.patients for run in reversed(states(vault.ledger, policy_of(vault.config))))
    now = TEN + timedelta(days=1, hours=-1)
    for name in ("Ann", "Ben"):
        vault.answer(name, f"VERIFY {vault.code(name, second)}", written=now)
    at(vault, now)
    assert state(vault, second) is State.CONFIRMED
    assert (
        vault.verified("4711") is None
    )  # what the first night changed is in it, and nobody vouches for that
    for name in ("Ann", "Ben"):
        vault.answer(name, f"VERIFY {vault.code(name, first)}", written=now)
    at(vault, now)
    assert vault.verified("4711") == vault.tip("4711") == next(iter(two.values())).step.new
    assert next(iter(one.values())).step.new == next(iter(two.values())).step.old
    vault.night("4711")
    at(vault, now + MINUTE)
    assert vault.verified("4711") != vault.tip("4711")


def test_a_disputed_night_is_passed_when_a_later_one_is_confirmed(vault: VerdictVault) -> None:
    first = vault.night("4711")
    vault.answer("Ann", f"REJECT {vault.code('Ann', first)}")
    at(vault, TEN - MINUTE)
    second = vault.night("4711")
    for name in ("Ann", "Ben"):
        vault.answer(name, f"VERIFY {vault.code(name, second)}")
    at(vault, TEN + timedelta(hours=23))
    assert vault.verified("4711") == vault.tip("4711")


def test_nights_before_there_was_anybody_to_ask_wait_for_nobody(vault: VerdictVault) -> None:
    vault.night("4711", asked=False)
    run = vault.night("4711")
    for name in ("Ann", "Ben"):
        vault.answer(name, f"VERIFY {vault.code(name, run)}")
    report = at(vault, TEN + timedelta(days=1))
    assert report.alarms == []
    assert vault.verified("4711") == vault.tip("4711")


def test_what_looks_like_an_attack_alarms_at_once(vault: VerdictVault) -> None:
    vault.night("4711", anomalies=["38 of 40 patients changed", {"severity": "minor", "text": "x"}])
    (alarm,) = at(vault, NIGHT + MINUTE).alarms
    assert (alarm.reason, alarm.subject) == ("anomaly", "ALARM: one thing looks like an attack")
    assert at(vault, NIGHT + 2 * MINUTE).alarms == []


def test_a_night_that_did_not_come_alarms_each_hour(vault: VerdictVault) -> None:
    assert at(vault, NIGHT).alarms == []
    vault.night()
    assert at(vault, NIGHT + timedelta(hours=26)).alarms == []
    reasons = [
        [each.reason for each in at(vault, NIGHT + timedelta(hours=26, minutes=minutes)).alarms]
        for minutes in range(1, 125, 10)
    ]
    assert [reason for each in reasons for reason in each] == ["no-night"] * 3


def test_a_clock_that_went_back_is_said_and_silences_nobody(vault: VerdictVault) -> None:
    vault.night("4711")
    at(vault, TEN + 30 * MINUTE)
    report = at(vault, TEN + 11 * MINUTE)
    assert report.clock_jumped
    assert [each.reason for each in report.alarms] == ["clock", "unanswered"]
    assert at(vault, TEN + 12 * MINUTE).alarms == []


def test_routine_alone_is_confirmed_where_the_site_says_so(tmp_path: Path) -> None:
    vault = VerdictVault(tmp_path / "vault", extra='routine = "confirm"')
    vault.night("4711", each={"routine": True})
    assert at(vault, TEN).alarms == []
    assert vault.verified("4711") == vault.tip("4711")
    strict = VerdictVault(tmp_path / "strict")
    strict.night("4711", each={"routine": True})
    assert len(at(strict, TEN).alarms) == 1
    assert strict.verified("4711") is None


def test_guessed_totps_shut_the_mail_for_that_recipient_but_not_for_objections(tmp_path: Path) -> None:
    vault = VerdictVault(tmp_path / "vault", MAILDIR + recipients(enrolled=["Ann"]))
    keep_secret(vault.folder / "keys/Ann.totp", SECRET)
    run = vault.night("4711")
    code, right = vault.code("Ann", run), totp_at(TEN)
    for number in range(5):
        vault.answer("Ann", f"VERIFY {code} {(int(right) + 1 + number) % 10**6:06}")
    vault.answer("Ann", f"VERIFY {code} {right}")
    report = at(vault, TEN)
    assert report.polled
    assert report.polled.verdicts == []
    assert len(report.polled.notices) == 1
    vault.answer("Ann", f"VERIFY {code} {right}\n")
    vault.answer("Ann", f"REJECT {code}")
    report = at(vault, TEN + MINUTE)
    assert report.polled
    assert len(report.polled.verdicts) == 2


def test_a_mail_that_meets_a_defect_of_ours_is_put_aside_and_silences_no_alarm(
    vault: VerdictVault, monkeypatch: pytest.MonkeyPatch
) -> None:
    def meets_a_defect(*_: object, **__: object) -> None:
        raise RecursionError("what the mail says")

    monkeypatch.setattr("vault.verification.poll.read_answer", meets_a_defect)
    run = vault.night("4711")
    vault.answer("Ann", f"VERIFY {vault.code('Ann', run)}")
    report = alert(vault.config, now=TEN)
    assert report.exit_code is ExitCode.PARTIAL
    assert [alarm.reason for alarm in report.alarms] != []
    assert "unforeseen RecursionError" in str(report.as_json()["failed"])
    assert "what the mail says" not in str(report.as_json())
    assert alert(vault.config, now=TEN + MINUTE).polled.read == 0


def test_a_damaged_secret_silences_its_owner_and_no_alarm(tmp_path: Path) -> None:
    vault = VerdictVault(tmp_path / "vault", MAILDIR + recipients(enrolled=["Ann"]))
    (vault.folder / "keys/Ann.totp").write_text("not base 32")
    (vault.folder / "keys/Ann.totp").chmod(0o600)
    run = vault.night("4711")
    vault.answer("Ann", f"VERIFY {vault.code('Ann', run)} 123456")
    vault.answer("Ben", f"VERIFY {vault.code('Ben', run)}")
    report = alert(vault.config, now=TEN)
    assert report.exit_code is ExitCode.PARTIAL
    assert [each.subject for each in report.failed] == ["a phone's secret"]
    assert [(each.reason, each.answered) for each in report.alarms] == [("unanswered", ("Ben",))]


def test_one_phone_does_not_confirm_for_two(tmp_path: Path) -> None:
    vault = VerdictVault(tmp_path / "vault", MAILDIR + recipients(enrolled=["Ann", "Ben"]))
    config = vault.config
    assert config.mail
    for person in config.mail.recipients:
        if person.totp_file:
            keep_secret(person.totp_file, SECRET)
    run = vault.night("4711")
    for name in ("Ann", "Ben"):
        vault.answer(name, f"VERIFY {vault.code(name, run)} {totp_at(TEN)}")
    report = alert(config, now=TEN)
    assert ("phones' secrets", True) in [
        (each.subject, "Ann and Ben" in each.reason) for each in report.failed
    ]
    assert report.polled
    assert report.polled.verdicts == []
    assert vault.verified("4711") is None
    desk = Desk(config)
    with pytest.raises(VaultError, match="Ann and Ben have the same secret"):
        console_verdict(desk, desk.docket.runs[0], desk.person("Ann"), Answer.VERIFY, None, totp_at(TEN), TEN)
    assert console_verdict(
        desk, desk.docket.runs[0], desk.person("Ann"), Answer.REJECT, None, totp_at(TEN), TEN
    )


def test_an_objection_to_two_nights_alarms_about_both(vault: VerdictVault) -> None:
    first, second = vault.night("4711"), vault.night("0815")
    vault.answer("Ann", f"REJECT {vault.code('Ann', second)} {vault.code('Ann', first)}")
    report = alert(vault.config, now=TEN)
    assert sorted(run for each in report.alarms if each.reason == "disputed" for run in each.runs) == [
        first,
        second,
    ]


def test_what_another_process_records_while_the_mail_is_read_is_no_clock_that_went_back(
    vault: VerdictVault, monkeypatch: pytest.MonkeyPatch
) -> None:
    vault.night("4711")

    def slowly(desk: Desk, now: datetime) -> Polled:
        event = {
            "at": (now + 3 * MINUTE).isoformat(),
            "reason": "disputed",
            "key": "k",
            "runs": [],
            "about": [],
        }
        desk.append("alarms", "disputed-0", event, now + 3 * MINUTE)
        return Polled()

    monkeypatch.setattr("vault.alert.poll", slowly)
    assert [each.reason for each in alert(vault.config, now=TEN).alarms] == ["unanswered"]
    assert "clock" in [each.reason for each in alert(vault.config, now=TEN + MINUTE).alarms]


def test_an_alarm_that_a_full_disk_does_not_keep_goes_out_all_the_same(
    vault: VerdictVault, monkeypatch: pytest.MonkeyPatch
) -> None:
    vault.night("4711")
    written = Path.write_text

    def full(target: Path, *_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(target))

    def full_too(path: Path, *arguments: Any, **options: Any) -> int:
        if path.name == "lock.holder":
            full(path)
        return written(path, *arguments, **options)

    monkeypatch.setattr("vault.files.write_file", full)
    monkeypatch.setattr(Path, "write_text", full_too)
    for minutes in (0, 10):
        with pytest.raises(OSError, match="No space"):
            alert(vault.config, now=TEN + minutes * MINUTE)
    assert vault.subjects() == ["ALARM: the vault can't tell what was confirmed"] * 2
    assert "No space left on device" in vault.mailed()[0].get_body(("plain",)).get_content()
    monkeypatch.undo()
    assert [each.reason for each in alert(vault.config, now=TEN + 20 * MINUTE).alarms] == ["unanswered"]


def test_anomalies_of_a_night_behind_one_that_nobody_was_asked_about_are_alarmed_about(
    vault: VerdictVault,
) -> None:
    first = vault.night("4711", anomalies=[{"severity": "critical"}])
    vault.night("0815", asked=False)
    found = alert(vault.config, now=NIGHT + timedelta(days=1, hours=1)).alarms
    assert [each.runs for each in found if each.reason == "anomaly"] == [(first,)]


def test_answers_that_are_none_are_told_once_to_whoever_they_concern(vault: VerdictVault) -> None:
    run = vault.night("4711")
    message = vault.answer("Ann", "VERIFY")
    vault.answer("Ben", f"VERIFY {vault.code('Ben', run)}", Auto_Submitted="auto-replied")
    at(vault, TEN - MINUTE)
    vault.deliver(bytes(message))
    at(vault, TEN - MINUTE)
    (told,) = vault.mailed()
    assert told["To"] == "Ann <ann@test.local>"
    assert told["Auto-Submitted"] == "auto-replied"
    assert "lacks your code" in told.get_body(("plain",)).get_content().replace("\n", " ")


def test_a_flood_of_answers_that_are_none_brings_its_victim_a_few_mails(vault: VerdictVault) -> None:
    run = vault.night("4711")
    for number in range(40):
        vault.answer("Ann", f"VERIFY {number}")
    vault.answer("Ben", f"REJECT {vault.code('Ben', run)}")
    report = at(vault, TEN - MINUTE)
    assert report.polled
    assert len(report.polled.refused) == 40
    assert len(report.polled.verdicts) == 1
    assert vault.subjects().count("Your answer was NOT counted") == MOST_TOLD
    assert len(report.polled.notices) == 1


def test_answers_that_take_too_long_wait_and_alarms_do_not(
    vault: VerdictVault, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = vault.night("4711")
    vault.answer("Ann", f"VERIFY {vault.code('Ann', run)}")
    monkeypatch.setattr("vault.verification.poll.READING", -1.0)
    report = at(vault, TEN)
    assert [alarm.reason for alarm in report.alarms] == ["unanswered"]
    assert report.polled
    assert (report.polled.read, len(report.polled.notices)) == (0, 1)


@pytest.mark.parametrize("error", [KeyError("what the server says"), ConfigError("no password")])
def test_a_mailbox_that_meets_a_defect_silences_no_alarm(
    vault: VerdictVault, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def meets_a_defect(*_: object) -> None:
        raise error

    vault.night("4711")
    monkeypatch.setattr("vault.verification.poll.open_inbox", meets_a_defect)
    report = alert(vault.config, now=TEN)
    assert report.exit_code is ExitCode.PARTIAL
    assert vault.subjects() == ["ALARM: 1 patient not confirmed"]
    assert "what the server says" not in str(report.as_json())


def test_an_emergency_that_can_not_be_read_silences_no_alarm(vault: VerdictVault) -> None:
    vault.night("4711")
    vault.ledger.append("emergencies", "000001-declared", {"declared": True, "when": "noon"}, when=NIGHT)
    at(vault, TEN)
    assert vault.subjects() == ["ALARM: 1 patient not confirmed"]


def test_a_ledger_that_can_not_be_read_is_an_alarm_each_hour(vault: VerdictVault) -> None:
    vault.night("4711")
    vault.ledger.append("verdicts", "damaged", {"run": 1}, when=NIGHT)
    for minutes in (0, 10, 60):
        with pytest.raises(IntegrityError):
            alert(vault.config, now=TEN + minutes * MINUTE)
    assert vault.subjects() == ["ALARM: the vault can't tell what was confirmed"] * 2


def test_an_old_answer_of_who_is_no_recipient_any_more_does_not_stay_for_ever(tmp_path: Path) -> None:
    vault = VerdictVault(tmp_path / "vault")
    run = vault.night("4711")
    answer = vault.answer("Cem", f"VERIFY {vault.code('Cem', run)}")
    at(vault, TEN - MINUTE)
    vault.toml.write_text(vault.toml.read_text().replace('"Cem"', '"Dan"'))
    vault.deliver(bytes(answer))
    at(vault, TEN)
    assert list((vault.folder / "in/new").iterdir()) == []


# --- the network


class Gate:
    """Counts how often the network was opened."""

    def __init__(self, fails: bool = False) -> None:
        self.opened = 0
        self.is_open = False
        self.fails = fails

    @property
    def hook(self) -> Gate:
        return self

    def network_open(self, config: object) -> None:
        self.opened += 1
        self.is_open = True
        if self.fails:
            raise VaultError("The network could not be opened: no cable.")

    def network_close(self, config: object) -> None:
        self.is_open = False


def test_the_network_is_opened_only_where_there_is_something_to_do(vault: VerdictVault) -> None:
    gate = Gate()
    vault.night()
    alert(vault.config, now=NIGHT + MINUTE, events=gate)  # type: ignore[arg-type]
    assert gate.opened == 0
    vault.night("4711", began=NIGHT + timedelta(hours=1))
    alert(vault.config, now=NIGHT + timedelta(hours=2), events=gate)  # type: ignore[arg-type]
    assert (gate.opened, gate.is_open) == (1, False)


def test_a_network_that_a_killed_run_left_open_is_closed(vault: VerdictVault) -> None:
    gate = Gate()
    gate.is_open = True
    alert(vault.config, now=NIGHT, events=gate)  # type: ignore[arg-type]
    assert gate.is_open  # by somebody else, for all that the vault knows
    (vault.folder / "lock.holder").write_text("4711\n")
    alert(vault.config, now=NIGHT, events=gate)  # type: ignore[arg-type]
    assert (gate.opened, gate.is_open) == (0, False)


def test_no_network_and_no_mail_lose_no_alarm_and_pile_none_up(vault: VerdictVault) -> None:
    vault.night("4711")
    for minutes in (0, 10, 20):
        report = alert(vault.config, now=TEN + minutes * MINUTE, events=Gate(fails=True))  # type: ignore[arg-type]
        assert report.exit_code is ExitCode.PARTIAL
        assert report.unmailed == len(PEOPLE)
    at(vault, TEN + 21 * MINUTE)
    assert vault.subjects() == ["ALARM: 1 patient not confirmed"]
    at(vault, TEN + 30 * MINUTE)
    assert len(vault.subjects()) == 2


def test_while_another_run_is_at_work_alarms_are_kept(vault: VerdictVault) -> None:
    vault.night("4711")
    gate = Gate()
    with run_lock(vault.folder):
        report = alert(vault.config, now=TEN, events=gate)  # type: ignore[arg-type]
    assert (gate.opened, report.exit_code, report.unmailed) == (0, ExitCode.PARTIAL, len(PEOPLE))
    at(vault, TEN + MINUTE)
    assert len(vault.mailed()) == len(PEOPLE)


def test_without_mail_there_is_nobody_to_ask(tmp_path: Path) -> None:
    vault = VerdictVault(tmp_path / "vault", "")
    with pytest.raises(ConfigError, match=r"without \[mail\]"):
        alert(vault.config, now=TEN)
