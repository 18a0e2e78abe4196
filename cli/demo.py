"""`vault demo`: two nights of a simulated department, through the real procedure."""

from __future__ import annotations

import shlex
import shutil
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

import click

from cli.context import Context
from cli.text import columns, count

if TYPE_CHECKING:
    from vault.alert import AlertReport
    from vault.department.demo import Demo
    from vault.department.nights import Night
    from vault.department.server import Department
    from vault.errors import ExitCode
    from vault.hourly_report import HourlyReport
    from vault.model import PatientID
    from vault.sync_report import SyncReport


@click.command()
@click.argument("folder", type=click.Path(path_type=Path), default=Path("demo"), metavar="[DIR]")
@click.option(
    "--patients", type=click.IntRange(1, 99), default=4, show_default=True, help="How many there are."
)
@click.option("--nights", type=click.IntRange(1, 14), default=2, show_default=True, help="How many to run.")
@click.option("--attack", is_flag=True, help="Let the last night be one of ransomware.")
@click.option("--fresh", is_flag=True, help="Remove the demo that is in DIR first.")
@click.option("--serve", is_flag=True, help="Go on with the demo in DIR: one more night, run by yourself.")
@click.pass_obj
def demo(
    context: Context, folder: Path, patients: int, nights: int, attack: bool, fresh: bool, serve: bool
) -> None:
    """See the vault at work in a folder of its own (./demo), without a ROIS and without a patient.

    A simulated department with synthetic patients is retrieved, compared, committed, signed and encrypted on two
    nights. On the second somebody has tampered with a plan; with --attack, the last is one of ransomware.
    """
    if serve:
        _serve(context, folder)
    else:
        _run(context, folder, patients=patients, nights=nights, attack=attack, fresh=fresh)


def _run(context: Context, folder: Path, *, patients: int, nights: int, attack: bool, fresh: bool) -> None:
    from vault.department.demo import create
    from vault.errors import ExitCode

    made = create(folder, patients=patients, nights=nights, now=datetime.now(UTC), fresh=fresh)
    show = _ToPeople(made) if not context.json else None
    documents, hours, worst, report = [], [], ExitCode.DONE, None
    with made.department() as department:
        if show:
            show.department(department)
        for number in range(nights):
            if number:
                evening = _hourly(context, made, department)
                worst = max(worst, evening.exit_code)
                hours.append(evening.as_json())
                if show:
                    show.evening(made, evening)
            made, events = made.play(department, attack=attack and number == nights - 1)
            report = _sync(context, made)
            worst = max(worst, _unforeseen(report))
            if show:
                show.night(made, events, report)
            morning = _morning(made, answered=number + 1 < nights or nights == 1)
            worst = max(worst, *(each.exit_code for _, each in morning.calls))
            documents.append(
                {
                    "night": events.number,
                    "story": _story(events),
                    "report": report.as_json(),
                    "answered": morning.answered,
                    "alerts": [each.as_json() for _, each in morning.calls],
                }
            )
            if show:
                show.morning(morning)
    if show and report:
        show.changes(made)
        show.what_next(made, report)
    elif context.json:
        context.emit({"folder": str(made.folder), "nights": documents, "hours": hours})
    context.exit(worst)


def _sync(context: Context, demo: Demo) -> SyncReport:
    """The night's run, as `vault sync` does it, but at the time that the demo says it is."""
    import hooks
    from vault.sync import sync

    config = demo.config()
    with context.progress() as progress:
        return sync(config, now=demo.run_at(demo.nights), progress=progress, events=hooks.plugins(config))


def _unforeseen(report: SyncReport) -> ExitCode:
    """A night's exit code, but for what the demo is there to show: that the vault notices what somebody planted."""
    from vault.errors import ExitCode

    failed = [*report.failed, *report.delivered.failed, *report.resumed]
    noticed = not failed and not any(outcome.failed for outcome in report.patients.values())
    return ExitCode.DONE if noticed and report.exit_code is ExitCode.PARTIAL else report.exit_code


def _hourly(context: Context, demo: Demo, department: Department) -> HourlyReport:
    """The day after a night, and the last hourly run of it."""
    import hooks
    from vault.department.demo import EVENING
    from vault.hourly import hourly

    demo.work(department)
    config = demo.config()
    with context.progress() as progress:
        now = demo.run_at(demo.nights, EVENING)
        return hourly(config, now=now, progress=progress, events=hooks.plugins(config))


