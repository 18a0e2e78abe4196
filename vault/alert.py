"""`vault alert`: what a timer runs every ten minutes. Idempotent: all that it knows is in the ledger and the outbox.

1. With the network open: read the answers, where a run waits for any.
2. Find out which alarms are due; each waits in the outbox first, and is recorded then.
3. Hand over what waits.

The network is opened only if there is something to read or to send. A process that is killed between the two halves of
step 2 finds the same alarm due again, under the same Message-ID, which the outbox knows.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import pluggy

from vault.config import Config
from vault.errors import ExitCode, IntegrityError, LockedError, VaultError
from vault.events import network
from vault.lock import left_by_a_crash, run_lock
from vault.mail import handover, outbox
from vault.mail.night import tell_that_alarms_fail
from vault.model import Failure
from vault.procedure import close_what_a_crash_left_open
from vault.verification.alarms import Alarm, due, last_seen, sent, waiting
from vault.verification.deadline import clock_jumped
from vault.verification.letters import letter
from vault.verification.poll import Desk, Polled, poll

_REPEATED = {"unanswered", "no-night", "clock"}


@dataclass(slots=True)
class AlertReport:
    """What a call came to."""

    polled: Polled | None = None
    """None where nothing was to be read."""
    alarms: list[Alarm] = field(default_factory=list)
    """What was sent now."""
    waiting: list[str] = field(default_factory=list)
    """Runs whose verdicts are missing."""
    mailed: int = 0
    unmailed: int = 0
    """Letters that wait for the next delivery."""
    clock_jumped: bool = False
    failed: list[Failure] = field(default_factory=list)
    integrity: bool = False

    @property
    def exit_code(self) -> ExitCode:
        """What the command returns."""
        if self.integrity or (self.polled and self.polled.integrity):
            return ExitCode.INTEGRITY
        failed = self.failed or (self.polled and self.polled.failed)
        return ExitCode.PARTIAL if failed else ExitCode.DONE

    def as_json(self) -> dict[str, Any]:
        """What `--json` prints."""
        failed = [*self.failed, *(self.polled.failed if self.polled else ())]
        return {
            "polled": self.polled is not None,
            "answers": polled_as_json(self.polled) if self.polled else None,
            "alarms": [
                {"reason": each.reason, "subject": each.subject, "runs": each.runs} for each in self.alarms
            ],
            "waiting": self.waiting,
            "mail": {"sent": self.mailed, "waiting": self.unmailed},
            "clock_jumped": self.clock_jumped,
            "failed": [{"subject": each.subject, "reason": each.reason} for each in failed],
        }


def polled_as_json(polled: Polled) -> dict[str, Any]:
    """A poll as JSON: names of recipients and runs, pseudonyms, and why messages were no verdicts."""
    return {
        "read": polled.read,
        "verdicts": [each.event() for each in polled.verdicts],
        "refused": polled.refused,
        "notices": polled.notices,
        "verified": polled.moved,
        "failed": [{"subject": each.subject, "reason": each.reason} for each in polled.failed],
    }


def alert(
    config: Config, *, now: datetime, events: pluggy.PluginManager | None = None, read: bool = False
) -> AlertReport:
    """Do what is due at `now` (aware). `read`: answers are read also when no run waits for any.

    While another run is at work, it has the network: then nothing is read, and what is due waits for it in the outbox.
    Raises ConfigError without `[mail]`, VaultError when the vault itself is unfit.
    """
    try:
        return _locked(config, now, events, read=read)
    except Exception as error:
        tell_that_alarms_fail(config, now, error, events)
        raise


def _locked(config: Config, now: datetime, events: pluggy.PluginManager | None, *, read: bool) -> AlertReport:
    """The same, alone where no other run is at work."""
    report, crashed = AlertReport(), left_by_a_crash(config.vault.root)
    try:
        with run_lock(config.vault.root):
            if crashed:
                close_what_a_crash_left_open(config, events, report.failed)
            return _alert(config, now, events, report, alone=True, read=read)
    except LockedError:
        return _alert(config, now, events, report, alone=False, read=read)


def _alert(
    config: Config,
    now: datetime,
    events: pluggy.PluginManager | None,
    report: AlertReport,
    *,
    alone: bool,
    read: bool,
) -> AlertReport:
    desk = Desk(config)
    report.failed += desk.damaged
    report.clock_jumped = clock_jumped(now, last_seen(desk.docket.runs, sent(desk.ledger)))
    answers = desk.mail.imap is not None or desk.mail.answers is not None
    to_read = answers and (read or bool(waiting(desk.docket.runs, now)))
    if not alone:
        _raise_alarms(desk, now, report)
        report.failed.append(
            Failure(
                "network", "another run is at work: no answers were read, and alarms wait for the next call"
            )
        )
    elif to_read or _due(desk, now, report) or outbox.waiting(desk.root):
        try:
            with network(events, config):
                if to_read:
                    report.polled = poll(desk, now)
                _raise_alarms(desk, now, report)
                delivered = handover.deliver(config)
                report.mailed = delivered.sent
                report.failed += delivered.failed
        except VaultError as error:
            _raise_alarms(desk, now, report)  # they wait in the outbox
            report.failed.append(Failure("network", str(error)))
            report.integrity |= isinstance(error, IntegrityError)
    if report.polled is None:
        moved = desk.settle()
        report.failed += moved.failed
        report.integrity |= moved.integrity
    report.waiting = [run.run.name for run in waiting(desk.docket.runs, now)]
    report.unmailed = len(outbox.waiting(desk.root))
    return report


def _due(desk: Desk, now: datetime, report: AlertReport) -> list[Alarm]:
    """What is due. What another process recorded while this one read its mail is no clock that went back."""
    asked = desk.config.verification
    names = [each.name for each in desk.mail.recipients]
    every = timedelta(seconds=asked.alert_every)
    found = due(desk.ledger, desk.docket.runs, now, every, names, asked.required)
    return [
        each
        for each in found
        if not _last_one_waits(desk, each) and (report.clock_jumped or each.reason != "clock")
    ]


def _last_one_waits(desk: Desk, alarm: Alarm) -> bool:
    """Whether the same alarm still waits from last time, since no mail can be sent: then one is enough."""
    last = next((each for each in sent(desk.ledger) if each.reason == alarm.reason), None)
    if last is None or alarm.reason not in _REPEATED:
        return False
    letters = {path.stem for path in outbox.waiting(desk.root)}
    return all(outbox.letter_id(last.key, each.address) in letters for each in desk.mail.recipients)


def _raise_alarms(desk: Desk, now: datetime, report: AlertReport) -> None:
    """Queue what is due, then record it."""
    site = desk.config.site.name
    for alarm in _due(desk, now, report):
        outbox.queue(
            desk.root,
            letter(
                desk.mail,
                site,
                desk.mail.recipients,
                alarm.subject,
                alarm.text,
                now,
                emergency=desk.emergency,
            ),
            alarm.key,
        )
        desk.append("alarms", alarm.name, alarm.event(now), now)
        report.alarms.append(alarm)
