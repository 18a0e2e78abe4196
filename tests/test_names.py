"""Names from strangers: safe, injective also where case is folded, readable where they can be."""

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vault.names import MAXIMUM, safe_name

hostile = st.text(st.sampled_from(string.ascii_letters + string.digits + "._-~%/\\ :\0\n*ä日"), max_size=200)


@pytest.mark.parametrize("text", ["12345", "DEMO-001", "1.2.840.10008.5.1.4.1.1.2", "A_B-C"])
def test_what_is_harmless_stays_as_it_is(text):
    assert safe_name(text) == text


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("../../etc/passwd", "%2E.%2F..%2Fetc%2Fpasswd~fv"),
        ("CON", "%43ON"),
        ("nul.txt", "%6Eul.txt~v"),
        ("-rf", "%2Drf~3"),
        ("", "~"),
        ("trailing.", "trailing%2E~7v"),
    ],
)
def test_what_is_not_is_escaped_readably(text, name):
    assert safe_name(text) == name


@given(hostile)
def test_a_name_is_safe_on_every_file_system(text):
    name = safe_name(text)
    assert 0 < len(name.encode()) <= MAXIMUM
    assert set(name) <= set(string.ascii_letters + string.digits + "._-~%")
    assert name[0] not in ".-"
    assert name[-1] != "."
    assert name.split(".")[0].lower() not in {"con", "prn", "aux", "nul", "com1", "lpt9"}


@given(hostile, hostile)
def test_two_texts_never_share_a_name_even_where_case_is_folded(one, other):
    if one != other:
        assert safe_name(one).lower() != safe_name(other).lower()


@given(hostile)
def test_case_alone_makes_another_name(text):
    for variant in {text.lower(), text.upper(), text.swapcase()} - {text}:
        assert safe_name(variant).lower() != safe_name(text).lower()
