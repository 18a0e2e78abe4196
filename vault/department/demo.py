"""The folder of a demo: a vault, the department that it retrieves from, and a share, side by side on loopback.

DIR/demo.json       says that the demo made this folder, and how far it has come
DIR/vault.toml      the commented configuration of `vault init`, filled in for the embedded ROIS
DIR/department/     what the ROIS holds
DIR/share/          where the vault puts its encrypted copy
DIR/mail/out/       the maildir that the vault's mail goes into
DIR/keys, repos …   the vault
"""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import dataclass, replace
from datetime import date, datetime, time, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from vault.config import Config, load
from vault.department import database
from vault.department.charts import charts
from vault.department.nights import Night, fraction_step, night
from vault.department.patients import Patient, roster
from vault.department.ports import free_ports
from vault.department.ransomware import encrypted, ransomware
from vault.department.readers import answer
from vault.department.server import Department
from vault.errors import UsageError, VaultError
from vault.files import private_folder, write_file
from vault.model import PatientID
from vault.setup import initialize, local_timezone

MARKER = "demo.json"
"""The file by which a demo knows a folder as its own."""

MADE_BY = "vault demo"

AT = time(2, 0)
"""When a night's run begins, in the site's time zone."""

EVENING = time(19, 0)
"""When the last hourly run of a day begins."""

MORNING = time(7, 10)
"""When people answer the mail of a night."""

ALARMS = (time(2, 10), time(10, 0), time(10, 5), time(10, 10), time(10, 20))
"""When the timer calls on a day on which nobody has answered."""

SITE = "Simulated Department"

OUT = "mail/out"
"""The maildir of the vault's mail, below the folder."""

ANSWERS = "mail/answers"
"""The maildir in which answers are read."""

RECIPIENTS = (("Ada Physicist", "ada@department.example"), ("Ben Dosimetrist", "ben@department.example"))
"""Who gets the mail: name and address."""

CHARTS = "charts"
"""Folder of the department's database and documents."""


@dataclass(frozen=True, slots=True)
class Demo:
    """A demo in a folder."""

    folder: Path
    patients: tuple[Patient, ...]
    first_night: date
    nights: int = 0
    """How many nights the department has played."""

    @property
    def configuration(self) -> Path:
        """vault.toml."""
        return self.folder / "vault.toml"

    def config(self) -> Config:
        """The vault's configuration. Raises ConfigError."""
        return load(self.configuration)

    @property
    def has_database(self) -> bool:
        """Whether the department's database can be asked: its ODBC driver was there when the demo was made."""
        return self.config().rois.sql is not None

    def department(self) -> Department:
        """The ROIS, to be entered: it listens where the configuration says, and sends to the vault alone."""
        config = self.config()
        return Department(
            self.folder / "department",
            config.rois.dicom.ae_title,
            config.rois.dicom.port,
            {config.receiver.ae_title: (config.receiver.host, config.receiver.port)},
        )

    def play(self, department: Department, *, attack: bool = False) -> tuple[Demo, Night]:
        """Let the next night happen, or one of ransomware; returns the demo after it, and what happened."""
        happens = ransomware if attack else night
        events = happens(self.patients, self.nights + 1, self.first_night)
        department.put(step.make() for step in events.steps)
        after = replace(self, nights=events.number)
        _mark(after, replace_marker=True)
        after._write_charts(after.run_at(after.nights), attack=attack)
        return after, events

    def work(self, department: Department) -> list[PatientID]:
        """Let the day after the last night happen, up to the evening; returns who was treated."""
        steps = [
            fraction_step(self.patients, patient, fraction)
            for patient in self.patients
            if (fraction := patient.fraction(self.nights + 1))
        ]
        department.put(step.make() for step in steps)
        self._write_charts(self.run_at(self.nights, EVENING))
        return [step.patient_id for step in steps]

    def answer(self, number: int) -> list[str]:
        """Let everybody answer the mail of a night in the morning; returns who did."""
        mail = self.config().mail
        if mail is None or mail.maildir is None or mail.answers is None:
            return []
        now = self.run_at(number, MORNING)
        return [
            each.name
            for each in mail.recipients
            if answer(mail.maildir, mail.answers, each.address, "VERIFY", now)
        ]

    def _write_charts(self, now: datetime, *, attack: bool = False) -> None:
        if self.has_database:
            local = now.replace(tzinfo=None)
            papers = encrypted(charts(self.patients, self.first_night, local)) if attack else None
            database.write(self.folder / CHARTS, self.patients, self.first_night, local, papers=papers)

    def run_at(self, number: int, clock: time = AT) -> datetime:
        """When the run of a night begins, or, at another time of the day, an hourly run after it."""
        zone = ZoneInfo(self.config().site.timezone)
        return datetime.combine(self.first_night + timedelta(days=number - 1), clock, zone)


