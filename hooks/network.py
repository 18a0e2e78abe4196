"""The network gate: commands of the site that open and close the network around what needs it.

The commands run as they stand in `[network]`, without a shell, with a time limit. `down` runs on every way out,
twice if need be, and can't be interrupted: a vault whose network stays open stands where the attacker is.
"""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress

from vault.config import Network
from vault.errors import VaultError
from vault.events import hookimpl

PAUSE = 0.5
"""Seconds between two tries of `check`."""

ATTEMPTS_TO_CLOSE = 2
"""How often `down` is run before giving up."""

_LONGEST_OUTPUT = 300
"""Bytes of a failed command's last words that go into the message."""


class NetworkGate:
    """Opens and closes the network with the commands of `[network]`."""

    def __init__(self, network: Network) -> None:
        self._network = network

    @hookimpl(tryfirst=True)
    def network_open(self) -> None:
        """Run `up`, then `check` until it succeeds. Raises VaultError when the network does not come up."""
        if failure := _failure(self._network.up, self._network.timeout):
            raise VaultError(f"The network could not be opened: [network] up {failure}")
        if self._network.check is not None:
            self._wait(self._network.check)

    @hookimpl(wrapper=True)
    def network_close(self) -> Iterator[None]:
        """Run `down` after all other listeners, even when one of them failed. Raises VaultError when it fails."""
        try:
            return (yield)
        finally:
            self._close()

    def _wait(self, check: Sequence[str]) -> None:
        deadline = time.monotonic() + self._network.timeout
        while failure := _failure(check, max(PAUSE, deadline - time.monotonic())):
            if time.monotonic() + PAUSE > deadline:
                waited = f"{self._network.timeout:.0f} s"
                raise VaultError(
                    f"The network was opened, but is not there after {waited}: [network] check {failure}"
                )
            time.sleep(PAUSE)

    def _close(self) -> None:
        failure = None
        with _uninterrupted():
            for _ in range(ATTEMPTS_TO_CLOSE):
                failure = _failure(self._network.down, self._network.timeout)
                if failure is None:
                    return
        raise VaultError(
            f"THE NETWORK MAY STILL BE OPEN. Pull the cable, then mend [network] down: it {failure}"
        )


def _failure(command: Sequence[str], limit: float) -> str | None:
    """Run a command for at most `limit` seconds. Returns None, or how it failed, to follow its key's name."""
    with tempfile.TemporaryFile() as output:
        try:
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        except OSError as error:
            return f"({shlex.join(command)}) can't be run: {error.strerror}."
        try:
            code = process.wait(limit)
        except subprocess.TimeoutExpired:
            return f"({shlex.join(command)}) was not done after {limit:.0f} s."
        finally:
            _end(process)
        if code == 0:
            return None
        size = output.seek(0, os.SEEK_END)
        output.seek(max(0, size - _LONGEST_OUTPUT))
        said = " ".join(output.read().decode("utf-8", "replace").split())
    return f"({shlex.join(command)}) failed with exit code {code}" + (f": {said}" if said else ".")


def _end(process: subprocess.Popen[bytes]) -> None:
    """Kill the command and what it started, unless it is done."""
    if process.poll() is None:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


@contextmanager
def _uninterrupted() -> Iterator[None]:
    """Hold back Ctrl-C and requests to stop until the network is closed; they count afterwards."""
    if threading.current_thread() is not threading.main_thread():
        yield  # Python interrupts the main thread only
        return
    held: list[int] = []
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    # not a signal mask: that is one thread's, and the kernel would hand the signal to another
    before = {
        number: signal.signal(number, lambda received, _frame: held.append(received)) for number in numbers
    }
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        for caught in held[:1]:
            signal.raise_signal(caught)
