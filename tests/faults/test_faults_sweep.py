"""A fault at any point of a procedure: one undisturbed run later everything is as if nothing had happened.

An evenly spread sample of the points is met with faults in turn. VAULT_SWEEP=all takes every point, a number so many
of each procedure.
"""

from __future__ import annotations

import itertools
import json
import os
import random
import subprocess
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import TypeVar

import faults
import pytest
from faults import Fault

SWEEP = os.environ.get("VAULT_SWEEP", "")
SEED = 20261124
SAID = {0, 1, 3, 4, faults.KILLED}
"""How a command may end that met a fault."""

LATER = timedelta(minutes=10)
"""How long after the disturbed command it is run again: runs are in the order of their times."""

T = TypeVar("T")

LIMIT = pytest.mark.timeout(0 if SWEEP else 120)
pytestmark = LIMIT


def sample(points: int, wanted: int) -> list[int]:
    """`wanted` of the points from 1 to `points`, one from each of as many equal stretches."""
    count = points if SWEEP == "all" else min(points, int(SWEEP or wanted))
    chance = random.Random(SEED)
    edges = [1 + number * points // count for number in range(count + 1)]
    return [chance.randrange(low, high) for low, high in itertools.pairwise(edges)]


def planned(ran: faults.Ran, role: str, kind: str, wanted: int) -> tuple[int, list[Fault]]:
    """How many points an undisturbed run had, and the faults to sweep it with."""
    points = len(ran.points.get((role, kind), ()))
    assert points, f"the procedure has no {kind} operations in {role}"
    hows = faults.DISK if kind == "disk" else faults.NET
    places = sample(points, wanted)
    offset = random.Random(SEED).randrange(len(hows))
    return points, [Fault(at, hows[(n + offset) % len(hows)], kind, role) for n, at in enumerate(places)]


@pytest.fixture
def sweep(runner, tmp_path, told) -> Callable[..., None]:
    """`sweep(start, trees, role, kind, wanted)`: disturb `sync` of the vault `start`, and see where it ends."""

    def swept(start, trees, role, kind, wanted, way="get", only=None) -> None:
        def begin():
            place = start.copy(tmp_path / "swept")
            if way != "get":
                place.edit('retrieve = "get"', f'retrieve = "{way}"')
                place.edit('timeout = "10s"', 'timeout = "4s"')  # of a receiver that is gone
            return place

        def watched(place):
            return only(place) if only else [place.folder, place.share]

        place = begin()
        undisturbed = runner.run(["-c", place.toml, "--json", "sync"], watched(place))
        assert undisturbed.code == 0, undisturbed.out + undisturbed.err
        points, plans = planned(undisturbed, role, kind, wanted)
        told(f"sync, {kind} of {role}: {points} points, {len(plans)} swept")
        wrong, met = [], 0
        for fault in plans:
            place = begin()
            ran = runner.run(["-c", place.toml, "--json", "sync"], watched(place), fault)
            wrong += [f"{fault} ({ran.hit}): {text}" for text in ended_well(ran)]
            last = runner.run(["-c", place.toml, "--json", "sync"], [])
            wrong += [f"{fault} ({ran.hit}): then {text}" for text in recovered(last, place, trees)]
            met += bool(ran.hit)
        assert wrong == [], "\n".join(wrong)
        assert met > len(plans) / 2, "the faults did not happen"

    return swept


def ended_well(ran: faults.Ran) -> Iterator[str]:
    """What is wrong with how a disturbed command ended."""
    if ran.code not in SAID:
        yield f"exit code {ran.code}: {ran.err or ran.out}"
    if "Traceback" in ran.err or "should not have happened" in ran.err + ran.out or "unforeseen" in ran.out:
        yield f"no sentence: {ran.err or ran.out}"
    if ran.code not in {0, faults.KILLED} and not (ran.err or '"reason"' in ran.out or anomalies(ran)):
        yield f"exit code {ran.code} without a word"


def disturbed(
    runner: faults.Runner,
    told: Callable[[str], None],
    name: str,
    *,
    begin: Callable[[], T],
    command: Callable[[T], list[str | Path]],
    watched: Callable[[T], list[Path]],
    check: Callable[[T], Iterator[str]],
    wanted: int,
    again: Callable[[T], list[str | Path]] | None = None,
    halfway: Callable[[T], Iterator[str]] = lambda _: iter(()),
    now: datetime | None = None,
    kind: str = "disk",
    role: str = "main",
) -> None:
    """Disturb a command at `wanted` points, each time on what `begin` makes, and run it (or `again`) undisturbed.

    `halfway` yields what is wrong after the first run, `check` what is after the second.
    """
    place = begin()
    whole = runner.run(command(place), watched(place), now=now)
    assert whole.code == 0, whole.out + whole.err
    assert list(check(place)) == []
    points, plans = planned(whole, role, kind, wanted)
    told(f"{name}, {kind} of {role}: {points} points, {len(plans)} swept")
    wrong, met = [], 0
    for fault in plans:
        place = begin()
        ran = runner.run(command(place), watched(place), fault, now=now)
        complaints = [*ended_well(ran), *(f"at once {text}" for text in halfway(place))]
        last = runner.run((again or command)(place), [], now=now and now + LATER)
        if last.code and not (last.code == 3 and (json.loads(last.out or "{}").get("resumed"))):
            complaints.append(f"then exit code {last.code}: {last.out}{last.err}")
        complaints += [f"then {text}" for text in check(place)]
        wrong += [f"{fault} ({ran.hit}): {text}" for text in complaints]
        met += bool(ran.hit)
    assert wrong == [], "\n".join(wrong)
    assert met > len(plans) / 2, "the faults did not happen"


def anomalies(ran: faults.Ran) -> list[str]:
    """What a run's report calls out of the ordinary."""
    return list(json.loads(ran.out).get("anomalies", ())) if ran.out else []


def recovered(last: faults.Ran, place, trees) -> Iterator[str]:
    """What is wrong with a vault after an undisturbed `sync`, which may report what an earlier run did not tell."""
    try:
        report = json.loads(last.out)
    except ValueError:
        yield f"no report: {last.out}{last.err}"
        return
    if last.code != 0 and not (last.code == 3 and report["resumed"]):
        yield f"exit code {last.code}: {last.out}{last.err}"
    if place.trees() != trees:
        yield "the trees differ"
    yield from place.complaints(report["run"])


def test_first_night(sweep, stage):
    sweep(stage.fresh, stage.first, "main", "disk", 4)


def test_first_night_on_the_network(sweep, stage):
    sweep(stage.fresh, stage.first, "main", "net", 3)


def test_first_night_in_the_receiver(sweep, stage):
    sweep(stage.fresh, stage.first, "receiver", "disk", 2, way="move")


def test_second_night(sweep, stage):
    sweep(stage.settled, stage.second, "main", "disk", 3)


def test_delivery(sweep, stage):
    sweep(stage.undelivered, stage.first, "main", "disk", 3, only=lambda at: [at.folder / "outbox", at.share])


def test_export(runner, stage, tmp_path, told):
    def command(to: Path) -> list[str | Path]:
        return ["-c", stage.settled.toml, "--json", "export", "--all", "--to", to]

    def content(to: Path) -> dict[str, bytes]:
        plain = {path.relative_to(to).as_posix(): path for path in to.rglob("*") if path.is_file()}
        dated = {"manifest.json", "SHA256SUMS", "README.txt"}
        return {name: b"" if name in dated else path.read_bytes() for name, path in plain.items()}

    undisturbed = runner.run(command(tmp_path / "whole"), [tmp_path / "whole"])
    assert undisturbed.code == 0, undisturbed.out + undisturbed.err
    points, plans = planned(undisturbed, "main", "disk", 4)
    told(f"export: {points} points, {len(plans)} swept")
    wrong = []
    for number, fault in enumerate(plans):
        to = tmp_path / f"export-{number}"
        ran = runner.run(command(to), [to], fault)
        last = runner.run(command(to), [])
        complaints = [*ended_well(ran)]
        if last.code != 0:
            complaints.append(f"then exit code {last.code}: {last.out}{last.err}")
        elif content(to) != content(tmp_path / "whole"):
            complaints.append("then the content differs")
        else:
            sums = subprocess.run(["sha256sum", "--quiet", "-c", "SHA256SUMS"], cwd=to, check=False)
            complaints += ["then SHA256SUMS is wrong"] if sums.returncode else []
        wrong += [f"{fault} ({ran.hit}): {text}" for text in complaints]
    assert wrong == [], "\n".join(wrong)
