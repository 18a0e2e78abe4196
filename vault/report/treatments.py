"""One day's treatments, as a reader of the report wants them: a typed model built from database rows.

Everything is a pure function of the rows. Doses and monitor units are decimals, times are local and without zone.
A *delivery* is one field, once; a *session* is one fraction of a plan; a *course* is one plan with all its sessions.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal

SLACK = Decimal("0.5")
"""Monitor units by which a delivery may differ from its plan without being remarked on: machines round."""

SLACK_SHARE = Decimal("0.005")
"""The same as a share of what was planned."""

AS_PLANNED = frozenset({"", "NORMAL", "UNKNOWN", "COMPLETE", "COMPLETED"})
"""Terminations that say nothing was cut short (PS3.3 C.8.8.21, and what databases call it)."""


def short_of(planned: Decimal | None, delivered: Decimal | None) -> bool:
    """Whether less was delivered than planned, by more than rounding."""
    return planned is not None and delivered is not None and planned - delivered > _slack(planned)


def beyond(planned: Decimal | None, delivered: Decimal | None) -> bool:
    """Whether more was delivered than planned, by more than rounding."""
    return planned is not None and delivered is not None and delivered - planned > _slack(planned)


def _slack(planned: Decimal) -> Decimal:
    return max(SLACK, planned * SLACK_SHARE)


@dataclass(frozen=True, slots=True)
class Delivery:
    """One field, delivered once."""

    field: str
    planned_mu: Decimal | None
    delivered_mu: Decimal | None
    machine: str
    started: datetime | None
    ended: datetime | None
    termination: str
    """As the database or the record spells it; empty where it says nothing."""
    override: bool
    dose_gy: Decimal | None
    record_uid: str

    @property
    def terminated(self) -> bool:
        """The machine or a person ended it early, says the database."""
        return self.termination.strip().upper() not in AS_PLANNED

    @property
    def partial(self) -> bool:
        """Less than the whole field was delivered."""
        return self.terminated or short_of(self.planned_mu, self.delivered_mu)


@dataclass(frozen=True, slots=True)
class FieldTotal:
    """What one field came to in a session: an interrupted field is often delivered in two parts."""

    field: str
    deliveries: tuple[Delivery, ...]

    @property
    def planned_mu(self) -> Decimal | None:
        """Monitor units of the plan."""
        return max((item.planned_mu for item in self.deliveries if item.planned_mu is not None), default=None)

    @property
    def delivered_mu(self) -> Decimal | None:
        """Monitor units delivered by all parts; None where one does not say."""
        return total(item.delivered_mu for item in self.deliveries)

    @property
    def partial(self) -> bool:
        """Less than the whole field was delivered in this session, all parts together."""
        if self.planned_mu is None or self.delivered_mu is None:
            return self.deliveries[-1].terminated
        return short_of(self.planned_mu, self.delivered_mu)


@dataclass(frozen=True, slots=True)
class NotSeen:
    """A field of the plan that a session lacks."""

    field: str
    planned_mu: Decimal | None


@dataclass(frozen=True, slots=True)
class Session:
    """One fraction of a plan on one day."""

    day: date
    fraction: int | None
    deliveries: tuple[Delivery, ...]
    """In the order of their beginning; empty where only a treatment record's summary is known."""
    not_seen: tuple[NotSeen, ...] = ()
    """Fields of the session before that this one lacks: not delivered, or not yet."""
    ended_early: bool = False
    """Where no delivery is known: a treatment record says that the session was cut short."""
    recorded: bool = False
    """A DICOM treatment record of it is in the vault."""

    @property
    def fields(self) -> tuple[FieldTotal, ...]:
        """What each field came to, in the order of their beginning."""
        names = dict.fromkeys(item.field for item in self.deliveries)
        return tuple(
            FieldTotal(name, tuple(item for item in self.deliveries if item.field == name)) for name in names
        )

    @property
    def partial(self) -> bool:
        """Something of the fraction is missing."""
        return self.ended_early or bool(self.not_seen) or any(field.partial for field in self.fields)

    @property
    def override(self) -> bool:
        """Somebody overrode a value of the plan at the machine."""
        return any(item.override for item in self.deliveries)

    @property
    def excess(self) -> bool:
        """A field got more than its plan says: delivered twice, or recorded twice."""
        return any(beyond(field.planned_mu, field.delivered_mu) for field in self.fields)

    @property
    def started(self) -> datetime | None:
        """When the first field began."""
        return min((item.started for item in self.deliveries if item.started), default=None)

    @property
    def ended(self) -> datetime | None:
        """When the last field ended, or began where no end is known."""
        return max((when for item in self.deliveries if (when := item.ended or item.started)), default=None)

    @property
    def machines(self) -> tuple[str, ...]:
        """Where; more than one if the patient was moved."""
        return tuple(dict.fromkeys(item.machine for item in self.deliveries if item.machine))

    @property
    def planned_mu(self) -> Decimal | None:
        """Monitor units planned, for what is missing too."""
        missing = [field.planned_mu for field in self.not_seen]
        return total([*(field.planned_mu for field in self.fields), *missing])

    @property
    def delivered_mu(self) -> Decimal | None:
        """Monitor units delivered."""
        return total(field.delivered_mu for field in self.fields)


@dataclass(frozen=True, slots=True)
class Dose:
    """An amount in Gy, and whether it is an estimate."""

    gray: Decimal
    estimated: bool = False


