"""The words for an object's attributes: what each is called, what it is measured in, and under which rule it falls.

An object type is a table. What no table names is told by its own keyword and falls under `other`, so an attribute
that nobody thought of is still said.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

_WORDS = re.compile(r"[A-Z]+(?![a-z])|[A-Z][a-z]+|[a-z]+|[0-9]+")


@dataclass(frozen=True, slots=True)
class Term:
    """One attribute."""

    subject: str
    """Its key in the object's table of the rules."""
    noun: str
    unit: str = ""
    shape: str = ""
    """How a change of it is told: `angle`, `relative` (with per cent), `point`, `leaves` or plain."""


@dataclass(frozen=True, slots=True)
class Item:
    """The items of one sequence."""

    noun: str
    subject: str
    """The rule for an item that comes or goes."""
    named_by: tuple[str, str] = ("", "")
    """Top-level sequence and keyword that give an item's name: `BeamSequence`, `BeamName`."""
    counted_by: frozenset[str] = frozenset()
    """Attributes that only count such items: nothing of their own where one came or went."""
    details: tuple[str, ...] = ()
    """What is told of an item that came or went."""
    silent: bool = False
    """Where it stands need not be said."""
    owns: bool = True
    """Whether what in it no term names falls under its rule, too; else under `other`."""
    key: str = ""
    """The attribute that holds the key in `named_by`, where the items are told apart by another."""
    single: bool = False
    """There is one of it at a time, so that one that went and one that came are a change of it."""
    graver: Mapping[str, str] = field(default_factory=dict)
    """Attributes that bring an item that came or went under another rule: a prescribed dose is no mere reference."""


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """The words of one object type."""

    table: str
    """Its table in the rules."""
    terms: Mapping[str, Term]
    items: Mapping[str, Item] = field(default_factory=dict)
    spread: frozenset[str] = frozenset()
    """Sequences over whose items a change of one attribute is one finding: control points."""
    append_only: bool = False
    """Such an object is never written anew, so that no change of it is only about papers."""


def words(keyword: str) -> str:
    """`GantryAngleTolerance` as words: `gantry angle tolerance`; abbreviations and tags stay as they are."""
    parts = _WORDS.findall(keyword) if keyword[:1].isalpha() else ()
    return " ".join(part if part.isupper() and len(part) > 1 else part.lower() for part in parts) or keyword


def terms(subject: str, unit: str = "", shape: str = "", **nouns: str) -> dict[str, Term]:
    """Terms under one rule: keywords with their nouns."""
    return {keyword: Term(subject, noun, unit, shape) for keyword, noun in nouns.items()}


PATIENT: Mapping[str, Term] = {
    **terms(
        "identity",
        PatientID="patient ID",
        PatientName="patient name",
        PatientBirthDate="date of birth",
        PatientSex="sex",
        OtherPatientIDs="other patient IDs",
        IssuerOfPatientID="issuer of the patient ID",
        OtherPatientNames="other patient names",
        PatientBirthName="birth name",
        PatientBirthTime="time of birth",
    ),
    **terms(
        "uid",
        SOPInstanceUID="SOP Instance UID",
        SOPClassUID="SOP class",
        Modality="modality",
        StudyInstanceUID="Study Instance UID",
        SeriesInstanceUID="Series Instance UID",
    ),
    **terms("frame-of-reference", FrameOfReferenceUID="frame of reference"),
    **terms(
        "equipment",
        SoftwareVersions="software version",
        Manufacturer="manufacturer",
        ManufacturerModelName="model",
        StationName="station",
        DeviceSerialNumber="serial number",
        InstitutionName="institution",
        InstitutionAddress="institution's address",
        InstitutionalDepartmentName="department",
        InstanceCreatorUID="instance creator UID",
        TimezoneOffsetFromUTC="time zone",
    ),
    **terms(
        "description",
        StudyDescription="study description",
        SeriesDescription="series description",
        StudyID="study ID",
        AccessionNumber="accession number",
        SeriesNumber="series number",
        InstanceNumber="instance number",
        StudyDate="study date",
        StudyTime="study time",
        SeriesDate="series date",
        SeriesTime="series time",
        ContentDate="content date",
        ContentTime="content time",
        ReferringPhysicianName="referring physician",
        OperatorsName="operators",
        PhysiciansOfRecord="physicians of record",
        PerformingPhysicianName="performing physician",
        NameOfPhysiciansReadingStudy="reading physicians",
        PositionReferenceIndicator="position reference indicator",
        PatientAge="age",
        PatientSize="height",
        PatientWeight="weight",
        PatientAddress="address",
        PatientTelephoneNumbers="telephone numbers",
        EthnicGroup="ethnic group",
        PatientIdentityRemoved="patient identity removed",
        DeidentificationMethod="de-identification",
    ),
}
"""What every object has, under the table `any`: who the patient is, which object it is, what made it."""
