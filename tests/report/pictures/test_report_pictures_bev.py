from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from picture_kit import Nights, data, mutated, patient

from vault.compare.geometry import GeometryError
from vault.compare.geometry.apertures import PAIRS_MAXIMUM, Beam, Device, axis, beams, greatest_shift
from vault.compare.geometry.datasets import read
from vault.department.beams import original, tampered
from vault.department.plan import plan_object
from vault.report.pictures import pictures_for
from vault.report.pictures.beams_eye import at_greatest_shift, draw
from vault.report.pictures.leaf_travel import over_control_points

PNG = b"\x89PNG\r\n\x1a\n"


@pytest.fixture(scope="module")
def plans() -> tuple[bytes, bytes]:
    """A plan, and the same with one leaf bank opened by 5 mm at one control point."""
    plan = original(patient(1))
    return data(plan_object(plan)), data(plan_object(tampered(plan)))


def one_beam(positions: np.ndarray, kind: str = "MLCX", boundaries: np.ndarray | None = None) -> Beam:
    """A beam with one device; `positions` are control points by banks by pairs."""
    edges = np.arange(positions.shape[2] + 1) * 5.0 if boundaries is None else boundaries
    angles = np.zeros(len(positions))
    points = tuple(map(str, range(len(positions))))
    return Beam("1", "arc", "LINAC", points, angles, angles, angles, {kind: Device(kind, edges, positions)})


def test_the_tampered_bank_is_what_is_shown(plans: tuple[bytes, bytes]) -> None:
    old, new = (beams(read(plan)) for plan in plans)
    assert greatest_shift(old[0], new[0]) is None
    shown = at_greatest_shift(old[1], new[1])
    assert shown is not None
    assert (shown.control_point, shown.last) == ("20", "39")
    assert shown.gantry == (130.0, 130.0)
    mlc = shown.moved
    assert (mlc.kind, mlc.axis, len(mlc.boundaries)) == ("MLCX", "X", 61)
    assert np.allclose(mlc.by[0], -5.0)
    assert not mlc.by[1].any()
    assert shown.count == "60 of 120 MLCX leaves moved"
    assert "leaf pair 31, bank X1" in shown.greatest
    assert shown.greatest.endswith("(\N{MINUS SIGN}5.0 mm)")


def test_positions_that_a_control_point_leaves_out_are_the_last_ones_said(plans: tuple[bytes, bytes]) -> None:
    beam = beams(read(plans[0]))[0]
    assert set(beam.devices) == {"ASYMX", "ASYMY", "MLCX"}
    jaws = beam.devices["ASYMX"].positions
    assert np.array_equal(jaws[0], jaws[-1])
    assert (beam.collimator == beam.collimator[0]).all()


@pytest.mark.parametrize(
    ("kind", "along"), [("X", "X"), ("ASYMX", "X"), ("Y", "Y"), ("ASYMY", "Y"), ("MLCX1", "X"), ("MLCY", "Y")]
)
def test_devices_move_along_the_axis_of_their_name(kind: str, along: str) -> None:
    assert axis(kind) == along


def test_the_same_view_is_the_same_bytes(plans: tuple[bytes, bytes]) -> None:
    old, new = (beams(read(plan))[1] for plan in plans)
    shown = at_greatest_shift(old, new)
    assert shown is not None
    assert draw(shown) == draw(shown)
    assert draw(shown).startswith(PNG)


