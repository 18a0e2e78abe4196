"""The measures: what all patients of a run come to, which of it is past its limit, and why that matters.

Each measure is a row of `MEASURES`: a pure function from the tallies to a value, the patients that it comes from, and
the words for people. What is past its limit is an anomaly, which names no patient.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from vault.compare.anomaly.baseline import limit
from vault.compare.anomaly.counts import Tally
from vault.model import Anomaly

FEWEST = 3
"""So many patients are no share of a department: of four, two may well change in one night."""

Values = Mapping[str, float]
"""A value by measure."""

Tallies = Mapping[str, Tally]
"""Tallies by patient, under whatever the caller knows a patient by."""


class Limits(Protocol):
    """What the site sets: a threshold by measure, and how past nights are learnt from."""

    @property
    def nights(self) -> int:
        """So many nights have to be known before anything is learnt from them."""

    @property
    def deviations(self) -> float:
        """Robust standard deviations above the usual."""

    @property
    def window(self) -> float:
        """Seconds within which edits are one."""

    def threshold(self, measure: str) -> float:
        """The value from which a measure is an anomaly, whatever past nights were like."""


@dataclass(frozen=True, slots=True)
class Reading:
    """One measure of one night."""

    value: float
    patients: frozenset[str]
    """Whom it comes from."""


@dataclass(frozen=True, slots=True)
class Measure:
    """One measure, and what people are told."""

    name: str
    severity: str
    of_one: str
    """What it says of each patient concerned."""
    read: Callable[[Tallies, Limits], Reading]
    text: str
    """`{patients}`, `{all}`, `{share}`, `{documents}`, `{plans}` and `{window}` are filled in."""
    why: str
    look_at_first: str
    fewest: int = 1
    """So many patients it takes at least."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the measures say of a night."""

    values: dict[str, float]
    """By measure: what the ledger keeps."""
    anomalies: tuple[Anomaly, ...] = ()
    concerned: dict[str, list[str]] = field(default_factory=dict)
    """By patient, the names of the measures past their limits that the patient counts towards."""


def judge(tallies: Tallies, past: Sequence[Mapping[str, object]], limits: Limits) -> Verdict:
    """Measure a night. `past` are the ledger's runs, newest first, from which the usual values are learnt."""
    known = {patient: one for patient, one in tallies.items() if one.known}
    verdict = Verdict({"patients": len(tallies), "known": len(known)})
    anomalies = []
    for measure in MEASURES:
        reading = measure.read(known, limits)
        verdict.values[measure.name] = reading.value
        most = limit(
            learnt(past, measure.name),
            limits.threshold(measure.name),
            nights=limits.nights,
            deviations=limits.deviations,
        )
        if reading.value and reading.value >= most and len(reading.patients) >= measure.fewest:
            anomalies.append(_anomaly(measure, reading, len(known), limits))
            for patient in reading.patients:
                verdict.concerned.setdefault(patient, []).append(measure.name)
    return Verdict(verdict.values, tuple(anomalies), verdict.concerned)


def learnt(past: Iterable[Mapping[str, object]], measure: str) -> list[float]:
    """What a measure was on earlier nights of the whole department, but for those on which it was an anomaly."""
    values = []
    for run in past:
        measures, anomalies = run.get("measures"), run.get("anomalies")
        value = measures.get(measure) if isinstance(measures, Mapping) else None
        raised = anomalies if isinstance(anomalies, Collection) else ()
        odd = any(isinstance(one, Mapping) and one.get("measure") == measure for one in raised)
        if run.get("census") and isinstance(value, int | float) and not odd:
            values.append(float(value))
    return values


def _anomaly(measure: Measure, reading: Reading, everybody: int, limits: Limits) -> Anomaly:
    said = measure.text.format(
        patients=_count(len(reading.patients), "patient"),
        all=everybody,
        documents=_count(int(reading.value), "document"),
        plans=_count(int(reading.value), "plan or structure set", "plans or structure sets"),
        share=f"{100 * reading.value:.0f} %",
        window=f"{limits.window / 60:g} minutes",
    )
    return Anomaly(measure.name, measure.severity, f"{said}. {measure.why}", measure.look_at_first)


def _count(number: int, noun: str, plural: str = "") -> str:
    return f"{number} {noun if number == 1 else plural or f'{noun}s'}"


def _share(of: Callable[[Tally], bool]) -> Callable[[Tallies, Limits], Reading]:
    """The share of patients of whom something is true."""

    def read(tallies: Tallies, _limits: Limits) -> Reading:
        patients = frozenset(patient for patient, one in tallies.items() if of(one))
        return Reading(round(len(patients) / len(tallies), 4) if tallies else 0.0, patients)

    return read


