"""The few attributes of an object that name its file and index it, read from its normal form.

The normal form is text that the vault wrote itself, so no object is parsed again on the day of an emergency. What
can't be read from it is absent, never an error: a file can always be exported, if need be under its UID.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Protocol

from vault.files import CHUNK
from vault.normal.lines import parse

LONGEST_LINE = 4096
"""Bytes; longer lines hold contours, leaf positions and the like, which nothing is named after."""

KEYWORDS = frozenset(
    (
        "AccessionNumber",
        "AcquisitionDate",
        "ApprovalStatus",
        "ContentCreatorName",
        "ContentDate",
        "ContentDescription",
        "ContentLabel",
        "ContentTime",
        "DocumentTitle",
        "DoseSummationType",
        "InstanceCreationDate",
        "InstanceNumber",
        "MIMETypeOfEncapsulatedDocument",
        "Modality",
        "PatientID",
        "PatientName",
        "RTImageLabel",
        "RTPlanDate",
        "RTPlanLabel",
        "RTPlanTime",
        "SOPClassUID",
        "SOPInstanceUID",
        "SeriesDate",
        "SeriesDescription",
        "SeriesInstanceUID",
        "SeriesNumber",
        "StructureSetDate",
        "StructureSetLabel",
        "StructureSetTime",
        "StudyDate",
        "StudyDescription",
        "StudyID",
        "StudyInstanceUID",
        "StudyTime",
        "TreatmentDate",
        "TreatmentTime",
    )
)
"""Attributes of the data set itself (PS3.6); what PS3.3 annex F asks of a directory record is among them."""

_NESTED = {
    "plan": re.compile(r"ReferencedRTPlanSequence\[[^]]*\]\.ReferencedSOPInstanceUID"),
    "fraction": re.compile(r"TreatmentSession(?:Ion)?BeamSequence\[.*\]\.CurrentFractionNumber"),
    "beams": re.compile(r"TreatmentSession(?:Ion)?BeamSequence\[[^]]*\]\.BeamName"),
}
"""What of nested items is wanted, under names of our own: the plan that a dose or record belongs to, and so on."""

Attributes = dict[str, str]
"""Values by keyword, or by a name of `_NESTED`; several values of the latter are joined with `+`."""


class Readable(Protocol):
    """A source of bytes."""

    def read(self, size: int = ..., /) -> bytes:
        """Up to `size` bytes; none at the end."""


def read_attributes(normal_form: Readable) -> Attributes:
    """Collect what names and indexes an object from its normal form; memory stays flat."""
    found: Attributes = {}
    for line in parse(_short_lines(normal_form)):
        if line.path in KEYWORDS:
            found[line.path] = _text(line.vr, line.value)
            continue
        for name, pattern in _NESTED.items():
            if pattern.fullmatch(line.path):
                values = found.setdefault(name, _text(line.vr, line.value)).split("+")
                if _text(line.vr, line.value) not in values:
                    found[name] = "+".join([*values, _text(line.vr, line.value)])
    return found


def _text(vr: str, value: str) -> str:
    """The bare value: a UID without the name that follows it, text without its quotes."""
    if vr == "UI":
        return value.split(" ", 1)[0]
    return value[1:-1] if len(value) >= 2 and value[0] == value[-1] == '"' else value


def _short_lines(source: Readable) -> Iterator[bytes]:
    """Lines up to `LONGEST_LINE` bytes, each with its end; longer ones are passed over without being held."""
    rest, passing_over = b"", False
    while piece := source.read(CHUNK):
        *lines, rest = (rest + piece).split(b"\n")
        for line in lines:
            if not passing_over and len(line) <= LONGEST_LINE:
                yield line + b"\n"
            passing_over = False
        if len(rest) > LONGEST_LINE:
            rest, passing_over = b"", True
    if rest and not passing_over:
        yield rest
