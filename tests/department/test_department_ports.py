"""Ports that stay free until their server listens."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from vault.department import ports
from vault.department.ports import LOOPBACK, free_ports


def test_they_differ_and_can_be_listened_on() -> None:
    given = free_ports(50)
    assert len(set(given)) == 50
    for port in given:
        with socket.socket() as server:
            server.bind((LOOPBACK, port))
            server.listen()


def test_no_outgoing_connection_takes_one() -> None:
    low, high = map(int, Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split())
    assert not [port for port in free_ports(50) if low <= port <= high]


def test_one_that_is_taken_is_not_given(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as server:
        server.bind((LOOPBACK, 0))
        server.listen()
        taken, free = server.getsockname()[1], free_ports(1)[0]
        monkeypatch.setattr(ports, "_candidates", lambda: [taken, free])
        monkeypatch.setattr(ports, "_given", set())
        assert free_ports(1) == [free]
        with pytest.raises(OSError, match="no free TCP port"):
            free_ports(1)


@pytest.mark.parametrize("range_", ["1024 65535", "nothing"])
def test_a_machine_that_leaves_no_room_still_gets_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, range_: str
) -> None:
    (tmp_path / "range").write_text(range_)
    monkeypatch.setattr(ports, "_EPHEMERAL", tmp_path / "range")
    assert free_ports(1)
