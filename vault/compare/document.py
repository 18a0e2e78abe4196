"""Changes for programs: the JSON document that `vault diff --json` prints."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict
from typing import Any

from vault.model import Change


def document(patient: str, old: str | None, new: str, changes: Iterable[Change]) -> dict[str, Any]:
    """Return the document of one comparison; its keys are a contract with tools outside this repository."""
    return {"patient": patient, "old": old, "new": new, "changes": [_change(change) for change in changes]}


def _change(change: Change) -> dict[str, Any]:
    return {
        "path": change.path,
        "kind": change.kind,
        "modality": change.modality,
        "title": change.title,
        "severity": change.severity,
        "attributes": [asdict(attribute) for attribute in change.attributes],
        "findings": [asdict(finding) for finding in change.findings],
    }
