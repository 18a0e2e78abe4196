"""What is said of one value."""

import struct
from hashlib import sha256

import pytest

from vault.dicom.charset import ascii_decoder, decoder
from vault.normal import values
from vault.normal.values import binary_numbers, text_value, unknown_value

UTF8 = decoder(b"ISO_IR 192")


@pytest.mark.parametrize(
    ("vr", "data", "said"),
    [
        ("LO", b" A \\B ", '"A"\\"B"'),
        ("CS", b"ORIGINAL\\PRIMARY ", '"ORIGINAL"\\"PRIMARY"'),
        ("LT", b" a\\b \r\nc  ", '" a\\\\b \\r\\nc"'),
        ("UC", b" a \\ b", '" a"\\" b"'),
        ("UR", b"http://a/b\\c  ", '"http://a/b\\\\c"'),
        ("PN", b"Doe^J^^^=^=", '"Doe^J"'),
        ("PN", b"Doe^J ^= \\Roe", '"Doe^J"\\"Roe"'),
        ("PN", b"=^=\xc3\xa9", '"==é"'),
        ("SH", b"A\0", '"A"'),
        ("UI", b"1.2.840.10008.1.2\0", "1.2.840.10008.1.2 Implicit VR Little Endian"),
        ("UI", b"1.2\\1.3 ", "1.2\\1.3"),
        ("UI", b"1.2.x", '"1.2.x"'),
        ("UI", b"", '""'),
        ("DA", b"\xff", '"\\xff"'),
    ],
)
def test_text(vr, data, said):
    assert text_value(vr, data, UTF8) == said


@pytest.mark.parametrize(
    ("vr", "data", "said"),
    [
        ("US", struct.pack("<2H", 1, 65535), "1\\65535"),
        ("SL", struct.pack("<i", -1), "-1"),
        ("SV", struct.pack("<q", -(2**63)), "-9223372036854775808"),
        ("FL", struct.pack("<2f", 0.1, -0.0), "0.1\\-0"),
        ("FD", struct.pack("<3d", 0.1, 1e300, -1e-300), "0.1\\1e300\\-1e-300"),
        ("FD", struct.pack("<Q", 0x7FF8000000000001), "nan:7ff8000000000001"),
        ("AT", struct.pack("<4H", 0x300A, 0x11E, 0, 1), "(300a,011e)\\(0000,0001)"),
        ("US", b"\1", None),
        ("US", bytes(130), None),
        ("FD", b"", '""'),
    ],
)
def test_binary_numbers(vr, data, said):
    assert binary_numbers(vr, data) == said


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "0 bytes"),
        (b"SOBP", '"SOBP"'),
        (b"SOB ", '"SOB"'),
        (b"SO  ", '"SO "'),
        (b"1.2\0", '"1.2\\u{0}"'),
        (b"1.2", '"1.2\\u{0}"'),
        (b"A\0", "2 bytes 4100"),
        (b"A ", '"A"'),
        ("Gerät 1".encode(), '"Gerät 1"'),
        ("éé".encode(), "4 bytes c3a9c3a9"),
        (b"\xffabcdefg", "8 bytes ff61626364656667"),
        (bytes(65), f"66 bytes sha256:{sha256(bytes(66)).hexdigest()}"),
    ],
)
def test_values_of_which_nothing_is_known(data, said):
    assert unknown_value(data, UTF8) == said


def test_long_text_is_hashed():
    said = text_value("LT", b"x" * (values.TEXT_MAXIMUM + 1), ascii_decoder)
    assert said.startswith(f"{values.TEXT_MAXIMUM + 3} bytes sha256:")
