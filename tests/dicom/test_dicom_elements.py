"""The walk over raw elements: total, bounded, and blind to how lengths are written."""

import struct

import pytest
from dicom_kit import IMPLICIT
from hypothesis import given
from hypothesis import strategies as st

from vault.dicom import elements
from vault.dicom.elements import Dataset, Encoding, Fragments, parse


def explicit(tag: int, vr: bytes, value: bytes, length: int | None = None) -> bytes:
    size = len(value) if length is None else length
    start = struct.pack("<HH2s", tag >> 16, tag & 0xFFFF, vr)
    return (
        start
        + (struct.pack("<HI", 0, size) if vr in {b"SQ", b"UN", b"OB"} else struct.pack("<H", size))
        + value
    )


def item(value: bytes, length: int | None = None) -> bytes:
    return struct.pack("<HHI", 0xFFFE, 0xE000, len(value) if length is None else length) + value


def tags(dataset: Dataset) -> list[object]:
    return [
        (hex(tag), [tags(one) for one in inside]) if isinstance(inside, list) else hex(tag)
        for tag, _, _, _, inside in dataset.elements
    ]


def test_un_of_undefined_length_is_implicit_inside_explicit():
    inner = struct.pack("<HHI", 0x10, 0x20, 2) + b"AB"
    data = explicit(0x00091001, b"UN", item(inner) + struct.pack("<HHI", 0xFFFE, 0xE0DD, 0), 0xFFFFFFFF)
    assert tags(parse(data, 0, Encoding.EXPLICIT)) == [("0x91001", [["0x100020"]])]


def test_a_private_value_is_a_sequence_only_where_every_byte_fits():
    inner = item(struct.pack("<HHI", 0x10, 0x20, 2) + b"AB")
    assert tags(parse(explicit(0x00091001, b"OB", inner), 0, Encoding.EXPLICIT)) == [
        ("0x91001", [["0x100020"]])
    ]
    assert tags(parse(explicit(0x00091001, b"OB", inner + b"x"), 0, Encoding.EXPLICIT)) == ["0x91001"]


def test_fragments():
    data = explicit(
        0x7FE00010, b"OB", item(b"") + item(b"ab") + struct.pack("<HHI", 0xFFFE, 0xE0DD, 0), 0xFFFFFFFF
    )
    dataset = parse(data + explicit(0xFFFCFFFC, b"OB", b""), 0, Encoding.EXPLICIT)
    assert isinstance(dataset.elements[0][4], Fragments)
    assert [length for _, length in dataset.elements[0][4].pieces] == [0, 2]
    assert len(dataset.elements) == 2


@pytest.mark.parametrize("vr", [b"ZZ", b"OV"])
def test_a_representation_of_a_later_standard_has_a_long_length(vr):
    data = struct.pack("<HH2sHI", 8, 1, vr, 0, 2) + b"AB" + explicit(0x00100020, b"LO", b"A ")
    assert tags(parse(data, 0, Encoding.EXPLICIT)) == ["0x80001", "0x100020"]


def test_an_implicit_element_amid_explicit_ones():
    data = struct.pack("<HHI", 8, 0x60, 2) + b"CT" + explicit(0x00100020, b"LO", b"A ")
    assert tags(parse(data, 0, Encoding.EXPLICIT)) == ["0x80060", "0x100020"]


@pytest.mark.parametrize(
    "rest",
    [
        b"\x10",
        explicit(0x00100020, b"LO", b"AB", 99),
        explicit(0x00100020, b"OB", b"AB", 0xFFFFFFF0),
        struct.pack("<HHI", 0xFFFE, 0xE00D, 0),
        struct.pack("<HHI", 0xFFFE, 0xE0DD, 0),
    ],
)
def test_what_is_no_element_is_kept_as_unparsed(rest):
    start = explicit(0x00080060, b"CS", b"CT")
    dataset = parse(start + rest, 0, Encoding.EXPLICIT)
    assert tags(dataset) == ["0x80060"]
    assert dataset.unparsed == (len(start), len(rest))


def test_the_number_of_elements_is_bounded(monkeypatch):
    monkeypatch.setattr(elements, "ELEMENTS_MAXIMUM", 10)
    dataset = parse(explicit(0x00100020, b"LO", b"") * 20, 0, Encoding.EXPLICIT)
    assert len(dataset.elements) == 10
    assert dataset.unparsed == (80, 80)
    assert dataset.reason == "too many elements"


def test_the_transfer_syntax_is_not_believed_where_the_first_element_plainly_disagrees():
    implicit = struct.pack("<HHI", 8, 5, 10) + b"ISO_IR 100"
    explicit_bytes = explicit(0x00080005, b"CS", b"ISO_IR 100")
    assert elements.encoding_of(implicit, 0, "1.2.840.10008.1.2.1") is Encoding.IMPLICIT
    assert elements.encoding_of(explicit_bytes, 0, IMPLICIT) is Encoding.EXPLICIT


def _accounted(dataset: Dataset, end: int) -> int:
    """Where the last accounted byte of a data set is."""
    for _, _, offset, length, inside in dataset.elements:
        assert offset + length <= end
        if isinstance(inside, list):
            for one in inside:
                _accounted(one, end)
    if dataset.unparsed:
        return sum(dataset.unparsed)
    return dataset.elements[-1][2] + dataset.elements[-1][3] if dataset.elements else 0


@given(st.binary(max_size=200), st.sampled_from(Encoding))
def test_every_byte_is_an_element_or_unparsed(data, encoding):
    assert _accounted(parse(data, 0, encoding), len(data)) == len(data)


@given(
    st.lists(
        st.sampled_from(
            [item(b""), item(b"", 0xFFFFFFFF), explicit(0x300A00B0, b"SQ", b"", 0xFFFFFFFF), b"\0"]
        )
    )
)
def test_half_open_sequences_end(pieces):
    data = explicit(0x300A00B0, b"SQ", b"".join(pieces), 0xFFFFFFFF)
    for encoding in Encoding:
        parse(data, 0, encoding)
