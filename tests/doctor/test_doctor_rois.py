"""`vault doctor rois` against real archives: one object comes the whole way, or the step that fails is named."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import peers
import pytest
from rois_kit import TODAY, configuration

from vault.config import Config
from vault.doctor.check import Check
from vault.doctor.rois import check_rois
from vault.lock import run_lock

pytestmark = pytest.mark.system


@contextmanager
def archive(kind: str, folder: Path, known: str = "VAULT") -> Iterator[peers.Peer]:
    missing = peers.missing_tools("Orthanc", "dcmqrscp", "dcmqridx")
    if missing:
        pytest.skip(missing)
    start = {"orthanc": peers.orthanc, "dcmqrscp": peers.dcmqrscp}[kind]
    with start(folder / kind, move_to=(known, "127.0.0.1", peers.free_port())) as rois:
        rois.load(peers.loadable())
        yield rois


def config_for(rois: peers.Peer, folder: Path, **options: object) -> Config:
    settings = {
        "ae_title": rois.ae_title,
        "port": rois.port,
        "receiver_port": rois.receiver_port,
        "patients": ("NOBODY", *peers.patients_in(peers.loadable())[:1]),
        **options,
    }
    return configuration(folder, **settings)  # type: ignore[arg-type]


def checks(config: Config) -> dict[str, Check]:
    return {check.name: check for check in check_rois(config, today=TODAY)}


@pytest.mark.parametrize("kind", ["orthanc", "dcmqrscp"])
def test_one_object_arrives_and_is_not_kept(kind: str, tmp_path: Path) -> None:
    with archive(kind, tmp_path) as rois:
        found = checks(config_for(rois, tmp_path))
        assert list(found) == ["receiver", "census", "ROIS", "retrieval"]
        assert all(check.ok for check in found.values()), found
        assert "2 under treatment" in found["census"].text
        assert "lets VAULT query" in found["ROIS"].text
        assert "came by C-MOVE" in found["retrieval"].text
        assert list((tmp_path / "work").iterdir()) == []
        assert not (tmp_path / "inbox").exists()
    with archive(kind, tmp_path / "again") as rois:
        found = checks(config_for(rois, tmp_path, method="get"))
        assert list(found) == ["census", "ROIS", "retrieval"]
        assert "came by C-GET" in found["retrieval"].text


def test_an_archive_that_does_not_know_where_to_send(tmp_path: Path) -> None:
    with archive("dcmqrscp", tmp_path, known="OTHER") as rois:
        found = checks(config_for(rois, tmp_path))
    assert [name for name, check in found.items() if not check.ok] == ["retrieval"], found
    assert "[receiver] ae_title" in found["retrieval"].text


def test_an_archive_that_sends_elsewhere(tmp_path: Path) -> None:
    with archive("orthanc", tmp_path) as rois:
        found = checks(config_for(rois, tmp_path, receiver_port=peers.free_port()))
    assert [name for name, check in found.items() if not check.ok] == ["retrieval"], found
    assert "C-MOVE of one" in found["retrieval"].text


def test_nobody_has_an_object(tmp_path: Path) -> None:
    with archive("dcmqrscp", tmp_path) as rois:
        found = checks(config_for(rois, tmp_path, patients=("NOBODY",)))
    assert found["ROIS"].ok
    assert found["retrieval"].off


def test_an_archive_that_is_away_or_is_called_otherwise(tmp_path: Path) -> None:
    found = checks(configuration(tmp_path, port=peers.free_port(), receiver_port=peers.free_port()))
    assert list(found) == ["receiver", "census", "ROIS"]
    assert not found["ROIS"].ok
    with archive("dcmqrscp", tmp_path) as rois:
        found = checks(config_for(rois, tmp_path, ae_title="STRANGER"))
    assert not found["ROIS"].ok
    assert "STRANGER" in found["ROIS"].text


def test_a_run_that_is_at_work_keeps_the_doctor_away(tmp_path: Path) -> None:
    with archive("dcmqrscp", tmp_path) as rois, run_lock(tmp_path):
        found = checks(config_for(rois, tmp_path))
    assert [name for name, check in found.items() if not check.ok] == ["retrieval"]


def test_a_census_that_names_nobody(tmp_path: Path) -> None:
    with archive("dcmqrscp", tmp_path) as rois:
        found = checks(config_for(rois, tmp_path, patients=()))
    assert [name for name, check in found.items() if not check.ok] == ["census"]
    assert list(found) == ["receiver", "census", "ROIS", "retrieval"]
    assert found["retrieval"].off


def test_a_port_that_is_taken(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        found = checks(configuration(tmp_path, port=peers.free_port(), receiver_port=port))
    assert not found["receiver"].ok
    assert f"127.0.0.1 port {port} can't be listened on" in found["receiver"].text
    assert "A run is at work" in found["receiver"].fix
