"""The DICOMDIR of an export (PS3.3 annex F, PS3.10 section 8): what an import wizard reads first.

pydicom defines the directory records and encodes them, from the few attributes that the manifest keeps; the objects
are not parsed, and their bytes not touched. (pydicom's own FileSet would write every object anew, and compares each
one added with all before it.) A value that a record must have and an object need not, such as a study ID, is made up
for the record alone.
"""

from __future__ import annotations

import hashlib
import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import zip_longest

from pydicom.config import disable_value_validation
from pydicom.dataset import Dataset
from pydicom.filebase import DicomBytesIO
from pydicom.fileset import DIRECTORY_RECORDERS
from pydicom.filewriter import write_dataset

from vault.dicom.part10 import EXPLICIT_LITTLE, file_head
from vault.emergency.attributes import KEYWORDS
from vault.emergency.manifest import ExportedFile, ExportedPatient, Manifest

FOLDER = "DICOM"
"""The file-set's folder beside the DICOMDIR; File IDs are upper case and eight characters a part (PS3.10 8.2)."""

_MEDIA_STORAGE = "1.2.840.10008.1.3.10"
_STORAGE = "1.2.840.10008.5.1.4.1.1."
_LEAVES = {
    f"{_STORAGE}481.2": ("RT DOSE", "RD"),
    f"{_STORAGE}481.3": ("RT STRUCTURE SET", "RS"),
    f"{_STORAGE}481.4": ("RT TREAT RECORD", "RT"),
    f"{_STORAGE}481.5": ("RT PLAN", "RP"),
    f"{_STORAGE}481.6": ("RT TREAT RECORD", "RT"),
    f"{_STORAGE}481.7": ("RT TREAT RECORD", "RT"),
    f"{_STORAGE}481.8": ("RT PLAN", "RP"),
    f"{_STORAGE}481.9": ("RT TREAT RECORD", "RT"),
    f"{_STORAGE}66.1": ("REGISTRATION", "RG"),
    f"{_STORAGE}66.3": ("REGISTRATION", "RG"),
    f"{_STORAGE}66.2": ("FIDUCIAL", "FD"),
    f"{_STORAGE}104.1": ("ENCAP DOC", "ED"),
}
_IMAGES = re.compile(
    r"1(\.1(\.1)?|\.2(\.1)?|\.3(\.1)?)?|2(\.[12])?|3\.1|4(\.[13])?|6\.[12]|7(\.[1-4])?|12\.[12](\.1)?|13\.1\.[123]"
    r"|20|128(\.1)?|130|481\.1|66\.4"
)
"""SOP classes, after `_STORAGE`, that an IMAGE record stands for: CT, MR, PET, radiographs, ultrasound, and so on."""

_UID = re.compile(r"[0-9.]{1,64}", re.ASCII)
_MADE_UP = {
    "StudyDate": "19000101",
    "StudyTime": "000000",
    "ContentDate": "19000101",
    "ContentTime": "000000",
    "ContentLabel": "UNNAMED",
    "StructureSetLabel": "UNNAMED",
    "RTPlanLabel": "UNNAMED",
    "DoseSummationType": "UNKNOWN",
    "MIMETypeOfEncapsulatedDocument": "application/pdf",
}
_DATES = (
    "StructureSetDate",
    "RTPlanDate",
    "TreatmentDate",
    "SeriesDate",
    "ContentDate",
    "InstanceCreationDate",
)
_LEVELS = (
    ("PATIENT", "PatientID", "PT"),
    ("STUDY", "StudyInstanceUID", "ST"),
    ("SERIES", "SeriesInstanceUID", "SE"),
)
_SHORT = {"LO": 64, "SH": 16, "CS": 16, "PN": 190}


@dataclass
class _Node:
    """A directory record, encoded, and those below it."""

    component: str
    """Its part of the File ID."""
    encoded: bytearray = field(default_factory=bytearray)
    is_object: bool = False
    children: dict[str, _Node] = field(default_factory=dict)
    offset: int = 0


class NotRepresentable(ValueError):  # noqa: N818 - a fact about an object, not a failure
    """The DICOMDIR can't list this object; the message says why, without values."""


def index(manifest: Manifest) -> bytes:
    """Give each file of the manifest its `file_id`, or the reason why it has none, and return the DICOMDIR's bytes."""
    root = _Node(FOLDER)
    with (
        disable_value_validation()
    ):  # a value that breaks a rule is still the value, and warnings would show it
        for patient in manifest.patients:
            for file in patient.files:
                if file.source.startswith("dicom/"):
                    file.file_id, file.left_out = _listed(root, file, patient)
        return _encode(_pruned(root))


def _listed(root: _Node, file: ExportedFile, patient: ExportedPatient) -> tuple[str | None, str | None]:
    """The File ID of an object, or why it has none."""
    try:
        return _add(root, file, patient), None
    except NotRepresentable as reason:
        return None, str(reason)


def _add(root: _Node, file: ExportedFile, patient: ExportedPatient) -> str:
    """Put an object into the tree; returns its File ID with `/`."""
    values = {"PatientName": patient.name, **file.attributes, "PatientID": patient.patient_id}
    kind, prefix = _leaf(values)
    node, path = root, [FOLDER]
    for level, keyword, component in _LEVELS:
        key = values.get(keyword)
        if not key:
            raise NotRepresentable(f"it has no {keyword}")
        if key not in node.children:
            number = len(node.children)
            record = _record(level, _completed(values, number + 1))
            node.children[key] = _Node(f"{component}{number:06}", record)
        node = node.children[key]
        path.append(node.component)
    number = len(node.children)
    path.append(f"{prefix}{number:06}")
    record = _record(kind, _completed(values, number + 1), path)
    node.children[file.source] = _Node(path[-1], record, is_object=True)
    return "/".join(path)


