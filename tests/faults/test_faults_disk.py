"""A disk that is full or read-only, and a clock that is wrong: said in words, and made good by the next night."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import time
from datetime import UTC, datetime, timedelta

import faults
import pytest
from faults import Fault

from vault.archive.ledger import Ledger
from vault.archive.repository import all_repositories
from vault.sync import sync

NIGHT = datetime(2026, 11, 24, 2, 0, tzinfo=UTC)
YEAR = timedelta(days=365)


@pytest.fixture
def disk(tmp_path):
    """`disk("128k")` mounts a memory disk of that size and returns its folder; `disk("ro")` changes it."""
    folder = tmp_path / "disk"
    folder.mkdir()
    with contextlib.ExitStack() as mounted:

        def mount(option: str):
            first = not folder.is_mount()
            options = f"size={option}" if option[0].isdigit() else option
            options += "" if first else ",remount"
            command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", folder]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if done.returncode:
                pytest.skip(f"a small disk needs the right to mount: {done.stderr.strip()}")
            if first:
                mounted.callback(subprocess.run, ["umount", "--lazy", folder], check=True)
            return folder

        if os.geteuid() != 0:
            pytest.skip("a small disk needs root, who may mount")
        yield mount


def night(runner, place):
    """A night that uses the disk to its last byte: the reserve would have it refuse everything."""
    return runner.run(["-c", place.toml, "--json", "sync"], [], None, {"vault.rois.intake.RESERVE": 0})


def settle(place, ran, trees):
    """Check that after an undisturbed night all is as it should be."""
    report = json.loads(ran.out)
    assert ran.code == 0 or (ran.code == 3 and report["resumed"]), ran.out + ran.err
    assert place.trees() == trees
    assert place.complaints(report["run"]) == []


def says_room(ran):
    """Whether people learn that it is the disk's room that is missing."""
    words = (ran.out + ran.err).lower()
    return any(word in words for word in ("no space", "no room", "free space", "make room", "is full"))


@pytest.mark.parametrize("room", [8, 60, 140, 220, 300])
def test_a_full_disk_is_said_and_more_room_is_enough(runner, stage, disk, room):
    """`room` KiB beyond what the vault takes: enough for a part of the night."""
    folder = disk("64m")
    place = stage.fresh.copy(folder / "here")
    used = shutil.disk_usage(folder).used >> 10
    disk(f"{used + room}k")
    began = time.monotonic()
    ran = night(runner, place)
    assert time.monotonic() - began < 25, "nobody waits long for a peer that was cut off for want of room"
    assert ran.code in {1, 3}, ran.out + ran.err
    assert "Traceback" not in ran.err
    assert says_room(ran), ran.out + ran.err
    disk("64m")
    settle(place, night(runner, place), stage.first)


def test_a_disk_below_its_reserve_takes_nothing_and_says_so(runner, stage, disk):
    place = stage.fresh.copy(disk("64m") / "here")
    ran = runner.run(["-c", place.toml, "--json", "sync"], [])
    assert ran.code in {1, 3}, ran.out + ran.err
    assert says_room(ran), ran.out + ran.err
    assert place.trees() == {}
    settle(place, night(runner, place), stage.first)


def test_a_share_without_room_is_said_and_more_room_is_enough(runner, stage, disk):
    folder = disk("64k")
    place = stage.undelivered
    full = place.copy(folder.parent / "vault-beside")
    full.edit(full.share.as_uri(), folder.as_uri())
    ran = night(runner, full)
    assert ran.code == 3, ran.out + ran.err
    assert says_room(ran), ran.out + ran.err
    assert "Traceback" not in ran.err
    disk("64m")
    ran = night(runner, full)
    settle(type(full)(full.folder, folder), ran, stage.first)


def test_a_read_only_vault_is_said_and_nothing_is_lost(runner, stage, disk):
    place = stage.settled.copy(disk("64m") / "here")
    before = place.trees()
    disk("ro")
    ran = night(runner, place)
    assert ran.code == 1, ran.out + ran.err
    assert "read-only" in ran.err.lower()
    assert "Traceback" not in ran.err
    assert place.trees() == before
    disk("rw")
    settle(place, night(runner, place), stage.second)


def test_an_export_to_a_full_disk_goes_on_elsewhere_or_with_more_room(runner, stage, disk):
    folder = disk("20m")
    command = ["-c", stage.settled.toml, "export", "--all", "--to", folder / "out"]
    filler = folder / "filler"
    filler.write_bytes(bytes(8 << 20))
    ran = runner.run(command, [])
    assert ran.code == 1
    assert "Make room" in ran.err
    filler.unlink()
    full = runner.run(command, [folder / "out"], Fault(60, "ENOSPC"))
    assert full.hit
    assert full.code == 1
    assert "no room left" in full.err
    assert runner.run(command, []).code == 0
    subprocess.run(["sha256sum", "--quiet", "-c", "SHA256SUMS"], cwd=folder / "out", check=True)


def test_a_clock_that_jumps_back_a_year_between_nights(stage, tmp_path):
    place = stage.settled.copy(tmp_path / "here")
    report = sync(place.config, now=NIGHT - YEAR)
    assert report.exit_code == 0, report
    assert place.trees() == stage.second
    assert place.complaints(report.run) == []
    again = sync(place.config, now=NIGHT + timedelta(days=1))
    assert again.exit_code == 0, again
    assert place.trees() == stage.second
    assert {outcome.old_commit == outcome.new_commit for outcome in again.patients.values()} == {True}
    runs = [event["run"] for event in Ledger(place.folder).events("runs")]
    assert {report.run, again.run} < set(runs)


def test_a_killed_night_of_a_wrong_clock_is_finished_by_a_right_one(runner, stage, tmp_path):
    """The inbox of a run "next year" is finished now, and the one after it is not taken for older."""
    place = stage.settled.copy(tmp_path / "here")
    killed = runner.run(["-c", place.toml, "--json", "sync"], [place.folder / "repos"], Fault(1, "before"))
    assert killed.code == faults.KILLED
    (inbox,) = (place.folder / "inbox").iterdir()
    inbox.rename(inbox.with_name(f"{int(inbox.name[:4]) + 1}{inbox.name[4:]}"))
    ran = night(runner, place)
    settle(place, ran, stage.second)
    tips = {repository.tip() for repository in all_repositories(place.folder)}
    ran = night(runner, place)
    assert ran.code == 0
    assert {repository.tip() for repository in all_repositories(place.folder)} == tips
