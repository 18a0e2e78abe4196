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

SAMPLES_PER_PIXEL, PHOTOMETRIC_INTERPRETATION, PLANAR_CONFIGURATION = 0x00280002, 0x00280004, 0x00280006
_ROWS, _COLUMNS, _BITS_ALLOCATED = 0x00280010, 0x00280011, 0x00280100
DERIVATION_DESCRIPTION = 0x00082111
DESCRIBES_COMPRESSION = frozenset((DERIVATION_DESCRIPTION, PHOTOMETRIC_INTERPRETATION))
"""Attributes that also say how the pixels are carried; see `without_compression`."""

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
    """The text is that of the uncompressed pixels."""


def said(source: Source, dataset: Dataset, element: Element, *, outermost: bool) -> Pixels:
    """The pixels in `element` of `dataset`; only those of the outermost data set are decoded."""
    inside = element[4]
    if isinstance(inside, Fragments):
        return _encapsulated(source, inside, outermost=outermost)
    return _native(source, dataset, element)


def fragments_text(source: Source, fragments: Fragments) -> str:
    """Fragments by their bytes. The first one is the offset table, which only says where the others lie."""
    digest, size = hashlib.sha256(), 0
    pieces = fragments.pieces[1:]
    for offset, length in pieces:
        size += length
        for piece in source.pieces(offset, length):
            digest.update(piece)
    return f"{size} bytes in {len(pieces)} fragments sha256:{digest.hexdigest()}"


def without_compression(tag: int, text: str) -> str | None:
    """What an attribute of `DESCRIBES_COMPRESSION` would be had its pixels never been compressed; None: not there."""
    if tag == PHOTOMETRIC_INTERPRETATION:  # decoding undoes JPEG 2000's reversible transform (PS3.5 8.2.4)
        return '"RGB"' if text == '"YBR_RCT"' else text
    described = _DCMTK_DERIVATION.fullmatch(text)
    if described is None:
        return text
    return f'"{described[1]}"' if described[1] is not None else None


def _encapsulated(source: Source, fragments: Fragments, *, outermost: bool) -> Pixels:
    note = f" {source.transfer_syntax}"  # without it the bytes mean nothing, and group 0002 is left out
    if outermost and source.transfer_syntax in pixels.LOSSLESS:
        decoded = pixels.decode(source.file)
        if decoded:
            return Pixels(f"{decoded.size} bytes sha256:{decoded.sha256}", decoded=True)
        note += " (not decodable)"
    return Pixels(fragments_text(source, fragments) + note, interleaved=False)


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


def of_dataset(source: Source, dataset: Dataset, *, outermost: bool) -> Pixels | None:
    """The pixels of a data set that has some, once; None for one without, or with more than one such element."""
    found = [element for element in dataset.elements if element[0] == PIXEL_DATA]
    return said(source, dataset, found[0], outermost=outermost) if len(found) == 1 else None
