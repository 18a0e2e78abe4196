"""What is accepted as a UID or a patient ID from outside."""

from __future__ import annotations

import re

_UID = re.compile(r"[0-9]+(?:\.[0-9]+)*", re.ASCII)
_WILD = re.compile(r"[*?\\\x00-\x1f]")


def is_uid(text: str) -> bool:
    """Whether `text` is a UID: components of digits, at most 64 characters (PS3.5 9.1).

    Leading zeros are let through: old systems wrote them, and they harm nobody.
    """
    return len(text) <= 64 and _UID.fullmatch(text) is not None


def unfit_patient_id(text: str) -> str:
    """Why `text` may not be asked for, or "".

    An empty value, `*` and `?` match every patient (PS3.4 C.2.2.2), a backslash separates several values.
    """
    if not text.strip():
        return "it is empty, and an empty patient ID matches every patient"
    if len(text) > 64:
        return "it is longer than the 64 characters DICOM allows"
    if _WILD.search(text):
        return "it holds a wildcard (* or ?), a backslash or a control character, which match other patients"
    return ""
