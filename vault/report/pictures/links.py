"""Which dose belongs to which plan, and which plan to which structure set: by what the normal forms say."""

from __future__ import annotations

import re
from collections.abc import Iterator

from vault.archive.stage import modality_of, normal_form_path
from vault.report.pictures.sources import Sources

FORMS_MAXIMUM = 64
"""Objects of one modality that are looked through."""

FORM_LARGEST = 16 << 20
"""Bytes of a normal form that is looked through."""

_PLAN = re.compile(rb"\nReferencedRTPlanSequence\[[^\]\n]*\]\.ReferencedSOPInstanceUID UI ([^ \n]+)")
_STRUCTURES = re.compile(
    rb"\nReferencedStructureSetSequence\[[^\]\n]*\]\.ReferencedSOPInstanceUID UI ([^ \n]+)"
)
_FRAME = re.compile(
    rb"\n(?:FrameOfReferenceUID|StructureSetROISequence\[[^\]\n]*\]\.ReferencedFrameOfReferenceUID) UI ([^ \n]+)"
)
_WHOLE_PLAN = b'\nDoseSummationType CS "PLAN"'


def dose_of_plan(sources: Sources, plan: str, *, late: bool) -> str | None:
    """The path of the dose of a plan (by SOP Instance UID), the one summed over all of it where there are several."""
    found = [
        (_WHOLE_PLAN not in form, path)
        for path, form in _forms(sources, "RTDOSE", late=late)
        if plan in _named(_PLAN, form)
    ]
    return min(found)[1] if found else None


def structures_of_plan(sources: Sources, plan: str, *, late: bool) -> str | None:
    """The path of the structure set that a plan was made on."""
    path = sources.find("RTPLAN", plan, late=late)
    form = _form(sources, path, late=late) if path else b""
    uids = _named(_STRUCTURES, form)
    return next((found for uid in uids if (found := sources.find("RTSTRUCT", uid, late=late))), None)


def dose_on_structures(sources: Sources, structures: str, *, late: bool) -> str | None:
    """The path of the dose of a plan that was made on a structure set; else of one in its frame of reference."""
    uid = structures.rpartition("/")[2].removesuffix(".dcm")
    for path, form in _forms(sources, "RTPLAN", late=late):
        if uid in _named(_STRUCTURES, form):
            found = dose_of_plan(sources, path.rpartition("/")[2].removesuffix(".dcm"), late=late)
            if found:
                return found
    frames = set(_named(_FRAME, _form(sources, structures, late=late)))
    alike = [
        (_WHOLE_PLAN not in form, path)
        for path, form in _forms(sources, "RTDOSE", late=late)
        if frames & set(_named(_FRAME, form))
    ]
    return min(alike)[1] if alike else None


def structures_under_dose(sources: Sources, dose: str, *, late: bool) -> str | None:
    """The path of the structure set of a dose's plan, of the dose itself, or the only one in its frame of reference."""
    form = _form(sources, dose, late=late)
    for plan in _named(_PLAN, form):
        found = structures_of_plan(sources, plan, late=late)
        if found:
            return found
    for uid in _named(_STRUCTURES, form):
        found = sources.find("RTSTRUCT", uid, late=late)
        if found:
            return found
    frames = set(_named(_FRAME, form))
    alike = [
        path for path, other in _forms(sources, "RTSTRUCT", late=late) if frames & set(_named(_FRAME, other))
    ]
    return alike[0] if len(alike) == 1 else None


def same_frame(sources: Sources, one: str, other: str, *, late: bool) -> bool:
    """Whether two objects lie in one frame of reference, as far as they say."""
    frames = [set(_named(_FRAME, _form(sources, path, late=late))) for path in (one, other)]
    return not all(frames) or bool(frames[0] & frames[1])


def _named(what: re.Pattern[bytes], form: bytes) -> list[str]:
    return [match.decode("ascii", "replace") for match in what.findall(form)]


def _forms(sources: Sources, modality: str, *, late: bool) -> Iterator[tuple[str, bytes]]:
    """The objects of a modality with their normal forms."""
    paths = sorted(
        path for path in sources.tree(late=late) if path.endswith(".dcm") and modality_of(path) == modality
    )
    for path in paths[:FORMS_MAXIMUM]:
        yield path, _form(sources, path, late=late)


def _form(sources: Sources, path: str, *, late: bool) -> bytes:
    oid = sources.tree(late=late).get(normal_form_path(path))
    return sources.repository.read(oid) if oid and sources.repository.size(oid) <= FORM_LARGEST else b""
