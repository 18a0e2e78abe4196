"""Deflated objects: inflated within bounds, and every deflated byte accounted for."""

import struct
import zlib

import pytest
from dicom_kit import DEFLATED, Element, Style, form, write

from vault.normal import source

PLAN = (Element(0x00080060, "CS", "RTPLAN"), Element(0x300A0002, "SH", "A"))
LINES = ['Modality CS "RTPLAN"', 'RTPlanLabel SH "A"']


@pytest.fixture
def path(tmp_path):
    return tmp_path / "object.dcm"


def gzip_trailer() -> bytes:
    plain = write(PLAN, Style())
    plain = plain[plain.index(b"\x08\0\x05\0CS") :]
    return struct.pack("<II", zlib.crc32(plain), len(plain))


@pytest.mark.parametrize("end", [b"", b"\0", gzip_trailer(), gzip_trailer() + b"\0"])
def test_padding_and_a_true_trailer_are_no_content(path, end):
    whole = write(PLAN, Style(DEFLATED)).removesuffix(b"\0")
    assert form(path, whole + end) == LINES


@pytest.mark.parametrize("end", [b"\0\0\0", b"12345678", b"x" * 5000])
def test_what_follows_the_stream_is_said(path, end):
    lines = form(path, write(PLAN, Style(DEFLATED)) + end)
    assert lines[:2] == LINES
    assert lines[2].startswith("(unparsed) UN ")
    assert lines[2].endswith("(does not inflate)")


def test_a_stream_that_breaks_off_is_said(path):
    whole = write((*PLAN, Element(0x00420011, "OB", bytes(range(256)) * 40)), Style(DEFLATED))
    lines = form(path, whole[:-20])
    assert any(line.endswith("(does not inflate)") for line in lines)


def test_a_bomb_is_not_inflated_and_said(path, monkeypatch):
    monkeypatch.setattr(source, "INFLATED_ALWAYS", 1 << 20)
    (line,) = form(path, write((Element(0x00420011, "OB", bytes(8 << 20)),), Style(DEFLATED)))
    assert line.startswith("(opaque) UN ")
    assert line.endswith(" (inflates too far)")
    assert not list(path.parent.glob("tmp*"))
