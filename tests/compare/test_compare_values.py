from __future__ import annotations

import pytest

from vault.compare.values import printable, transition

LEAVES = ["-12.5"] * 120


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("28", "30", "28 → 30"),
        (None, '"A"', 'absent → "A"'),
        ('"A"', None, '"A" → absent'),
        ("", "1", "empty → 1"),
        (r"1\2\3", r"1\2\4", r"1\2\3 → 1\2\4"),
        (r'"a\b\c\d\e"', r'"a\b\c\d\f"', r'"a\b\c\d\e" → "a\b\c\d\f"'),
        (
            f"4 bytes sha256:{'a' * 64}",
            f"4 bytes sha256:{'b' * 64}",
            f"4 bytes sha256:{'a' * 12}… → 4 bytes sha256:{'b' * 12}…",
        ),
    ],
)
def test_short_values_are_shown_whole(old: str | None, new: str | None, said: str) -> None:
    assert transition(old, new) == said


def test_one_leaf_of_many() -> None:
    new = [*LEAVES]
    new[16] = "-7.5"
    assert transition("\\".join(LEAVES), "\\".join(new)) == "1 of 120 values: [17] -12.5 → -7.5"


def test_many_leaves_give_the_greatest_shift() -> None:
    new = [str(-12.5 + number / 10) for number in range(120)]
    said = transition("\\".join(LEAVES), "\\".join(new))
    assert said.startswith("119 of 120 values: [2] -12.5 → -12.4, ")
    assert said.endswith("and 113 more, greatest shift 11.9")


def test_values_that_are_no_numbers_have_no_shift() -> None:
    assert "shift" not in transition(r"a\b\c\d\e", r"a\x\y\d\e")


def test_lists_of_other_lengths() -> None:
    assert transition(r"1\2\3\4\5", r"1\2\3\4\5\6").startswith("5 values → 6 values: ")


def test_long_values_are_cut_in_the_middle() -> None:
    said = transition('"' + "x" * 5000 + '"', '"y"')
    assert len(said) < 200
    assert " … " in said


def test_nothing_commands_the_terminal() -> None:
    assert printable("a\x1b[2Jb\u202ec\x85") == r"a\x1b[2Jb\u202ec\x85"
    assert printable("Müller 山田") == "Müller 山田"
    assert transition("\x1b]0;x", "y") == r"\x1b]0;x → y"


@pytest.mark.parametrize(
    "letter", "\u3164\u115f\u1160\uffa0\u2800\u034f\u17b4\u180b\ufe0f\U000e0100\U0001d159"
)
def test_what_is_printable_and_cannot_be_seen_is_written(letter: str) -> None:
    escaped = letter.encode("unicode_escape").decode()
    assert printable(f"SMITH{letter}") == f"SMITH{escaped}"


def test_two_texts_that_look_the_same_are_spelt() -> None:
    assert transition('"Jos\u00e9"', '"Jose\u0301"') == r'"Jos\xe9" → "Jose\u0301"'
    assert transition('"José"', '"José B"') == '"José" → "José B"'


def test_long_values_that_differ_in_their_middle_do_not_read_the_same() -> None:
    middle = "3" * 100
    assert transition(f"{middle}1{middle}", f"{middle}2{middle}").startswith(f"…{'3' * 30}1")
    assert f"→ …{'3' * 30}2" in transition(f"{middle}1{middle}", f"{middle}2{middle}")
    many = "\\".join("456789")
    assert "1333" in transition(f"{middle}1{middle}\\{many}", f"{middle}2{middle}\\{many}")
    same, apart = f"sha256:{'a' * 12}{'b' * 52}", f"sha256:{'a' * 12}{'c' * 52}"
    assert transition(same, apart) == f"{same} → {apart}"