@pytest.mark.parametrize("kind", ["MLCY", "ASYMX", "Y"])
def test_leaves_along_y_and_jaws_alone_are_drawn(kind: str) -> None:
    pairs = 40 if kind == "MLCY" else 1
    before = np.zeros((2, 2, pairs))
    before[:, 0], before[:, 1] = -20.0, 30.0
    after = before.copy()
    after[1, 1, pairs // 2] = 42.0
    edges = np.arange(pairs + 1) * 10.0 - 200 if kind == "MLCY" else np.empty(0)
    shown = at_greatest_shift(one_beam(before, kind, edges), one_beam(after, kind, edges))
    assert shown is not None
    assert shown.control_point == "1"
    assert shown.moved.by[1, pairs // 2] == 12.0
    assert draw(shown).startswith(PNG)


def test_beams_without_a_common_device_have_no_greatest_move() -> None:
    before, after = np.zeros((1, 2, 40)), np.ones((1, 2, 60))
    assert at_greatest_shift(one_beam(before), one_beam(after)) is None


def test_the_pictures_of_a_tampered_plan(plans: tuple[bytes, bytes], tmp_path: Path) -> None:
    nights = Nights(tmp_path, [plans[0]], [plans[1]])
    (change,) = nights.changes
    picture, *_ = pictures_for(nights.repository, nights.old, nights.new, change)
    assert picture.drawn
    assert picture.png.startswith(PNG)
    assert picture.title == "Beam's-eye view, beam 2 2-TANG, control point 20"
    assert "60 of 120 MLCX leaves moved" in picture.alt_text


def test_what_is_new_or_gone_has_no_difference_to_show(plans: tuple[bytes, bytes], tmp_path: Path) -> None:
    nights = Nights(tmp_path, [], [plans[1]])
    (change,) = nights.changes
    assert pictures_for(nights.repository, nights.old, nights.new, change) == []


def hostile(pairs: int, position: str) -> bytes:
    """A plan whose leaves claim what no plan holds."""

    def change(plan: object) -> None:
        for beam in plan.BeamSequence:  # type: ignore[attr-defined]
            for point in beam.ControlPointSequence:
                for device in point.BeamLimitingDevicePositionSequence:
                    if device.RTBeamLimitingDeviceType == "MLCX":
                        element = device["LeafJawPositions"]
                        element._value = [position] * (2 * pairs)

    return mutated(data(plan_object(original(patient(1)))), change)


@pytest.mark.parametrize(
    ("pairs", "position", "reason"),
    [
        (PAIRS_MAXIMUM + 1, "1", "more than 512 leaf pairs"),
        (60, "NaN", "no number"),
        (60, "1e999", "no number"),
        (59, "1", "do not fit"),
        (60, "1e300", "farther from the axis"),
    ],
)
def test_a_hostile_plan_is_a_sentence(
    pairs: int, position: str, reason: str, plans: tuple[bytes, bytes], tmp_path: Path
) -> None:
    broken = hostile(pairs, position)
    with pytest.raises(GeometryError, match=reason):
        beams(read(broken))
    nights = Nights(tmp_path, [plans[0]], [broken])
    (change,) = nights.changes
    (picture,) = pictures_for(nights.repository, nights.old, nights.new, change)
    assert not picture.drawn
    assert picture.caption.startswith("No picture: ")
    assert reason in picture.caption


def with_jaws(jaw: float, leaves: dict[str, Device]) -> Beam:
    """A beam of one control point: jaws, and what leaves it has."""
    beam = one_beam(np.array([[[-jaw], [jaw]]]), "ASYMX", np.empty(0))
    return replace(beam, devices={**beam.devices, **leaves})


def mlc(pairs: int, width: float, opening: float = 30.0) -> dict[str, Device]:
    edges = (np.arange(pairs + 1) - pairs / 2) * width
    positions = np.stack((np.full(pairs, -opening), np.full(pairs, opening)))[None]
    return {"MLCX": Device("MLCX", edges, positions)}


def test_as_many_leaves_of_another_width_are_not_the_same_leaves() -> None:
    """60 pairs are two machines': each version is drawn with its own leaves, and no leaf is said to have moved."""
    before, after = with_jaws(50, mlc(60, 5.0)), with_jaws(50, mlc(60, 2.5, opening=20.0))
    assert greatest_shift(before, after) is None
    shown = at_greatest_shift(before, with_jaws(45, mlc(60, 2.5, opening=20.0)))
    assert shown is not None
    (leaves,) = (bank for bank in shown.banks if bank.leaves)
    assert np.ptp(leaves.before.boundaries) == pytest.approx(300)
    assert np.ptp(leaves.after.boundaries) == pytest.approx(150)
    assert not leaves.by.any()
    assert shown.count == "2 of 2 ASYMX jaws moved; MLCX has other leaves than before"
    assert draw(shown).startswith(PNG)


@pytest.mark.parametrize(("late", "said"), [(False, "MLCX only before"), (True, "MLCX only after")])
def test_leaves_that_came_or_went_are_drawn_where_they_are(*, late: bool, said: str) -> None:
    """Without them the version that has them would look open as far as its jaws."""
    pair = [mlc(60, 5.0), {}][:: -1 if late else 1]
    shown = at_greatest_shift(with_jaws(50, pair[0]), with_jaws(45, pair[1]))
    assert shown is not None
    (leaves,) = (bank for bank in shown.banks if bank.leaves)
    assert [side.positions.size > 0 for side in leaves.sides] == [not late, late]
    assert shown.count.endswith(said)
    bare = at_greatest_shift(with_jaws(50, {}), with_jaws(45, {}))
    assert bare is not None
    assert draw(shown) != draw(bare)


def test_a_small_move_is_not_rounded_to_none() -> None:
    """Not `50.0 → 50.0 mm (+0.0 mm)` under a picture that says a jaw moved."""
    shown = at_greatest_shift(with_jaws(50, {}), with_jaws(49.97, {}))
    assert shown is not None
    assert shown.greatest == "jaw X1: \N{MINUS SIGN}50.00 → \N{MINUS SIGN}49.97 mm (+0.03 mm)"


def test_another_beam_under_the_same_number_is_named_with_the_one_before() -> None:
    """A plan that was numbered anew holds two beams against each other: that has to be seen."""
    before, after = replace(with_jaws(50, {}), name="AP"), replace(with_jaws(40, {}), name="PA")
    shown = at_greatest_shift(before, after)
    assert shown is not None
    assert shown.beam == "beam 1 AP → PA"
    travel = over_control_points(
        replace(one_beam(np.zeros((3, 2, 4))), name="AP"), replace(one_beam(np.ones((3, 2, 4))), name="PA")
    )
    assert travel is not None
    assert travel.beam == "beam 1 AP → PA"
