"""Text on one line: nothing in it can end, hide or reorder the line."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vault.normal.text import creator, label, quote


@pytest.mark.parametrize(
    ("text", "quoted"),
    [
        ("PROSTATE_1A", '"PROSTATE_1A"'),
        ('5" \\ x', '"5\\" \\\\ x"'),
        ("a\nb\r\tc", '"a\\nb\\r\\tc"'),
        ("Müller 治疗", '"Müller 治疗"'),
        ("\u202egnp.exe", '"\\u{202e}gnp.exe"'),
        ("a\u2028b\u0085c\x00", '"a\\u{2028}b\\u{85}c\\u{0}"'),
        ("a\u00a0b\u200bc\ufeff", '"a\\u{a0}b\\u{200b}c\\u{feff}"'),
        ("\udcfc", '"\\xfc"'),
        ("\ue000\U000f0000", '"\\u{e000}\\u{f0000}"'),
    ],
)
def test_quotes(text, quoted):
    assert quote(text) == quoted


def test_labels_and_creators_hold_no_brackets():
    assert label("MLCX") == "MLCX"
    assert label("a b[1]") == '"a b\\b5b1\\b5d"'
    assert label("x" * 65) == '"' + "x" * 65 + '"'
    assert creator("ACME {1}") == "{ACME \\b7b1\\b7d}"


@given(st.text(), st.text())
def test_different_texts_read_differently(one, other):
    assert (quote(one) == quote(other)) == (one == other)
    assert "\n" not in quote(one)
    assert len(quote(one).splitlines()) == 1
