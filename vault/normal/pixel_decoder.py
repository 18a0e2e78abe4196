"""The process that decodes compressed pixels: a JSON line describes them, one answers with their size and SHA-256.

Where `whole` is asked for, the answer is the pixels themselves, in base64.

It is run by its path, on its own: of the vault it knows nothing. It can write no file, and is bounded in memory and
in processor time.
"""

from __future__ import annotations

import base64
import hashlib
import json
import resource
import sys
from pathlib import Path
from typing import Any

MEMORY = 3 << 30
"""Bytes of address space; a frame is decoded at a time."""

SECONDS = 110
"""Processor seconds for one image."""

FRAME_MAXIMUM = 512 << 20
"""Bytes of one decoded frame."""

WHOLE_MAXIMUM = 48 << 20
"""Bytes of decoded pixels that are answered whole."""

WRITTEN_OUT = 64
"""Bytes of pixels that are answered themselves, as `hex`."""

RLE = "1.2.840.10008.1.2.5"
SIGN_CORRECTED = frozenset(("1.2.840.10008.1.2.4.80", "1.2.840.10008.1.2.4.90"))
"""JPEG-LS and JPEG 2000, whose own idea of the sign need not be the data set's."""


def main() -> None:
    """Answer until standard input ends."""
    _limit(resource.RLIMIT_AS, MEMORY)
    _limit(resource.RLIMIT_CORE, 0)
    _limit(resource.RLIMIT_FSIZE, 0)
    for line in sys.stdin.buffer:
        used = resource.getrusage(resource.RUSAGE_SELF)
        _limit(resource.RLIMIT_CPU, int(used.ru_utime + used.ru_stime) + SECONDS)
        sys.stdout.write(json.dumps(answer(json.loads(line))) + "\n")
        sys.stdout.flush()


def _limit(kind: int, value: int) -> None:
    """Lower a limit of this process, never above what it was started with."""
    _, hard = resource.getrlimit(kind)
    resource.setrlimit(kind, (value if hard == resource.RLIM_INFINITY else min(value, hard), hard))


def answer(question: dict[str, Any]) -> dict[str, Any]:
    """Decode the image of `question`; whatever a decoder makes of hostile bytes, the answer is an `error`."""
    try:
        return _decode(question)
    except Exception as error:
        return {"error": type(error).__name__}


def _decode(question: dict[str, Any]) -> dict[str, Any]:
    from pydicom.pixels.decoders.base import get_decoder  # noqa: PLC0415 - half a second that only compressed objects pay

    options = question["options"]
    frame_size = options["rows"] * options["columns"] * options["samples_per_pixel"]
    frame_size *= options["bits_allocated"] // 8
    if not 0 < frame_size <= FRAME_MAXIMUM:
        return {"error": "a frame of no size, or too large"}
    whole = bytearray() if question.get("whole") else None
    if whole is not None and frame_size * options["number_of_frames"] > WHOLE_MAXIMUM:
        return {"error": "too large to be answered whole"}
    decoder = get_decoder(question["syntax"])
    plugin = "pydicom" if question["syntax"] == RLE else "gdcm"  # never another that happens to be installed
    digest, size, start = hashlib.sha256(), 0, b""
    with Path(question["path"]).open("rb") as file:
        file.seek(question["offset"])
        # Frames fetched one by one come as arrays of their own, which pydicom can correct the sign of; in a row they
        # are read-only views, and signed pixels of fewer bits than they are stored in fail.
        frames = range(options["number_of_frames"]) if question["syntax"] in SIGN_CORRECTED else None
        for frame, _ in decoder.iter_array(file, raw=True, indices=frames, decoding_plugin=plugin, **options):
            data = frame.astype(frame.dtype.newbyteorder("<"), copy=False).tobytes()
            digest.update(data)
            size += len(data)
            if whole is not None:
                whole += data
            start = start or data[:WRITTEN_OUT]
    if size != frame_size * options["number_of_frames"]:
        return {"error": "frames missing"}
    if whole is not None:
        return {"size": size, "base64": base64.b64encode(whole).decode()}
    if size % 2:
        digest.update(b"\0")
        size += 1
    if size <= WRITTEN_OUT and options["number_of_frames"] == 1:
        return {"size": size, "hex": start.ljust(size, b"\0").hex()}
    return {"size": size, "sha256": digest.hexdigest()}


if __name__ == "__main__":
    main()
