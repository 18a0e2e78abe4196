"""Findings: from attributes that differ to what a physicist would say.

`findings` tells a change of an object by its type, `of_whole` one that came or went. Neither knows how much it
matters: that is what `vault.compare.rules` says.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from vault.compare.findings.contents import Contents
from vault.compare.findings.said import Said
from vault.model import AttributeChange

_Teller = Callable[[Sequence[AttributeChange], bytes, bytes, Contents | None], list[Said]]

IMAGES = frozenset({"CT", "MR", "PT", "RTIMAGE", "CR", "DX", "NM", "US", "XA", "OT"})

_TABLES = {
    "RTPLAN": "plan",
    "RTSTRUCT": "structures",
    "RTDOSE": "dose",
    "RTRECORD": "record",
    "REG": "registration",
}
"""The name of an object type in the rules."""


_WITH_LISTS = frozenset({"RTPLAN", "RTRECORD"})
"""Objects in which long lists of numbers are compared: scan spots, outlines of blocks."""


def table(modality: str) -> str:
    """The name of an object type in the rules: `plan`, `image`, or `object` for what has no words of its own."""
    return _TABLES.get(modality) or ("image" if modality in IMAGES else "object")


def findings(
    modality: str,
    attributes: Sequence[AttributeChange],
    old: bytes,
    new: bytes,
    contents: Contents | None = None,
) -> list[Said]:
    """What the attributes that differ between two normal forms mean; every one is told in some finding.

    With the objects' `contents`, findings about pixels and contours say by how much they differ.
    """
    if contents and modality in _WITH_LISTS:
        attributes = [contents.written_out(one) for one in attributes]
    return _teller(modality)(attributes, old, new, contents)


def of_whole(modality: str, kind: str, form: bytes) -> list[Said]:
    """What it means that an object was added or removed, whose normal form is `form`."""
    if modality == "RTRECORD" and kind == "added":
        from vault.compare.findings.record import of_new

        return list(of_new(form))
    named = "on-board-image" if modality == "RTIMAGE" else table(modality)
    nouns = {"structures": "structure set", "record": "treatment record", "on-board-image": "RT image"}
    noun = nouns.get(named, named)
    text = f"new {noun}" if kind == "added" else f"the ROIS no longer has this {noun}"
    return [Said(f"{kind}.{named}", text)]


def _teller(modality: str) -> _Teller:
    """The words of an object type, imported when they are wanted: a diff of one plan needs no others."""
    if modality == "RTSTRUCT":
        from vault.compare.findings import structures

        return structures.findings
    if modality == "RTDOSE" or modality in IMAGES:
        from vault.compare.findings import grids

        return grids.dose if modality == "RTDOSE" else grids.image
    if modality == "RTPLAN":
        from vault.compare.findings import plan

        return lambda attributes, old, new, _: plan.findings(attributes, old, new)
    if modality == "RTRECORD":
        from vault.compare.findings import record

        return lambda attributes, old, new, _: record.findings(attributes, old, new)
    from vault.compare.findings.telling import tell
    from vault.compare.findings.vocabulary import Vocabulary

    return lambda attributes, old, new, _: tell(Vocabulary(table(modality), {}), attributes, old, new)
