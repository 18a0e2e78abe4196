"""`vault status`: where things stand."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import click

from cli.context import Context
from cli.text import columns, count, minute, printable
from vault.verification.quorum import State

if TYPE_CHECKING:
    from vault.config import Config
    from vault.status import PatientStatus, Status

OVERDUE_HOURS = 26
"""Without a run for so long, a night has been missed."""


@click.command()
@click.pass_obj
def status(context: Context) -> None:
    """Where things stand: the last run, what waits, and each patient's last commit.

    Asks neither the ROIS nor the share.
    """
    from vault.status import status as look

    config = context.config()
    found = look(config)
    if context.json:
        context.emit(_as_json(found))
        return
    click.echo(columns([(label, text) for label, text in _overview(config, found)]))
    click.echo()
    click.echo(_patients(found, ZoneInfo(config.site.timezone)))


def _overview(config: Config, found: Status) -> Iterator[tuple[str, str]]:
    zone = ZoneInfo(config.site.timezone)
    yield "Vault", f"{config.site.name}, {found.root}; times are those of {config.site.timezone}"
    yield "Last run", _last_run(found, zone)
    for anomaly in (found.last_run or {}).get("anomalies") or ():
        yield "ANOMALY", _anomaly(anomaly)
    yield from _verdicts(config, found)
    if found.last_hour is not None:
        yield "Last hour", _last_hour(found.last_hour, zone)
    if found.unfinished:
        yield "Interrupted", f"{', '.join(found.unfinished)}: the next `vault sync` finishes it"
    if found.unfinished_hours:
        yield "Interrupted", f"{', '.join(found.unfinished_hours)}: the next `vault hourly` finishes it"
    if config.share is not None or found.waiting:
        yield "Share", _share(config, found)
    if config.mail is not None or found.mail_waiting:
        yield "Mail", _mail(config, found)
    if found.quarantined:
        yield (
            "Quarantine",
            f"{count(found.quarantined, 'object')} in {found.root / 'quarantine'}, each with its reason",
        )
    yield from _retention(found, zone)
    for failure in found.damaged:
        yield "DAMAGED", printable(f"{failure.subject}: {failure.reason}")
    for section, meaning in found.off.items():
        yield "Off", f"[{section}]: {meaning}"


def _retention(found: Status, zone: ZoneInfo) -> Iterator[tuple[str, str]]:
    if found.emergency:
        yield (
            "EMERGENCY",
            f"declared {minute(found.emergency.astimezone(zone))}: nothing is pruned until `vault emergency end`",
        )
    if found.held:
        yield "Held", f"{printable(', '.join(found.held))}: kept whatever retention says"
    if found.announced:
        names = printable(", ".join(found.announced))
        yield "Goes next", f"{names}: `vault prune --dry-run` says why, `vault hold PATIENT` keeps one"
    if found.removals:
        yield (
            "Share",
            f"{count(found.removals, 'ciphertext')} that nothing needs any more not removed there yet",
        )


def _last_run(found: Status, zone: ZoneInfo) -> str:
    if found.last_run is None:
        return "none yet: `vault sync` makes the first"
    started = datetime.fromisoformat(found.last_run["started"])
    hours = (datetime.now(UTC) - started).total_seconds() / 3600
    entries = found.last_run["patients"].values()
    new = sum(entry["new_commit"] != entry["old_commit"] for entry in entries)
    failed = sum(bool(entry["failed"]) for entry in entries)
    parts = [count(len(entries), "patient"), f"{new} with new commits"]
    if failed:
        parts.append(f"{failed} with failures")
    if found.last_run["failed"]:
        parts.append("the run itself did not get through")
    overdue = f". NO RUN FOR {hours:.0f} HOURS" if hours > OVERDUE_HOURS else ""
    return f"{minute(started.astimezone(zone))}: {', '.join(parts)}{overdue}"


def _anomaly(said: Any) -> str:
    """An anomaly of the last run: in the ledger's first versions a sentence, since then with what to look at first."""
    parts = (said.get("text"), said.get("look_at_first")) if isinstance(said, dict) else (said,)
    return printable(" ".join(str(part) for part in parts if part))


def _verdicts(config: Config, found: Status) -> Iterator[tuple[str, str]]:
    """What is disputed, and what waits for a verdict until when."""
    zone = ZoneInfo(config.site.timezone)
    for run in found.verdicts:
        answered = f"; answered: {', '.join(run.answered)}" if run.answered else ""
        if disputed := run.of(State.DISPUTED):
            yield "DISPUTED", f"{count(len(disputed), 'patient')} of run {run.run.name}{answered}"
        if run.waits:
            until = minute(run.deadline.astimezone(zone))
            due = "OVERDUE since" if datetime.now(UTC) >= run.deadline else "due"
            what = count(len(run.waits), "patient")
            yield "To confirm", f"{what} of run {run.run.name}, {due} {until}{answered}"
    if found.verdicts and not any(run.waits or run.of(State.DISPUTED) for run in found.verdicts):
        yield "To confirm", "nothing: all that the last nights changed is confirmed"
    lacking = config.verification.required - len(config.mail.recipients) if config.mail else 0
    if lacking > 0:
        yield (
            "To confirm",
            f"NEVER: [verification] required = {config.verification.required}, but there are only "
            f"{config.verification.required - lacking} of [[mail.recipients]]",
        )


