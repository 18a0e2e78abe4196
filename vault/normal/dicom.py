"""The normal form of a DICOM object: every element as one line, the same however the object was encoded.

    normal-form 1
    SOPClassUID UI 1.2.840.10008.5.1.4.1.1.481.5 RT Plan Storage
    RTPlanLabel SH "PROSTATE_1A"
    BeamSequence[2].ControlPointSequence[0].GantryAngle DS 181
    PixelData OW 524288 bytes sha256:…
    {VARIAN MEDICAL SYSTEMS}(3253,xx10) UN 812 bytes sha256:…

It is written from the raw elements, never from converted values, so that nothing a library can't read drops out.
It is total: what is not DICOM gets one line with its length and SHA-256, and bytes that the walk could not account
for are said where they stand.
"""

from __future__ import annotations

import hashlib
from itertools import pairwise
from operator import itemgetter
from pathlib import Path
from typing import BinaryIO

from vault.dicom import charset, dictionary
from vault.dicom.charset import Decoder
from vault.dicom.elements import PIXEL_DATA, Dataset, Element, Fragments, encoding_of, parse
from vault.dicom.part10 import NotDicom
from vault.files import CHUNK
from vault.normal import VERSION, pixels, values
from vault.normal.identity import identity_tags
from vault.normal.source import InflatesTooFarError, Source, open_source, swapped
from vault.normal.text import creator, label
from vault.normal.volatile import SHIPPED, VolatileTable

HEADER = f"normal-form {VERSION}\n".encode()

_CHARACTER_SET, _PIXEL_REPRESENTATION = 0x00080005, 0x00280103
_SAMPLES, _ROWS, _COLUMNS, _ALLOCATED, _PLANAR = 0x00280002, 0x00280010, 0x00280011, 0x00280100, 0x00280006
_FLUSH = 4096
_PLANAR_FRAME_MAXIMUM = 256 << 20


def normal_form(source: Path, out: BinaryIO, volatile: VolatileTable = SHIPPED) -> None:
    """Write the normal form of the file `source` to `out`: a pure function of its bytes and of `volatile`.

    Raises only what reading `source` or writing `out` does (OSError).
    """
    out.write(HEADER)
    try:
        with open_source(source) as opened:
            encoding = encoding_of(opened.buffer, opened.offset, opened.transfer_syntax)
            root = parse(opened.buffer, opened.offset, encoding)
            if root.elements:
                _Form(opened, out, volatile).write(root)
                return
    except (NotDicom, InflatesTooFarError):
        pass
    _opaque(source, out)


def _opaque(source: Path, out: BinaryIO) -> None:
    digest, size = hashlib.sha256(), 0
    with source.open("rb") as file:
        while piece := file.read(CHUNK):
            digest.update(piece)
            size += len(piece)
    out.write(f"(opaque) UN {size} bytes sha256:{digest.hexdigest()}\n".encode())


class _Scope:
    """What the elements of a data set are read by, handed down to its items unless they say otherwise."""

    __slots__ = ("decode", "signed")

    def __init__(self, decode: Decoder, *, signed: bool) -> None:
        self.decode = decode
        self.signed = signed


