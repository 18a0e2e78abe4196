"""Which pictures a change deserves, and what they are drawn from."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from vault.archive.repository import PatientRepository
from vault.compare.geometry import GeometryError
from vault.errors import IntegrityError, VaultError
from vault.model import Change
from vault.report.pictures import Picture, of_grids, of_histograms, of_plans, of_structures
from vault.report.pictures.sources import Sources


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


_HISTOGRAMS: tuple[str, _Maker] = ("Dose-volume histograms", of_histograms.dose_volume_histograms)
_IMAGE: tuple[tuple[str, _Maker], ...] = (("Image difference", of_grids.image_difference),)
_MAKERS: dict[str, tuple[tuple[str, _Maker], ...]] = {
    "RTPLAN": (
        ("Leaves and jaws", of_plans.leaves_and_jaws),
        ("Dose difference", of_grids.doses_of_revision),
        _HISTOGRAMS,
    ),
    "RTSTRUCT": (("Contours", of_structures.contours_over_images), _HISTOGRAMS),
    "RTDOSE": (("Dose difference", of_grids.dose_difference), _HISTOGRAMS),
    "CT": _IMAGE,
    "MR": _IMAGE,
    "PT": _IMAGE,
}
