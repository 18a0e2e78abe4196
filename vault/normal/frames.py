"""Pixel data (7FE0,0010) as the normal form says it: by what the pixels are, not by how they lie in the file.

Colour by pixel or by plane is the same picture, and so is what a lossless compression decodes to. Everything else is
taken by its bytes.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass

from vault.dicom.elements import PIXEL_DATA, Dataset, Element, Fragments
from vault.normal import pixels, values
from vault.normal.source import Source, swapped
from vault.normal.text import escape

SAMPLES_PER_PIXEL, PHOTOMETRIC_INTERPRETATION, PLANAR_CONFIGURATION = 0x00280002, 0x00280004, 0x00280006
_NUMBER_OF_FRAMES, _ROWS, _COLUMNS = 0x00280008, 0x00280010, 0x00280011
_BITS_ALLOCATED, _BITS_STORED, _PIXEL_REPRESENTATION = 0x00280100, 0x00280101, 0x00280103
_TEXT_MAXIMUM = 64
DERIVATION_DESCRIPTION = 0x00082111
DESCRIBES_COMPRESSION = frozenset((DERIVATION_DESCRIPTION, PHOTOMETRIC_INTERPRETATION))
"""Attributes that also say how the pixels are carried; see `Pixels.without_compression`."""

FRAME_MAXIMUM = 256 << 20
"""Bytes of a frame whose planes are interleaved in memory; a larger one is taken as it lies."""


_DCMTK_DERIVATION = re.compile(
    r'"Lossless JPEG compression, selection value [1-7], point transform 0, compression ratio [0-9.]+(?: \[(.*)\])?"',
    re.ASCII | re.DOTALL,
)


@dataclass(frozen=True, slots=True)
class Pixels:
    """What is said of the pixels of one data set, and which attributes that says already."""

    text: str
    interleaved: bool = True
    """The text is the same for either PlanarConfiguration (0028,0006)."""
    decoded: bool = False
    """The text is that of the pixels behind a lossless compression."""
    compressed: bool = False
    """The text is that of compressed bytes."""

    def without_compression(self, tag: int, text: str) -> str | None:
        """What an attribute of `DESCRIBES_COMPRESSION` would be had nothing ever been compressed; None: not there."""
        if (
            tag == PHOTOMETRIC_INTERPRETATION
        ):  # decoding undoes JPEG 2000's reversible transform (PS3.5 8.2.4)
            return '"RGB"' if self.decoded and text == '"YBR_RCT"' else text
        if self.compressed:
            return text
        while described := _DCMTK_DERIVATION.fullmatch(
            text
        ):  # each compression puts the older text in brackets
            text = f'"{described[1] or ""}"'
        return None if text == '""' else text


def of_dataset(source: Source, dataset: Dataset) -> Pixels | None:
    """The pixels of a data set that has them once; None for one without, or with several such elements."""
    found = [element for element in dataset.elements if element[0] == PIXEL_DATA]
    if len(found) != 1:
        return None
    if isinstance(found[0][4], Fragments):
        return _encapsulated(source, dataset, found[0][2], found[0][4])
    return _native(source, dataset, found[0]) if found[0][4] is None else None


def fragments_text(source: Source, fragments: Fragments) -> str:
    """Fragments by their bytes. The first one is the offset table, which only says where the others lie."""
    digest, size = hashlib.sha256(), 0
    pieces = fragments.pieces[1:]
    for offset, length in pieces:
        size += length
        for piece in source.pieces(offset, length):
            digest.update(piece)
    return f"{size} bytes in {len(pieces)} fragments sha256:{digest.hexdigest()}"


def _encapsulated(source: Source, dataset: Dataset, offset: int, fragments: Fragments) -> Pixels:
    note = (
        f" {escape(source.transfer_syntax)}"  # without it the bytes mean nothing, and group 0002 is left out
    )
    if source.transfer_syntax in pixels.LOSSLESS:
        decoded = pixels.decode(source.file, offset, source.transfer_syntax, _image(source, dataset))
        if decoded:
            return Pixels(decoded, decoded=True)
        note += " (not decodable)"
    return Pixels(fragments_text(source, fragments) + note, interleaved=False, compressed=True)


def _image(source: Source, dataset: Dataset) -> pixels.Image:
    numbers = _numbers(source, dataset)
    texts = {
        tag: source.value(offset, length).decode("ascii", "replace").strip(" \0")
        for tag, _, offset, length, _ in dataset.elements
        if tag in {PHOTOMETRIC_INTERPRETATION, _NUMBER_OF_FRAMES} and length <= _TEXT_MAXIMUM
    }
    frames = texts.get(_NUMBER_OF_FRAMES, "")
    return pixels.Image(
        rows=numbers.get(_ROWS, 0),
        columns=numbers.get(_COLUMNS, 0),
        samples_per_pixel=numbers.get(SAMPLES_PER_PIXEL, 1),
        bits_allocated=numbers.get(_BITS_ALLOCATED, 0),
        bits_stored=numbers.get(_BITS_STORED, 0),
        pixel_representation=numbers.get(_PIXEL_REPRESENTATION, 0),
        photometric_interpretation=texts.get(PHOTOMETRIC_INTERPRETATION, ""),
        number_of_frames=int(frames) if frames.isascii() and frames.isdecimal() else 1,
        planar_configuration=numbers.get(PLANAR_CONFIGURATION, 0),
    )


def _native(source: Source, dataset: Dataset, element: Element) -> Pixels:
    _, declared, offset, length, _ = element
    swap = values.WIDTHS.get(declared, 1) if dataset.big_endian else 1
    as_it_lies = values.bulk(source, offset, length, swap)
    numbers = _numbers(source, dataset)
    samples, depth = numbers.get(SAMPLES_PER_PIXEL, 1), numbers.get(_BITS_ALLOCATED, 0)
    if samples < 2 or numbers.get(PLANAR_CONFIGURATION, 0) != 1:
        return Pixels(as_it_lies)
    frame = numbers.get(_ROWS, 0) * numbers.get(_COLUMNS, 0) * samples * (depth // 8)
    padding = length % frame if frame else 0
    if depth not in {8, 16, 32} or not 0 < frame <= min(length, FRAME_MAXIMUM) or padding > 1:
        return Pixels(as_it_lies, interleaved=False)
    digest, whole = hashlib.sha256(), bytearray()
    for start in range(0, length - padding, frame):
        data = b"".join(source.pieces(offset + start, frame))
        data = _interleaved(swapped(data, swap), samples, depth // 8)
        digest.update(data)
        if length <= values.HEX_MAXIMUM:
            whole += data
    last = source.value(offset + length - padding, padding)
    digest.update(last)
    if length <= values.HEX_MAXIMUM:
        return Pixels(f"{length} bytes {(whole + last).hex()}")
    return Pixels(f"{length} bytes sha256:{digest.hexdigest()}")


def _numbers(source: Source, dataset: Dataset) -> dict[int, int]:
    """The 16-bit numbers of the image pixel module in this very data set."""
    big = dataset.big_endian
    return {
        tag: int.from_bytes(source.value(offset, length), "big" if big and declared != "UN" else "little")
        for tag, declared, offset, length, _ in dataset.elements
        if tag >> 16 == 0x0028 and length == 2
    }


def _interleaved(data: bytes, samples: int, width: int) -> bytes:
    """Planes of one frame as pixels."""
    plane = len(data) // samples
    result = bytearray(len(data))
    for sample in range(samples):
        for byte in range(width):
            result[sample * width + byte :: samples * width] = data[
                sample * plane + byte : (sample + 1) * plane : width
            ]
    return bytes(result)
