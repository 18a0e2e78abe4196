"""The demo's folder: made once, never anybody else's, and it goes on where it stopped."""

from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from vault.department.demo import MARKER, create, reopen
from vault.errors import UsageError

NOW = datetime(2026, 11, 25, 9, 30, tzinfo=UTC)


def make(folder: Path, *, fresh: bool = False, nights: int = 2, now: datetime = NOW):
    return create(folder, patients=2, nights=nights, now=now, fresh=fresh)


def test_the_configuration_points_at_the_embedded_rois_and_the_share_beside_it(tmp_path: Path) -> None:
    folder = tmp_path / "a demo"
    config = make(folder).config()
    assert config.vault.root == folder
    assert config.census.patients == ("DEMO-001", "DEMO-002")
    assert config.share is not None
    assert config.share.url == (folder / "share").as_uri()
    assert len(config.vault.recipients) == 1
    assert config.rois.dicom.port != config.receiver.port
    assert {config.rois.dicom.host, config.receiver.host} == {"127.0.0.1"}
    assert folder.stat().st_mode & 0o777 == 0o700


def test_the_last_night_has_just_passed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "Europe/Zurich")
    zone = ZoneInfo("Europe/Zurich")
    morning = make(tmp_path / "morning")
    assert morning.run_at(2) == datetime(2026, 11, 25, 2, tzinfo=zone)
    assert morning.first_night == date(2026, 11, 24)
    before_two = make(tmp_path / "night", now=datetime(2026, 11, 25, 0, 30, tzinfo=UTC))
    assert before_two.run_at(2) == datetime(2026, 11, 24, 2, tzinfo=zone)


def test_it_goes_on_where_it_stopped(tmp_path: Path) -> None:
    demo = make(tmp_path / "demo")
    with demo.department() as department:
        assert department.port == demo.config().rois.dicom.port
        demo, first = demo.play(department)
        demo, second = demo.play(department)
        held = len(department.entries)
    assert (first.number, second.number) == (1, 2)
    again = reopen(tmp_path / "demo")
    assert again == demo
    with again.department() as department:
        assert len(department.entries) == held
        _, third = again.play(department)
    assert [step.modality for step in third.steps] == ["RTRECORD", "RTRECORD"]


def test_the_port_may_be_taken(tmp_path: Path) -> None:
    demo = make(tmp_path / "demo")
    with demo.department(), pytest.raises(UsageError, match="holds the port"), demo.department():
        pass


def test_an_earlier_demo_is_kept_unless_told_otherwise(tmp_path: Path) -> None:
    make(tmp_path / "demo")
    kept = tmp_path / "demo" / "notes.txt"
    kept.write_text("mine")
    with pytest.raises(UsageError, match="--fresh"):
        make(tmp_path / "demo")
    assert kept.exists()
    make(tmp_path / "demo", fresh=True)
    assert not kept.exists()


@pytest.mark.parametrize("marker", [None, "", "[]", "{}", '{"made_by": "me", "first_night": "2026-11-24"}'])
def test_nothing_is_removed_that_no_demo_made(tmp_path: Path, marker: str | None) -> None:
    folder = tmp_path / "precious"
    folder.mkdir()
    (folder / "thesis.tex").write_text("years of work")
    if marker is not None:
        (folder / MARKER).write_text(marker)
    with pytest.raises(UsageError, match="no demo made it"):
        make(folder, fresh=True)
    with pytest.raises(UsageError, match="no demo in"):
        reopen(folder)
    assert (folder / "thesis.tex").read_text() == "years of work"


def test_a_link_or_a_file_in_the_place_of_the_folder(tmp_path: Path) -> None:
    make(tmp_path / "demo")
    (tmp_path / "link").symlink_to(tmp_path / "demo")
    (tmp_path / "file").write_text("x")
    for name in ("link", "file"):
        with pytest.raises(UsageError, match="no folder"):
            make(tmp_path / name, fresh=True)
    assert (tmp_path / "demo" / MARKER).exists()


def test_an_empty_folder_will_do(tmp_path: Path) -> None:
    (tmp_path / "demo").mkdir()
    make(tmp_path / "demo")


def test_half_a_demo_says_how_to_start_again(tmp_path: Path) -> None:
    make(tmp_path / "demo")  # no night was played
    with pytest.raises(UsageError, match="interrupted"):
        reopen(tmp_path / "demo")
