"""What each named statement must return: the columns, their kinds, and what is off without the statement.

A column's name is compared without regard to case. A column that is not required may be missing from the result; a
column that the contract does not name is kept as it is. `null=False` marks what no row can do without: a row's
patient, its key, its time.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum


class Kind(Enum):
    """How a value is read, whatever type the driver gives it; the value is its name in messages."""

    TEXT = "text"
    UID = "a DICOM UID"
    WHEN = "a date or a date with a time"
    DATE = "a date"
    NUMBER = "a number"
    WHOLE = "a whole number"
    FLAG = "yes or no (a bit, 0/1, Y/N)"


@dataclass(frozen=True, slots=True)
class Column:
    """One column of the contract."""

    name: str
    kind: Kind = Kind.TEXT
    required: bool = False
    null: bool = True
    """Whether a row may leave it empty."""


@dataclass(frozen=True, slots=True)
class Contract:
    """What one named statement returns."""

    query: str
    columns: tuple[Column, ...]
    """In the order in which people are shown them."""
    per_patient: bool
    """Bound to one `:patient_id`; otherwise one run answers for the whole department."""
    key: str | None
    """The column that names a row within its patient; two rows of a patient may not share it."""
    without: str
    """What the vault lacks where a query set leaves the statement out."""

    def column(self, name: str) -> Column | None:
        """The contract's column of that name."""
        return next((column for column in self.columns if column.name == name), None)


PATIENT_ID = "patient_id"


def _key(name: str, kind: Kind = Kind.TEXT) -> Column:
    return Column(name, kind, required=True, null=False)


def _needed(name: str, kind: Kind = Kind.TEXT) -> Column:
    return Column(name, kind, required=True)


_PATIENT = _key(PATIENT_ID)
_STAMPS = (Column("changed_at", Kind.WHEN), Column("changed_by"))
"""The database's own record of the last change of a row: when, and by which user."""

_CENSUS = (
    _PATIENT,
    Column("reason"),
    Column("last_treatment", Kind.WHEN),
    Column("next_treatment", Kind.WHEN),
    Column("patient_key"),
)
_SCHEDULE = (
    _PATIENT,
    _key("starts", Kind.WHEN),
    _needed("activity"),
    Column("machine"),
    Column("status"),
)
_CONTACTS = (
    _PATIENT,
    _needed("name"),
    *map(Column, ("relationship", "phone", "mobile", "email", "address")),
)
_DEMOGRAPHICS = (
    _PATIENT,
    _needed("name"),
    Column("birth_date", Kind.DATE),
    *map(Column, ("sex", "phone", "diagnosis", "priority")),
)
_PRESCRIPTIONS = (
    _PATIENT,
    _key("prescription_key"),
    Column("course"),
    _needed("site"),
    Column("technique"),
    _needed("total_dose_gy", Kind.NUMBER),
    _needed("dose_per_fraction_gy", Kind.NUMBER),
    _needed("fractions", Kind.WHOLE),
    Column("status"),
    *_STAMPS,
)
_PLANS = (
    _PATIENT,
    _key("plan_key"),
    Column("plan_uid", Kind.UID),
    Column("course"),
    _needed("plan"),
    _needed("status"),
    Column("status_at", Kind.WHEN),
    _needed("fractions_planned", Kind.WHOLE),
    Column("dose_per_fraction_gy", Kind.NUMBER),
    Column("machine"),
    *_STAMPS,
)
_DOCUMENTS = (
    _PATIENT,
    _key("document_key"),
    _needed("file"),
    _needed("title"),
    Column("created", Kind.WHEN),
    Column("approved", Kind.WHEN),
    Column("approved_by"),
    *_STAMPS,
)
_HISTORY = (
    _PATIENT,
    _key("history_key"),
    _needed("plan_uid", Kind.UID),
    _needed("plan"),
    Column("course"),
    _needed("fraction", Kind.WHOLE),
    _needed("field"),
    Column("planned_mu", Kind.NUMBER),
    Column("delivered_mu", Kind.NUMBER),
    Column("machine"),
    _key("started", Kind.WHEN),
    Column("ended", Kind.WHEN),
    Column("termination"),
    Column("override", Kind.FLAG),
    Column("dose_gy", Kind.NUMBER),
    Column("record_uid", Kind.UID),
    *_STAMPS,
)
_EXPECTED = (_PATIENT, _key("sop_uid", Kind.UID), _key("modality"), Column("series_uid", Kind.UID))

_ALL = (
    Contract("census", _CENSUS, False, None, "nobody can be found by SQL: name another [census] source"),
    Contract(
        "last_treatment",
        (_PATIENT, _key("last_treatment", Kind.WHEN)),
        False,
        None,
        "the census can't hold on to a patient who missed fractions, and the hourly run can't ask for "
        "those alone who were treated today",
    ),
    Contract("schedule", _SCHEDULE, False, None, "no appointments, so nobody's next treatment"),
    Contract("contacts", _CONTACTS, True, None, "no telephone numbers of relatives"),
    Contract("prescriptions", _PRESCRIPTIONS, True, "prescription_key", "no prescriptions"),
    Contract("plans", _PLANS, True, "plan_key", "no plan status, and no planned fractions outside DICOM"),
    Contract("documents", _DOCUMENTS, True, "document_key", "no documents"),
    Contract("history", _HISTORY, True, "history_key", "no hourly treatment history, no dose to date"),
    Contract(
        "expected_objects",
        _EXPECTED,
        True,
        None,
        "what the ROIS keeps back from C-FIND can't be noticed",
    ),
    Contract("demographics", _DEMOGRAPHICS, True, None, "no telephone number, diagnosis and priority"),
)

CONTRACT: Mapping[str, Contract] = {contract.query: contract for contract in _ALL}
"""Every named statement that the vault asks for."""

PER_PATIENT = tuple(contract.query for contract in _ALL if contract.per_patient)
"""The statements that run for one patient each."""
