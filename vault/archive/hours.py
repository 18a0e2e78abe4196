"""Branch `hourly` of a patient: what was seen of each day's treatments, a folder per day.

history/<date>/rows.json              what the database answered, as it was answered
history/<date>/rows.txt               its normal form
history/<date>/records/<sop>.dcm      treatment records of the day as Part 10 files, beside their normal forms
history/<date>/treatments.pdf         the same for people
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date, datetime

from vault.archive import sums
from vault.archive.bare import BareRepository
from vault.model import Row
from vault.names import safe_name
from vault.normal import rows as normal_rows
from vault.normal.lines import Line, parse

BRANCH = "hourly"
HISTORY = "history"

ROWS = "rows.json"
TEXT = "rows.txt"
PDF = "treatments.pdf"

Rows = Mapping[str, Sequence[Row]]
"""Name of a query to its rows."""


def path(day: date, name: str) -> str:
    """Where something of a day is in the tree."""
    return f"{HISTORY}/{day.isoformat()}/{name}"


def record_path(day: date, sop_uid: str) -> str:
    """Where a treatment record of a day is; its normal form lies beside it as `.txt`."""
    return path(day, f"records/{safe_name(sop_uid)}.dcm")


class Hours:
    """What the branch holds at its tip; empty for a patient without it."""

    def __init__(self, repository: BareRepository | None) -> None:
        self._repository = repository
        self.tip = repository.tip(BRANCH) if repository else None
        self.tree: Mapping[str, str] = repository.tree(self.tip) if repository and self.tip else {}

    def has(self, day: date) -> bool:
        """Whether anything of the day is kept."""
        return any(name.startswith(path(day, "")) for name in self.tree)

    def days(self) -> list[date]:
        """The days of which rows are kept, newest last."""
        names = (name.split("/") for name in self.tree)
        return sorted(date.fromisoformat(parts[1]) for parts in names if len(parts) == 3 and parts[2] == ROWS)

    def rows(self, day: date) -> dict[str, list[Row]]:
        """What the database had answered; nothing for a day that is not kept."""
        return decode(data) if (data := self._read(path(day, ROWS))) else {}

    def records(self, day: date) -> Iterator[Iterable[Line]]:
        """The normal form of each treatment record of a day."""
        for name in sorted(self.tree):
            if name.startswith(path(day, "records/")) and name.endswith(".txt"):
                yield parse((self._read(name) or b"").splitlines(keepends=True))

    def pdf(self, day: date) -> bytes | None:
        """The day's report for people."""
        return self._read(path(day, PDF))

    def fingerprint(self, day: date) -> str:
        """A hash that changes with what was seen of the day, not with how it is printed."""
        printed = (".pdf", f"/{sums.NAME}")  # the sums name the print, too
        names = sorted(
            name for name in self.tree if name.startswith(path(day, "")) and not name.endswith(printed)
        )
        said = "".join(f"{name} {self.tree[name]}\n" for name in names)
        return hashlib.sha256(said.encode()).hexdigest()

    def _read(self, name: str) -> bytes | None:
        if self._repository is None or name not in self.tree:
            return None
        return self._repository.read(self.tree[name])


def later_run(repository: BareRepository, tip: str, run: str) -> datetime | None:
    """When the tip was committed, if a run did that which began after `run` (their names sort by time)."""
    info = repository.commit_info(tip)
    return info.when if info.trailers.get("Run", "") > run else None


def encode(rows: Rows) -> bytes:
    """Rows as canonical JSON: queries and columns sorted, rows by time, so that the same rows are the same bytes."""
    said = {
        query: sorted((dict(row.fields) for row in answered), key=_order) for query, answered in rows.items()
    }
    text = json.dumps(said, ensure_ascii=False, indent=1, sort_keys=True) + "\n"
    try:
        return text.encode()
    except UnicodeEncodeError:  # a lone surrogate, which no UTF-8 holds
        return (json.dumps(said, indent=1, sort_keys=True) + "\n").encode()


def decode(data: bytes) -> dict[str, list[Row]]:
    """What `encode` was given."""
    said = json.loads(data)
    return {query: [Row(query, fields) for fields in answered] for query, answered in said.items()}


def text(rows: Rows) -> bytes:
    """The normal form of all queries in one file, one header."""
    forms = [normal_rows.normal_form(query, answered) for query, answered in sorted(rows.items())]
    bodies = [form.partition(b"\n")[2] for form in forms]
    return b"".join([f"{normal_rows.HEADER}\n".encode(), *bodies])


def _order(fields: Mapping[str, str | None]) -> tuple[str, list[tuple[str, str]]]:
    when = fields.get("started") or fields.get("starts") or ""
    return when, sorted((column, value or "") for column, value in fields.items())
