"""`vault verify`: verdicts on what the nights changed."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

from cli.context import Context
from cli.text import minute, printable, printable_lines

if TYPE_CHECKING:
    from vault.alert import AlertReport
    from vault.verification.poll import Desk
    from vault.verification.quorum import Answer
    from vault.verification.state import RunState

SHOWN = 7
"""Runs that are listed, besides those that wait."""

_RUN = click.argument("run", metavar="RUN")
_AS = click.option(
    "--as", "name", required=True, metavar="NAME", help="Who says so: a name of [[mail.recipients]]."
)
_PATIENTS = click.argument("patients", nargs=-1, metavar="[PATIENT]...")


@click.group()
def verify() -> None:
    """Confirm or dispute what a night changed; the refs that an emergency export uses follow.

    \b
    vault verify list
    vault verify poll
    vault verify accept RUN --as NAME [PATIENT]...
    vault verify reject RUN --as NAME [PATIENT]... --reason TEXT
    vault verify enrol NAME

    RUN is a run's name, the beginning of one, or `latest`. Without a PATIENT it is about all that the run changed.
    """


@verify.command("list")
@click.option("--all", "everything", is_flag=True, help="Every run, not the last week's and those that wait.")
@click.pass_obj
def list_(context: Context, everything: bool) -> None:
    """Where the runs stand: what waits, what is confirmed or disputed, and who has answered."""
    from vault.verification.poll import Desk

    desk = Desk(context.config())
    runs = [run for number, run in enumerate(desk.docket.runs) if everything or number < SHOWN or run.waits]
    if context.json:
        context.emit({"runs": [_as_json(desk, run) for run in runs]})
        return
    if not runs:
        click.echo("No run has changed anything yet.")
    for run in runs:
        click.echo("\n".join(_lines(desk, run)))


@verify.command()
@click.pass_obj
def poll(context: Context) -> None:
    """Read the answers that have arrived, and send what follows: receipts, reasons, alarms.

    Exit code 0: all done; 3: something could not be read or sent, and waits; 4: the ledger is damaged.
    """
    _alert(context)


@verify.command()
@_RUN
@_AS
@_PATIENTS
@click.pass_obj
def accept(context: Context, run: str, name: str, patients: tuple[str, ...]) -> None:
    """Confirm at the console what RUN changed. Asks for the six digits of NAME's phone."""
    from vault.verification.quorum import Answer

    _decide(context, Answer.VERIFY, run, name, patients, "")


@verify.command()
@_RUN
@_AS
@_PATIENTS
@click.option(
    "--reason", default="", metavar="TEXT", help="Why; goes into the ledger and the alarm: name no patient."
)
@click.pass_obj
def reject(context: Context, run: str, name: str, patients: tuple[str, ...], reason: str) -> None:
    """Dispute at the console what RUN changed. Everybody is alarmed at once."""
    from vault.verification.quorum import Answer

    _decide(context, Answer.REJECT, run, name, patients, reason)


@verify.command()
@click.argument("name")
@click.option("--replace", is_flag=True, help="Replace the secret of somebody who has a new phone.")
@click.pass_obj
def enrol(context: Context, name: str, replace: bool) -> None:
    """Give NAME's phone a secret: a QR code for an authenticator app, confirmed by the six digits that it shows."""
    import segno

    from vault.errors import UsageError, VaultError
    from vault.verification import enrolment
    from vault.verification.poll import Desk

    config = context.config()
    person = Desk(config).person(name)
    if person.totp_file is None:
        raise UsageError(
            f"Name a file for the secret of {person.name} first, in the entry of [[mail.recipients]]: "
            'totp_file = "keys/…"'
        )
    if person.totp_file.exists() and not replace:
        raise UsageError(
            f"{person.name} is enrolled already; --replace makes a new secret, and the old one useless."
        )
    secret = enrolment.new_secret()
    segno.make(enrolment.key_uri(secret, person.name, config.site.name)).terminal(
        out=sys.stderr, compact=True
    )
    click.echo("Scan this with the authenticator app on the phone; or type the secret into it:", err=True)
    click.echo(f"  {enrolment.base32(secret)}", err=True)
    typed = click.prompt(f"The six digits that {person.name}'s phone shows", err=True)
    if not enrolment.is_confirmed(secret, typed, datetime.now(UTC)):
        raise VaultError(
            "These are not the digits of that secret; nothing was kept. If it goes on, compare the clocks of the phone "
            "and of this computer."
        )
    enrolment.keep_secret(person.totp_file, secret, replace=replace)
    if context.json:
        context.emit({"recipient": person.name, "file": str(person.totp_file)})
    else:
        click.echo(f"{person.name} is enrolled: {person.totp_file}")


