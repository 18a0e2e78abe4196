"""Pixels compressed without loss, compared by what they decode to.

Decoders are large C++ programs that meet whatever the network sent, so they run in a process of their own with
bounds on memory and time. When it fails or is killed, the compressed bytes themselves are compared instead.
"""

from __future__ import annotations

import atexit
import json
import os
import re
import select
import subprocess
import sys
import time
from dataclasses import dataclass
from functools import cache
from pathlib import Path
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

_DECODER = Path(__file__).with_name("pixel_decoder.py")

SECONDS = 120.0
"""How long the decoder may take for one object."""


_ANSWER_MAXIMUM = 4096


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
        """The pixels of the file at `path`; None when the child says no, dies, or is silent for too long."""
        answer = self._ask(json.dumps({"path": path}).encode() + b"\n")
        try:
            parsed = json.loads(answer)
            size, digest = parsed.get("size"), parsed.get("sha256")
        except (ValueError, AttributeError):  # it may have been taken over, so nothing it says is trusted
            self.stop()
            return None
        if isinstance(size, int) and isinstance(digest, str) and re.fullmatch(r"[0-9a-f]{64}", digest):
            return Decoded(size, digest)
        return None

    def _ask(self, question: bytes) -> bytes:
        """One line from the child, or what came of it before it died, fell silent or said too much."""
        child = self._running()
        assert child.stdin  # noqa: S101 - Popen with PIPE
        assert child.stdout  # noqa: S101
        answer, deadline = b"", time.monotonic() + SECONDS
        try:
            child.stdin.write(question)
            child.stdin.flush()
            while not answer.endswith(b"\n") and len(answer) <= _ANSWER_MAXIMUM:
                left = deadline - time.monotonic()
                if left <= 0 or not select.select([child.stdout], [], [], left)[0]:
                    break
                piece = os.read(child.stdout.fileno(), _ANSWER_MAXIMUM)
                if not piece:
                    break
                answer += piece
        except OSError:
            return b""
        return answer

    def _running(self) -> subprocess.Popen[bytes]:
        if self._owner != os.getpid():  # a fork must not share its parent's pipe
            self._child, self._owner = None, os.getpid()
        if self._child is None or self._child.poll() is not None:
            self._child = subprocess.Popen(
                [sys.executable, "-I", str(_DECODER)],
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