def _total(of: Callable[[Tally], int]) -> Callable[[Tallies, Limits], Reading]:
    """A count over all patients."""

    def read(tallies: Tallies, _limits: Limits) -> Reading:
        counts = {patient: int(of(one)) for patient, one in tallies.items()}
        return Reading(sum(counts.values()), frozenset(patient for patient, count in counts.items() if count))

    return read


def _at_once(tallies: Tallies, limits: Limits) -> Reading:
    """The most patients of whom something was edited within so short a time."""
    edits = sorted(
        (when, patient)
        for patient, one in tallies.items()
        for stamp in one.edits
        if (when := _seconds(stamp)) is not None
    )
    times = [when for when, _ in edits]
    best: frozenset[str] = frozenset()
    for start, (when, _) in enumerate(edits):
        end = bisect_right(times, when + limits.window)
        if end - start > len(best):
            best = max(best, frozenset(patient for _, patient in edits[start:end]), key=len)
    return Reading(len(best), best)


def _seconds(stamp: str) -> float | None:
    try:
        return datetime.fromisoformat(stamp).replace(tzinfo=None).timestamp()  # of one clock, whichever it is
    except (ValueError, OverflowError):
        return None


MEASURES: tuple[Measure, ...] = (
    Measure(
        "changed",
        "critical",
        "changed on a night when much else was",
        _share(lambda one: bool(one.changed or one.vanished)),
        "Of {patients} out of {all} ({share}) something that was there before was changed or is gone",
        "Ordinary nights add; what rewrites many patients at once is a program: an upgrade, a migration, or an attack.",
        "Ask whether the ROIS was upgraded or its data migrated yesterday. If nobody says so, look at the changes of "
        "any three of these patients before you treat.",
        FEWEST + 1,
    ),
    Measure(
        "vanished",
        "critical",
        "the ROIS no longer has something that it had",
        _share(lambda one: bool(one.vanished)),
        "Of {patients} out of {all} ({share}) the ROIS no longer has something that it had",
        "Objects and documents of patients under treatment are not deleted in the course of work.",
        "See in the ROIS itself whether the plans and images of these patients are there. The vault still has "
        "them all.",
        FEWEST,
    ),
    Measure(
        "unstamped",
        "critical",
        "changed while the database's stamp of a change stood still",
        _total(lambda one: one.unstamped),
        "Changed while the database's stamp of a change stood still: {plans} of {patients}",
        "Whoever edits a plan in the application moves the stamp; whoever goes past the application does not.",
        "Do not treat these plans. Compare them with what the planning system has, and find out who wrote to the "
        "database or the file store.",
    ),
    Measure(
        "withdrawn",
        "major",
        "an approval was withdrawn",
        _share(lambda one: bool(one.withdrawn)),
        "Of {patients} out of {all} ({share}) an approval was withdrawn",
        "One is a correction; many at once make a department unable to treat, or hide what was changed after approval.",
        "Ask who withdrew them. Look at what else was changed in the same plans and documents.",
        FEWEST,
    ),
    Measure(
        "unreadable",
        "critical",
        "a document can't be read any more",
        _total(lambda one: one.unreadable),
        "Not readable any more, or nothing but random bytes: {documents} of {patients}",
        "That is what encryption by ransomware leaves.",
        "Disconnect the document server. Try to open one of these documents there; the vault has the versions of "
        "the night before.",
    ),
    Measure(
        "misnamed",
        "major",
        "a document is not what its extension says",
        _total(lambda one: one.misnamed),
        "Not what the extension says, or under another extension: {documents} of {patients}",
        "Programs that encrypt files rename them, or leave the names and change what is in them.",
        "Look at the names on the document server: one ending that many files share is the mark of a program.",
    ),
    Measure(
        "identity",
        "critical",
        "objects say another name, ID, birth date or sex than before",
        _share(lambda one: bool(one.identity)),
        "Of {patients} out of {all} ({share}) objects say another name, ID, birth date or sex than before",
        "A correction concerns one patient; several at once were mixed up, or overwritten.",
        "Compare the identity in the plans of these patients with their photographs and wristbands before you treat.",
        FEWEST,
    ),
    Measure(
        "new_uids",
        "critical",
        "most of what was there is there under new UIDs",
        _total(lambda one: one.new_uids),
        "Of {patients} out of {all} most of what was there is gone, and as much is there under new UIDs",
        "That is a restored or imported copy, not the data that was approved; references to it are broken.",
        "Ask whether data was imported or restored. Compare the plans of one of these patients with those of "
        "yesterday.",
        2,
    ),
    Measure(
        "mass_edits",
        "critical",
        "edited within a short time together with many others",
        _at_once,
        "Things of {patients} were edited within {window}",
        "No person edits the data of so many patients in so short a time: a program did.",
        "Find in the database which account made these edits, and whether a script was meant to run.",
    ),
)
"""In the order in which they are told."""

NAMES = tuple(measure.name for measure in MEASURES)

OF_ONE = {measure.name: measure.of_one for measure in MEASURES}
