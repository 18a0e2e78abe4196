"""Where each object of a patient goes in an export, and what it is called.

Folders are numbered in the order of import, since a dose refers to its plan, a plan to its structure set, and a
structure set to its images (PS3.3 C.8.8): a spare ROIS that reads them in this order never meets a dangling reference.

    12345 Müller^Anna/1 images/CT Planning CT (120 images)/0001.dcm
    12345 Müller^Anna/4 plans/PROSTATE_1A approved 2026-11-02.dcm
    12345 Müller^Anna/7 treatment records/2026-11-20 1432 fraction 03 PROSTATE_1A ARC1.dcm
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath

from vault.emergency.attributes import Attributes
from vault.emergency.names import distinct, readable

IMAGES = "1 images"
REGISTRATIONS = "2 registrations"
STRUCTURE_SETS = "3 structure sets"
PLANS = "4 plans"
DOSES = "5 doses"
RT_IMAGES = "6 RT images"
RECORDS = "7 treatment records"
DOCUMENTS = "8 documents"
OTHERS = "9 other objects"

_STORAGE = "1.2.840.10008.5.1.4.1.1."
_BY_SOP_CLASS = {
    f"{_STORAGE}66.1": REGISTRATIONS,
    f"{_STORAGE}66.2": REGISTRATIONS,
    f"{_STORAGE}66.3": REGISTRATIONS,
    f"{_STORAGE}481.1": RT_IMAGES,
    f"{_STORAGE}481.2": DOSES,
    f"{_STORAGE}481.3": STRUCTURE_SETS,
    f"{_STORAGE}481.4": RECORDS,
    f"{_STORAGE}481.5": PLANS,
    f"{_STORAGE}481.6": RECORDS,
    f"{_STORAGE}481.7": RECORDS,
    f"{_STORAGE}481.8": PLANS,
    f"{_STORAGE}481.9": RECORDS,
}
_IMAGE_MODALITIES = (
    "CR",
    "CT",
    "DX",
    "MG",
    "MR",
    "NM",
    "OT",
    "PT",
    "RF",
    "RG",
    "SC",
    "SEG",
    "US",
    "XA",
    "XC",
)
_BY_MODALITY = {
    **dict.fromkeys(_IMAGE_MODALITIES, IMAGES),
    "REG": REGISTRATIONS,
    "RTSTRUCT": STRUCTURE_SETS,
    "RTPLAN": PLANS,
    "PLAN": PLANS,
    "RTDOSE": DOSES,
    "RTIMAGE": RT_IMAGES,
    "RTRECORD": RECORDS,
    "DOC": DOCUMENTS,
    "SR": DOCUMENTS,
}


@dataclass(frozen=True, slots=True)
class Source:
    """One object or document of a patient's tree."""

    path: str
    """In the tree: `dicom/<modality>/<series>/<object>.dcm` or `documents/<document>/<file>`."""
    attributes: Attributes


def patient_folder(patient_id: str, name: str) -> str:
    """`12345 Müller^Anna`."""
    return readable(f"{patient_id} {name}", "patient")


def arrange(sources: list[Source]) -> dict[str, str]:
    """Return where each tree path goes, relative to the patient's folder; no two go to one place, case ignored."""
    plans = {
        source.attributes["SOPInstanceUID"]: source.attributes.get("RTPlanLabel", "")
        for source in sources
        if source.attributes.get("SOPInstanceUID")
    }
    folders: dict[str, list[Source]] = defaultdict(list)
    for source in sources:
        folders[_group(source)].append(source)
    named = distinct({group: _folder_name(group, members) for group, members in folders.items()})
    places: dict[str, str] = {}
    for group, members in folders.items():
        for path, name in distinct(_file_names(members, plans)).items():
            places[path] = f"{named[group]}/{name}"
    return places


