"""Which pictures a change deserves, and what they are drawn from."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from vault.archive.repository import PatientRepository
from vault.compare.geometry import GeometryError
from vault.compare.geometry.apertures import Beam, beams, greatest_shift
from vault.errors import IntegrityError, VaultError
from vault.model import Change
from vault.report.pictures import Picture, beams_eye
from vault.report.pictures.sources import Sources

BEAMS_SHOWN = 2
"""Beams of a plan whose apertures are shown: those whose leaves moved most."""


def gather(repository: PatientRepository, old: str, new: str, change: Change) -> list[Picture]:
    """The pictures of one change, each drawn or with the reason why not."""
    makers = _MAKERS.get(change.modality, ())
    sources = Sources(repository, old, new, change)
    return [picture for title, maker in makers for picture in _guarded(title, maker, sources)]


_Maker = Callable[[Sources], Iterator[Picture]]


def _guarded(title: str, maker: _Maker, sources: Sources) -> list[Picture]:
    """What a maker draws; in place of what it can't, the reason."""
    drawn: list[Picture] = []
    try:
        drawn.extend(maker(sources))
    except IntegrityError:
        raise
    except (GeometryError, VaultError) as error:
        return [*drawn, _not_drawn(title, str(error))]
    except Exception as error:  # objects are hostile: whatever they provoke in a library costs one picture
        return [*drawn, _not_drawn(title, f"drawing it failed ({type(error).__name__})")]
    return drawn


def _not_drawn(title: str, reason: str) -> Picture:
    said = f"No picture: {reason.rstrip('.')}."
    return Picture(title, said, b"", said)


def _apertures(sources: Sources) -> Iterator[Picture]:
    """The beam's-eye view at the control point of greatest change, for the beams that changed most."""
    for before, after in _moved_beams(sources)[:BEAMS_SHOWN]:
        shown = beams_eye.at_greatest_shift(before, after)
        if shown is not None:
            yield Picture(
                f"Beam's-eye view, {shown.beam}, control point {shown.control_point}",
                f"Jaws and leaves of {shown.beam} at control point {shown.control_point}, before and after. "
                f"{shown.greatest}; {shown.count}.",
                beams_eye.draw(shown),
                f"Seen from the source at the control point of greatest change: {shown.greatest}; {shown.count}. "
                "Blue and dashed is before, vermilion and solid after; leaves that moved are shaded, the jaws' "
                "edges are dash-dotted.",
            )


def _moved_beams(sources: Sources) -> list[tuple[Beam, Beam]]:
    """The beams of which a leaf or jaw moved, before and after, the greatest move first."""
    old, new = (beams(plan) for plan in sources.pair())
    known = {beam.number: beam for beam in old}
    moved = [
        (abs(shift.by), known[beam.number], beam)
        for beam in new
        if beam.number in known and (shift := greatest_shift(known[beam.number], beam))
    ]
    return [(before, after) for _, before, after in sorted(moved, key=lambda entry: -entry[0])]


_MAKERS: dict[str, tuple[tuple[str, _Maker], ...]] = {"RTPLAN": (("Beam's-eye view", _apertures),)}
