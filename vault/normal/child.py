"""A program of ours that parses what strangers sent, in a process of its own: asked and answered by lines.

Whatever it does - crash, hang, write without end - costs the caller one answer. Its own limits on memory and
processor time are its affair; here it is bounded in time and in what it may say.
"""

from __future__ import annotations

import atexit
import os
import select
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import IO

_PIECE = 1 << 16


class Child:
    """The process of `program`; started when first needed, again after it died, and kept for the next question."""

    def __init__(self, program: Path) -> None:
        self._program = program
        self._process: subprocess.Popen[bytes] | None = None
        self._owner = os.getpid()
        self._busy = threading.Lock()
        atexit.register(self.stop)

    @property
    def pid(self) -> int | None:
        """The process now; None while there is none."""
        return self._process.pid if self._process else None

    def ask(self, question: bytes, *, seconds: float, maximum: int) -> bytes:
        """The line that answers the line `question`, at most `maximum` bytes.

        Anything that does not end in a line end is what came of it before the child died, fell silent for `seconds`
        or said too much; the child is stopped then.
        """
        with self._busy:
            answer = self._asked(question, seconds, maximum)
            if not answer.endswith(b"\n"):
                self.stop()
            return answer

    def _asked(self, question: bytes, seconds: float, maximum: int) -> bytes:
        child = self._running()
        assert child.stdin  # noqa: S101 - Popen with PIPE
        assert child.stdout  # noqa: S101
        answer, deadline = bytearray(), time.monotonic() + seconds
        try:
            child.stdin.write(question)
            child.stdin.flush()
            while not answer.endswith(b"\n") and len(answer) <= maximum:
                left = deadline - time.monotonic()
                if left <= 0 or not _readable(child.stdout, left):
                    break
                piece = os.read(child.stdout.fileno(), _PIECE)
                if not piece:
                    break
                answer += piece
        except OSError:
            return b""
        return bytes(answer) if len(answer) <= maximum else b""

    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is None or self._process.poll() is not None:
            self._process = subprocess.Popen(
                [sys.executable, "-I", str(self._program)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env={"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"},
                cwd="/",
            )
        return self._process

    def stop(self) -> None:
        """End the child, if it is ours."""
        child, self._process = self._process, None
        if child and self._owner == os.getpid():
            child.kill()
            child.wait()
            for pipe in (child.stdin, child.stdout):
                if pipe:
                    pipe.close()


def _readable(file: IO[bytes], seconds: float) -> bool:
    """Whether there is something to read within `seconds` (poll, since select knows only 1024 open files)."""
    waiting = select.poll()
    waiting.register(file, select.POLLIN)
    return bool(waiting.poll(seconds * 1000))