class _Form:
    """One pass over the parsed elements of an object, writing lines as it goes."""

    def __init__(self, source: Source, out: BinaryIO, volatile: VolatileTable) -> None:
        self._source = source
        self._buffer = source.buffer
        self._out = out
        self._volatile = volatile
        self._identities = identity_tags()
        self._lines: list[str] = []
        self._names: dict[int, tuple[str, str]] = {}

    def write(self, root: Dataset) -> None:
        """Write the whole form."""
        self._root = root
        self._dataset(root, "", _Scope(charset.ascii_decoder, signed=False))
        self._flush()

    def _flush(self) -> None:
        self._out.write("".join(self._lines).encode("utf-8", "backslashreplace"))
        self._lines.clear()

    def _line(self, path: str, vr: str, value: str) -> None:
        self._lines.append(f"{path} {vr} {value}\n")
        if len(self._lines) >= _FLUSH:
            self._flush()

    def _dataset(self, dataset: Dataset, prefix: str, scope: _Scope) -> None:
        scope = self._scope(dataset, scope)
        private: dict[tuple[int, int], str] = {}
        for element, name in self._ordered(dataset, scope, private):
            self._element(element, name, prefix, dataset, scope)
        if dataset.unparsed:
            offset, length = dataset.unparsed
            said = f"{length} bytes sha256:{self._source.digest(offset, length)}"
            reason = f" ({dataset.reason})" if dataset.reason else ""
            self._line(f"{prefix}(unparsed)", "UN", said + reason)

    def _scope(self, dataset: Dataset, outer: _Scope) -> _Scope:
        decode, signed = outer.decode, outer.signed
        for tag, _, offset, length, _ in dataset.elements:
            if tag == _CHARACTER_SET and length <= 1024:
                decode = charset.decoder(self._buffer[offset : offset + length])
            elif tag == _PIXEL_REPRESENTATION and length == 2:
                signed = self._buffer[offset + dataset.big_endian] == 1
        return _Scope(decode, signed=signed) if (decode, signed) != (outer.decode, outer.signed) else outer

    # order: by tag, private elements by their creator so that the number of its block does not matter

    def _ordered(
        self, dataset: Dataset, scope: _Scope, private: dict[tuple[int, int], str]
    ) -> list[tuple[Element, str | None]]:
        """The elements in the order of their lines; private ones with their names, None for the others."""
        elements = dataset.elements
        if not any(element[0] & 0x10000 for element in elements):
            if all(one[0] <= other[0] for one, other in pairwise(elements)):
                return [(element, None) for element in elements]
            return [(element, None) for element in sorted(elements, key=itemgetter(0))]
        for tag, _, offset, length, _ in elements:
            if tag & 0x10000 and 0x10 <= tag & 0xFFFF <= 0xFF and length <= 1024:
                private[tag >> 16, tag & 0xFF] = scope.decode(self._buffer[offset : offset + length]).strip(
                    " \0"
                )
        keyed = [(self._key(element[0], private), element) for element in elements]
        keyed.sort(key=itemgetter(0))
        return [(element, key[4]) for key, element in keyed]

    @staticmethod
    def _key(tag: int, private: dict[tuple[int, int], str]) -> tuple[int, int, str, int, str | None]:
        """Group, kind, creator, element, and the name of a private element."""
        group, element = tag >> 16, tag & 0xFFFF
        if not group & 1:
            return group, 0, "", element, None
        if 0x10 <= element <= 0xFF:
            owner = private.get((group, element), "")
            return group, 1, owner, 0, f"{creator(owner)}({group:04x},00xx)"
        owner = private.get((group, element >> 8), "")
        if not owner:
            return group, 3, "", element, f"({group:04x},{element:04x})"
        return group, 2, owner, element & 0xFF, f"{creator(owner)}({group:04x},xx{element & 0xFF:02x})"

    # one element

    def _element(
        self, element: Element, name: str | None, prefix: str, dataset: Dataset, scope: _Scope
    ) -> None:
        tag, declared, offset, length, inside = element
        if not tag & 0xFFFF or tag in self._volatile.tags or (name and name in self._volatile.private):
            return
        if name is None:
            name, vr = self._name(tag, scope)
        else:
            vr = "UN"
        if isinstance(inside, list):
            self._items(tag, inside, prefix + name, scope)
        elif isinstance(inside, Fragments):
            self._line(
                prefix + name, "OW" if tag == PIXEL_DATA else "UN", self._fragments(tag, inside, prefix)
            )
        elif vr == "SQ" and not length:
            self._line(prefix + name, vr, "empty")
        else:
            vr, said = self._value(tag, vr, declared, offset, length, dataset, scope)
            self._line(prefix + name, vr, said)

    def _name(self, tag: int, scope: _Scope) -> tuple[str, str]:
        """Name and representation of a public element, by the frozen dictionary."""
        known = self._names.get(tag)
        if known is None:
            entry = dictionary.element(tag)
            if entry is None or not entry.keyword:
                name, vr = f"({tag >> 16:04x},{tag & 0xFFFF:04x})", entry.vr if entry else "UN"
            else:
                name, vr = entry.keyword, entry.vr
                if entry.repeating:  # 60xx: the keyword is shared, so the tag names it
                    name = f"({tag >> 16:04x},{tag & 0xFFFF:04x})"
            known = self._names[tag] = (name, vr)
        name, vr = known
        if " " not in vr:
            return name, vr
        return name, "OW" if "OW" in vr else "SS" if scope.signed else "US"

    def _value(
        self, tag: int, vr: str, declared: str, offset: int, length: int, dataset: Dataset, scope: _Scope
    ) -> tuple[str, str]:
        """Representation and text of a value that is no sequence."""
        swap = values.WIDTHS.get(declared, 1) if dataset.big_endian else 1
        vr = _reconciled(vr, declared)
        if tag == PIXEL_DATA and length > values.HEX_MAXIMUM:
            return vr, self._native_pixels(offset, length, swap)
        if vr in values.TEXT and length <= values.READ_MAXIMUM:
            return vr, values.text_value(vr, self._buffer[offset : offset + length], scope.decode)
        if vr == "UN":
            if length <= values.TEXT_MAXIMUM + 2:
                return vr, values.unknown_value(swapped(self._buffer[offset : offset + length], swap))
        elif vr not in values.BULK and vr in values.WIDTHS and length <= 8 * values.VALUES_MAXIMUM:
            said = values.binary_numbers(vr, swapped(self._buffer[offset : offset + length], swap))
            if said is not None:
                return vr, said
        return vr, values.bulk(self._source, offset, length, swap)

    # sequences

    def _items(self, tag: int, items: list[Dataset], path: str, scope: _Scope) -> None:
        if not items:
            self._line(path, "SQ", "empty")
            return
        for item, name in zip(items, self._labels(tag, items), strict=True):
            where = f"{path}[{name}]"
            if item.elements or item.unparsed:
                self._dataset(item, f"{where}.", scope)
            else:
                self._line(where, "SQ", "empty item")

    def _labels(self, tag: int, items: list[Dataset]) -> list[str]:
        """What names the items: their identity attribute where all have it and all differ, else their positions."""
        wanted = self._identities.get(tag)
        if wanted is not None:
            names = [self._identity(item, wanted) for item in items]
            if None not in names and len(set(names)) == len(names):
                return [label(name) for name in names if name is not None]
        return [str(position) for position in range(1, len(items) + 1)]

    def _identity(self, item: Dataset, wanted: int) -> str | None:
        for tag, declared, offset, length, inside in item.elements:
            if tag != wanted:
                continue
            if not length or length > 64 or inside is not None:
                return None
            scope = _Scope(charset.ascii_decoder, signed=False)
            _, vr = self._name(tag, scope)
            _, said = self._value(tag, vr, declared, offset, length, item, scope)
            return said[1:-1] if said[:1] == '"' else said.split(" ", 1)[0]
        return None

    # pixels

    def _fragments(self, tag: int, fragments: Fragments, prefix: str) -> str:
        """Encapsulated pixels: by their decoded frames where the compression is lossless, else as they are."""
        note = ""
        if tag == PIXEL_DATA and not prefix and self._source.transfer_syntax in pixels.LOSSLESS:
            decoded = pixels.decode(self._source.file)
            if decoded:
                return f"{decoded.size} bytes sha256:{decoded.sha256}"
            note = " (not decodable)"
        digest, size = hashlib.sha256(), 0
        frames = fragments.pieces[1:]  # the first is the offset table, which only says where the frames are
        for offset, length in frames:
            size += length
            for piece in self._source.pieces(offset, length):
                digest.update(piece)
        return f"{size} bytes in {len(frames)} fragments sha256:{digest.hexdigest()}{note}"

    def _native_pixels(self, offset: int, length: int, swap: int) -> str:
        """Native pixels, colour by pixel: planes (PlanarConfiguration 1) are interleaved frame by frame."""
        header = {
            tag: self._short(offset, length)
            for tag, _, offset, length, _ in self._root.elements
            if length == 2
        }
        samples, depth = header.get(_SAMPLES, 1), header.get(_ALLOCATED, 0)
        plane = header.get(_ROWS, 0) * header.get(_COLUMNS, 0) * depth // 8
        frame = plane * samples
        planar = header.get(_PLANAR, 0) == 1 and samples > 1 and depth in {8, 16, 32}
        if (
            not planar
            or not 0 < frame <= min(length, _PLANAR_FRAME_MAXIMUM)
            or length - length % frame + 1 < length
        ):
            return values.bulk(self._source, offset, length, swap)
        digest = hashlib.sha256()
        for start in range(0, length - frame + 1, frame):
            data = b"".join(self._source.pieces(offset + start, frame))
            digest.update(_interleaved(swapped(data, swap), samples, depth // 8))
        digest.update(self._source.value(offset + length - length % frame, length % frame))
        return f"{length} bytes sha256:{digest.hexdigest()}"

    def _short(self, offset: int, length: int) -> int:
        return int.from_bytes(
            self._buffer[offset : offset + length], "big" if self._root.big_endian else "little"
        )


def _reconciled(vr: str, declared: str) -> str:
    """The dictionary's representation, unless the object declares one of another kind: then its own is what it is."""
    if declared in {"", "UN", vr} or vr == "UN":
        return vr
    if declared in values.TEXT and vr in values.TEXT:
        return vr
    if declared in values.BULK and vr in values.BULK:
        return vr
    same_width = values.WIDTHS.get(declared) == values.WIDTHS.get(vr) is not None
    return vr if same_width and {declared, vr} <= {"US", "SS", "OW"} else declared


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
