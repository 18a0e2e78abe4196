from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from picture_kit import Nights, data, patient

from vault.compare.geometry.apertures import Beam, Device
from vault.department.beams import original, tampered
from vault.department.plan import plan_object
from vault.report.pictures import leaf_travel, pictures_for
from vault.report.pictures.leaf_travel import COLUMNS, draw, over_control_points


def beam(positions: np.ndarray, kind: str = "MLCX") -> Beam:
    angles = np.zeros(len(positions))
    device = Device(
        kind, np.arange(positions.shape[2] + 1.0) if kind.startswith("MLC") else np.empty(0), positions
    )
    return Beam(
        "1", "arc", "LINAC", tuple(map(str, range(len(positions)))), angles, angles, angles, {kind: device}
    )


def test_the_pairs_that_moved_most_are_shown() -> None:
    before = np.zeros((50, 2, 20))
    after = before.copy()
    after[10, 0, 3], after[20:23, 1, 17], after[49, 0, 9], after[0, 0, 1] = -4.0, 7.0, 2.0, 0.004
    travel = over_control_points(beam(before), beam(after))
    assert travel is not None
    assert travel.shown == (17, 3, 9)
    assert travel.points_changed == 5
    assert travel.summary == "3 of 40 MLCX leaves moved, at 5 of 50 control points, by up to 7.0 mm"


def test_of_equal_moves_those_of_open_leaves_are_shown() -> None:
    before = np.zeros((4, 2, 8))
    before[:, 1, 5] = 30.0
    after = before.copy()
    after[2, 0] -= 5
    travel = over_control_points(beam(before), beam(after))
    assert travel is not None
    assert travel.shown[0] == 5


def test_what_did_not_move_or_has_one_control_point_has_no_travel() -> None:
    still = np.zeros((3, 2, 4))
    assert over_control_points(beam(still), beam(still)) is None
    assert over_control_points(beam(still[:1]), beam(still[:1] + 1)) is None


def test_a_move_at_one_of_many_control_points_is_not_lost_between_columns() -> None:
    by = np.zeros((7 * COLUMNS + 3, 4))
    by[1001, 2] = -5.0
    pooled = leaf_travel._pooled(by)
    assert len(pooled) <= COLUMNS
    assert pooled.min() == -5.0
    assert np.count_nonzero(pooled) == 1


@pytest.mark.parametrize(("kind", "pairs"), [("MLCX", 60), ("ASYMY", 1)])
def test_the_same_travel_is_the_same_bytes(kind: str, pairs: int) -> None:
    before = np.zeros((9, 2, pairs))
    before[:, 1] = 20.0
    after = before.copy()
    after[4:, 1] += 3
    travel = over_control_points(beam(before, kind), beam(after, kind))
    assert travel is not None
    assert draw(travel) == draw(travel)


def test_leaves_whose_place_is_not_known_have_not_moved() -> None:
    before, after = np.full((3, 2, 4), np.nan), np.zeros((3, 2, 4))
    before[2], after[2, 0, 1] = 0.0, 2.0
    travel = over_control_points(beam(before), beam(after))
    assert travel is not None
    assert travel.points_changed == 1
    assert draw(travel).startswith(b"\x89PNG")


def test_the_travel_of_a_tampered_plan(tmp_path: Path) -> None:
    plan = original(patient(1))
    nights = Nights(tmp_path, [data(plan_object(plan))], [data(plan_object(tampered(plan)))])
    (change,) = nights.changes
    titles = [picture.title for picture in pictures_for(nights.repository, nights.old, nights.new, change)]
    assert titles == ["Beam's-eye view, beam 2 2-TANG, control point 20", "Leaf travel, beam 2 2-TANG"]


def test_a_small_move_and_control_points_of_one_version_are_told() -> None:
    before, after = np.zeros((6, 2, 10)), np.zeros((4, 2, 10))
    after[2, 0, 3] = 0.03
    travel = over_control_points(beam(before), beam(after))
    assert travel is not None
    assert travel.summary == (
        "1 of 20 MLCX leaves moved, at 1 of 4 control points, by up to 0.03 mm; "
        "6 control points before, 4 after: compared in order"
    )