@dataclass(frozen=True, slots=True)
class Course:
    """One plan of a patient, and what has been given of it."""

    plan_uid: str
    plan: str
    course: str
    status: str
    fractions_planned: int | None
    dose_per_fraction: Decimal | None
    """Gy."""
    sessions: tuple[Session, ...]
    """All that are known, oldest first."""

    def on(self, day: date) -> tuple[Session, ...]:
        """The sessions of one day."""
        return tuple(session for session in self.sessions if session.day == day)

    @property
    def given(self) -> int:
        """Fractions given in full. A fraction that was resumed later counts once."""
        return len({s.fraction for s in self.sessions if s.fraction is not None} - self._open())

    @property
    def unnumbered(self) -> int:
        """Sessions of which nobody says which fraction they are: `given` lacks them."""
        return sum(session.fraction is None for session in self.sessions)

    @property
    def partly_given(self) -> int:
        """Fractions of which something is missing."""
        return len(self._open())

    def _open(self) -> set[int]:
        """Fractions that no session completed."""
        partial = {s.fraction for s in self.sessions if s.fraction is not None and s.partial}
        return partial - {s.fraction for s in self.sessions if s.fraction is not None and not s.partial}

    def repeats(self, session: Session) -> bool:
        """Whether a session gave all of a fraction that another gave all of, too: or one has the wrong number."""
        if session.fraction is None or session.partial:
            return False
        names = {item.field for item in session.deliveries}
        return any(
            other.fraction == session.fraction
            and other != session
            and not other.partial
            and (not names or not other.deliveries or any(item.field in names for item in other.deliveries))
            for other in self.sessions
        )

    @property
    def unseen(self) -> int:
        """Fractions below the highest one of which nothing is known: the dose to date may lack them."""
        numbers = {session.fraction for session in self.sessions if session.fraction}
        return max(numbers) - len(numbers) if numbers else 0

    @property
    def dose(self) -> Dose | None:
        """Dose to date: what the database says, else by fractions, by monitor units where they are not the plan's."""
        doses = [self._dose_of(session) for session in self.sessions]
        known = [dose for dose in doses if dose is not None]
        if not known or len(known) < len(doses):
            return None
        return Dose(sum((dose.gray for dose in known), Decimal(0)), any(dose.estimated for dose in known))

    def _dose_of(self, session: Session) -> Dose | None:
        stated = total(delivery.dose_gy for delivery in session.deliveries)
        if stated is not None:
            return Dose(stated)
        if self.dose_per_fraction is None:
            return None
        if not (session.partial or session.excess):
            return Dose(self.dose_per_fraction)
        planned, delivered = session.planned_mu, session.delivered_mu
        if planned is None or planned <= SLACK or delivered is None:  # by so few, nothing can be told
            return None
        return Dose(self.dose_per_fraction * delivered / planned, estimated=True)

    @property
    def dose_planned(self) -> Decimal | None:
        """Gy of all planned fractions."""
        if self.dose_per_fraction is None or self.fractions_planned is None:
            return None
        return self.dose_per_fraction * self.fractions_planned

    @property
    def last(self) -> Session | None:
        """The last session that is known."""
        return self.sessions[-1] if self.sessions else None


@dataclass(frozen=True, slots=True)
class Appointment:
    """Something in the schedule."""

    starts: datetime
    activity: str
    machine: str
    status: str


@dataclass(frozen=True, slots=True)
class Person:
    """Who the patient is."""

    patient_id: str
    name: str = ""
    """Ready to print: `Demo, Anna`."""
    birth_date: str = ""
    """ISO, where it is a date at all."""
    sex: str = ""
    phone: str = ""
    diagnosis: str = ""
    priority: str = ""


@dataclass(frozen=True, slots=True)
class PatientDay:
    """One patient on one day: what was given today, and where every plan stands."""

    person: Person
    day: date
    courses: tuple[Course, ...]
    """Plans of which something was given or that are approved, today's first."""
    appointments: tuple[Appointment, ...] = ()
    """Everything scheduled from the day on."""
    answered: bool = True
    """The database told the history at the hour that the page is of; else it is of treatment records, or older."""

    @property
    def treated(self) -> tuple[tuple[Course, Session], ...]:
        """Today's sessions with their plans, in the order of their beginning."""
        pairs = [(course, session) for course in self.courses for session in course.on(self.day)]
        return tuple(sorted(pairs, key=lambda pair: (pair[1].started or datetime.max, pair[1].fraction or 0)))

    @property
    def next(self) -> Appointment | None:
        """The first appointment after the last treatment that is known."""
        ends = [session.ended for _, session in self.treated if session.ended]
        after = max(ends, default=datetime.combine(self.day, datetime.min.time()))
        return next((item for item in self.appointments if item.starts > after), None)


@dataclass(frozen=True, slots=True)
class Waiting:
    """Somebody who is scheduled for the day and of whom no treatment has been seen."""

    person: Person
    appointment: Appointment


@dataclass(frozen=True, slots=True)
class DepartmentDay:
    """The whole department on one day."""

    day: date
    patients: tuple[PatientDay, ...]
    """Everybody who was treated, by name."""
    waiting: tuple[Waiting, ...] = ()
    """By time."""
    unreadable: tuple[str, ...] = ()
    """IDs of those whose history can't be read: they are neither here nor there, treated or not."""


def total(values: Iterable[Decimal | None]) -> Decimal | None:
    """The sum; None where there is nothing, or one does not say."""
    added = list(values)
    known = [value for value in added if value is not None]
    return sum(known, Decimal(0)) if known and len(known) == len(added) else None
