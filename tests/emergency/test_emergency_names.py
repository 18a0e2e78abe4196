from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vault.emergency.names import LONGEST, LONGEST_BYTES, distinct, readable

ANY_TEXT = st.text(st.characters(codec=None, exclude_categories=[]))


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("12345 Müller^Anna", "12345 Müller^Anna"),
        ("Mu\u0308ller", "Müller"),
        ("山田^太郎", "山田^太郎"),
        ("../../etc/passwd", "_.._etc_passwd"),
        ("a/b\\c:d*e?f", "a_b_c_d_e_f"),
        ("evil\u202egnp.exe", "evil_gnp.exe"),
        ("tab\tand\nline", "tab and line"),
        ("nul\0byte", "nul_byte"),
        ("CON", "_CON"),
        ("lpt1.dcm", "_lpt1.dcm"),
        ("-rf", "rf"),
        ("~root", "root"),
        (".tmp-1", "tmp-1"),
        ("trailing. . ", "trailing"),
        ("...", "unnamed"),
        ("", "unnamed"),
        ("\u202e\u200b", "unnamed"),
        ("\udc80", "unnamed"),
    ],
)
def test_a_name_is_readable_and_harmless(text: str, name: str) -> None:
    assert readable(text) == name


@given(ANY_TEXT)
def test_any_text_makes_one_name_that_leads_nowhere(text: str) -> None:
    name = readable(text)
    assert 0 < len(name) <= LONGEST + 1
    assert len(name.encode()) <= LONGEST_BYTES + 1
    assert name == name.strip()
    assert not name.startswith((".", "-", "~"))
    assert not name.endswith(".")
    assert not set(name) & set('/\\:*?"<>|')
    assert all(unicodedata.category(character)[0] != "C" for character in name)


@given(
    st.dictionaries(
        st.text(max_size=20), st.sampled_from(["a.dcm", "A.dcm", "b.dcm", "ﬁ.dcm", "fi.dcm", "c"])
    )
)
def test_no_two_keys_share_a_name_case_ignored(names: dict[str, str]) -> None:
    result = distinct(names)
    assert result.keys() == names.keys()
    folded = [unicodedata.normalize("NFKC", name).casefold() for name in result.values()]
    assert len(set(folded)) == len(folded)


def test_a_name_does_not_depend_on_the_order_and_keeps_its_extension() -> None:
    forward = distinct({"x": "plan.dcm", "y": "PLAN.dcm", "z": "dose.dcm"})
    backward = distinct({"z": "dose.dcm", "y": "PLAN.dcm", "x": "plan.dcm"})
    assert forward == backward
    assert forward["z"] == "dose.dcm"
    assert forward["x"].startswith("plan ")
    assert forward["x"].endswith(".dcm")


def test_a_suffix_that_somebody_else_has_already_is_no_collision() -> None:
    suffixed = distinct({"x": "plan.dcm", "y": "PLAN.dcm"})["x"]
    result = distinct({"x": "plan.dcm", "y": "PLAN.dcm", "z": suffixed})
    assert len({name.casefold() for name in result.values()}) == 3