def create(folder: Path, *, patients: int, nights: int, now: datetime, fresh: bool) -> Demo:
    """Make the folder of a demo whose last night of `nights`, and the morning after it, have passed at `now` (aware).

    `fresh` first removes an earlier demo there. Raises UsageError when the folder is not free, and removes nothing
    that no demo made.
    """
    _clear(folder, fresh=fresh)
    zone = local_timezone() or "UTC"
    local = now.astimezone(ZoneInfo(zone))
    last_night = local.date() if local.time() >= ALARMS[-1] else local.date() - timedelta(days=1)
    first_night = last_night - timedelta(days=nights - 1)
    demo = Demo(folder, roster(patients, first_night), first_night)
    private_folder(folder)
    _mark(demo, replace_marker=False)
    for name in ("department", "share"):
        private_folder(folder / name)
    initialize(folder, name=SITE, timezone=zone)
    text = _configured(demo.configuration.read_text("utf-8"), demo)
    write_file(demo.configuration, text.encode(), replace=True)
    demo.config()
    return demo


def reopen(folder: Path) -> Demo:
    """The demo in `folder`, as far as it has come. Raises UsageError when there is none, or only half of one."""
    marker = _marker(folder)
    if marker is None:
        raise UsageError(f"There is no demo in {folder}; `vault demo {folder}` makes one.")
    first_night = date.fromisoformat(marker["first_night"])
    demo = Demo(folder, roster(marker["patients"], first_night), first_night, marker["nights"])
    if not demo.nights:
        raise UsageError(
            f"The demo in {folder} was interrupted; `vault demo {folder} --fresh` starts it again."
        )
    return demo


def _clear(folder: Path, *, fresh: bool) -> None:
    """Make sure that nothing is where the demo will be."""
    if folder.is_symlink() or (folder.exists() and not folder.is_dir()):
        raise UsageError(f"{folder} is no folder; name one that the demo can make.")
    if not folder.exists() or not any(folder.iterdir()):
        return
    if _marker(folder) is None:
        raise UsageError(f"{folder} is not empty, and no demo made it; name another folder.")
    if not fresh:
        raise UsageError(
            f"There is a demo in {folder} already; look at it, or start again with `vault demo {folder} --fresh`, "
            "which removes it."
        )
    shutil.rmtree(folder)


def _marker(folder: Path) -> dict[str, Any] | None:
    """What the demo wrote into the folder that it made; None where that is missing or somebody else's."""
    try:
        marker = json.loads((folder / MARKER).read_bytes())
        date.fromisoformat(marker["first_night"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return marker if marker.get("made_by") == MADE_BY else None


def _mark(demo: Demo, *, replace_marker: bool) -> None:
    marker = {
        "made_by": MADE_BY,
        "patients": len(demo.patients),
        "first_night": demo.first_night.isoformat(),
        "nights": demo.nights,
    }
    write_file(demo.folder / MARKER, json.dumps(marker, indent=2).encode() + b"\n", replace=replace_marker)


def _recipient(who: tuple[str, str]) -> str:
    name, address = who
    return f"[[mail.recipients]]\nname = {json.dumps(name)}\naddress = {json.dumps(address)}"


def _configured(text: str, demo: Demo) -> str:
    """The commented configuration, with the lines changed that a site would change."""
    rois, receiver = free_ports(2)
    patients = json.dumps([patient.patient_id for patient in demo.patients])
    changes: tuple[tuple[str, str], ...] = (
        (r"port = 104", f"port = {rois}"),
        (r"port = 11112", f"port = {receiver}"),
        (r"patients = \[\]", f"patients = {patients}"),
        (r"#\[share\]", "[share]"),
        (r'#url = "file:.*"', f"url = {json.dumps((demo.folder.absolute() / 'share').as_uri())}"),
        (r"#\[mail\]", "[mail]"),
        (r'#from = ".*"', 'from = "vault@department.example"'),
        (r'#content = "limited"', 'content = "full"'),
        (r"#maildir = .*", f"maildir = {json.dumps(OUT)}"),
        (r"#answers = .*", f"answers = {json.dumps(ANSWERS)}"),
        (r"#\[\[mail\.recipients\]\]", "[[mail.recipients]]"),
        (r'#name = "A. Physicist"', f"name = {json.dumps(RECIPIENTS[0][0])}"),
        (
            r'#address = "physicist@.*"',
            "\n".join([f"address = {json.dumps(RECIPIENTS[0][1])}", *map(_recipient, RECIPIENTS[1:])]),
        ),
    )
    charts = demo.folder.absolute() / CHARTS
    if database.driver():
        changes += (
            (r'source = "list"', 'source = "sql"'),
            (r"#\[rois\.sql\]", "[rois.sql]"),
            (r"#connection = .*", f"connection = {json.dumps(database.connection_string(charts))}"),
            (r"#queries = .*", 'queries = "queries/demo.toml"'),
            (r"#documents = .*", f"documents = {json.dumps(str(charts / database.DOCUMENTS))}"),
        )
    for old, new in changes:
        text, count = re.subn(rf"(?m)^{old}$", new.replace("\\", r"\\"), text)
        if count != 1:
            raise VaultError(
                f"The shipped configuration has no line {old!r} to change; this is a fault in the vault."
            )
    return text
