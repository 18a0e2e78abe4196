"""Which dose belongs to which plan, and which plan to which structure set: by what the normal forms say."""

from __future__ import annotations

import re
from collections.abc import Iterator

from vault.archive.stage import modality_of, normal_form_path
from vault.compare.geometry import GeometryError
from vault.report.pictures.sources import Sources

FORMS_MAXIMUM = 64
"""Objects of one modality that are looked through."""

FORM_LARGEST = 16 << 20
"""Bytes of a normal form that is looked through."""

SLICES_MAXIMUM = 1024
"""Images of a series whose heights are looked up."""

_APART = 0.01
"""mm within which two images lie at one height."""

_PLAN = re.compile(rb"\nReferencedRTPlanSequence\[[^\]\n]*\]\.ReferencedSOPInstanceUID UI ([^ \n]+)")
_STRUCTURES = re.compile(
    rb"\nReferencedStructureSetSequence\[[^\]\n]*\]\.ReferencedSOPInstanceUID UI ([^ \n]+)"
)
_FRAME = re.compile(
    rb"\n(?:FrameOfReferenceUID|StructureSetROISequence\[[^\]\n]*\]\.ReferencedFrameOfReferenceUID) UI ([^ \n]+)"
)
_POSITION = re.compile(rb"\nImagePositionPatient DS -?[0-9.]+\\-?[0-9.]+\\(-?[0-9]+(?:\.[0-9]+)?)\n")
_SUMMATION = re.compile(rb'\nDoseSummationType CS "([^"\n]*)"')
_LABEL = re.compile(rb'\nRTPlanLabel SH "([^"\n]*)"')
_WHOLE_PLAN = b"PLAN"


def dose_of_plan(sources: Sources, plan: str, *, late: bool) -> str | None:
    """The path of the dose of all of a plan (by SOP Instance UID); None where the archive has no dose of it.

    Raises GeometryError where it has doses of beams or fractions only: one of them is not the plan's, and which of
    them it is held against would be chance.
    """
    found = _doses(sources, plan, late=late)
    if found and not any(whole for whole, _ in found):
        raise GeometryError("the archive has doses of parts of the plan only")
    return next((path for whole, path in found if whole), None)


def _doses(sources: Sources, plan: str, *, late: bool) -> list[tuple[bool, str]]:
    """The doses that name a plan, and whether each is of all of it."""
    return [
        (_whole(form), path)
        for path, form in _forms(sources, "RTDOSE", late=late)
        if plan in _named(_PLAN, form)
    ]


def _whole(form: bytes) -> bool:
    """Whether a dose is summed over one whole plan; one that does not say is taken for it."""
    said = _SUMMATION.search(form)
    return said is None or said[1] == _WHOLE_PLAN


def plan_label(sources: Sources, dose: str, *, late: bool) -> str:
    """The label of the plan that a dose is of; empty where the archive does not have it."""
    for uid in _named(_PLAN, _form(sources, dose, late=late)):
        path = sources.find("RTPLAN", uid, late=late)
        found = _LABEL.search(_form(sources, path, late=late)) if path else None
        if found:
            return found[1].decode("utf-8", "replace")
    return ""


def doses_of_plans(sources: Sources) -> tuple[str, str] | None:
    """The doses of a revised plan's predecessor and of itself; None where one has none."""
    old, new = (dose_of_plan(sources, _uid(sources.path(late=late)), late=late) for late in (False, True))
    return (old, new) if old and new else None


def structures_of_plan(sources: Sources, plan: str, *, late: bool) -> str | None:
    """The path of the structure set that a plan was made on."""
    path = sources.find("RTPLAN", plan, late=late)
    form = _form(sources, path, late=late) if path else b""
    uids = _named(_STRUCTURES, form)
    return next((found for uid in uids if (found := sources.find("RTSTRUCT", uid, late=late))), None)


def dose_on_structures(sources: Sources, structures: str, *, late: bool) -> str | None:
    """The path of the dose of a plan that was made on a structure set; else of one in its frame of reference."""
    uid = _uid(structures)
    for path, form in _forms(sources, "RTPLAN", late=late):
        if uid in _named(_STRUCTURES, form):
            whole = [dose for whole, dose in _doses(sources, _uid(path), late=late) if whole]
            if whole:
                return whole[0]
    frames = set(_named(_FRAME, _form(sources, structures, late=late)))
    alike = [
        (not _whole(form), path)
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


def structures_and_doses(sources: Sources) -> tuple[tuple[str, str], tuple[str, str]] | None:
    """The structure set and the dose that a histogram is made of, before and after; None without all of them.

    Where the structure set changed, both are counted in one dose, if the archive has one on both sides: a plan that
    came beside it is no change of what was there.
    """
    old, new = (_structures_and_dose(sources, late=late) for late in (False, True))
    if old is None or new is None:
        return None
    if sources.change.modality == "RTSTRUCT" and old[1] != new[1]:
        if old[1] in sources.tree(late=True):
            new = (new[0], old[1])
        elif new[1] in sources.tree(late=False):
            old = (old[0], new[1])
    return old, new


def _structures_and_dose(sources: Sources, *, late: bool) -> tuple[str, str] | None:
    """The structure set and the dose of one side of the change; None without both."""
    path = sources.path(late=late)
    if sources.change.modality == "RTDOSE":
        structures, of_dose = structures_under_dose(sources, path, late=late), path
    elif sources.change.modality == "RTSTRUCT":
        structures, found = path, dose_on_structures(sources, path, late=late)
        of_dose = found or ""
    else:
        doses = doses_of_plans(sources) if sources.change.kind == "revised" else None
        of_dose = doses[late] if doses else ""
        structures = structures_of_plan(sources, _uid(path), late=late) if of_dose else None
    return (structures, of_dose) if structures and of_dose else None


def same_frame(sources: Sources, one: str, other: str, *, late: bool) -> bool:
    """Whether two objects lie in one frame of reference, as far as they say."""
    frames = [set(_named(_FRAME, _form(sources, path, late=late))) for path in (one, other)]
    return not all(frames) or bool(frames[0] & frames[1])


def slices_near(sources: Sources, z: float, count: int, *, late: bool) -> list[str]:
    """The paths of the images of the changed one's series next to a height, `count` on either side."""
    tree, folder = sources.tree(late=late), sources.change.path.rpartition("/")[0]
    paths = [path for path in tree if path.startswith(f"{folder}/") and path.endswith(".dcm")]
    heights = []
    for path in paths[:SLICES_MAXIMUM]:
        at = _POSITION.search(_form(sources, path, late=late))
        if at:
            heights.append((float(at[1]), path))
    below = sorted((one for one in heights if one[0] < z - _APART), reverse=True)[:count]
    above = sorted(one for one in heights if one[0] > z + _APART)[:count]
    return [path for _, path in (*below, *above)]


def _uid(path: str) -> str:
    return path.rpartition("/")[2].removesuffix(".dcm")


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
