"""What a mail says, before it is HTML or text: both are made of the same blocks, so neither says more."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Tone = Literal["red", "amber", "green", "plain"]


@dataclass(frozen=True, slots=True)
class Light:
    """The one thing to know, in a word and a sentence."""

    tone: Tone
    word: str
    sentence: str


@dataclass(frozen=True, slots=True)
class Words:
    """A paragraph."""

    text: str
    quiet: bool = False
    """Beside the point: smaller."""


@dataclass(frozen=True, slots=True)
class Points:
    """A list under a heading, which may be empty."""

    heading: str
    points: tuple[str, ...]
    tone: Tone = "plain"


@dataclass(frozen=True, slots=True)
class Told:
    """One thing said of a patient, with its severity."""

    severity: str
    text: str


@dataclass(frozen=True, slots=True)
class Entry:
    """One patient."""

    severity: str
    who: str
    beside: str
    """ID and date of birth, or what else tells one from another."""
    told: tuple[Told, ...]
    more: str = ""
    """What is left out here."""


@dataclass(frozen=True, slots=True)
class Entries:
    """Patients under a heading, most urgent first."""

    heading: str
    entries: tuple[Entry, ...]
    more: str = ""


@dataclass(frozen=True, slots=True)
class Facts:
    """Labels and values."""

    heading: str
    rows: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Ask:
    """What the reader is asked for: an answer by mail, with the lines and links that make one."""

    heading: str
    verify: str
    """The line that confirms."""
    reject: str
    """The line that disputes."""
    verify_link: str
    reject_link: str
    """`mailto:` with subject and line filled in."""
    how: tuple[str, ...]
    """Sentences on how to answer."""


Block = Words | Points | Entries | Facts | Ask


@dataclass(frozen=True, slots=True)
class Content:
    """A mail."""

    subject: str
    site: str
    title: str
    light: Light
    blocks: tuple[Block, ...]
    banner: str = ""
    """Above all else, in every mail: an emergency that is in force."""
