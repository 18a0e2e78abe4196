"""Pixels compressed without loss, compared by what they decode to.

Decoders are large C++ programs that meet whatever the network sent, so they run in a process of their own with
bounds on memory and time. When it fails or is killed, the compressed bytes themselves are compared instead.
"""

from __future__ import annotations

import atexit
import json
import os
import select
import subprocess
import sys
from dataclasses import dataclass
from functools import cache
from typing import BinaryIO

LOSSLESS = frozenset(
    {
        "1.2.840.10008.1.2.5",  # RLE
        "1.2.840.10008.1.2.4.57",  # JPEG lossless, process 14
        "1.2.840.10008.1.2.4.70",  # JPEG lossless, process 14, selection value 1
        "1.2.840.10008.1.2.4.80",  # JPEG-LS lossless
        "1.2.840.10008.1.2.4.90",  # JPEG 2000 lossless
    }
)
"""Transfer syntaxes (PS3.5 annex A.4) whose frames decode to the very bytes that were encoded."""

SECONDS = 120.0
"""How long the decoder may take for one object."""


@dataclass(frozen=True, slots=True)
class Decoded:
    """The pixels as an uncompressed object would hold them: interleaved, little endian, padded to even length."""

    size: int
    sha256: str


def decode(file: BinaryIO) -> Decoded | None:
    """Decode the pixels of a Part 10 file frame by frame; None when they can't be decoded within the bounds."""
    return _decoder().decode(f"/proc/{os.getpid()}/fd/{file.fileno()}")


@cache
def _decoder() -> _Decoder:
    decoder = _Decoder()
    atexit.register(decoder.stop)
    return decoder


class _Decoder:
    """The child process; started when first needed, again after it died, and kept for the next object."""

    def __init__(self) -> None:
        self._child: subprocess.Popen[bytes] | None = None
        self._owner = os.getpid()

    def decode(self, path: str) -> Decoded | None:
        answer = self._ask(json.dumps({"path": path}).encode() + b"\n")
        if answer is None:
            self.stop()
            return None
        return Decoded(int(answer["size"]), str(answer["sha256"])) if "sha256" in answer else None

    def _ask(self, question: bytes) -> dict[str, str | int] | None:
        child = self._running()
        assert child.stdin  # noqa: S101 - Popen with PIPE
        assert child.stdout  # noqa: S101
        try:
            child.stdin.write(question)
            child.stdin.flush()
        except OSError:
            return None
        if not select.select([child.stdout], [], [], SECONDS)[0]:
            return None
        line = child.stdout.readline(1 << 16)
        if not line.endswith(b"\n"):
            return None
        answer: dict[str, str | int] = json.loads(line)
        return answer

    def _running(self) -> subprocess.Popen[bytes]:
        if self._owner != os.getpid():  # a fork must not share its parent's pipe
            self._child, self._owner = None, os.getpid()
        if self._child is None or self._child.poll() is not None:
            self._child = subprocess.Popen(
                [sys.executable, "-I", "-m", "vault.normal.pixel_decoder"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env={"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"},
                cwd="/",
            )
        return self._child

    def stop(self) -> None:
        """End the child, if it is ours."""
        child, self._child = self._child, None
        if child and self._owner == os.getpid():
            child.kill()
            child.wait()
            for pipe in (child.stdin, child.stdout):
                if pipe:
                    pipe.close()
