"""TCP ports for servers that are started a moment later: the demo's, the tests', the benchmark's."""

from __future__ import annotations

import random
import socket
from contextlib import closing
from pathlib import Path

LOOPBACK = "127.0.0.1"

_EPHEMERAL = Path("/proc/sys/net/ipv4/ip_local_port_range")
_LOWEST, _END = 10000, 65536
_TRIES = 1000

_random = random.SystemRandom()
_given: set[int] = set()


def free_ports(count: int) -> list[int]:
    """Ports on loopback that nothing listens on now: all different, and none that this process was given before.

    Never one that the kernel may take for an outgoing connection (`ip_local_port_range`, ip(7)), for that can happen
    between the asking and the listening. Raises OSError when there are none.
    """
    return [_free_port() for _ in range(count)]


def _free_port() -> int:
    candidates = _candidates()
    for _ in range(_TRIES):
        port = _random.choice(candidates)
        if port in _given:
            continue
        with closing(socket.socket()) as probe:
            try:
                probe.bind((LOOPBACK, port))
            except OSError:
                continue
        _given.add(port)
        return port
    raise OSError("no free TCP port on loopback")


def _candidates() -> list[int]:
    try:
        low, high = map(int, _EPHEMERAL.read_text().split())
    except (OSError, ValueError):
        low, high = 32768, 60999
    outside = [*range(_LOWEST, low), *range(high + 1, _END)]
    return outside if len(outside) > _TRIES else list(range(_LOWEST, _END))