def _leaf(values: dict[str, str]) -> tuple[str, str]:
    for keyword in ("SOPClassUID", "SOPInstanceUID", "TransferSyntaxUID"):
        if not _UID.fullmatch(values.get(keyword, "")):
            raise NotRepresentable(f"it has no readable {keyword}")
    sop_class = values["SOPClassUID"]
    if sop_class.startswith(_STORAGE) and _IMAGES.fullmatch(sop_class.removeprefix(_STORAGE)):
        return "IMAGE", "IM"
    if sop_class in _LEAVES:
        return _LEAVES[sop_class]
    raise NotRepresentable("no directory record is defined for its SOP class")


def _completed(values: dict[str, str], number: int) -> dict[str, str]:
    """`values` with what a record must have (type 1 in PS3.3 annex F) made up where the object lacks it."""
    made_up = dict(_MADE_UP)
    made_up["StudyDate"] = next((values[date] for date in _DATES if values.get(date)), made_up["StudyDate"])
    for keyword in ("StudyID", "SeriesNumber", "InstanceNumber"):
        made_up[keyword] = str(number)
    return {**values, **{keyword: value for keyword, value in made_up.items() if not values.get(keyword)}}


def _record(kind: str, values: dict[str, str], path: list[str] | None = None) -> bytearray:
    """A directory record by pydicom's definition of its kind, encoded; `path` is the File ID of an object."""
    wanted = {"InstanceNumber"} if kind == "IMAGE" else values.keys() & KEYWORDS
    try:
        record = DIRECTORY_RECORDERS[kind](_source({keyword: values[keyword] for keyword in wanted}))
        record.OffsetOfTheNextDirectoryRecord = 0
        record.RecordInUseFlag = 0xFFFF
        record.OffsetOfReferencedLowerLevelDirectoryEntity = 0
        record.DirectoryRecordType = kind
        if path:
            record.ReferencedFileID = path
            record.ReferencedSOPClassUIDInFile = values["SOPClassUID"]
            record.ReferencedSOPInstanceUIDInFile = values["SOPInstanceUID"]
            record.ReferencedTransferSyntaxUIDInFile = values["TransferSyntaxUID"]
        if not all(values[keyword].isascii() for keyword in wanted):
            record.SpecificCharacterSet = "ISO_IR 192"
        return bytearray(_encoded(record))
    except (ValueError, KeyError, AttributeError, TypeError, OverflowError) as error:
        raise NotRepresentable(f"its attributes do not make a {kind} record") from error


def _source(values: dict[str, str]) -> Dataset:
    """A data set of these attributes, none longer than its VR allows (PS3.5 6.2)."""
    source = Dataset()
    for keyword, value in values.items():
        setattr(source, keyword, value.encode("utf-8", "replace").decode())
    for element in source:
        if element.VR in _SHORT and len(str(element.value)) > _SHORT[element.VR]:
            element.value = str(element.value)[: _SHORT[element.VR]]
    return source


def _encode(root: _Node) -> bytes:
    """The whole file: Explicit VR Little Endian, records in depth-first order, offsets from the file's first byte."""
    nodes = list(_below(root))
    head = file_head(_MEDIA_STORAGE, _instance_uid(nodes), EXPLICIT_LITTLE)
    before = len(head) + len(_file_set(0, 0)) + 12
    offset = before
    for node in nodes:
        node.offset = offset
        offset += 8 + len(node.encoded)
    _link(list(root.children.values()))
    top = list(root.children.values())
    first, last = (top[0].offset, top[-1].offset) if top else (0, 0)
    items = b"".join(struct.pack("<HHI", 0xFFFE, 0xE000, len(node.encoded)) + node.encoded for node in nodes)
    return head + _file_set(first, last) + struct.pack("<HH2sHI", 4, 0x1220, b"SQ", 0, len(items)) + items


def _pruned(node: _Node) -> _Node:
    """`node` without the branches that lead to no object, since none below them could be represented."""
    node.children = {
        key: child for key, child in node.children.items() if child.is_object or _pruned(child).children
    }
    return node


def _below(node: _Node) -> Iterator[_Node]:
    for child in node.children.values():
        yield child
        yield from _below(child)


def _link(siblings: list[_Node]) -> None:
    """Write the offsets of the next record and of the first one below into each encoded record.

    (0004,1400), (0004,1410) and (0004,1420) are a record's first three elements, so their values lie at fixed places.
    """
    for node, following in zip_longest(siblings, siblings[1:]):
        lower = list(node.children.values())
        struct.pack_into("<I", node.encoded, 8, following.offset if following else 0)
        struct.pack_into("<I", node.encoded, 30, lower[0].offset if lower else 0)
        _link(lower)


def _file_set(first: int, last: int) -> bytes:
    identification = Dataset()
    identification.FileSetID = "VAULT_EXPORT"
    identification.OffsetOfTheFirstDirectoryRecordOfTheRootDirectoryEntity = first
    identification.OffsetOfTheLastDirectoryRecordOfTheRootDirectoryEntity = last
    identification.FileSetConsistencyFlag = 0
    return _encoded(identification)


def _encoded(dataset: Dataset) -> bytes:
    out = DicomBytesIO()
    out.is_little_endian, out.is_implicit_VR = True, False
    write_dataset(out, dataset)
    return out.getvalue()


def _instance_uid(nodes: list[_Node]) -> str:
    """A UID that is the same for the same content (PS3.5 B.2: 2.25 and a number of 128 bits)."""
    digest = hashlib.sha256(b"".join(bytes(node.encoded) for node in nodes)).digest()
    return f"2.25.{int.from_bytes(digest[:16], 'big')}"
