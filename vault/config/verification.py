"""`[verification]`: who has to confirm what a night changed, until when, and how it is known that it was they."""

from __future__ import annotations

import re
from datetime import time
from pathlib import Path
from typing import Annotated, Any, Literal

from vault.config.kinds import Kind, check, choice, duration, whole_number
from vault.config.section import Section

_CLOCK = re.compile(r"([01]?[0-9]|2[0-3]):([0-5][0-9])", re.ASCII)


def _clock(value: Any, _folder: Path) -> time:
    match = _CLOCK.fullmatch(value) if isinstance(value, str) else None
    check(match)
    assert match is not None  # noqa: S101  # for the type checker; `check` has refused None
    return time(int(match[1]), int(match[2]))


CLOCK = Kind('a time of the day such as "10:00"', _clock)


class Verification(Section, frozen=True, kw_only=True):
    """`[verification]`: verdicts and alarms. It is off where `[mail]` names nobody who could answer."""

    required: Annotated[int, whole_number(1, 10)] = 2
    """How many different recipients have to confirm a patient's changes."""
    deadline: Annotated[time, CLOCK] = time(10)
    """When, by the site's clocks, the changes of a night must have been confirmed."""
    alert_every: Annotated[float, duration(60, 86400, "from 1m to 1d")] = 600.0
    """Seconds from one alarm to the next, from the deadline on."""
    totp: Annotated[Literal["required", "enrolled", "off"], choice("required", "enrolled", "off")] = (
        "enrolled"
    )
    """Whether VERIFY by mail needs the six digits of the recipient's phone: always, of who is enrolled, or never."""
    routine: Annotated[Literal["verdict", "confirm"], choice("verdict", "confirm")] = "verdict"
    """Whether patients whose changes are of the daily kind alone wait for verdicts, too."""
