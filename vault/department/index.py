"""What the simulated ROIS holds, and how C-FIND's keys match it (PS3.4 C.2.2.2).

The index keeps of each object the attributes that can be asked for, never its pixels or contours. It is replaced
as a whole when objects change, so that a query sees one state of it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from pydicom import dcmread
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.multival import MultiValue

LEVELS = {
    "PATIENT": "PatientID",
    "STUDY": "StudyInstanceUID",
    "SERIES": "SeriesInstanceUID",
    "IMAGE": "SOPInstanceUID",
}
"""Query/Retrieve Level (0008,0052) and its unique key, from the top (PS3.4 C.6.1.1)."""

_KEYS: dict[str, tuple[str, ...]] = {
    "PATIENT": ("PatientID", "PatientName", "PatientBirthDate", "PatientSex"),
    "STUDY": ("StudyInstanceUID", "StudyID", "StudyDate", "StudyTime", "AccessionNumber", "StudyDescription"),
    "SERIES": (
        "SeriesInstanceUID",
        "Modality",
        "SeriesNumber",
        "SeriesDescription",
        "SeriesDate",
        "SeriesTime",
    ),
    "IMAGE": (
        "SOPInstanceUID",
        "SOPClassUID",
        "InstanceNumber",
        "InstanceCreationDate",
        "InstanceCreationTime",
        "ContentDate",
        "RTPlanLabel",
        "RTPlanDate",
        "RTPlanTime",
        "StructureSetLabel",
        "StructureSetDate",
        "ApprovalStatus",
        "TreatmentDate",
        "TreatmentTime",
        "ReferencedRTPlanSequence",
    ),
}
_RANGED = ("DA", "TM", "DT")


@dataclass(frozen=True, slots=True)
class Entry:
    """One object: its file and what can be asked about it."""

    path: Path
    attributes: Dataset
    transfer_syntax: str

    @property
    def patient_id(self) -> str:
        """Patient ID (0010,0020)."""
        return str(self.attributes.get("PatientID", ""))

    @property
    def sop_class_uid(self) -> str:
        """SOP Class UID (0008,0016)."""
        return str(self.attributes.SOPClassUID)

    @property
    def sop_uid(self) -> str:
        """SOP Instance UID (0008,0018)."""
        return str(self.attributes.SOPInstanceUID)


def read_entry(path: Path) -> Entry:
    """Read what the index keeps of the Part 10 file `path`."""
    wanted = [keyword for keys in _KEYS.values() for keyword in keys]
    dataset = dcmread(path, stop_before_pixels=True, specific_tags=wanted)
    return Entry(path, dataset, str(dataset.file_meta.TransferSyntaxUID))


def retrieved(entries: Iterable[Entry], query: Dataset) -> list[Entry]:
    """Return the objects that a C-MOVE or C-GET identifier asks for: its unique keys, without wildcards."""
    keys = {
        element.keyword: set(_texts(element.value)) for element in query if element.keyword in LEVELS.values()
    }
    given = {keyword: values for keyword, values in keys.items() if values}
    return [
        entry
        for entry in entries
        if all(values.intersection(_texts(entry.attributes.get(key))) for key, values in given.items())
    ]


def find(entries: Iterable[Entry], query: Dataset, level: str) -> Iterator[Dataset]:
    """Yield an answer for each patient, study, series or image (as `level` says) that matches the query's keys.

    Keys above the level may be empty (a relational query); keys below it are answered empty and match anything.
    """
    levels = list(LEVELS)[: list(LEVELS).index(level) + 1]
    known = {keyword for each in levels for keyword in _KEYS[each]}
    keys = [element for element in query if element.keyword in known]
    groups: dict[tuple[str, ...], list[Entry]] = {}
    for entry in entries:
        groups.setdefault(tuple(str(entry.attributes.get(LEVELS[each], "")) for each in levels), []).append(
            entry
        )
    for group in groups.values():
        counts = _counts(group)
        modalities = query.get("ModalitiesInStudy")
        if modalities and not set(_texts(modalities)) & set(counts["ModalitiesInStudy"]):
            continue
        if all(_matches(key, group[0].attributes) for key in keys):
            yield _answer(query, group[0].attributes, known, counts, level)


def _counts(group: list[Entry]) -> dict[str, list[str]]:
    """The attributes of a study or series that are computed from its objects (PS3.4 C.3.4)."""
    series = {str(entry.attributes.get("SeriesInstanceUID", "")) for entry in group}
    return {
        "ModalitiesInStudy": sorted({str(entry.attributes.get("Modality", "")) for entry in group}),
        "NumberOfStudyRelatedSeries": [str(len(series))],
        "NumberOfStudyRelatedInstances": [str(len(group))],
        "NumberOfSeriesRelatedInstances": [str(len(group))],
    }


def _answer(
    query: Dataset, attributes: Dataset, known: set[str], counts: dict[str, list[str]], level: str
) -> Dataset:
    answer = Dataset()
    answer.SpecificCharacterSet = "ISO_IR 192"  # whatever the object's own, every name fits
    answer.QueryRetrieveLevel = level
    for element in query:
        keyword = element.keyword
        if keyword in known and keyword in attributes:
            answer.add(attributes[keyword])
        elif keyword in counts and level in ("STUDY", "SERIES"):
            setattr(answer, keyword, counts[keyword])
        elif keyword not in ("SpecificCharacterSet", "QueryRetrieveLevel"):
            answer.add(DataElement(element.tag, element.VR, None))
    return answer


def _matches(key: DataElement, attributes: Dataset) -> bool:
    """Whether one key of a query matches an object: sequence, list, range or single value (PS3.4 C.2.2.2)."""
    if key.VR == "SQ":
        wanted = key.value[0] if key.value else Dataset()
        held = attributes.get(key.keyword) or []
        return not any(_texts(each.value) for each in wanted) or any(
            all(_matches(each, item) for each in wanted) for item in held
        )
    wanted_texts = _texts(key.value)
    if not wanted_texts:
        return True
    held_texts = _texts(attributes.get(key.keyword))
    if key.VR in _RANGED and "-" in wanted_texts[0]:
        start, _, end = wanted_texts[0].partition("-")
        return any(start <= held and (not end or held <= end) for held in held_texts)
    if key.VR == "UI":
        return bool(set(wanted_texts) & set(held_texts))
    return any(_pattern(wanted).fullmatch(held) for wanted in wanted_texts for held in held_texts or [""])


def _texts(value: object) -> list[str]:
    """The values of an element as text; empty when there are none."""
    values = value if isinstance(value, MultiValue | list) else [value]
    return [text for each in values if each is not None and (text := str(each).strip())]


def _pattern(key: str) -> re.Pattern[str]:
    """A single value key, in which `*` and `?` are wildcards (PS3.4 C.2.2.2.4)."""
    return re.compile(re.escape(key).replace(r"\*", ".*").replace(r"\?", "."), re.DOTALL)
