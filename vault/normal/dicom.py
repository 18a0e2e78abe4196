"""The normal form of a DICOM object: every element as one line, the same however the object was encoded.

    normal-form 1
    SOPClassUID UI 1.2.840.10008.5.1.4.1.1.481.5 RT Plan Storage
    RTPlanLabel SH "PROSTATE_1A"
    BeamSequence[2].ControlPointSequence[0].GantryAngle DS 181
    PixelData OW 524288 bytes sha256:…
    {VARIAN MEDICAL SYSTEMS}(3253,xx10) UN 812 bytes sha256:…

It is written from the raw elements, never from converted values, so that nothing a library can't read drops out.
It is total: what is not DICOM gets one line with its length and SHA-256, and bytes that the walk could not account
for are said where they stand. It is bounded, too: an object made to have a normal form many times its size gets that
one line as well.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import BinaryIO, NamedTuple

from vault.dicom import charset
from vault.dicom.charset import Decoder
from vault.dicom.elements import PIXEL_DATA, Dataset, Element, Fragments, encoding_of, parse
from vault.dicom.part10 import NotDicom
from vault.files import CHUNK
from vault.normal import VERSION, frames, values
from vault.normal.frames import DESCRIBES_COMPRESSION, PLANAR_CONFIGURATION, Pixels
from vault.normal.identity import identity_tags
from vault.normal.naming import Name, ordered, public_name
from vault.normal.output import Output, TooLongError, budget
from vault.normal.source import InflatesTooFarError, Source, open_source, swapped
from vault.normal.text import label
from vault.normal.volatile import SHIPPED, VolatileTable

HEADER = f"normal-form {VERSION}\n".encode()

_CHARACTER_SET, _PIXEL_REPRESENTATION = 0x00080005, 0x00280103
_SURVEYED = frozenset((_CHARACTER_SET, _PIXEL_REPRESENTATION, PIXEL_DATA))
_UNUSUAL = DESCRIBES_COMPRESSION | {PIXEL_DATA, PLANAR_CONFIGURATION}
_CHARACTER_SET_MAXIMUM = 1024
_IDENTITY_MAXIMUM = 64
"""Bytes of a value that may name an item."""


def normal_form(source: Path, out: BinaryIO, volatile: VolatileTable = SHIPPED) -> None:
    """Write the normal form of the file `source` to `out`: a pure function of its bytes and of `volatile`.

    `out` must be able to seek: a form that grows too long is taken back. Raises only what reading `source` or
    writing `out` does (OSError).
    """
    out.write(HEADER)
    start = out.tell()
    reason = ""
    try:
        with open_source(source) as opened:
            encoding = encoding_of(opened.buffer, opened.offset, opened.transfer_syntax)
            root = parse(opened.buffer, opened.offset, encoding)
            if root.elements:
                _Form(opened, out, volatile).write(root)
                return
    except NotDicom:
        pass
    except InflatesTooFarError:
        reason = " (inflates too far)"
    except TooLongError:
        out.seek(start)
        out.truncate()
        reason = " (its normal form would be too long)"
    _opaque(source, out, reason)


def _opaque(source: Path, out: BinaryIO, reason: str) -> None:
    digest, size = hashlib.sha256(), 0
    with source.open("rb") as file:
        while piece := file.read(CHUNK):
            digest.update(piece)
            size += len(piece)
    out.write(f"(opaque) UN {size} bytes sha256:{digest.hexdigest()}{reason}\n".encode())


class _Scope(NamedTuple):
    """What the elements of a data set are read by, handed down to its items unless they say otherwise."""

    decode: Decoder = charset.ascii_decoder
    signed: bool = False
    """PixelRepresentation (0028,0103) is 1: what the standard calls `US or SS` is SS."""


class _Form:
    """One pass over the parsed elements of an object, writing lines as it goes."""

    def __init__(self, source: Source, out: BinaryIO, volatile: VolatileTable) -> None:
        self._source = source
        self._buffer = source.buffer
        self._out = Output(out, budget(len(source.buffer) - source.offset))
        self._volatile = volatile
        self._identities = identity_tags()
        self._known: dict[int, Name] = {}

    def write(self, root: Dataset) -> None:
        """Write the whole form."""
        self._dataset(root, "", _Scope())
        leftover = self._source.leftover
        if leftover:
            said = f"{leftover.length} bytes sha256:{leftover.sha256} (does not inflate)"
            self._out.line("(unparsed)", "UN", said)
        self._out.flush()

    def _dataset(self, dataset: Dataset, prefix: str, scope: _Scope) -> bool:
        """Write a data set or item; returns whether there was anything to write."""
        scope, pixels, in_order = self._survey(dataset, scope)
        written = False
        known = self._known
        if in_order:
            for element in dataset.elements:
                tag = element[0]
                about = known.get(tag) or self._learn(tag)
                if about.ordinary:
                    self._element(element, prefix + about.name, about.vr, dataset, scope)
                    written = True
                elif self._unusual(element, about, prefix, dataset, scope, pixels):
                    written = True
        else:
            for element, private in ordered(dataset, self._buffer, scope.decode):
                about = private or self._learn(element[0])
                if self._unusual(element, about, prefix, dataset, scope, pixels):
                    written = True
        if dataset.unparsed:
            offset, length = dataset.unparsed
            reason = f" ({dataset.reason})" if dataset.reason else ""
            digest = self._source.digest(offset, length)
            self._out.line(f"{prefix}(unparsed)", "UN", f"{length} bytes sha256:{digest}{reason}")
        return written or dataset.unparsed is not None

    def _survey(self, dataset: Dataset, scope: _Scope) -> tuple[_Scope, Pixels | None, bool]:
        """What its other elements are read by, its pixels, and whether all are public and in order."""
        pixels, looked = None, False
        in_order, last = True, -1
        for tag, declared, offset, length, _ in dataset.elements:
            if tag < last or tag & 0x10000:
                in_order = False
            last = tag
            if tag not in _SURVEYED:
                continue
            if tag == _CHARACTER_SET and length <= _CHARACTER_SET_MAXIMUM:
                scope = scope._replace(decode=charset.decoder(self._buffer[offset : offset + length]))
            elif tag == _PIXEL_REPRESENTATION and length == 2:
                low = offset + (dataset.big_endian and declared != "UN")
                scope = scope._replace(signed=self._buffer[low] == 1)
            elif tag == PIXEL_DATA and not looked:
                looked = True  # once, however often the element stands here
                pixels = frames.of_dataset(self._source, dataset)
        return scope, pixels, in_order

    def _learn(self, tag: int) -> Name:
        """What is known of a public element, kept for the next one like it."""
        about = public_name(tag)
        if tag in _UNUSUAL or not tag & 0xFFFF or tag in self._volatile.tags or " " in about.vr:
            about = about._replace(ordinary=False)
        self._known[tag] = about
        return about

    def _unusual(
        self,
        element: Element,
        about: Name,
        prefix: str,
        dataset: Dataset,
        scope: _Scope,
        pixels: Pixels | None,
    ) -> bool:
        """Write an element of which more is to be asked; returns whether it was not left out."""
        if self._left_out(element, about.name, pixels):
            return False
        path, vr = prefix + about.name, about.vr
        if pixels is not None and element[0] == PIXEL_DATA:
            self._out.line(path, "OW", pixels.text)
        elif pixels is not None and element[0] in DESCRIBES_COMPRESSION:
            _, _, offset, length, _ = element
            data = self._buffer[offset : offset + min(length, values.TEXT_MAXIMUM)]
            text = pixels.without_compression(element[0], values.text_value(vr, data, scope.decode))
            if text is None:
                return False
            self._out.line(path, vr, text)
        else:
            if " " in vr:  # "US or SS", "OB or OW": decided by content, not by what an encoding declares
                vr = "OW" if "OW" in vr else "SS" if scope.signed else "US"
            self._element(element, path, vr, dataset, scope)
        return True

    def _left_out(self, element: Element, name: str, pixels: Pixels | None) -> bool:
        tag, _, offset, length, _ = element
        if not tag & 0xFFFF or name in self._volatile.private:
            return True
        if tag not in self._volatile.tags:
            return False
        if tag == PLANAR_CONFIGURATION:
            return pixels is None or pixels.interleaved
        if tag == _CHARACTER_SET:  # a set that can't be read is said, since the text then can't speak for it
            return length <= _CHARACTER_SET_MAXIMUM and charset.understood(
                self._buffer[offset : offset + length]
            )
        return True

    def _element(self, element: Element, path: str, vr: str, dataset: Dataset, scope: _Scope) -> None:
        tag, declared, offset, length, inside = element
        if inside is not None:
            if isinstance(inside, Fragments):
                self._out.line(path, "UN", frames.fragments_text(self._source, inside))
            else:
                self._items(tag, inside, path, vr, scope)
            return
        if declared and declared != vr:
            vr = reconciled(vr, declared)
        if vr in values.NUMERIC_TEXT and length <= values.LIST_MAXIMUM:
            self._out.numbers(path, vr, self._buffer[offset : offset + length])
        elif vr in values.TEXT and vr not in values.NUMERIC_TEXT and length <= values.READ_MAXIMUM:
            data = self._buffer[offset : offset + length]
            spell = values.text_value if length > values.SHORT else values.short_text_value
            self._out.line(path, vr, spell(vr, data, scope.decode))
        elif vr == "SQ" and not length:
            self._out.line(path, vr, "empty")
        else:
            swap = values.WIDTHS.get(declared, 1) if dataset.big_endian else 1
            self._out.line(path, vr, self._binary(vr, offset, length, swap, scope))

    def _binary(self, vr: str, offset: int, length: int, swap: int, scope: _Scope) -> str:
        said = None
        if vr == "UN":
            if length <= values.TEXT_MAXIMUM + 2:
                data = swapped(self._buffer[offset : offset + length], swap)
                spell = values.unknown_value if length > values.SHORT else values.short_unknown_value
                said = spell(data, scope.decode)
        elif vr in values.WIDTHS and vr not in values.BULK and length <= 8 * values.VALUES_MAXIMUM:
            said = values.binary_numbers(vr, swapped(self._buffer[offset : offset + length], swap))
        return values.bulk(self._source, offset, length, swap) if said is None else said

    # sequences

    def _items(self, tag: int, items: list[Dataset], path: str, vr: str, scope: _Scope) -> None:
        if not items:
            self._out.line(path, vr, "0 bytes" if vr == "UN" else "empty")
            return
        for item, name in zip(items, self._labels(tag, items, scope), strict=True):
            where = f"{path}[{name}]"
            if not self._dataset(item, f"{where}.", scope):
                self._out.line(where, "SQ", "empty item")

    def _labels(self, tag: int, items: list[Dataset], scope: _Scope) -> Iterable[str]:
        """What names the items: their identity attribute where all have it and all differ, else their positions."""
        wanted = self._identities.get(tag)
        if wanted is not None:
            names: dict[str, None] = {}  # in order
            for item in items:
                name = self._identity(item, wanted, scope)
                if name is None or name in names:
                    break
                names[name] = None
            else:
                return map(label, names)
        return map(str, range(1, len(items) + 1))

    def _identity(self, item: Dataset, wanted: int, scope: _Scope) -> str | None:
        """The value of the attribute `wanted` in an item; None where it is absent, empty, long or a sequence."""
        for tag, declared, offset, length, inside in item.elements:
            if tag != wanted:
                continue
            if not length or length > _IDENTITY_MAXIMUM or inside is not None:
                return None
            vr = reconciled((self._known.get(tag) or self._learn(tag)).vr, declared)
            swap = values.WIDTHS.get(declared, 1) if item.big_endian else 1
            return values.bare(vr, swapped(self._buffer[offset : offset + length], swap), scope.decode)
        return None


_WHOLE_NUMBERS = (frozenset(["US", "SS", "OW"]), frozenset(["UL", "SL", "OL"]), frozenset(["UV", "SV", "OV"]))


def reconciled(vr: str, declared: str) -> str:
    """The dictionary's representation, unless the object declares one of another kind: then its own is what it is."""
    if declared in {"", "UN", vr} or vr == "UN":
        return vr
    alike = (values.TEXT, values.BULK, *_WHOLE_NUMBERS)
    return vr if any(declared in kind and vr in kind for kind in alike) else declared
