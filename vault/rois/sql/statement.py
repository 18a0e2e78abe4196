"""One SQL statement of a query set: read only in intent, its named parameters rewritten to ODBC's `?`.

The tokenizer knows what may hold a colon, a question mark or a semicolon without meaning it: strings, quoted
identifiers and comments of the dialects of SQL Server, PostgreSQL and SQLite. It does not know SQL. That a statement
can't write is a matter of the account's rights; what is refused here is a mistake or a trap in the file.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

FIRST_WORDS = frozenset({"SELECT", "WITH"})
"""How a statement may begin."""

_WORDS = """
    ALTER ANALYZE ATTACH BACKUP BEGIN BULK CALL COMMIT COPY CREATE DBCC DECLARE DELETE DENY DETACH DO DROP EXEC EXECUTE
    GRANT INSERT INTO KILL LOCK MERGE OPENDATASOURCE OPENQUERY OPENROWSET PRAGMA RECONFIGURE REINDEX RENAME RESTORE
    REVOKE ROLLBACK SAVE SET SHUTDOWN TRUNCATE UPDATE USE VACUUM WAITFOR
"""
REFUSED_WORDS = frozenset(_WORDS.split())
"""Words that no statement which only reads has outside quotation marks."""

_TOKEN = re.compile(
    r"""
      (?P<space>\s+)
    | (?P<comment>--[^\n]*)
    | (?P<block>/\*)
    | (?P<string>[eE]'(?:[^'\\]|\\.|'')*' | '(?:[^']|'')*')
    | (?P<quoted>"(?:[^"]|"")*" | \[(?:[^\]]|\]\])*\] | `(?:[^`]|``)*`)
    | (?P<dollar>\$(?P<tag>[A-Za-z_]*)\$.*?\$(?P=tag)\$)
    | (?P<word>[^\W\d][\w@\#$]* | [@\#][\w@\#$]+)
    | (?P<number>\d[\w.]*)
    | (?P<cast>::)
    | (?P<parameter>:[A-Za-z_][A-Za-z0-9_]*)
    | (?P<name>\{[A-Za-z_][A-Za-z0-9_]*\})
    | (?P<end>;)
    | (?P<mark>\?)
    | (?P<unclosed>['"`\[])
    | (?P<other>.)
    """,
    re.VERBOSE | re.DOTALL,
)
_COMMENT_EDGE = re.compile(r"/\*|\*/")
_QUALIFIER = re.compile(
    r"(?:[A-Za-z_][\w$#]*|\[[\w$# -]+\])(?:\.(?:[A-Za-z_][\w$#]*|\[[\w$# -]+\])){0,3}", re.ASCII
)
_PROCEDURE = re.compile(r"(?:xp|sp)_", re.IGNORECASE)


class StatementError(ValueError):
    """The statement can't be used; `str` says why, to follow the name of the query."""


@dataclass(frozen=True, slots=True)
class Statement:
    """A statement as the driver gets it."""

    text: str
    """With `?` for each parameter."""
    parameters: tuple[str, ...]
    """The parameters' names in the order of their marks; one that is used twice is there twice."""


def prepare(sql: str, names: Mapping[str, str] | None = None) -> Statement:
    """Check `sql` and rewrite it: `:name` becomes `?`, `{name}` the identifier that `names` has for it.

    A parameter is a value and is bound; an identifier (the qualifier of a table) can't be, so `names` are checked by
    `check_qualifier`. Comments are left out. Raises StatementError.
    """
    names = names or {}
    text: list[str] = []
    parameters: list[str] = []
    words: list[str] = []
    ended = False
    for kind, token in _tokens(sql):
        if kind in ("space", "comment", "block"):
            text.append("\n" if "\n" in token else " ")
            continue
        if ended:
            raise StatementError(
                "there is a second statement after the semicolon; one statement is one query"
            )
        if kind == "end":
            ended = True
        elif kind == "parameter":
            parameters.append(token[1:])
            text.append("?")
        elif kind == "name":
            text.append(_named(token[1:-1], names))
        else:
            if kind == "word":
                words.append(token)
            text.append(token)
    _check_words(words)
    return Statement("".join(text).strip(), tuple(parameters))


def check_qualifier(text: str) -> None:
    """Refuse what is no identifier of up to four parts, such as `VARIAN.dbo`. Raises StatementError."""
    if not _QUALIFIER.fullmatch(text):
        raise StatementError(f"{text!r} is no name of a database or schema, such as VARIAN.dbo")


def _tokens(sql: str) -> Iterator[tuple[str, str]]:
    if "\0" in sql:
        raise StatementError("it holds a NUL character")
    position = 0
    while position < len(sql):
        match = _TOKEN.match(sql, position)
        assert match is not None  # noqa: S101  # `other` matches anything
        kind, token = match.lastgroup or "other", match[0]
        if match["dollar"] is not None:
            kind = "dollar"
        if kind == "block":
            token = sql[position : _end_of_comment(sql, position)]
        elif kind == "unclosed":
            line = sql.count("\n", 0, position) + 1
            raise StatementError(f"the {token} in line {line} of the statement is never closed")
        elif kind == "mark":
            raise StatementError("it has a bare ?; name the parameter, as in :patient_id")
        yield kind, token
        position += len(token)


def _end_of_comment(sql: str, start: int) -> int:
    """Where a block comment ends; they nest in SQL Server and PostgreSQL."""
    depth = 0
    for edge in _COMMENT_EDGE.finditer(sql, start):
        depth += 1 if edge[0] == "/*" else -1
        if depth == 0:
            return edge.end()
    raise StatementError("a comment that begins with /* is never closed")


def _named(name: str, names: Mapping[str, str]) -> str:
    if name not in names:
        raise StatementError(f"it uses {{{name}}}, but [names] has no {name}")
    check_qualifier(names[name])
    return names[name]


def _check_words(words: list[str]) -> None:
    if not words or words[0].upper() not in FIRST_WORDS:
        raise StatementError("it does not begin with SELECT or WITH; the vault only reads")
    for word in words:
        if word.upper() in REFUSED_WORDS or _PROCEDURE.match(word):
            raise StatementError(
                f"it holds the word {word}; the vault only reads. A column of that name goes into quotation marks"
            )
