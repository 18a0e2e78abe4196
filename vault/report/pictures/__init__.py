"""Pictures of what changed: apertures, leaf travel, contours, dose and image differences, dose-volume histograms.

Each is drawn before, after and as the difference, as PNG, from what the patient's repository holds.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from vault.archive.repository import PatientRepository
    from vault.model import Change


@dataclass(frozen=True, slots=True)
class Picture:
    """One picture of a change, or the sentence that says why there is none."""

    title: str
    alt_text: str
    """What the picture shows, for those who can't see it."""
    png: bytes = field(repr=False)
    """Empty where it could not be drawn."""
    caption: str
    """How to read it; where it could not be drawn, why."""

    @property
    def drawn(self) -> bool:
        """Whether there is a picture."""
        return bool(self.png)


def pictures_for(repository: PatientRepository, old: str | None, new: str, change: Change) -> list[Picture]:
    """The pictures that a change of `vault.compare.diff.compare` between two commits deserves; often none.

    Whatever the objects hold, it raises nothing but IntegrityError for a damaged archive: what can't be drawn comes
    as a sentence. Nothing but the objects concerned is read, each up to a bound; text in the pictures is as plain as
    the objects' names, and the captions may hold any text of theirs, to be escaped by whoever shows them.
    """
    if old is None or change.kind not in {"changed", "revised"} or not change.modality:
        return []
    logging.getLogger("matplotlib").setLevel(
        logging.ERROR
    )  # a service without a home for its cache is no news
    from vault.report.pictures.gather import gather  # noqa: PLC0415 - matplotlib takes a second, and most need none

    return gather(repository, old, new, change)


__all__ = ["Picture", "pictures_for"]
