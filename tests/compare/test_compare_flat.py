from __future__ import annotations

from vault.compare.flat import DERIVED, json_changes


def test_leaves_that_differ() -> None:
    old = b'{"patient": {"name": "A"}, "plans": {"1.2.3": {"label": "P", "fractions": [1]}}, "x": null}'
    new = b'{"patient": {"name": "A"}, "plans": {"1.2.3": {"label": "Q", "fractions": [1, 2]}}, "y": {}}'
    assert [(c.path, c.keyword, c.old, c.new) for c in json_changes(old, new)] == [
        ("plans[1.2.3].label", "label", '"P"', '"Q"'),
        ("plans[1.2.3].fractions", "fractions", "[1]", "[1, 2]"),
        ("x", "x", "null", None),
        ("y", "y", None, "{}"),
    ]


def test_derived_keys_can_be_left_out() -> None:
    assert json_changes(b'{"plans": 1, "own": 1}', b'{"plans": 2, "own": 1}', without=DERIVED) == ()
    assert len(json_changes(b'{"plans": 1, "own": 1}', b'{"plans": 2, "own": 2}', without=DERIVED)) == 1


def test_what_is_no_json_is_one_leaf() -> None:
    (change,) = json_changes(b"\xff{", b"[1]")
    assert (change.path, change.new) == ("", "[1]")