@dataclass
class _Morning:
    """What people did about the mail of a night, and what the vault did then."""

    answered: list[str]
    calls: list[tuple[datetime, AlertReport]]
    """Calls of `vault alert`, and when."""


def _morning(demo: Demo, *, answered: bool) -> _Morning:
    """The morning after a night: everybody answers, or nobody does."""
    from vault.alert import alert
    from vault.department.demo import ALARMS, MORNING

    config = demo.config()
    who = demo.answer(demo.nights) if answered else []
    times = [demo.run_at(demo.nights, clock) for clock in ((MORNING,) if answered else ALARMS)]
    return _Morning(who, [(now, alert(config, now=now)) for now in times])


def _serve(context: Context, folder: Path) -> None:
    from vault.department.demo import reopen

    made = reopen(folder)
    with made.department() as department:
        made, events = made.play(department)
        config = shlex.quote(str(made.configuration))
        if context.json:
            context.emit({"night": events.number, "story": _story(events), "port": department.port})
        else:
            click.echo(f"Night {events.number} in the department:")
            click.echo(_indented(_told(events)))
            click.echo(f"The simulated ROIS listens on 127.0.0.1:{department.port}. In another terminal:")
            click.echo(f"  {_program()} -c {config} sync")
            click.echo("Ctrl-C ends the simulation.")
        sys.stdout.flush()
        with suppress(KeyboardInterrupt):
            threading.Event().wait()
    if not context.json:
        click.echo("The simulated ROIS has stopped.")


class _ToPeople:
    """The demo as text on standard output."""

    def __init__(self, demo: Demo) -> None:
        self._patients = demo.patients

    def department(self, department: Department) -> None:
        """Who the patients are, and where the ROIS is."""
        rows = [
            (
                patient.patient_id,
                str(patient.name).replace("^", ", "),
                patient.site.name,
                f"{patient.site.fractions} x {patient.site.dose_per_fraction:g} Gy",
                patient.site.technique,
                f"{patient.delivered} fractions given",
            )
            for patient in self._patients
        ]
        click.echo(f"A simulated department: its ROIS on 127.0.0.1:{department.port}, its patients invented.")
        click.echo(_indented(columns(rows)))

    def night(self, demo: Demo, events: Night, report: SyncReport) -> None:
        """What happened, and what the run says."""
        from cli.sync_text import render

        when = demo.run_at(events.number)
        click.echo(f"\nNight {events.number}, {when:%A %Y-%m-%d %H:%M %Z}")
        click.echo("  In the department, which the vault is not told:")
        click.echo(_indented(_told(events), 4))
        click.echo("  What the vault says (vault sync):")
        click.echo(_indented(render(report), 4))

    def morning(self, morning: _Morning) -> None:
        """Who answered, and what `vault alert` says each time."""
        who = ", ".join(morning.answered) or "nobody"
        click.echo(f"  The morning after: VERIFY by mail from {who}. What the vault does (vault alert):")
        for now, report in morning.calls:
            click.echo(_indented(f"{now:%H:%M}  {_alert_told(report)}", 4))

    def evening(self, demo: Demo, report: HourlyReport) -> None:
        """What the last hourly run of the day says."""
        from cli.hourly_text import render

        click.echo(f"\nThe day after night {demo.nights}, {report.as_of:%A %Y-%m-%d %H:%M %Z}")
        click.echo("  What the vault says of the day's treatments (vault hourly):")
        click.echo(_indented(render(report), 4))

    def changes(self, demo: Demo) -> None:
        """The comparison report of the last night."""
        from cli.history import colours
        from vault.report.changes import run_report
        from vault.report.text import lines

        click.echo(f"\nWhat changed in night {demo.nights}, and who must look at what (vault report):\n")
        for line in lines(run_report(demo.config()), colour=colours()):
            click.echo(f"    {line}".rstrip())

    def what_next(self, demo: Demo, report: SyncReport) -> None:
        """Commands to go on with, each of which works as it is printed."""
        if report.page:
            page = demo.folder / report.page.relative_to(demo.config().vault.root)
            click.echo(f"\nThe report of night {demo.nights}, to be opened in a browser: {page}")
        for page in sorted((demo.folder / "today").glob("*/department.pdf")):
            click.echo(f"\nThe day's treatments, as a department prints them: {page}")
        if (mail := demo.config().mail) and mail.maildir:
            click.echo(
                f"\nWhat was mailed to each of {len(mail.recipients)} people is in the maildir {mail.maildir}"
            )
        click.echo(f"\nEverything is in {demo.folder}. Try next:")
        for what, command in _suggestions(demo, report):
            click.echo(f"  # {what}\n  {command}")