def _decide(
    context: Context, answer: Answer, wanted: str, name: str, patients: tuple[str, ...], reason: str
) -> None:
    from vault.verification import console
    from vault.verification.poll import Desk
    from vault.verification.quorum import Answer

    desk = Desk(context.config())
    run, person = console.find_run(desk, wanted), desk.person(name)
    named = console.named_patients(desk, run, patients)
    asked = "six digits that the phone shows" if console.is_asked_for_totp(person) else "code of the report"
    proof = click.prompt(f"{person.name}, the {asked}", err=True)
    verdict = console.console_verdict(desk, run, person, answer, named, proof, datetime.now(UTC), reason)
    desk.record(verdict)
    moved = desk.settle()
    after = next(each for each in desk.docket.runs if each.run.name == run.run.name)
    if answer is Answer.REJECT:
        _raise(context)
    if context.json:
        context.emit({"recorded": verdict.event(), "verified": moved.patients, "run": _as_json(desk, after)})
    else:
        click.echo("\n".join(_lines(desk, after)))
    if moved.failed:
        for failure in moved.failed:
            click.echo(printable(f"FAILED {failure.subject}: {failure.reason}"), err=True)
        context.exit(4 if moved.integrity else 3)


def _raise(context: Context) -> None:
    """Alarm everybody now; what can't be sent now waits for `vault alert`."""
    import hooks
    from vault.alert import alert

    config = context.config()
    report = alert(config, now=datetime.now(UTC), events=hooks.plugins(config))
    for failure in report.failed:
        click.echo(printable(f"{failure.subject}: {failure.reason}"), err=True)


def _alert(context: Context) -> None:
    import hooks
    from cli.alert import render
    from vault.alert import alert

    config = context.config()
    report: AlertReport = alert(config, now=datetime.now(UTC), events=hooks.plugins(config), read=True)
    if context.json:
        context.emit(report.as_json())
    else:
        click.echo(printable_lines(render(report)), nl=False)
    context.exit(report.exit_code)


def _lines(desk: Desk, run: RunState) -> Iterator[str]:
    zone = desk.policy.zone
    state = run.state.value.upper() if run.run.somebody or run.verdicts else "nobody was asked"
    began, until = minute(run.run.began.astimezone(zone)), minute(run.deadline.astimezone(zone))
    yield f"Run {run.run.name}, {began}, to be confirmed by {until}: {state}"
    for verdict in run.verdicts:
        about = verdict.verdict.patients
        what = (
            "all"
            if about is None
            else ", ".join(printable(desk.patients.get(each, each)) for each in sorted(about))
        )
        late = ", late" if verdict.late else ""
        why = f": {printable(verdict.reason)}" if verdict.reason else ""
        when = minute(verdict.at.astimezone(zone))
        said = f"{verdict.verdict.recipient} {verdict.verdict.answer.value.upper()}"
        yield f"  {said} {what} ({verdict.how}, {when}{late}){why}"
    for pseudonym, patient in sorted(
        run.patients.items(), key=lambda each: desk.patients.get(each[0], each[0])
    ):
        who = printable(desk.patients.get(pseudonym, pseudonym))
        policy = ", daily kind, by policy" if patient.routine else ""
        yield f"  {patient.state.value.upper():9}  {who}{policy}"


def _as_json(desk: Desk, run: RunState) -> dict[str, Any]:
    return {
        "run": run.run.name,
        "began": run.run.began.astimezone(desk.policy.zone).isoformat(),
        "deadline": run.deadline.astimezone(desk.policy.zone).isoformat(),
        "asked": run.run.somebody,
        "state": run.state.value,
        "verdicts": [verdict.event() for verdict in run.verdicts],
        "patients": {
            desk.patients.get(pseudonym, pseudonym): {
                "pseudonym": pseudonym,
                "state": patient.state.value,
                "commit": patient.step.new,
                "confirmed_by": patient.confirmed_by,
                "rejected_by": patient.rejected_by,
                "by_policy": patient.routine,
            }
            for pseudonym, patient in run.patients.items()
        },
    }
