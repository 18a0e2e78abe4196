"""The normal form of database rows: a line per field, named by query, key and column.

    normal-form 1
    prescriptions[101].fractions UT "39"
    prescriptions[101].site UT "Prostate"
    prescriptions[101].stamp.changed_at UT "2026-11-20T09:12:00"

Rows are sorted by their key, so that one more moves no other line. NULL has no line. Who changed a row last, and
when, stands in a section of its own at the end: a stamp that moves alone changes nothing that the row says.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from vault.model import Row
from vault.normal import VERSION
from vault.normal.text import escape, label, quote
from vault.rois.sql.contract import CONTRACT, PATIENT_ID

HEADER = f"normal-form {VERSION}"

STAMPS = ("changed_at", "changed_by")
"""Columns that say when and by whom the database's row was last changed."""

_KEYS = {"contacts": "name", "schedule": "starts", "demographics": PATIENT_ID}
"""What tells the rows of a query apart where the contract names no key."""

_PLAIN = re.compile(r"[a-z][a-z0-9_]*", re.ASCII)
_LABEL = r'\[(?:"(?:[^"\\]|\\.)*"|[^\]"]*)\]'
_FIELD = re.compile(
    rf'(?P<path>[a-z_]+{_LABEL})\.(?:stamp\.)?(?P<column>[a-z][a-z0-9_]*|column{_LABEL}) UT (?P<value>".*")'
)
_ESCAPE = re.compile(
    r"\\(?:(?P<short>[\"\\nrt])|x(?P<byte>[0-9a-f]{2})|u\{(?P<code>[0-9a-f]+)\}|b(?P<bracket>[0-9a-f]{2}))"
)
_SHORT = {'"': '"', "\\": "\\", "n": "\n", "r": "\r", "t": "\t"}


def normal_form(query: str, rows: Iterable[Row]) -> bytes:
    """The normal form of what `query` returned; of no rows, the header alone."""
    said: list[str] = []
    stamped: list[str] = []
    for name, row in _named(query, rows):
        path = f"{query}[{name}]"
        said.extend(fields(f"{path}.", row.fields, without=STAMPS))
        stamped.extend(stamps(f"{path}.", row.fields))
    return "".join(f"{line}\n" for line in [HEADER, *said, *stamped]).encode()


def fields(prefix: str, values: Mapping[str, str | None], without: Sequence[str] = ()) -> Iterator[str]:
    """A line for each column that is not NULL, sorted; `without` columns are left out, and so is whose row it is."""
    for column, value in sorted(values.items()):
        if value is not None and column != PATIENT_ID and column not in without:
            yield f"{prefix}{column_name(column)} UT {quote(value)}"


def stamps(prefix: str, values: Mapping[str, str | None], columns: Sequence[str] = STAMPS) -> Iterator[str]:
    """The lines of the section of stamps."""
    for column in columns:
        value = values.get(column)
        if value is not None:
            yield f"{prefix}stamp.{column} UT {quote(value)}"


def column_name(column: str) -> str:
    """A column's name as part of a path; one of a site's own with spaces or brackets stands in an item's brackets."""
    return column if _PLAIN.fullmatch(column) else f"column[{label(escape(column))}]"


def without_stamps(form: bytes) -> bytes:
    """A normal form without its section of stamps and its version: equal where nothing was changed."""
    return b"".join(line for line in form.splitlines(keepends=True)[1:] if not is_stamp(line))


def with_header(form: bytes) -> bytes:
    """A normal form of an earlier version under this version's header."""
    return f"{HEADER}\n".encode() + form.partition(b"\n")[2]


def is_stamp(line: bytes) -> bool:
    """Whether a line of a normal form belongs to the section of stamps."""
    path = line.split(b" UT ", 1)[0]
    return path.startswith(b"stamp.") or b"].stamp." in path


def changed_without_stamp(old: bytes, new: bytes) -> list[str]:
    """The rows (`prescriptions[101]`) that say something else while their stamp, which both have, is the same."""
    before, after = _by_row(old), _by_row(new)
    return [
        name
        for name, (said, stamped) in after.items()
        if name in before and stamped and before[name][1] == stamped and before[name][0] != said
    ]


def moved_on(old: bytes, new: bytes, today: str) -> bool:
    """Whether two schedules differ in nothing but the time that they look at, from `today` (ISO 8601) on.

    Yesterday's appointments leave a schedule and those of a day more enter it every night; what both look at must be
    the same, and there must be something that both look at, or nothing ahead.
    """
    before, after = (list(parse(form).values()) for form in (old, new))
    ahead = [row for row in before if row.get("starts", "") >= today]
    horizon = max((row["starts"] for row in ahead), default="")
    shared = [row for row in after if today <= row.get("starts", "") <= horizon]
    return _content(ahead) == _content(shared) and bool(ahead or not after)


def _content(table: Iterable[Mapping[str, str]]) -> list[list[tuple[str, str]]]:
    return sorted(sorted((name, value) for name, value in row.items() if name not in STAMPS) for row in table)


def parse(form: bytes) -> dict[str, dict[str, str]]:
    """The rows of a normal form: name (`prescriptions[101]`) to columns and values, stamps included."""
    found: dict[str, dict[str, str]] = {}
    for line in form.decode("utf-8", "replace").split("\n"):
        if match := _FIELD.fullmatch(line):
            found.setdefault(match["path"], {})[match["column"]] = unquoted(match["value"])
    return found


def unquoted(value: str) -> str:
    """What `vault.normal.text.quote` was given."""
    return _ESCAPE.sub(_meant, value[1:-1])


def _meant(match: re.Match[str]) -> str:
    if match["short"]:
        return _SHORT[match["short"]]
    if match["byte"]:
        return chr(0xDC00 + int(match["byte"], 16))
    return chr(int(match["code"] or match["bracket"], 16))


def _by_row(form: bytes) -> dict[str, tuple[list[bytes], list[bytes]]]:
    rows: dict[str, tuple[list[bytes], list[bytes]]] = {}
    for line in form.splitlines():
        name, mark, _ = line.partition(b"].")
        if mark:
            rows.setdefault(name.decode("utf-8", "replace") + "]", ([], []))[is_stamp(line)].append(line)
    return rows


def _named(query: str, rows: Iterable[Row]) -> list[tuple[str, Row]]:
    """Each row with the label of its key, sorted; of rows that share a key the second is `key (2)`, by what it says."""
    key = _key(query)
    ordered = sorted(rows, key=lambda row: (key(row), sorted(fields("", row.fields))))
    taken = {key(row) for row in ordered}
    seen: set[str] = set()
    named = []
    for row in ordered:
        name, number = key(row), 1
        while name in seen or (number > 1 and name in taken):
            number += 1
            name = f"{key(row)} ({number})"
        seen.add(name)
        named.append((label(escape(name)), row))
    return named


def _key(query: str) -> Callable[[Row], str]:
    contract = CONTRACT.get(query)
    column = (contract and contract.key) or _KEYS.get(query, "")
    return lambda row: row.fields.get(column) or ""
