"""What an object says of itself: whose it is and what it is filed under, read without reading the object."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from mmap import ACCESS_READ, mmap
from pathlib import Path
from typing import BinaryIO

from vault.dicom import charset, elements, part10
from vault.dicom.part10 import NotDicom
from vault.model import ObjectKey

_CHARACTER_SET = 0x00080005
_SOP_CLASS, _SOP_INSTANCE, _MODALITY = 0x00080016, 0x00080018, 0x00080060
_PATIENT_ID, _STUDY, _SERIES = 0x00100020, 0x0020000D, 0x0020000E
_WANTED = frozenset((_CHARACTER_SET, _SOP_CLASS, _SOP_INSTANCE, _MODALITY, _PATIENT_ID, _STUDY, _SERIES))
_VALUE_MAXIMUM = 1024
_INFLATED_MAXIMUM = 16 << 20
"""How much of a deflated data set is inflated at most to find its header."""


@dataclass(frozen=True, slots=True)
class Header:
    """The identity of one object. What its data set lacks is the empty string: the caller decides what that means."""

    patient_id: str
    """Decoded by the object's character set, padding stripped; undecodable bytes stand as `\\xNN`."""
    study_uid: str
    key: ObjectKey
    sop_class_uid: str
    transfer_syntax: str


def read_header(path: Path) -> Header:
    """Read the elements up to SeriesInstanceUID (0020,000E), and no value but the wanted ones.

    Raises NotDicom with a reason that holds no value of the file: when it is no DICOM file, when its structure
    breaks before the series UID, or when a wanted element stands twice, so that two readers could disagree.
    """
    with path.open("rb") as file:
        syntax, offset = part10.dataset_offset(file)
        if syntax == part10.DEFLATED:
            return _read(_inflate_prefix(file, offset), 0, syntax)
        file.seek(0, 2)
        if file.tell() <= offset:
            raise NotDicom("it holds no data set")
        with mmap(file.fileno(), 0, access=ACCESS_READ) as buffer:
            return _read(buffer, offset, syntax)


def _inflate_prefix(file: BinaryIO, offset: int) -> bytes:
    """As much of a deflated data set as reaches past the series UID, where it can be had within bounds."""
    file.seek(offset)
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    inflated = bytearray()
    wanted = 1 << 16
    try:
        while not inflater.eof and len(inflated) < _INFLATED_MAXIMUM:
            data = inflater.unconsumed_tail or file.read(1 << 16)
            piece = inflater.decompress(data, 1 << 16)
            if not data and not piece:
                break
            inflated += piece
            if len(inflated) >= wanted:
                if _passes_series(bytes(inflated)):
                    break
                wanted *= 2  # so that looking again and again stays cheap
    except zlib.error as error:
        if not inflated:
            raise NotDicom("its data set is not deflated as its transfer syntax says") from error
    return bytes(inflated)


def _passes_series(inflated: bytes) -> bool:
    """Whether an element after the series UID has begun."""
    dataset = elements.parse(inflated, 0, elements.Encoding.EXPLICIT, stop=_SERIES)
    if dataset.unparsed is not None or not dataset.elements:
        return False
    _, _, offset, length, _ = dataset.elements[-1]
    return offset + length < len(inflated)


def _read(buffer: elements.Buffer, offset: int, syntax: str) -> Header:
    encoding = elements.encoding_of(buffer, offset, syntax)
    dataset = elements.parse(buffer, offset, encoding, stop=_SERIES)
    values: dict[int, bytes] = {}
    for tag, _, start, length, _ in dataset.elements:
        if tag in _WANTED:
            if tag in values:
                raise NotDicom(f"the element ({tag >> 16:04x},{tag & 0xFFFF:04x}) stands in it twice")
            if length > _VALUE_MAXIMUM:
                raise NotDicom(
                    f"the element ({tag >> 16:04x},{tag & 0xFFFF:04x}) is longer than any identifier"
                )
            values[tag] = buffer[start : start + length]
    if dataset.unparsed is not None and _SERIES not in values:  # else what broke comes later in the file
        raise NotDicom("its structure breaks before the series UID (0020,000e)")
    return Header(
        patient_id=_text(values, _PATIENT_ID, charset.decoder(values.get(_CHARACTER_SET, b""))),
        study_uid=_text(values, _STUDY),
        key=ObjectKey(_text(values, _MODALITY), _text(values, _SERIES), _text(values, _SOP_INSTANCE)),
        sop_class_uid=_text(values, _SOP_CLASS),
        transfer_syntax=syntax,
    )


def _text(values: dict[int, bytes], tag: int, decode: charset.Decoder = charset.ascii_decoder) -> str:
    return charset.visible(decode(values.get(tag, b"")).strip("\0 "))