def kind(source: Source) -> str:
    """The numbered folder an object belongs to, by its SOP class, else its modality."""
    if source.path.startswith("documents/"):
        return DOCUMENTS
    by_class = _BY_SOP_CLASS.get(source.attributes.get("SOPClassUID", ""))
    return by_class or _BY_MODALITY.get(_modality(source), OTHERS)


def _modality(source: Source) -> str:
    return source.attributes.get("Modality") or PurePosixPath(source.path).parts[1]


def _group(source: Source) -> str:
    """What shares a folder: an image series, a document's files, or everything of one kind."""
    where = kind(source)
    alone = where == IMAGES or source.path.startswith("documents/")
    return f"{where}/{PurePosixPath(source.path).parent}" if alone else where


def _folder_name(group: str, members: list[Source]) -> str:
    where, _, folder = group.partition("/")
    if not folder:
        return where
    if where == DOCUMENTS:
        return f"{where}/{readable(PurePosixPath(folder).name, 'document')}"
    first = members[0]
    described = f"{_modality(first)} {first.attributes.get('SeriesDescription', '')}"
    count = f"({len(members)} image{'s' if len(members) > 1 else ''})"
    return f"{where}/{readable(described, 'series', 60 - len(count))} {count}"


def _file_names(members: list[Source], plans: Mapping[str, str]) -> dict[str, str]:
    if kind(members[0]) == IMAGES:
        ordered = sorted(
            members, key=lambda source: (_number(source.attributes.get("InstanceNumber")), source.path)
        )
        width = max(4, len(str(len(members))))
        return {source.path: f"{number:0{width}}.dcm" for number, source in enumerate(ordered, 1)}
    return {source.path: _file_name(source, plans) for source in members}


def _file_name(source: Source, plans: Mapping[str, str]) -> str:
    original = PurePosixPath(source.path)
    if source.path.startswith("documents/"):
        suffix = readable(original.suffix.lstrip("."), "", 8)
        return readable(original.stem, "document", 60 - len(suffix)) + (f".{suffix}" if suffix else "")
    words = _words(kind(source), source.attributes, plans)
    return readable(" ".join(word for word in words if word), readable(original.stem, "object")) + ".dcm"


def _words(where: str, of: Attributes, plans: Mapping[str, str]) -> list[str]:
    """What a file is called, by kind; absent attributes are left out."""
    plan = plans.get(of.get("plan", ""), "")
    by_kind = {
        STRUCTURE_SETS: [of.get("StructureSetLabel", ""), _approval(of), _date(of.get("StructureSetDate"))],
        PLANS: [of.get("RTPlanLabel", ""), _approval(of), _date(of.get("RTPlanDate"))],
        DOSES: [plan or of.get("SeriesDescription", ""), of.get("DoseSummationType", ""), "dose"],
        RT_IMAGES: [of.get("RTImageLabel", ""), _date(of.get("AcquisitionDate") or of.get("ContentDate"))],
        RECORDS: [
            _date(of.get("TreatmentDate")),
            of.get("TreatmentTime", "")[:4],
            _fraction(of),
            plan,
            of.get("beams", ""),
        ],
        DOCUMENTS: [of.get("DocumentTitle", ""), _date(of.get("ContentDate"))],
    }
    return by_kind.get(
        where, [of.get("Modality", ""), of.get("SeriesDescription", ""), _date(of.get("ContentDate"))]
    )


def _approval(of: Attributes) -> str:
    return of.get("ApprovalStatus", "").lower()


def _fraction(of: Attributes) -> str:
    numbers = [f"{_number(number):02}" for number in of.get("fraction", "").split("+") if number]
    return f"fraction {'+'.join(numbers)}" if numbers else ""


def _date(value: str | None) -> str:
    """`20261120` as `2026-11-20`; what is no date (PS3.5 6.2) is left out."""
    return f"{value[:4]}-{value[4:6]}-{value[6:]}" if value and len(value) == 8 and value.isdecimal() else ""


def _number(value: str | None) -> int:
    try:
        return min(int(value or 0), 10**9)
    except ValueError:
        return 0
