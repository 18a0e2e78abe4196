"""Commit messages: a subject that a person understands, the objects concerned, and trailers for machines."""

from __future__ import annotations

from collections import Counter
from pathlib import PurePosixPath

from vault.archive.emr_paths import is_document
from vault.archive.stage import modality_of
from vault.model import PatientOutcome, RunID

SERIES_LISTED = 10
"""Objects of one series listed one by one; more become one line with their number."""

KINDS = ("changed", "removed", "added")
"""Most telling first: additions are what ordinary nights bring."""


def night_message(outcome: PatientOutcome, run: RunID, retrieved_from: str, normal_form: str) -> str:
    """The message of a night's commit on `main`."""
    parts = []
    body: list[str] = []
    for kind in KINDS:
        paths = getattr(outcome, kind)
        if paths:
            counts = Counter(map(kind_of, paths))
            parts.append(f"{', '.join(f'{n} {name}' for name, n in sorted(counts.items()))} {kind}")
            body.extend(_listing(kind, paths))
    trailers = [f"Run: {run}", f"Retrieved-From: {retrieved_from}", f"Normal-Form: {normal_form}"]
    return "\n".join(["; ".join(parts), "", *body, "", *trailers, ""])


def normal_form_message(run: RunID, old: str, new: str, count: int) -> str:
    """The message of a commit that only rewrites normal forms: no object changed."""
    return "\n".join(
        [
            f"normal form {old} becomes {new}: {count} rewritten, no object changed",
            "",
            f"Run: {run}",
            f"Normal-Form: {new}",
            "",
        ]
    )


def kind_of(path: str) -> str:
    """What `path` is called in a subject: its modality, `document`, or the query whose rows it holds."""
    return modality_of(path) or ("document" if is_document(path) else PurePosixPath(path).stem)


def _listing(kind: str, paths: list[str]) -> list[str]:
    folders: dict[str, list[str]] = {}
    for path in sorted(paths):
        folders.setdefault(str(PurePosixPath(path).parent), []).append(path)
    lines = []
    for folder, members in folders.items():
        if len(members) > SERIES_LISTED:
            lines.append(f"{kind:8}{folder}/ ({len(members)} objects)")
        else:
            lines.extend(f"{kind:8}{path}" for path in members)
    return lines
