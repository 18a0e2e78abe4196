"""The shorter mails: a night that failed, and what is said in a few paragraphs. No patient is in any of them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from vault.mail.content import Block, Content, Light, Points, Words
from vault.mail.digest import banner, prefix
from vault.names import OF_PATIENTS
from vault.report.telling import moment

_PATH = re.compile(r"(?<![\w/])/[^\s:;,)'\"]+")

MOST_REASONS = 20


def night_failed(
    site: str, when: datetime, reasons: Sequence[str], root: Path, *, full: bool, emergency: str = ""
) -> Content:
    """The mail of a night that got nowhere. `reasons` are the errors' own sentences; a limited mail holds no path."""
    said = tuple(
        without_patients(reason, root) if full else without_paths(reason, root)
        for reason in reasons[:MOST_REASONS]
    )
    return Content(
        subject=f"{prefix(emergency)}: THE NIGHT FAILED, nothing was compared",
        site=site,
        title=f"The run of {moment(when)} failed",
        light=Light(
            "red",
            "FAILED",
            "The vault could not do its work. What it has from the nights before is untouched.",
        ),
        blocks=(
            Points("What went wrong", said, "red"),
            Points(
                "What to do",
                (
                    "Until a run succeeds, nobody knows what changed since the last one: look at the plans of today's "
                    "patients in the information system as if each had changed.",
                    "At the vault, run `vault doctor`: it tries what a night needs, and says how to mend it. Then run "
                    "`vault sync`: it goes on where this run ended.",
                ),
            ),
            Words(
                "This mail comes once for each run that fails. Runs that are done send a mail, too, also when nothing "
                "changed.",
                quiet=True,
            ),
        ),
        banner=banner(emergency),
    )


def without_paths(text: str, root: Path) -> str:
    """A message without any path. The vault's `root` goes first: a space in it would end the path too early."""
    return _PATH.sub("…", text.replace(f"{root}/", "/"))


def without_patients(text: str, root: Path) -> str:
    """A message with every path in the vault cut off where names begin that are made from patients' IDs."""
    folders = "|".join(OF_PATIENTS)
    return re.sub(rf"({re.escape(str(root))}/(?:{folders}))/[^\s:;,)]+", r"\1", text)


def notice(site: str, subject: str, text: str, *, emergency: str = "") -> Content:
    """A mail that is a few paragraphs: an alarm, a receipt, a complaint. Blank lines part them; lines stay lines."""
    is_alarm, title = subject.startswith("ALARM"), subject.removeprefix("ALARM: ")
    first, *rest = [part.strip() for part in text.split("\n\n") if part.strip()]
    blocks: list[Block] = []
    for part in rest:
        lines = tuple(line.strip() for line in part.splitlines())
        blocks.append(Words(lines[0]))
        if lines[1:]:
            blocks.append(Points("", lines[1:]))
    return Content(
        subject=f"EMERGENCY, {subject}" if emergency else subject,
        site=site,
        title=title[:1].upper() + title[1:],
        light=Light(
            "red" if is_alarm else "amber", "ALARM" if is_alarm else "PLEASE READ", " ".join(first.split())
        ),
        blocks=tuple(blocks),
        banner=banner(emergency),
    )
