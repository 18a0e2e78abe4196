"""Whatever an object holds, a change of it costs at most a sentence: no crash, no memory without end, no warning."""

from __future__ import annotations

import random
import subprocess
import sys
import warnings
from collections.abc import Callable
from pathlib import Path

import pytest
from history_kit import History
from picture_kit import Nights, data, mutated, patient
from pydicom.dataset import Dataset

from vault.department.beams import original, tampered
from vault.department.ct import ct_slice
from vault.department.dose import dose_object
from vault.department.plan import plan_object
from vault.department.structures import structure_set
from vault.model import Change
from vault.report.pictures import gather, pictures_for, sources

OBJECTS: dict[str, Callable[[], bytes]] = {
    "RTPLAN": lambda: data(plan_object(original(patient(1)))),
    "RTSTRUCT": lambda: data(structure_set(patient())),
    "RTDOSE": lambda: data(dose_object(original(patient()))),
    "CT": lambda: data(ct_slice(patient(), 3)),
}


@pytest.mark.parametrize("modality", OBJECTS)
def test_bytes_changed_at_random_are_pictures_or_sentences(modality: str, tmp_path: Path) -> None:
    """Objects with damage anywhere, each beside the sound one."""
    sound = OBJECTS[modality]()
    chance = random.Random(modality)
    path = f"dicom/{modality}/1.2/1.2.3.dcm"
    history = History(tmp_path / "root")
    old = history.night({path: sound, "patient.json": b"{}"})
    for _ in range(10):
        broken = bytearray(sound)
        for _ in range(chance.randrange(1, 40)):
            broken[chance.randrange(len(broken))] = chance.randrange(256)
        if chance.random() < 0.3:
            del broken[chance.randrange(len(broken)) :]
        new = history.night({path: bytes(broken)})
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            for picture in pictures_for(history.repository, old, new, Change(path, "changed", modality, "x")):
                assert picture.caption
                assert picture.drawn or picture.caption.startswith("No picture: ")


def test_names_of_any_kind_are_drawn_as_text(tmp_path: Path) -> None:
    name = "<script>$\\frac{1}{x$ \x1b%s{}\n" + "A" * 200

    def rename(plan: Dataset) -> None:
        for beam in plan.BeamSequence:
            beam["BeamName"]._value = name

    before, after = (
        mutated(data(plan_object(plan)), rename)
        for plan in (original(patient(1)), tampered(original(patient(1))))
    )
    nights = Nights(tmp_path, [before], [after])
    (change,) = nights.changes
    found = pictures_for(nights.repository, nights.old, nights.new, change)
    assert found
    assert all(picture.drawn for picture in found)


def test_an_object_larger_than_is_drawn_is_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = OBJECTS["RTDOSE"]()

    def double(dose: Dataset) -> None:
        dose.DoseGridScaling = "0.1"

    nights = Nights(tmp_path, [before], [mutated(before, double)])
    monkeypatch.setattr(sources, "LARGEST", 1000)
    (change,) = nights.changes
    (picture,) = pictures_for(nights.repository, nights.old, nights.new, change)
    assert "more than the 0 MiB that are drawn" in picture.caption


def test_a_fault_of_ours_costs_one_picture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setitem(gather._MAKERS, "CT", (("Image difference", fails), ("Other", fails)))
    before = OBJECTS["CT"]()
    nights = Nights(tmp_path, [before], [mutated(before, lambda ct: setattr(ct, "RescaleSlope", "2"))])
    (change,) = nights.changes
    found = pictures_for(nights.repository, nights.old, nights.new, change)
    assert [picture.caption for picture in found] == [
        "No picture: drawing it failed (ZeroDivisionError)."
    ] * 2


def test_what_is_no_object_or_came_or_went_has_no_pictures(tmp_path: Path) -> None:
    repository = Nights(tmp_path, [], []).repository
    for change in (
        Change("patient.json", "changed", "", "summary"),
        Change("dicom/SR/1/2.dcm", "changed", "SR", "x"),
        Change("dicom/CT/1/2.dcm", "added", "CT", "x"),
    ):
        assert pictures_for(repository, "0" * 40, "1" * 40, change) == []


PROGRAM = """
import resource, sys
import numpy as np
from vault.compare.geometry.apertures import Beam, Device
from vault.report.pictures import beams_eye, leaf_travel
before = np.zeros((100, 2, 60)); before[:, 1] = 30.0
after = before.copy(); after[50, 0] -= 5
angles = np.zeros(100)
beams = [Beam("1", "arc", "L", tuple(map(str, range(100))), angles, angles, angles,
              {"MLCX": Device("MLCX", np.arange(61) * 5.0 - 150, one)}) for one in (before, after)]
def draw():
    beams_eye.draw(beams_eye.at_greatest_shift(*beams))
    leaf_travel.draw(leaf_travel.over_control_points(*beams))
for _ in range(2): draw()
first = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
for _ in range(4): draw()
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - first)
"""


def test_pictures_one_after_the_other_leave_no_memory_behind() -> None:
    """8 pictures of 3 MB of pixels each, and the process grows by no more than a few."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True, timeout=100
    )
    assert int(done.stdout) < 20_000  # kB


def test_a_service_without_a_home_draws_and_says_nothing_of_it() -> None:
    program = """
from vault.model import Change
from vault.report.pictures import pictures_for
try:
    pictures_for(None, "1", "2", Change("dicom/CT/1/2.dcm", "changed", "CT", "x"))
finally:
    from vault.report.pictures.style import drawing, figure, png
    with drawing():
        print(len(png(figure(1.0))))
"""
    nowhere = {"HOME": "/proc/none", "XDG_CACHE_HOME": "/proc/none", "XDG_CONFIG_HOME": "/proc/none"}
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=100, env=nowhere
    )
    assert int(done.stdout) > 0
    assert done.stderr == ""
