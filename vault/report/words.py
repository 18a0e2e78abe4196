"""Numbers, times and remarks as the reports print them."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime
from decimal import Decimal

from vault.report.treatments import Course, Delivery, FieldTotal, Session, beyond, short_of

NOTHING = "\u2013"
"""Stands for what nobody says, and between two times."""

MINUS = "\u2212"


def amount(value: Decimal | None, places: int = 1) -> str:
    """A number with so many decimals."""
    if value is None:
        return NOTHING
    return f"{value:z.{places}f}"  # half to even, whatever its size, and no `-0.0`


def dose(value: Decimal | None) -> str:
    """Gy with up to two decimals: `2`, `1.8`, `26.67`."""
    if value is None:
        return NOTHING
    return f"{value:.2f}".rstrip("0").rstrip(".")


def clock(when: datetime | None) -> str:
    """The time of day."""
    return f"{when:%H:%M}" if when else NOTHING


def span(session: Session) -> str:
    """From when to when."""
    begun, ended = clock(session.started), clock(session.ended)
    return begun if begun == ended else f"{begun}{NOTHING}{ended}"


def long_day(day: date) -> str:
    """`Wednesday, 25 November 2026`, whatever the computer's language."""
    return f"{_DAYS[day.weekday()]}, {day.day} {_MONTHS[day.month - 1]} {day.year}"


def short_time(when: datetime, day: date) -> str:
    """A time that may be another day's."""
    return f"{when:%H:%M}" if when.date() == day else f"{when:%Y-%m-%d %H:%M}"


def fraction(course: Course, session: Session) -> str:
    """`12 of 39`."""
    number = NOTHING if session.fraction is None else str(session.fraction)
    return f"{number} of {course.fractions_planned or '?'}"


def given(course: Course) -> str:
    """`12 of 39`: fractions given in full; those without a number are told, since nobody can count them."""
    beside = f", and {course.unnumbered} without a number" if course.unnumbered else ""
    return f"{course.given} of {course.fractions_planned or '?'}{beside}"


def dose_to_date(course: Course) -> str:
    """`24 of 78 Gy`; `≈` where a fraction was estimated by its monitor units."""
    so_far = course.dose
    if so_far is None:
        return NOTHING
    about = "≈ " if so_far.estimated else ""
    planned = course.dose_planned
    return (
        f"{about}{dose(so_far.gray)} of {dose(planned)} Gy" if planned else f"{about}{dose(so_far.gray)} Gy"
    )


def remarks(course: Course, session: Session) -> list[str]:
    """What needs attention about a session, most telling first, in capitals where it concerns the treatment."""
    return list(_remarks(course, session))


def _remarks(course: Course, session: Session) -> Iterator[str]:
    if session.partial:
        yield "PARTIAL"
    if session.override:
        yield "OVERRIDE"
    if session.excess:
        yield "MORE MU THAN PLANNED"
    if course.fractions_planned and session.fraction and session.fraction > course.fractions_planned:
        yield "MORE FRACTIONS THAN PLANNED"
    if course.repeats(session):
        yield "SAME FRACTION TWICE"


def delivery_remarks(delivery: Delivery, whole: FieldTotal) -> list[str]:
    """What needs attention about one delivery of a field."""
    found = []
    if delivery.partial and whole.partial:
        found.append("PARTIAL")
    elif len(whole.deliveries) > 1:
        found.append("in parts")
    if delivery.override:
        found.append("OVERRIDE")
    if beyond(whole.planned_mu, whole.delivered_mu):
        found.append("MORE MU THAN PLANNED")
    return found


def difference(planned: Decimal | None, delivered: Decimal | None) -> str:
    """Delivered less planned, where it is more than rounding."""
    if planned is None or delivered is None:
        return ""
    if short_of(planned, delivered) or beyond(planned, delivered):
        return f"{MINUS if delivered < planned else '+'}{amount(abs(delivered - planned))}"
    return ""


_DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_MONTHS = (
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
)