def _alert_told(report: AlertReport) -> str:
    """One call of `vault alert` in a line."""
    if report.alarms:
        return "; ".join(alarm.subject for alarm in report.alarms)
    if report.polled and report.polled.moved:
        return f"{count(len(report.polled.moved), 'patient')} confirmed: refs/vault/verified has moved"
    return "no alarm is due" if report.waiting else "no run waits for a verdict"


def _suggestions(demo: Demo, report: SyncReport) -> Iterator[tuple[str, str]]:
    """What to see, and the command for it; the patient is the one whose plan was tampered with."""
    from vault.department.nights import tampered_patient
    from vault.names import safe_name

    patient = tampered_patient(demo.patients).patient_id
    plan = _plan(report, patient)
    folder = shlex.quote(str(demo.folder))
    vault = f"{_program()} -c {shlex.quote(str(demo.configuration))}"
    repository = shlex.quote(str(demo.folder / "repos" / f"{safe_name(patient)}.git"))
    yield "where things stand", f"{vault} status"
    yield "what waits for a verdict, and who has answered", f"{vault} verify list"
    yield "a patient's history", f"{vault} log {patient}"
    yield "what the last night changed", f"{vault} report"
    yield "what it changed for one patient, down to the attributes", f"{vault} diff {patient}"
    if plan:
        yield "the plan, as text", f"{vault} show {patient} {PurePosixPath(plan).stem}"
    yield "the exact files, for the spare ROIS", f"{vault} export {patient} --to {folder}/export"
    yield (
        "the same history with stock git, its signatures checked",
        f"git -C {repository} log --show-signature",
    )
    sealed = _sealed(demo, patient, plan)
    if sealed:
        identity = f"{folder}/keys/identity.txt"
        yield (
            "the plan's text from the share, with stock age",
            f"age -d -i {identity} {shlex.quote(str(sealed))} | head -n 20",
        )
    yield "the department's next night, to run by hand", f"{_program()} demo {folder} --serve"


def _plan(report: SyncReport, patient: PatientID) -> str:
    """The path of a plan that the night brought or changed, the changed one first; empty when there is none."""
    outcome = report.patients.get(patient)
    paths = [*outcome.changed, *outcome.added] if outcome else []
    return next((path for path in paths if path.startswith("dicom/RTPLAN/")), "")


def _sealed(demo: Demo, patient: PatientID, plan: str) -> Path | None:
    """The ciphertext on the share that holds the normal form of `plan`."""
    from vault.archive.repository import PatientRepository
    from vault.keys import read_pseudonym_key
    from vault.share.layout import blob_name

    config = demo.config()
    repository = PatientRepository.open(config.vault.root, patient)
    tip = repository.tip() if repository else None
    if repository is None or tip is None or not plan:
        return None
    oid = repository.tree(tip)[f"{plan.removesuffix('.dcm')}.txt"]
    path = demo.folder / "share" / blob_name(read_pseudonym_key(config.vault.pseudonym_key), oid)
    return path if path.exists() else None


def _program() -> str:
    """How the person called this program: by name where the shell finds it so, else by its path."""
    called = Path(sys.argv[0])
    found = shutil.which("vault")
    if found and Path(found).resolve() == called.resolve():
        return "vault"
    here = Path.cwd()
    return shlex.quote(str(called.relative_to(here) if called.is_relative_to(here) else called))


def _story(events: Night) -> list[dict[str, Any]]:
    return [{"patient": patient_id, "event": event} for patient_id, event in events.story]


def _told(events: Night) -> str:
    patients = count(len({step.patient_id for step in events.steps}), "patient")
    total = f"{count(len(events.steps), 'object')} of {patients} added or replaced"
    return f"{columns(events.story)}\n({total})" if events.story else total


def _indented(text: str, by: int = 2) -> str:
    return "\n".join(f"{' ' * by}{line}".rstrip() for line in text.rstrip("\n").split("\n"))
