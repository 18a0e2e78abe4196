"""The process that decodes compressed pixels: one JSON line names a file, one answers with size and SHA-256.

It holds nothing worth stealing, can write no file, and is bounded in memory and processor time.
"""

from __future__ import annotations

import hashlib
import json
import resource
import sys
from typing import Any

MEMORY = 3 << 30
"""Bytes of address space; a frame is decoded at a time."""

SECONDS = 110
"""Processor seconds for one object."""

FRAME_MAXIMUM = 512 << 20
"""Bytes of one decoded frame."""


def main() -> None:
    """Answer until standard input ends."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    for line in sys.stdin.buffer:
        used = resource.getrusage(resource.RUSAGE_SELF)
        spent = int(used.ru_utime + used.ru_stime)
        resource.setrlimit(resource.RLIMIT_CPU, (spent + SECONDS, resource.RLIM_INFINITY))
        sys.stdout.write(json.dumps(_answer(json.loads(line)["path"])) + "\n")
        sys.stdout.flush()


def _answer(path: str) -> dict[str, Any]:
    try:
        return _decode(path)
    except (
        Exception
    ) as error:  # whatever a decoder makes of hostile bytes, the answer is that it can't be decoded
        return {"error": type(error).__name__}


def _decode(path: str) -> dict[str, Any]:
    from pydicom import config, dcmread  # noqa: PLC0415 - half a second that only compressed objects pay
    from pydicom.pixels.utils import iter_pixels  # noqa: PLC0415

    config.settings.reading_validation_mode = config.IGNORE
    header = dcmread(path, force=True, stop_before_pixels=True)
    samples, depth = int(header.get("SamplesPerPixel", 1)), int(header.BitsAllocated)
    if header.Rows * header.Columns * samples * depth // 8 > FRAME_MAXIMUM:
        return {"error": "frame too large"}
    digest, size = hashlib.sha256(), 0
    for frame in iter_pixels(path, raw=True):
        data = frame.astype(frame.dtype.newbyteorder("<"), copy=False).tobytes()
        digest.update(data)
        size += len(data)
    expected = (
        header.Rows * header.Columns * samples * (depth // 8) * int(header.get("NumberOfFrames", 1) or 1)
    )
    if size != expected:
        return {"error": "frames missing"}
    if size % 2:
        digest.update(b"\0")
        size += 1
    return {"size": size, "sha256": digest.hexdigest()}


if __name__ == "__main__":
    main()
