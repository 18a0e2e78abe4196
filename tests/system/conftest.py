"""Servers for the system tests. Each is real, runs on loopback for one test, and is stopped by its pid."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import peers
import pytest

OrthancFactory = Callable[..., peers.Orthanc]
DcmqrFactory = Callable[..., peers.Dcmqrscp]


@pytest.fixture
def free_port() -> Callable[[], int]:
    """Call it for a TCP port on loopback that nothing listens on."""
    return peers.free_port


@pytest.fixture
def orthanc_server(tmp_path: Path) -> Iterator[OrthancFactory]:
    """`orthanc_server(move_to=("VAULT", "127.0.0.1", port), …)` runs an Orthanc until the test ends."""
    _need("Orthanc")
    with ExitStack() as running:
        yield lambda **settings: running.enter_context(
            peers.orthanc(tmp_path / f"orthanc-{peers.free_port()}", **settings)
        )


@pytest.fixture
def dcmqr_server(tmp_path: Path) -> Iterator[DcmqrFactory]:
    """`dcmqr_server(move_to=("VAULT", "127.0.0.1", port), …)` runs a dcmqrscp until the test ends."""
    _need("dcmqrscp", "dcmqridx")
    with ExitStack() as running:
        yield lambda **settings: running.enter_context(
            peers.dcmqrscp(tmp_path / f"dcmqr-{peers.free_port()}", **settings)
        )


@pytest.fixture
def need() -> Callable[..., None]:
    """`need("dcmdump")` skips the test, with the reason and the remedy, where a tool is not installed."""
    return _need


def _need(*tools: str) -> None:
    reason = peers.missing_tools(*tools)
    if reason:
        pytest.skip(reason)
