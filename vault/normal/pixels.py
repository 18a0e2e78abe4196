"""Pixels compressed without loss, compared by what they decode to.

Decoders are large C++ programs that meet whatever the network sent, so they run in a process of their own with
bounds on memory and time. When it fails or is killed, the compressed bytes themselves are compared instead.
"""

from __future__ import annotations

import base64
import json
import os
import re
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import BinaryIO

from vault.normal.child import Child

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


WHOLE_MAXIMUM = 48 << 20
"""Bytes of pixels that `decoded` returns at most."""

WHOLE_SECONDS = 20.0
"""How long the decoder may take for them: a person is waiting for a picture."""

_ANSWER_MAXIMUM = 4096
_HEX = re.compile(r"[0-9a-f]{2,128}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Image:
    """What a decoder has to know of an image (PS3.3 C.7.6.3), by the names that pydicom gives it."""

    rows: int
    columns: int
    samples_per_pixel: int
    bits_allocated: int
    bits_stored: int
    pixel_representation: int
    photometric_interpretation: str
    number_of_frames: int
    planar_configuration: int = 0
    pixel_keyword: str = "PixelData"


def decode(file: BinaryIO, offset: int, transfer_syntax: str, image: Image) -> str | None:
    """Decode the encapsulated pixels at `offset` of `file`, frame by frame.

    Returns what `vault.normal.values.bulk` says of the pixels as an uncompressed object would hold them:
    interleaved, little endian, padded to even length. None when they can't be decoded within the bounds.
    """
    question = {
        "path": f"/proc/{os.getpid()}/fd/{file.fileno()}",
        "offset": offset,
        "syntax": transfer_syntax,
        "options": asdict(image),
    }
    return _decoder(os.getpid()).decode(json.dumps(question).encode() + b"\n")


def decoded(data: bytes, transfer_syntax: str, image: Image) -> bytes | None:
    """The pixels of an encapsulated value (PS3.5 annex A.4), as an uncompressed object would hold them.

    Little endian, frame after frame, as large as `image` says. None when they can't be decoded within the bounds.
    """
    size = (
        image.rows
        * image.columns
        * image.samples_per_pixel
        * (image.bits_allocated // 8)
        * image.number_of_frames
    )
    if transfer_syntax not in LOSSLESS or not 0 < size <= WHOLE_MAXIMUM:
        return None
    with os.fdopen(os.memfd_create("pixels"), "wb") as file:
        file.write(data)
        file.flush()
        question = {
            "path": f"/proc/{os.getpid()}/fd/{file.fileno()}",
            "offset": 0,
            "syntax": transfer_syntax,
            "options": asdict(image),
            "whole": True,
        }
        whole = _decoder(os.getpid()).whole(json.dumps(question).encode() + b"\n", size)
    return whole if whole is not None and len(whole) == size else None


@cache
def _decoder(_process: int) -> _Decoder:
    """The decoder of this process: a fork must not share its parent's pipes."""
    return _Decoder()


class _Decoder:
    """The child process, and what it may be believed."""

    def __init__(self) -> None:
        self.child = Child(_DECODER)

    def decode(self, question: bytes) -> str | None:
        """What the child says of an image; None when it says no, dies, or is silent for too long."""
        answer = self.child.ask(question, seconds=SECONDS, maximum=_ANSWER_MAXIMUM)
        try:
            parsed = json.loads(answer)
            size, said = parsed.get("size"), parsed.get("sha256") or parsed.get("hex")
        except (ValueError, AttributeError):  # it may have been taken over, so what it says is looked at
            self.child.stop()
            return None
        if not isinstance(size, int) or not isinstance(said, str) or not _HEX.fullmatch(said):
            return None
        return f"{size} bytes sha256:{said}" if "sha256" in parsed else f"{size} bytes {said}"

    def whole(self, question: bytes, size: int) -> bytes | None:
        """The pixels that the child says an image has, `size` bytes at most."""
        answer = self.child.ask(question, seconds=WHOLE_SECONDS, maximum=_ANSWER_MAXIMUM + size * 4 // 3)
        try:
            said = json.loads(answer).get("base64")
            return base64.b64decode(said, validate=True) if isinstance(said, str) else None
        except (ValueError, AttributeError):
            self.child.stop()
            return None
