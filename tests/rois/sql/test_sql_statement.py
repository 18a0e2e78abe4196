"""Statements: named parameters become marks, and only those; what would write, or hides a second one, is refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vault.rois.sql.statement import Statement, StatementError, check_qualifier, prepare


@pytest.mark.parametrize(
    ("sql", "text", "parameters"),
    [
        ("SELECT :a, :b_2, :a", "SELECT ?, ?, ?", ("a", "b_2", "a")),
        ("SELECT ':a', 'it''s :b', :c", "SELECT ':a', 'it''s :b', ?", ("c",)),
        ('SELECT ":a", [b :c ]] :d], `:e`, :f', 'SELECT ":a", [b :c ]] :d], `:e`, ?', ("f",)),
        ("SELECT 1 -- :a ' ;\n, :b", "SELECT 1  \n, ?", ("b",)),
        ("SELECT /* :a /* nested ' */ ; */ :b", "SELECT   ?", ("b",)),
        ("SELECT x::text, '2'::int, :a::date", "SELECT x::text, '2'::int, ?::date", ("a",)),
        (r"SELECT E'a\':b', e'''', :c", r"SELECT E'a\':b', e'''', ?", ("c",)),
        ("SELECT $$ :a ; $$, $x$ :b $$ $x$, :c", "SELECT $$ :a ; $$, $x$ :b $$ $x$, ?", ("c",)),
        ("with x as (select 1) select * from x where 12 = :a ;  -- end",
         "with x as (select 1) select * from x where 12 = ?", ("a",)),
        ("SELECT '12:30', @x, a#b, ä.ö FROM ä WHERE d=:d", "SELECT '12:30', @x, a#b, ä.ö FROM ä WHERE d=?", ("d",)),
        ("SELECT updated, [update], \"insert\", 'DROP' FROM t",
         "SELECT updated, [update], \"insert\", 'DROP' FROM t", ()),
        ("SELECT a FROM t WHERE b LIKE '%' AND c = 'x{y}'", "SELECT a FROM t WHERE b LIKE '%' AND c = 'x{y}'", ()),
    ],
)  # fmt: skip
def test_parameters_are_marks_and_nothing_else_is(sql: str, text: str, parameters: tuple[str, ...]) -> None:
    prepared = prepare(sql)
    assert "".join(prepared.text.split()) == "".join(text.split())
    assert prepared.parameters == parameters


def test_names_are_put_in_where_they_stand() -> None:
    names = {"rt": "VARIAN.dbo", "emr": "[varian enm].dbo"}
    assert prepare("SELECT '{rt}' FROM {rt}.Patient, {emr}.pt", names) == Statement(
        "SELECT '{rt}' FROM VARIAN.dbo.Patient, [varian enm].dbo.pt", ()
    )


@pytest.mark.parametrize(
    ("sql", "why"),
    [
        ("", "does not begin with SELECT"),
        ("-- only a comment", "does not begin with SELECT"),
        ("DELETE FROM t", "does not begin with SELECT"),
        ("SELECT 1; DROP TABLE t", "second statement"),
        ("SELECT 1 ; ; ", "second statement"),
        ("SELECT * INTO copy FROM t", "the word INTO"),
        ("WITH x AS (DELETE FROM t RETURNING *) SELECT * FROM x", "the word DELETE"),
        ("SELECT * FROM OPENROWSET('x', 'y', 'z')", "the word OPENROWSET"),
        ("SELECT xp_cmdshell('x')", "the word xp_cmdshell"),
        ("SELECT 1 FROM t FOR UPDATE", "the word UPDATE"),
        ("SELECT a FROM t WHERE b = ?", "bare ?"),
        ("SELECT 'a", "the ' in line 1 of the statement is never closed"),
        ("SELECT 1,\n\"a FROM t", 'the " in line 2'),
        ("SELECT [a FROM t", "the [ in line 1"),
        ("SELECT 1 /* /* */", "never closed"),
        ("SELECT \0 1", "NUL"),
        ("SELECT 1 FROM {rt}.t", "[names] has no rt"),
    ],
)  # fmt: skip
def test_what_is_refused(sql: str, why: str) -> None:
    with pytest.raises(StatementError) as caught:
        prepare(sql)
    assert why in str(caught.value)


@pytest.mark.parametrize(
    "name", ["a.b; DROP TABLE t", "", "a..b", "a b", "a'b", "a.b.c.d.e", "[a]]b]", "--", "dbo.\n"]
)
def test_a_qualifier_is_identifiers_and_nothing_else(name: str) -> None:
    with pytest.raises(StatementError, match="no name of a database"):
        check_qualifier(name)
    with pytest.raises(StatementError):
        prepare("SELECT 1 FROM {rt}.t", {"rt": name})


PIECES = st.sampled_from(
    ["'", '"', "[", "]", "`", "--", "/*", "*/", "\n", ";", ":p", "?", "{n}", "$$", "x", " ", "''", "E'", "\\"]
)


@given(st.lists(PIECES, max_size=12).map("".join))
def test_any_text_is_prepared_or_refused(text: str) -> None:
    try:
        prepared = prepare(f"SELECT {text}", {"n": "dbo"})
    except StatementError:
        return
    assert prepared.text.count("?") - prepared.text.count("'?'") >= 0
    assert len(prepared.parameters) <= text.count(":p")


@given(st.text())
def test_a_string_keeps_whatever_it_holds(text: str) -> None:
    quoted = "'" + text.replace("\0", "").replace("'", "''") + "'"
    assert prepare(f"SELECT {quoted}, :a") == Statement(f"SELECT {quoted}, ?", ("a",))
