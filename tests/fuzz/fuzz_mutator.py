"""Changes to an input that know what DICOM looks like: a length, a tag, a whole element, a nesting."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable
from random import Random

from vault.dicom import part10
from vault.dicom.elements import Dataset, Encoding, encoding_of, parse

SYNTAXES = (
    part10.IMPLICIT_LITTLE,
    part10.EXPLICIT_LITTLE,
    part10.EXPLICIT_BIG,
    part10.DEFLATED,
    "1.2.840.10008.1.2.5",
    "1.2.840.10008.1.2.4.70",
    "1.2.840.10008.1.2.4.80",
    "1.2.840.10008.1.2.4.90",
)
INFLATED_MAXIMUM = 1 << 20
TAGS = (
    0x00080005, 0x00080012, 0x00080016, 0x00080018, 0x00080054, 0x00080060, 0x00082111, 0x00090000, 0x00090010,
    0x00090011, 0x00091001, 0x00091101, 0x00100010, 0x00100020, 0x0020000D, 0x0020000E, 0x00280002, 0x00280004,
    0x00280006, 0x00280008, 0x00280010, 0x00280011, 0x00280100, 0x00280101, 0x00280103, 0x00280106, 0x00281201,
    0x00209165, 0x00189318, 0x30060026, 0x30060039, 0x30060040, 0x30060050, 0x300A00B0, 0x300A00C0, 0x300A0111,
    0x300A0112, 0x300A011A, 0x300A011C, 0x32530010, 0x32531010, 0x60003000, 0x7FE00008, 0x7FE00010, 0xFFFCFFFC,
    0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD, 0x00000000, 0x00080000,
)  # fmt: skip
_SHORT = (
    "AE", "AS", "AT", "CS", "DA", "DS", "DT", "FD", "FL", "IS", "LO",
    "LT", "PN", "SH", "SL", "SS", "ST", "TM", "UI", "UL", "US",
)  # fmt: skip
_LONG = ("OB", "OD", "OF", "OL", "OV", "OW", "SQ", "SV", "UC", "UN", "UR", "UT", "UV", "ZZ")
VRS = _SHORT + _LONG
VALUES = (
    b"", b"\0", b" ", b"1", b"-0", b"1.50", b"+1e3", b"1\\2.0\\-0.00", b"\\\\\\", b"1e400", b"01\\.5\\5.", b"x\\y",
    b"12.500\\" * 40, b"+1\\" * 400, b"x\\" * 400, b"\x1b$B\x30\x21\x1b(B", b"\x1b$)C\xb1\xe8^\xc8\xf1", b"\xc3\xa9^=^",
    b"ISO_IR 192", b"ISO_IR 100", b"GB18030", b"\\ISO 2022 IR 87", b"ISO 2022 IR 13\\ISO 2022 IR 149", b"nonsense",
    b"1.2.840.10008.1.2", b'"\\"[]{}.', b"ACME] [X", b"\xff\xfe\x80", b"\x00\x80\xc0\x7f", b"\x01\x00", b"\xff" * 8,
    b"\xfe\xff\x00\xe0\x00\x00\x00\x00", b"\xfe\xff\x00\xe0\xff\xff\xff\xff\xfe\xff\x0d\xe0\x00\x00\x00\x00",
    b"\r\n\t\f", b"a" * 65, bytes(200), b"YBR_RCT", b"RGB",
    b"Lossless JPEG compression, selection value 1, point transform 0, compression ratio 2.0 [x]",
)  # fmt: skip
_LENGTHS = (0, 1, 2, 3, 4, 8, 0x80, 0x7FFFFFFF, 0xFFFFFFFE, 0xFFFFFFFF, 0xFFFE, 0xFFFF, 0x10000)

Plain = Callable[[bytes, int], bytes]
"""A mutation of bytes that knows nothing, and the most bytes that it may return."""


def mutate(data: bytes, maximum: int, seed: int, plain: Plain) -> bytes:
    """`data` with a few changes, at most `maximum` bytes; the same for the same `seed`."""
    random = Random(seed)
    head, syntax, body = _opened(data)
    if body is None or (random.random() < 0.3 and syntax != part10.DEFLATED):
        return plain(data, maximum)
    for _ in range(random.choice((1, 1, 1, 2, 2, 4))):
        if random.random() < 0.15:
            body = plain(body or b"\0", max(len(body) + 64, 64))
        else:
            body = _Change(body, syntax, random).made()
    if random.random() < 0.03:
        syntax = random.choice(SYNTAXES)
        head = part10.file_head("1.2.840.10008.5.1.4.1.1.481.5", "1.2.3", syntax)
    if syntax == part10.DEFLATED:
        deflater = zlib.compressobj(1, wbits=-zlib.MAX_WBITS)
        body = deflater.compress(body) + deflater.flush()
    return (head + body)[:maximum]


def _opened(data: bytes) -> tuple[bytes, str, bytes | None]:
    """What stands before the data set, its transfer syntax, and the data set, inflated."""
    try:
        syntax, offset = part10.dataset_offset(io.BytesIO(data))
    except part10.NotDicom:
        return b"", "", None
    body = data[offset:]
    if syntax == part10.DEFLATED:
        try:
            body = zlib.decompressobj(-zlib.MAX_WBITS).decompress(body, INFLATED_MAXIMUM)
        except zlib.error:
            return b"", "", None
    return data[:offset], syntax, body


class _Change:
    """One change to a data set."""

    def __init__(self, body: bytes, syntax: str, random: Random) -> None:
        self._body = body
        self._random = random
        self._encoding = encoding_of(body, 0, syntax)
        self._order = ">" if self._encoding is Encoding.BIG else "<"
        self._spans: list[tuple[int, int, int]] = []
        self._collect(parse(body, 0, self._encoding))

    def _collect(self, dataset: Dataset) -> None:
        """Where elements begin, where their values do, and where they end; of any depth."""
        for _, vr, offset, length, inside in dataset.elements:
            start = offset - (12 if vr in _LONG else 8)
            if start >= 0:
                self._spans.append((start, offset, offset + length))
            if isinstance(inside, list):
                for item in inside:
                    self._collect(item)

    def made(self) -> bytes:
        """The data set, changed."""
        random = self._random
        ways = [self._insert, self._cut, self._delimit]
        if self._spans:
            ways += [self._length, self._length, self._tag, self._representation, self._value, self._value]
            ways += [self._remove, self._repeat, self._move, self._wrap, self._insert]
        return random.choice(ways)()

    def _with(self, start: int, end: int, new: bytes) -> bytes:
        return self._body[:start] + new + self._body[end:]

    def _pick(self) -> tuple[int, int, int]:
        return self._random.choice(self._spans)

    def _length(self) -> bytes:
        _, value, end = self._pick()
        near = (end - value - 1, end - value + 1, end - value + 8, len(self._body) - value, end - value - 8)
        number = self._random.choice(_LENGTHS + near) & 0xFFFFFFFF
        if self._random.random() < 0.3:
            return self._with(value - 2, value, struct.pack(self._order + "H", number & 0xFFFF))
        return self._with(value - 4, value, struct.pack(self._order + "I", number))

    def _tag(self) -> bytes:
        start, _, _ = self._pick()
        return self._with(start, start + 4, self._tag_bytes(self._random.choice(TAGS)))

    def _tag_bytes(self, tag: int) -> bytes:
        return struct.pack(self._order + "HH", tag >> 16, tag & 0xFFFF)

    def _representation(self) -> bytes:
        start, _, _ = self._pick()
        return self._with(start + 4, start + 6, self._random.choice(VRS).encode())

    def _value(self) -> bytes:
        """Another value, with the length that it has."""
        start, value, end = self._pick()
        new = self._some_value()
        if value - start == 12 or self._encoding is Encoding.IMPLICIT:
            return self._with(value - 4, end, struct.pack(self._order + "I", len(new)) + new)
        return self._with(value - 2, end, struct.pack(self._order + "H", len(new) & 0xFFFF) + new)

    def _some_value(self) -> bytes:
        random = self._random
        if random.random() < 0.2:
            return random.randbytes(random.randrange(40))
        pieces = [random.choice(VALUES) for _ in range(random.choice((1, 1, 1, 2, 3)))]
        return random.choice((b"", b"\\")).join(pieces)

    def _remove(self) -> bytes:
        start, _, end = self._pick()
        return self._with(start, end, b"")

    def _repeat(self) -> bytes:
        start, _, end = self._pick()
        times = self._random.choice((2, 2, 3, 20))
        return self._with(start, end, self._body[start:end] * times) if end - start < 4096 else self._body

    def _move(self) -> bytes:
        start, _, end = self._pick()
        taken = self._body[start:end]
        there, _, _ = self._pick()
        return self._body[:there] + taken + self._body[there:]

    def _wrap(self) -> bytes:
        """Elements as an item of a sequence."""
        start, _, end = self._pick()
        return self._with(start, end, self._nested(self._body[start:end]))

    def _insert(self) -> bytes:
        random = self._random
        at = random.choice(self._spans)[random.choice((0, 2))] if self._spans else 0
        new = self._element(random.choice(TAGS), random.choice(VRS), self._some_value())
        for _ in range(random.choice((0, 0, 0, 1, 2, 40))):
            new = self._nested(new)
        return self._with(at, at, new)

    def _nested(self, content: bytes) -> bytes:
        random = self._random
        item = self._tag_bytes(0xFFFEE000)
        if random.random() < 0.5:
            item += struct.pack(self._order + "I", len(content)) + content
        else:
            item += b"\xff" * 4 + content + self._tag_bytes(0xFFFEE00D) + bytes(4)
        tag = random.choice(TAGS)
        if random.random() < 0.5:
            return self._element(tag, random.choice(("SQ", "UN")), item)
        whole = self._element(tag, random.choice(("SQ", "UN", "OB")), item, undefined=True)
        return whole + self._tag_bytes(0xFFFEE0DD) + bytes(4)

    def _element(self, tag: int, vr: str, value: bytes, *, undefined: bool = False) -> bytes:
        number = struct.pack(self._order + "I", 0xFFFFFFFF if undefined else len(value))
        if self._encoding is Encoding.IMPLICIT:
            return self._tag_bytes(tag) + number + value
        if vr in _LONG or undefined:
            return self._tag_bytes(tag) + vr.encode() + b"\0\0" + number + value
        return (
            self._tag_bytes(tag) + vr.encode() + struct.pack(self._order + "H", len(value) & 0xFFFF) + value
        )

    def _cut(self) -> bytes:
        return self._body[: self._random.randrange(len(self._body) + 1)]

    def _delimit(self) -> bytes:
        at = self._random.randrange(len(self._body) + 1)
        return self._with(
            at, at, self._tag_bytes(self._random.choice((0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD))) + bytes(4)
        )
