"""What strangers' text becomes on a page."""

from __future__ import annotations

import html as stdlib_html

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vault.report.visible import MOST_CODES, plain, visible


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain <b>", "plain &lt;b&gt;"),
        ("a\u202eb", 'a<span class="code">U+202E</span>b'),
        ("nul\0", 'nul<span class="code">U+0000</span>'),
        ("two\nlines", 'two<span class="code">U+000A</span>lines'),
        ("zero\u200bwidth", 'zero<span class="code">U+200B</span>width'),
        ("\ud800", '<span class="code">U+D800</span>'),
        ("filler\u3164", 'filler<span class="code">U+3164</span>'),
        ("blank\u2800", 'blank<span class="code">U+2800</span>'),
        ("variant\ufe0f", 'variant<span class="code">U+FE0F</span>'),
        ("DOE  JOHN", 'DOE <span class="code">U+0020</span>JOHN'),
        ("a   b c", 'a <span class="code">U+0020</span><span class="code">U+0020</span>b c'),
        ("Λουκία é", "Λουκία é"),
        ("Müller & Söhne", "Müller &amp; Söhne"),
        ("", ""),
    ],
)
def test_what_cannot_be_seen_is_written(text: str, shown: str) -> None:
    assert visible(text) == shown


def test_an_attribute_hides_nothing_either() -> None:
    assert plain("filler\u3164") == "filler[U+3164]"
    assert plain("DOE  JOHN") == "DOE  JOHN"  # nothing folds spaces in an attribute, and a search types them


def test_what_is_written_from_the_right_turns_nothing_around_it() -> None:
    shown = visible("name \u05d3\u05d5\u05d3 \u05db\u05d4\u05df → \u05e9\u05e8\u05d4 1")
    assert shown == "name <bdi>\u05d3\u05d5\u05d3 \u05db\u05d4\u05df</bdi> → <bdi>\u05e9\u05e8\u05d4</bdi> 1"
    assert visible("<\u0645\u062d>") == "&lt;<bdi>\u0645\u062d</bdi>&gt;"
    assert visible("\u0645\u202e\u062d") == (
        '<bdi>\u0645</bdi><span class="code">U+202E</span><bdi>\u062d</bdi>'
    )


def test_what_is_too_long_says_so() -> None:
    assert visible("x" * 10_240) == "x" * 1000 + '<span class="code">… 9240 more characters</span>'
    assert plain("x" * 10_240) == "x" * 1000 + "…"


def test_codes_do_not_make_a_page_of_one_text() -> None:
    shown = visible("\u202e" * 1000)
    assert shown.count("U+202E") == MOST_CODES
    assert shown.endswith(f'<span class="code">… {1000 - MOST_CODES} more characters</span>')
    assert visible("a\u202e" * 1500).endswith(f"… {3000 - 2 * MOST_CODES - 1} more characters</span>")


def test_marks_do_not_pile_up() -> None:
    shown = visible("a" + "\u0301" * 50)
    assert shown.count("\u0301") == 4
    assert shown.count("U+0301") == 46


@given(st.text(st.characters(), max_size=60))
def test_no_text_is_markup(text: str) -> None:
    shown = str(visible(text))
    rest = shown.replace('<span class="code">', "").replace("</span>", "")
    rest = rest.replace("<bdi>", "").replace("</bdi>", "")
    assert "<" not in rest
    assert ">" not in rest
    attribute = str(plain(text))
    assert not set("<>\"'") & set(attribute)
    assert attribute.isprintable()
    assert stdlib_html.unescape(rest).isprintable()