def _last_hour(run: Mapping[str, Any], zone: ZoneInfo) -> str:
    entries = run["patients"].values()
    new = sum(entry["new_commit"] != entry["old_commit"] for entry in entries)
    failed = ", not without failures" if run["failed"] or any(entry["failed"] for entry in entries) else ""
    started = datetime.fromisoformat(run["started"]).astimezone(zone)
    return f"{minute(started)}: {count(run['treated'], 'patient')} treated that day, {new} with something new{failed}"


def _share(config: Config, found: Status) -> str:
    url = config.share.url if config.share else "no share"
    if found.unshared:
        return (
            f"{count(found.unshared, 'history', 'histories')} not brought to {url} yet: the next run does it"
        )
    if found.waiting:
        return f"{count(found.waiting, 'file')} waiting for {url}"
    return f"nothing waits for {url}"


def _mail(config: Config, found: Status) -> str:
    place = "no mail server"
    if config.mail is not None:
        place = config.mail.smtp.place if config.mail.smtp else str(config.mail.maildir)
    said = (
        f"{count(found.mail_waiting, 'letter')} waiting for {place}"
        if found.mail_waiting
        else f"nothing waits for {place}"
    )
    if found.mail_refused:
        folder = found.root / "mail/refused"
        said += f"; {count(found.mail_refused, 'letter')} REFUSED for good, each with its reason, in {folder}"
    return said


def _patients(found: Status, zone: ZoneInfo) -> str:
    if not found.patients:
        return "No patient yet."
    head = ("Patient", "Last commit", "Objects", "")
    asked = bool(found.verdicts)
    rows = [
        _row(patient_id, entry, zone, asked=asked) for patient_id, entry in sorted(found.patients.items())
    ]
    return columns([head, *rows])


def _row(patient_id: str, entry: PatientStatus, zone: ZoneInfo, *, asked: bool) -> tuple[str, str, str, str]:
    when = "nothing yet"
    if entry.when and entry.commit:
        when = f"{minute(entry.when.astimezone(zone))} {entry.commit[:8]}"
    remark = ""
    if entry.failed:
        remark = f"{count(entry.failed, 'failure')} in run {entry.run}"
    elif entry.complete is False:
        remark = f"not retrieved completely in run {entry.run}"
    if asked and entry.commit and entry.verified != entry.commit:
        remark = f"{remark}; not verified" if remark else "not verified"
    return printable(patient_id), when, str(entry.objects), remark


def _as_json(found: Status) -> dict[str, Any]:
    return {
        "root": str(found.root),
        "last_run": found.last_run and _run_as_json(found.last_run),
        "last_hour": found.last_hour and _run_as_json(found.last_hour),
        "unfinished": [*found.unfinished, *found.unfinished_hours],
        "share": {
            "configured": "share" not in found.off,
            "waiting": found.waiting,
            "unshared": found.unshared,
        },
        "mail": {
            "configured": "mail" not in found.off,
            "waiting": found.mail_waiting,
            "refused": found.mail_refused,
        },
        "quarantined": found.quarantined,
        "emergency": found.emergency.isoformat() if found.emergency else None,
        "held": found.held,
        "announced": found.announced,
        "removals": found.removals,
        "damaged": {failure.subject: failure.reason for failure in found.damaged},
        "off": found.off,
        "verdicts": [
            {
                "run": run.run.name,
                "state": run.state.value,
                "deadline": run.deadline.isoformat(),
                "pending": len(run.waits),
                "disputed": len(run.of(State.DISPUTED)),
                "answered": run.answered,
            }
            for run in found.verdicts
        ],
        "patients": {
            patient_id: {
                "commit": entry.commit,
                "when": entry.when.isoformat() if entry.when else None,
                "objects": entry.objects,
                "run": entry.run,
                "complete": entry.complete,
                "failed": entry.failed,
                "verified": entry.verified,
            }
            for patient_id, entry in sorted(found.patients.items())
        },
    }


def _run_as_json(run: Any) -> dict[str, Any]:
    """The run without its pseudonyms, which say nothing to a reader."""
    entries = run["patients"].values()
    return {
        "run": run["run"],
        "started": run["started"],
        "patients": len(entries),
        "failed": sum(bool(entry["failed"]) for entry in entries) + run["failed"],
        "anomalies": run["anomalies"],
    }
