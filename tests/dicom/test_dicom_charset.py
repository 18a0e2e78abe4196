"""Text in DICOM's character sets: the examples of PS3.5 annexes H to K, and bytes that no set can read."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vault.dicom.charset import decoder, understood, visible

JAPANESE = "Yamada^Tarou=山田^太郎=やまだ^たろう"
SETS = [
    b"",
    b"ISO_IR 100",
    b"ISO_IR 13",
    b"ISO_IR 192",
    b"GB18030",
    b"GBK",
    b"ISO 2022 IR 100\\ISO 2022 IR 126",
]
SETS += [
    b"\\ISO 2022 IR 87\\ISO 2022 IR 159",
    b"\\ISO 2022 IR 149",
    b"\\ISO 2022 IR 58",
    b"ISO 2022 IR 13",
    b"x",
]


@pytest.mark.parametrize(
    ("charset", "data", "text"),
    [
        (b"ISO_IR 100", b"Buc^J\xe9r\xf4me", "Buc^Jérôme"),
        (b"ISO_IR 101 ", b"W\xb3och", "Włoch"),
        (b"ISO_IR 144", b"\xbb\xee\xdace\xdc\xd1yp\xd3", "Люкceмбypг"),  # noqa: RUF001
        (b"ISO_IR 126", b"\xc4\xe9\xef\xed\xf5\xf3\xe9\xef\xf2", "Διονυσιος"),
        (b"ISO_IR 192", "Wang^XiaoDong=王^小東".encode(), "Wang^XiaoDong=王^小東"),
        (b"GB18030", b"Wang^XiaoDong=\xcd\xf5^\xd0\xa1\xb6\xab", "Wang^XiaoDong=王^小东"),
        (b"ISO_IR 13", b"\xd4\xcf\xc0\xde^\xc0\xdb\xb3", "ﾔﾏﾀﾞ^ﾀﾛｳ"),
        (
            b"\\ISO 2022 IR 87",
            b"Yamada^Tarou=\x1b$B;3ED\x1b(B^\x1b$BB@O:\x1b(B=\x1b$B$d$^$@\x1b(B^\x1b$B$?$m$&\x1b(B",
            JAPANESE,
        ),
        (
            b"ISO 2022 IR 13\\ISO 2022 IR 87",
            b"\xd4\xcf\xc0\xde=\x1b$B;3ED\x1b(J^\x1b$BB@O:\x1b(J",
            "ﾔﾏﾀﾞ=山田^太郎",
        ),
        (
            b"\\ISO 2022 IR 149",
            b"Hong^Gildong=\x1b$)C\xfb\xf3^\x1b$)C\xd1\xce\xd4\xd7=\x1b$)C\xc8\xab^\x1b$)C\xb1\xe6\xb5\xbf",
            "Hong^Gildong=洪^吉洞=홍^길동",
        ),
        (b"\\ISO 2022 IR 58", b"Zhang=\x1b$)A\xd5\xc5^\x1b$)A\xd0\xa1\xb6\xab", "Zhang=张^小东"),
        (
            b"ISO 2022 IR 100\\ISO 2022 IR 126",
            b"J\xe9r\x1b-F\xc4\xe9\xef\\J\xe9r",
            "JérΔιο\\Jér",  # noqa: RUF001
        ),
        (b"iso ir 100", b"\xe9", "é"),
    ],
)
def test_text_reads_as_it_was_written(charset, data, text):
    assert decoder(charset)(data) == text
    assert understood(charset)


@pytest.mark.parametrize(
    ("charset", "data", "text"),
    [
        (b"", b"M\xfcller", "M\\xfcller"),
        (b"ISO_IR 192", b"M\xfcller", "M\\xfcller"),
        (b"GB18030", b"a\x81 b", "a\\x81 b"),
        (b"\\ISO 2022 IR 87", b"\x1b$B;3\x7f\x7f\x1b(BX", "山\\x7f\\x7fX"),
        (b"\\ISO 2022 IR 149", b"\x1b$)C\xfb", "\\xfb"),
    ],
)
def test_bytes_that_no_set_reads_stay_visible(charset, data, text):
    assert visible(decoder(charset)(data)) == text


def test_a_backslash_inside_a_character_is_no_delimiter():
    assert decoder(b"GB18030")("囗\\誠".encode("gb18030")) == "囗\\誠"
    assert decoder(b"GBK")(b"\x81\x5c") == "乗"


def test_sets_that_are_not_known_read_as_ascii():
    assert not understood(b"ISO_IR 999")
    assert decoder(b"ISO_IR 999")(b"abc") == "abc"


@given(st.binary(max_size=60), st.sampled_from(SETS))
def test_any_bytes_decode(data, charset):
    visible(decoder(charset)(data)).encode("utf-8")


@given(st.text(max_size=30).map(str.encode))
def test_utf_8_is_utf_8(data):
    assert decoder(b"ISO_IR 192")(data) == data.decode()
