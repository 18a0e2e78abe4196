"""What an object is called by the people who made it: the label of a plan, the fraction of a treatment record."""

from __future__ import annotations

_PLAN = ("RTPlanLabel",)
_IMAGE = ("SeriesDescription", "InstanceNumber")

_NAMED_BY = {
    "RTPLAN": _PLAN,
    "RTSTRUCT": ("StructureSetLabel",),
    "RTDOSE": ("DoseSummationType", "DoseType", "DoseUnits"),
    "RTRECORD": ("TreatmentDate",),
    "RTIMAGE": ("RTImageLabel", "InstanceNumber"),
}
"""The elements that make an object's title, by modality; every other modality is an image."""


def title(modality: str, form: bytes) -> str:
    """Return the title of an object from its normal form: never empty, the SOP class where nothing else is said."""
    values = [_value(form, keyword) for keyword in _NAMED_BY.get(modality, _IMAGE)]
    if modality == "RTRECORD":
        return _record_title(values[0], form)
    if modality not in _NAMED_BY or modality == "RTIMAGE":
        return image_title(*values) or _sop_class(form)
    return " ".join(value for value in values if value) or _sop_class(form)


def image_title(series: str, number: str) -> str:
    """Title of one image of a series; `series_title` undoes it."""
    if not number:
        return series
    return f"{series}, image {number}" if series else f"image {number}"


def series_title(title: str) -> str:
    """Return the series' part of an image's title, empty if it has none."""
    series, mark, _number = title.rpartition(", image ")
    if mark:
        return series
    return "" if title.startswith("image ") else title


def _record_title(date: str, form: bytes) -> str:
    day = f"{date[:4]}-{date[4:6]}-{date[6:]}" if len(date) == 8 else date
    fraction = _first(form, b".CurrentFractionNumber IS ")
    parts = [f"treatment {day}".strip() if day else "", f"fraction {fraction}" if fraction else ""]
    return ", ".join(part for part in parts if part) or _sop_class(form)


def _sop_class(form: bytes) -> str:
    uid, _, name = _value(form, "SOPClassUID").partition(" ")
    return name or uid or "not a DICOM object"


def _value(form: bytes, keyword: str) -> str:
    """The value of a top-level element, unquoted; empty if absent."""
    start = form.find(b"\n" + keyword.encode() + b" ")
    if start < 0:
        return ""
    line = form[start + 1 : _end(form, start + 1)].decode("utf-8", "replace")
    return _unquoted(line.split(" ", 2)[-1] if line.count(" ") >= 2 else "")


def _first(form: bytes, mark: bytes) -> str:
    """The value of the first nested element whose line has `mark`."""
    start = form.find(mark)
    if start < 0:
        return ""
    return _unquoted(form[start + len(mark) : _end(form, start)].decode("utf-8", "replace"))


def _end(form: bytes, start: int) -> int:
    end = form.find(b"\n", start)
    return end if end >= 0 else len(form)


def _unquoted(value: str) -> str:
    quoted = len(value) >= 2 and value[0] == value[-1] == '"'
    return (value[1:-1] if quoted else value).strip()
